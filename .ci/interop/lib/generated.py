"""Mail of the corpus' generator with its needles, or a little of our own where it is not there."""

import json
import subprocess
import sys
from dataclasses import dataclass

from . import mail

GENERATOR = mail.CORPUS / "make_mailbox.py"
KEYS = ("TEXT", "BODY", "SUBJECT", "FROM", "TO", "CC")


@dataclass
class Thread:
    parent: int   # ordinal, 0: none
    root: int


@dataclass
class Generated:
    messages: list       # bytes with CRLF; ordinals count from 1
    needles: list
    threads: dict        # of an ordinal; empty where they are not known
    source: str


def generate(folder, count, seed):
    """`count` messages; everything about them by the seed."""
    if not GENERATOR.exists():
        messages, source = mail.ham()
        return Generated([mail.crlf(m) for m in messages[:count]], [], {}, source)
    out, index = folder / "generated.mbox", folder / "generated.tsv"
    subprocess.run([sys.executable, str(GENERATOR), "-n", str(count), "--seed", str(seed), "--out", str(out),
                    "--index", str(index), "--special", "4"], check=True, capture_output=True, timeout=300)
    messages = [mail.crlf(m) for m in mail.split_mboxrd(out.read_bytes())]
    needles = json.loads((folder / "generated.mbox.needles.json").read_text(encoding="utf-8"))["needles"]
    rows = [line.split("\t") for line in index.read_text(encoding="utf-8").splitlines()[1:]]
    threads = {int(row[0]): Thread(int(row[4]), int(row[5])) for row in rows}
    out.unlink()
    return Generated(messages, needles, threads, "make_mailbox.py")


def searches(needles):
    """(what, key, term, rule, ordinals) of every key of every needle.

    A key that a needle does not list finds nothing, says the generator.
    """
    for needle in needles:
        # Its term is another needle's, its messages are those which that one must not find.
        if not needle["search"]:
            continue
        for key in dict.fromkeys((*needle["search"], *KEYS)):
            rule = needle["search"].get(key, "none")
            ordinals = set(needle["ordinals"]) if rule != "none" else set()
            yield f"{needle['id']} {key}", key, needle["term"], rule, ordinals
