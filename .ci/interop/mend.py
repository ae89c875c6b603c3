#!/usr/bin/env python3
"""A store damaged on purpose: what check says, what repair does, and what was lost.

A mailbox with changed flags, expunges, copies, large messages and subscriptions is written down as IMAP shows it. Then, each time
on a copy of the stopped store: its views are deleted; bits are flipped in the log; the newest snapshot is lost; the last
segment of the log is truncated. `check` has to see it (or to have nothing to see, where opening mends it), `repair` to mend it,
a second `repair` to find nothing, and `check --deep` to be clean. What was not damaged is there with its UID, flags, modseq,
date and bytes. Which messages were hit is known from the bytes that changed: all others are in their mailboxes or in Recovered.
"""

import base64
import shutil
import time

from lib import mail
from lib.check import Context, equal, main
from lib.held import Held, digest
from lib.imap import append, fetch_all, quote

LARGE_BYTES = 300_000


async def fill(context):
    """Messages by import, then changes by IMAP."""
    server, rng = context.server, context.random
    server.tool("import", "--account", context.account, "--mailbox", "Archive", source(context))
    client = await context.imap()
    for number in range(5):
        body = mail.crlf(base64.encodebytes(rng.randbytes(LARGE_BYTES)))
        await append(client, "Archive", b"Subject: large %d\r\n\r\n" % number + body)
    await client.ok("CREATE Copies")
    await client.ok("SUBSCRIBE Copies")
    await client.ok("SELECT Archive")
    uids = list(await fetch_all(client, "FLAGS", 5000))
    for change in ("+FLAGS.SILENT (\\Seen)", "+FLAGS.SILENT (\\Flagged)", "-FLAGS.SILENT (\\Seen)",
                   "+FLAGS.SILENT (\\Answered $Work)", "+FLAGS.SILENT ($Later)"):
        for some in parts(rng, uids):
            await client.ok(f"UID STORE {some} {change}")
    for some in parts(rng, uids, 20):
        await client.ok(f"UID COPY {some} Copies")
    # Two snapshots, so that one can be lost, and changes after them.
    server.tool("compact", "--ignore-retention")
    for some in parts(rng, uids, 30):
        await client.ok(f"UID STORE {some} +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")
    await client.logout()


def source(context):
    if context.arguments.mbox:
        return context.arguments.mbox
    path = mail.CORPUS / "ham.mbox.gz"
    if path.exists():
        return path
    path = context.folder / "small.mbox"
    messages, _ = mail.ham()
    path.write_bytes(b"".join(b"From ada@example.org Thu May  9 08:00:00 2024\n" + m + b"\n" for m in messages))
    return path


def parts(rng, uids, one_in=3):
    """Some of the UIDs, so many at a time as a command line holds."""
    chosen = [uid for uid in uids if not rng.randrange(one_in)] or uids[:1]
    return [",".join(map(str, chosen[n:n + 5000])) for n in range(0, len(chosen), 5000)]


async def told(context):
    """All that IMAP shows: {mailbox: (UIDVALIDITY, {uid: row})}, subscriptions. What cannot be fetched is left out, and counted."""
    client = await context.imap()
    listed = await client.ok('LIST "" "*"')
    subscribed = sorted(bytes(u.values[2]) for u in (await client.ok('LSUB "" "*"')).named("LSUB"))
    mailboxes = {}
    for name in sorted(bytes(u.values[2]) for u in listed.named("LIST")):
        opened = await client.ok(b"EXAMINE ", quote(name), b" (CONDSTORE)")
        rows = {}
        facts = await fetch_all(client, "FLAGS INTERNALDATE RFC822.SIZE MODSEQ", 5000)
        bodies = await fetch_all(client, "BODY.PEEK[]", 200)
        for uid, items in facts.items():
            flags = sorted(set(items[b"FLAGS"]) - {b"\\Recent"})
            rows[uid] = (flags, items[b"INTERNALDATE"], items[b"RFC822.SIZE"], items[b"MODSEQ"],
                         digest(bodies[uid][b"BODY[]"]))
        mailboxes[name] = (opened.with_code("UIDVALIDITY"), rows)
    await client.logout()
    return mailboxes, subscribed


# -- damages ---------------------------------------------------------------


def views_deleted(context, store):
    for view in ("catalog", "text", "summaries"):
        shutil.rmtree(store / view)
    return "catalog, text index and summaries deleted"


def bits_flipped(context, store):
    files = [path for folder in ("log", "bodies", "cold") for path in sorted((store / folder).glob("*.seg"))]
    sizes = [path.stat().st_size for path in files]
    for _ in range(context.arguments.flips):
        path = context.random.choices(files, sizes)[0]
        flip(path, context.random.randrange(path.stat().st_size), context.random.randrange(8))
    return f"{context.arguments.flips} bits flipped in {len(files)} segments, {sum(sizes) >> 20} MiB"


def flip(path, offset, bit):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def snapshot_lost(context, store):
    runs = sorted((store / "snapshots").glob("*.run"))
    if not runs:
        return "no snapshot to lose"
    runs[-1].unlink()
    return f"the newest of {len(runs)} snapshot runs deleted"


