#!/usr/bin/env python3
"""Give every message of an mbox the header noise of real mail: about 20 terms that occur once.

    add_noise.py IN.mbox OUT.mbox

The generator's headers bring about 4 such terms a message, real ones about 20 (ids of Received
fields, tracing ids, the base64 of signatures, which punctuation cuts into words). The same seed
gives the same bytes. The needles stay true: their file is copied beside OUT.
"""

import argparse
import random
import shutil
import sys
import time
from base64 import b64encode
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers.mailbox import raw_entries  # noqa: E402 - a program that is run from anywhere


def noise(rng):
    """The lines of one message, LF. The needles are longer than what base64 holds by chance."""
    signature = b64encode(rng.randbytes(192))
    state = b64encode(rng.randbytes(42))
    one, two, three = (rng.randbytes(9).hex().encode() for _ in range(3))
    lines = [b"Received: by 2002:a17:907:%04x with SMTP id %s; Mon, 1 Jan 2024 00:00:00 +0000"
             % (rng.getrandbits(16), one),
             b"X-Received: by relay.example with SMTP id %s.%d" % (two, rng.getrandbits(30)),
             b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=relay.example; s=s1;\n\tbh=%s;\n\tb=%s"
             % (b64encode(rng.randbytes(32)), b"\n\t ".join(signature[at:at + 64] for at in range(0, len(signature), 64))),
             b"X-Gm-Message-State: %s" % state,
             b"X-Trace-Id: %s" % three]
    return b"\n".join(lines) + b"\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(f"noise/{options.seed}")
    began, count, pending = time.monotonic(), 0, []
    with options.out.open("wb", 1 << 20) as out:
        for from_line, message in raw_entries(options.given):
            count += 1
            # Behind the first field, as if a relay before the last had put it there.
            at = end_of_field(message)
            pending += [from_line, message[:at], noise(rng), message[at:], b"\n"]
            if len(pending) > 5000:
                out.write(b"".join(pending))
                pending.clear()
        out.write(b"".join(pending))
    needles = Path(f"{options.given}.needles.json")
    if needles.exists():
        shutil.copyfile(needles, f"{options.out}.needles.json")
    print(f"{count} messages in {time.monotonic() - began:.0f} s", file=sys.stderr)


def end_of_field(message):
    """Where the first header field ends, its folded lines included."""
    at = message.index(b"\n") + 1
    while message[at:at + 1] in (b" ", b"\t"):
        at = message.index(b"\n", at) + 1
    return at


if __name__ == "__main__":
    main()
