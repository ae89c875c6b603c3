"""A Maildir on this side and a mailbox on the server, compared by content and flags."""

import re

from . import mail
from .check import equal
from .imap import fetch_all, quote

LETTERS = {"S": b"\\Seen", "R": b"\\Answered", "F": b"\\Flagged", "D": b"\\Draft", "T": b"\\Deleted"}
# Markers that mbsync and offlineimap put on what they upload.
_MARKER = re.compile(rb"(?m)^X-(?:TUID|OfflineIMAP): [^\n]*\n")


def key(message):
    return _MARKER.sub(b"", mail.lf(message))


async def far(context, mailbox):
    """Sorted [(message, system flags)] on the server."""
    client = await context.imap()
    await client.ok(b"EXAMINE ", quote(mailbox))
    found = await fetch_all(client, "FLAGS BODY.PEEK[]", 100)
    await client.logout()
    known = set(LETTERS.values())
    return sorted((key(i[b"BODY[]"]), tuple(sorted(known & set(map(bytes, i[b"FLAGS"])))))
                  for i in found.values())


def near(folder):
    """The same of a Maildir."""
    rows = []
    for path in files(folder):
        letters = path.name.partition(":2,")[2]
        flags = tuple(sorted(LETTERS[x] for x in letters if x in LETTERS))
        rows.append((key(path.read_bytes()), flags))
    return sorted(rows)


def files(folder):
    return [p for sub in ("cur", "new") for p in sorted((folder / sub).glob("*"))]


def by_uid(folder):
    """{UID: path}, of the UID that both clients keep in the file name."""
    found = ((re.search(r",U=(\d+)", p.name), p) for p in files(folder))
    return dict(sorted((int(match.group(1)), path) for match, path in found if match))


def set_letters(path, letters):
    stem = path.name.partition(":2,")[0]
    path.rename(path.parent.parent / "cur" / f"{stem}:2,{''.join(sorted(letters))}")


def make(folder):
    for sub in ("cur", "new", "tmp"):
        (folder / sub).mkdir(parents=True)


async def same(context, mailbox, count):
    """The mailbox and the Maildir of its name are equal and hold `count` messages."""
    a, b = await far(context, mailbox), near(context.maildir / mailbox)
    equal(len(a), count, f"messages in {mailbox} on the server")
    equal(len(b), count, f"messages in {mailbox} of the Maildir")
    if a != b:
        unlike = [(x[0][:200], x[1], y[1]) for x, y in zip(a, b) if x != y][:3]
        raise AssertionError(f"{mailbox} differs after sync: {unlike}")