def segment_truncated(context, store):
    last = max((store / "log").glob("*.seg"), key=lambda path: int(path.stem))
    size = last.stat().st_size
    keep = size // 2
    with last.open("r+b") as file:
        file.truncate(keep)
    return f"the last segment of the log cut from {size} to {keep} bytes"


DAMAGES = {"views": views_deleted, "flips": bits_flipped, "snapshot": snapshot_lost, "truncated": segment_truncated}


def timed(context, *words, statuses=(0, 1)):
    began = time.monotonic()
    done = context.server.tool(*words, check=False)
    took = time.monotonic() - began
    if done.returncode not in statuses:
        raise AssertionError(f"mailcask {' '.join(words)} ended with {done.returncode}: "
                             f"{(done.stdout + done.stderr).decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace").rstrip().splitlines(), done.returncode, took


async def damaged(context, name, before, held):
    """One damage, from check to what IMAP shows after repair."""
    server, show = context.server, context.arguments.lines
    what = DAMAGES[name](context, server.store)
    hit = held.hit(server.store)
    print(f"== {name}: {what}; it hit {len(hit)} messages")
    for words in (("check",), ("check", "--deep"), ("repair", "--dry-run"), ("repair",)):
        lines, status, took = timed(context, *words)
        print(f"   {' '.join(words)}: status {status}, {took:.1f} s")
        for line in lines[:show]:
            print(f"      {line[:220]}")
        if len(lines) > show:
            print(f"      ... {len(lines) - show} lines more; the last: {lines[-1][:200]}")
    lines, status, took = timed(context, "repair", "--dry-run")
    equal(status, 0, f"{name}: a second repair: {lines[:5]}")
    _, status, took = timed(context, "check", "--deep")
    equal(status, 0, f"{name}: check --deep after repair")
    print(f"   check --deep after it: status 0, {took:.1f} s")
    server.start()
    after = await told(context)
    server.stop()
    lost, recovered, renewed = compare(name, before, after)
    gone = digests(before) - digests(after)
    print(f"   rows lost: {lost}; recovered: {recovered}; mailboxes with a new UIDVALIDITY: {renewed}; "
          f"messages that are nowhere: {len(gone)}", flush=True)
    # What the damage did not hit is there, in its mailbox or in Recovered.
    if len(gone) > len(hit):
        raise AssertionError(f"{name}: {len(gone)} messages lost, {len(hit)} were hit")
    return f"{name}: {len(hit)} hit, {len(gone)} lost, {recovered} in Recovered"


def digests(told):
    return {row[4] for _, rows in told[0].values() for row in rows.values()}


def compare(name, before, after):
    (mailboxes, subscribed), (now, subscribed_now) = before, after
    equal([s for s in subscribed if s not in subscribed_now], [], f"{name}: subscriptions that are gone")
    lost = renewed = 0
    for mailbox, (validity, rows) in mailboxes.items():
        validity_now, rows_now = now[mailbox]
        renewed += validity_now != validity
        if int(validity_now) < int(validity):
            raise AssertionError(f"{name}: UIDVALIDITY of {mailbox} fell from {validity} to {validity_now}")
        lost += len(rows.keys() - rows_now.keys())
        for uid in rows.keys() & rows_now.keys():
            if rows[uid] != rows_now[uid] and (name != "truncated" or rows[uid][4] != rows_now[uid][4]):
                raise AssertionError(f"{name}: {mailbox} UID {uid} is {rows_now[uid]}, was {rows[uid]}")
        # What was expunged may be back where the record of it was lost; nothing else is new.
        if rows_now.keys() - rows.keys() and name not in ("truncated", "flips"):
            raise AssertionError(f"{name}: {mailbox} has more than before: {sorted(rows_now.keys() - rows.keys())[:10]}")
    recovered = sum(len(rows) for mailbox, (_, rows) in now.items() if mailbox not in mailboxes)
    return lost, recovered, renewed


async def run(context: Context):
    server = context.server
    await fill(context)
    before = await told(context)
    server.stop()
    server.check()
    held = Held(server, server.store)
    whole = server.store.with_name("whole")
    server.store.rename(whole)
    count = sum(len(rows) for _, rows in before[0].values())
    told_of = []
    for name in context.arguments.only.split(",") if context.arguments.only else DAMAGES:
        shutil.copytree(whole, server.store, ignore=shutil.ignore_patterns("engine.sock"))
        told_of.append(await damaged(context, name, before, held))
        shutil.rmtree(server.store)
    whole.rename(server.store)
    server.start()
    context.summary = f"{count} messages; " + "; ".join(told_of)


def options(parser):
    parser.add_argument("--mbox", help="what to import (the corpus)")
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--only", help=f"of {', '.join(DAMAGES)}")
    parser.add_argument("--lines", type=int, default=6, help="of each tool's output that are shown")


if __name__ == "__main__":
    main(run, __doc__, options=options, mailcask_only=True)
