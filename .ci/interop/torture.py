#!/usr/bin/env python3
"""Each torture file appended, delivered, fetched whole and by every section (Must show 3).

Each goes in as it is and with CRLF, by APPEND (literal), LMTP DATA and LMTP BDAT,
and has to be served byte for byte. Every section that BODYSTRUCTURE names, walked
to the end, has to be the right slice; ENVELOPE and BODYSTRUCTURE have to be of the
form of RFC 3501. Only a NUL may be refused by APPEND, for no literal may hold one.
"""

import re
import sys
from collections import Counter

from lib import mail, sections
from lib.check import Context, main
from lib.imap import Lost, Refused, append, quote
from lib.lmtp import Lmtp, after_data
from lib.wire import BadResponse

CHUNK = 200  # sections a FETCH


class Faults:
    """All that is wrong, so that one run tells of every file."""

    def __init__(self):
        self.found = []
        self.counts = Counter()

    def add(self, name, way, what):
        self.found.append(f"{name} ({way}): {what}")


def variants(name, message):
    yield name, message
    if mail.crlf(message) != message:
        yield f"{name}+crlf", mail.crlf(message)


async def fill(context, faults):
    """Append and deliver everything; {mailbox: [(name, expected bytes)]} in order of UID."""
    files, source = mail.torture()
    context.source = f"{len(files)} files of {source}"
    jobs = [v for name, message in files for v in variants(name, message)]
    client = await context.imap()
    held = {"Appended": [], "INBOX": [], "bdat": []}
    await client.ok("CREATE Appended")
    for name, message in jobs:
        reply = await append(client, "Appended", message)
        if reply.status == "OK":
            held["Appended"].append((name, message))
        elif b"\0" in message:
            faults.counts["refused for NUL"] += 1
        else:
            faults.add(name, "APPEND", f"{reply.status} {reply.text!r}")
    await client.logout()
    lmtp = await Lmtp.connect(context.server.lmtp)
    ways = [("INBOX", "ada", False)]
    if "CHUNKING" in lmtp.extensions:
        ways.append(("bdat", "bob", True))
    for mailbox, account, bdat in ways:
        for number, (name, message) in enumerate(jobs):
            # A sender of its own each, or the variants would be retries of each other.
            [(code, text)] = await lmtp.deliver(
                f"{mailbox}{number}@example.net", [f"{account}@example.org"], message, bdat)
            if code == 250:
                held[mailbox].append((name, message if bdat else after_data(message)))
            elif b"\0" in message and not bdat:
                faults.counts["refused for NUL"] += 1
            else:
                faults.add(name, f"LMTP to {account}", f"{code} {text}")
    await lmtp.quit()
    return held


def kept(context, served, expected):
    """Whether a message is served as it was given, after added trace fields."""
    unclean = b"\0" in expected or re.search(rb"\r(?!\n)|(?<!\r)\n", expected)
    if unclean and not context.server.exact:
        return True  # Dovecot changes bare newlines and NUL
    return mail.after_trace(served, expected) is not None


async def inspect(context, faults, account, mailbox, held):
    """All of one mailbox."""
    client = await context.imap(account)
    await client.ok(b"EXAMINE ", quote(mailbox))
    reply = await client.ok("UID SEARCH ALL")
    uids = [int(v) for u in reply.named("SEARCH") for v in u.values]
    if len(uids) != len(held):
        faults.add(mailbox, account, f"{len(uids)} messages, {len(held)} were taken")
        return
    for uid, (name, expected) in zip(uids, held):
        faults.counts["messages"] += 1
        try:
            for what in await one(context, faults, client, uid, expected):
                faults.add(name, f"{account} {mailbox}", what)
        except (sections.BadStructure, BadResponse, Refused, Lost, KeyError) as error:
            faults.add(name, f"{account} {mailbox}", f"{type(error).__name__} {error}")
            client.close()
            client = await context.imap(account)
            await client.ok(b"EXAMINE ", quote(mailbox))
    await client.logout()


async def fetch(client, uid, items):
    reply = await client.ok(f"UID FETCH {uid} ({items})")
    merged = {}
    for _, got in reply.fetches():
        merged.update(got)
    return merged


