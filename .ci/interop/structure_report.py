#!/usr/bin/env python3
"""Where ENVELOPE, BODYSTRUCTURE and the sections' bytes differ from Dovecot's: a report, no verdict.

Both get the torture corpus with CRLF, without what holds NUL. A difference is not an
error: mail this broken may be read in more than one way. It tells where to look.
Needs dovecot-imapd and dovecot-lmtpd, which .ci/run does not install.
"""

import sys
from collections import Counter

from lib import mail, sections
from lib.check import Context, main
from lib.imap import Imap, Lost, Refused, append
from lib.server import ACCOUNT, PASSWORD, Dovecot
from lib.wire import BadResponse

ENVELOPE = ("date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id")


async def told(server, messages):
    """[{item: value}] of each message, by one server."""
    client = await Imap.connect(server.imap)
    await client.login(ACCOUNT, PASSWORD)
    for message in messages:
        await append(client, "Archive", message)
    await client.ok("SELECT Archive")
    rows = []
    for number in range(1, len(messages) + 1):
        try:
            rows.append(await one(client, number))
        except (Lost, Refused, BadResponse, sections.BadStructure) as error:
            rows.append({"error": f"{type(error).__name__} {error}"})
            client = await Imap.connect(server.imap)
            await client.login(ACCOUNT, PASSWORD)
            await client.ok("SELECT Archive")
    await client.logout()
    return rows


async def one(client, number):
    [(_, got)] = (await client.ok(f"FETCH {number} (ENVELOPE BODYSTRUCTURE)")).fetches()
    found = sections.parts(got[b"BODYSTRUCTURE"])
    names = ["HEADER", "TEXT"] + [s for part in found for s in sections.requests(part)]
    text = {}
    for at in range(0, len(names), 200):
        items = " ".join(f"BODY.PEEK[{n}]" for n in names[at: at + 200])
        for _, piece in (await client.ok(f"FETCH {number} ({items})")).fetches():
            text.update({name.decode(): value or b"" for name, value in piece.items()})
    return {"envelope": dict(zip(ENVELOPE, got[b"ENVELOPE"])), "structure": fold(got[b"BODYSTRUCTURE"]),
            "parts": [(p.name(), p.kind, p.subtype.lower(), p.size, p.lines) for p in found], "text": text}


def fold(value):
    """A structure as text, without case, for types and parameter names have none, and
    without US-ASCII, which Dovecot says where the mail leaves it out."""
    out, waiting = [], [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += [")"] + item[::-1] + ["("]
        else:
            out.append(item if isinstance(item, str) else repr(item).lower())
    text = " ".join(out).replace("( b'charset' b'us-ascii' )", "none")
    return text.replace(" b'charset' b'us-ascii' )", " )")


def differences(ours, theirs):
    """(kind, detail) of each difference between two readings of one message."""
    if "error" in ours or "error" in theirs:
        yield "error", f"{ours.get('error', 'fine')} / {theirs.get('error', 'fine')}"
        return
    for name in ENVELOPE:
        a, b = ours["envelope"][name], theirs["envelope"][name]
        if a != b:
            yield f"envelope {name}", f"{a!r} / {b!r}"
    if ours["parts"] != theirs["parts"]:
        a, b = next(((a, b) for a, b in zip(ours["parts"], theirs["parts"]) if a != b),
                    (len(ours["parts"]), len(theirs["parts"])))
        yield "tree, sizes or lines", f"{a} / {b}"
    elif ours["structure"] != theirs["structure"]:
        a, b = ours["structure"], theirs["structure"]
        at = next((n for n, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        yield "body fields", f"..{a[max(0, at - 60): at + 60]} / ..{b[max(0, at - 60): at + 60]}"
    for name in sorted(set(ours["text"]) & set(theirs["text"])):
        if ours["text"][name] != theirs["text"][name]:
            yield "section bytes", f"{name}: {ours['text'][name][-60:]!r} / {theirs['text'][name][-60:]!r}"
            break


async def run(context: Context):
    sys.setrecursionlimit(20000)
    files = [(name, mail.crlf(m)) for name, m in mail.torture()[0] if b"\0" not in m]
    folder = context.folder / "dovecot"
    folder.mkdir()
    context.folder.chmod(0o755)
    other = Dovecot(folder)
    other.add_account(ACCOUNT)
    other.start()
    try:
        ours = await told(context.server, [m for _, m in files])
        theirs = await told(other, [m for _, m in files])
    finally:
        other.stop()
    kinds, same = Counter(), 0
    for (name, _), a, b in zip(files, ours, theirs):
        found = list(differences(a, b))
        same += not found
        for kind, detail in found:
            kinds[kind] += 1
            print(f"{name}: {kind}: {detail[:400]}")
    context.summary = f"{same} of {len(files)} read alike ({context.server.name} / Dovecot); {dict(kinds)}"


if __name__ == "__main__":
    main(run, __doc__, needs=["dovecot"])
