#!/usr/bin/env python3
"""Run the interoperability checks one after the other; the last line is "N passed, N failed".

With --strict a check that is skipped counts as failed.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Each with what it is given in CI; by hand the longer figures are the defaults.
CHECKS = [
    ("pyimaplib",),
    ("curl",),
    ("roundtrip",),
    ("mbsync",),
    ("offlineimap",),
    ("muttbatch",),
    ("swaks", "--messages", "150"),
    ("postfix",),
    ("exim",),
    ("lmtp",),
    ("torture",),
    ("search",),
    ("stress", "--seconds", "10"),
    ("crash", "--rounds", "3"),
    ("mend",),
    ("rot", "--rounds", "8"),
    ("badsector",),
    ("powercut", "--rounds", "3", "--deliverers", "32", "--sessions", "10"),
    ("kills", "--rounds", "1"),
    ("backup", "--backups", "2", "--apart", "1"),
    ("diskfull", "--rounds", "1", "--kinds", "ext4"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="mailcask")
    parser.add_argument("--bin")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("only", nargs="*", help="names of checks")
    arguments = parser.parse_args()
    unknown = set(arguments.only) - {name for name, *_ in CHECKS}
    if unknown:
        parser.error(f"no check of the name {', '.join(sorted(unknown))}")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, *extra in CHECKS:
        if arguments.only and name not in arguments.only:
            continue
        command = [sys.executable, str(HERE / f"{name}.py"), "--server", arguments.server,
                   "--seed", str(arguments.seed), *extra]
        if arguments.bin:
            command += ["--bin", arguments.bin]
        status = subprocess.run(command, stderr=subprocess.STDOUT, check=False).returncode
        verdict = {0: "passed", 77: "skipped"}.get(status, "failed")
        counts["failed" if verdict == "skipped" and arguments.strict else verdict] += 1
        sys.stdout.flush()
    if counts["skipped"]:
        print(f"{counts['skipped']} skipped")
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    sys.exit(bool(counts["failed"]) or not counts["passed"])


if __name__ == "__main__":
    main()