async def one(context, faults, client, uid, expected):
    """What is wrong with one message."""
    wrong = []
    got = await fetch(client, uid, "BODY.PEEK[] RFC822.SIZE BODYSTRUCTURE BODY ENVELOPE RFC822.HEADER")
    whole = got[b"BODY[]"] or b""
    if not kept(context, whole, expected):
        return [f"served {len(whole)} bytes {whole[:80]!r}..{whole[-80:]!r}, "
                f"not {len(expected)} {expected[:80]!r}..{expected[-80:]!r}"]
    if int(got[b"RFC822.SIZE"]) != len(whole):
        wrong.append(f"RFC822.SIZE {got[b'RFC822.SIZE']!r}, {len(whole)} bytes")
    sections.envelope(got[b"ENVELOPE"])
    sections.parts(got[b"BODY"])
    parts = sections.parts(got[b"BODYSTRUCTURE"])
    faults.counts["parts"] += len(parts)
    names = ["HEADER", "TEXT"] + [s for part in parts for s in sections.requests(part)]
    text = {}
    for at in range(0, len(names), CHUNK):
        piece = names[at: at + CHUNK]
        answer = await fetch(client, uid, " ".join(f"BODY.PEEK[{n}]" for n in piece))
        for name in piece:
            if f"BODY[{name}]".encode() not in answer:
                wrong.append(f"BODY[{name}] not answered")
            text[name] = answer.get(f"BODY[{name}]".encode())
    faults.counts["sections"] += len(names)
    if (text["HEADER"] or b"") + (text["TEXT"] or b"") != whole:
        wrong.append("HEADER and TEXT are not the message")
    if (got[b"RFC822.HEADER"] or b"") != (text["HEADER"] or b""):
        wrong.append("RFC822.HEADER is not BODY[HEADER]")
    for part in parts:
        wrong += sections.judge(part, whole, text)
    wrong += await pieces(client, uid, whole, names, text)
    wrong += await fields(client, uid, text["HEADER"] or b"")
    return wrong


async def pieces(client, uid, whole, names, text):
    """BODY[section]<first.count>: the slice, empty past the end."""
    middle = len(whole) // 2
    asked = [("", 0, 1), ("", 0, 2**31), ("", middle, 100), ("", len(whole), 10), ("", len(whole) + 9, 1)]
    for name in names[-2:]:
        size = len(text[name] or b"")
        asked += [(name, size // 3, 50), (name, max(0, size - 5), 500)]
    wrong = []
    for name, first, count in asked:
        source = whole if not name else text[name] or b""
        got = await fetch(client, uid, f"BODY.PEEK[{name}]<{first}.{count}>")
        answer = got.get(f"BODY[{name}]<{first}>".encode(), b"not answered") or b""
        if answer != source[first: first + count]:
            wrong.append(f"BODY[{name}]<{first}.{count}> is {answer[:60]!r}")
    return wrong


async def fields(client, uid, header):
    """HEADER.FIELDS and HEADER.FIELDS.NOT of some names are the two halves of the header."""
    names = sorted({n.upper() for n in re.findall(rb"(?m)^([!-9;-~]{1,40}):", header)})[::2][:20]
    names = [n.decode() for n in names if not set(n) & set(b'(){%*"\\]')] or ["Subject"]
    listed = " ".join(names)
    reply = await client.ok(f"UID FETCH {uid} (BODY.PEEK[HEADER.FIELDS ({listed})] "
                            f"BODY.PEEK[HEADER.FIELDS.NOT ({listed})])")
    halves = {}
    for _, got in reply.fetches():
        for name, value in got.items():
            halves["NOT" if b"FIELDS.NOT" in name else "IS"] = value or b""
    if set(halves) != {"IS", "NOT"}:
        return [f"HEADER.FIELDS ({listed}) not answered: {sorted(halves)}"]
    wrong = []
    # A line that is no field, or a bare CR, belongs to neither half for sure.
    if re.search(rb"(?m)\r(?!\n)|^(?![ \t\r\n])[^:\n]+$", header):
        return wrong
    lines = lambda text: Counter(line.rstrip(b"\r") for line in text.split(b"\n") if line.rstrip(b"\r"))
    if lines(halves["IS"]) + lines(halves["NOT"]) != lines(header):
        wrong.append(f"HEADER.FIELDS ({listed}) and .NOT are not the whole header")
    wanted = tuple(n.lower().encode() for n in names)
    for line in re.split(rb"\r\n(?![ \t])", halves["IS"]):
        name = line.split(b":", 1)[0].strip(b" \t\r\n").lower()
        if name and name not in wanted:
            wrong.append(f"HEADER.FIELDS ({listed}) gives {line[:60]!r}")
    return wrong


async def run(context: Context):
    sys.setrecursionlimit(20000)  # repr() of a deep BODYSTRUCTURE in a complaint
    faults = Faults()
    held = await fill(context, faults)
    await inspect(context, faults, "ada", "Appended", held["Appended"])
    await inspect(context, faults, "ada", "INBOX", held["INBOX"])
    if held["bdat"]:
        await inspect(context, faults, "bob", "INBOX", held["bdat"])
    counts = faults.counts
    context.summary = (f"{context.source}: {counts['messages']} messages appended or delivered, "
                       f"{counts['parts']} parts, {counts['sections']} sections, as they should be; "
                       f"{counts['refused for NUL']} refused for NUL")
    if faults.found:
        for what in faults.found:
            print("  ", what[:400])
        raise AssertionError(f"{len(faults.found)} faults in {counts['messages']} messages")


if __name__ == "__main__":
    main(run, __doc__, accounts=("ada", "bob"))
