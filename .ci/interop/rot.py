#!/usr/bin/env python3
"""Bytes that rot in any file of a store: log, snapshots, catalog, text index, summaries, the lists of files.

Each round, on a copy of a stopped store, one to three files are hit: bits flipped, a range zeroed, cut short, or gone. Then
the server starts. Each message it serves is the one that was stored, with its flags; what it does not serve it says is damaged;
a search finds what it should among the messages that can be read. Then `repair`: a second one has nothing to do,
`check --deep` finds nothing, and all that was served before is served still.
"""

import json
import shutil

from lib.check import Context, equal, main
from lib.held import Held
from lib.held import digest as digest_of
from lib.imap import append, quote
from lib.mail import crlf, ham

MESSAGES = 250
WORDS = ("the", "linux", "razor", "wrote", "quokka")


async def fill(context):
    client = await context.imap()
    await client.ok("CREATE Deep")
    await client.ok("SUBSCRIBE Deep")
    messages, _ = ham()
    rng = context.random
    for number in range(MESSAGES):
        body = crlf(messages[number % len(messages)])
        if number % 60 == 7:
            body += b"quokka\r\n" + rng.randbytes(150_000).hex().encode() + b"\r\n"
        await append(client, "Deep" if number % 3 == 0 else "INBOX", body)
    for mailbox in ("INBOX", "Deep"):
        await client.ok(f"SELECT {mailbox}")
        await client.ok("STORE 1:20 +FLAGS.SILENT (\\Seen $Label)")
        await client.ok("STORE 30:33 +FLAGS.SILENT (\\Deleted)")
        await client.ok("EXPUNGE")
    await client.logout()
    context.server.tool("compact", "--ignore-retention")
    client = await context.imap()
    await client.ok("SELECT INBOX")
    await client.ok("STORE 2:9 -FLAGS.SILENT (\\Seen)")
    await client.ok("STORE 40:60 +FLAGS.SILENT (\\Flagged)")
    for number in range(30):
        await append(client, "INBOX", b"Subject: late %d\r\n\r\nlate\r\n" % number)
    await client.logout()


async def served(context):
    """{mailbox: (UIDVALIDITY, {uid: (flags, modseq, digest)})}: a digest is None where the server says that the message is damaged."""
    client = await context.imap()
    found, subscribed = {}, await client.ok('LSUB "" "*"')
    for mailbox in sorted(bytes(u.values[2]) for u in (await client.ok('LIST "" "*"')).named("LIST")):
        opened = await client.command(b"EXAMINE ", quote(mailbox), b" (CONDSTORE)")
        if opened.status != "OK":
            # Its rows are damaged, and said to be.
            equal(opened.code, "CORRUPTION", f"EXAMINE {mailbox!r}: {opened.text!r}")
            continue
        reply = await client.command("UID FETCH 1:* (FLAGS MODSEQ)")
        equal(reply.status == "OK" or reply.code == "CORRUPTION", True, f"FETCH of {mailbox!r}: {reply.text!r}")
        rows = {}
        for _, items in reply.fetches():
            uid = int(items[b"UID"])
            one = await client.command(f"UID FETCH {uid} (BODY.PEEK[])")
            digest = None
            if one.status == "OK" and one.fetches():
                digest = digest_of(one.fetches()[0][1][b"BODY[]"])
            else:
                equal(one.code, "CORRUPTION", f"FETCH of {mailbox!r} UID {uid}: {one.status} {one.text!r}")
            rows[uid] = (sorted(set(items[b"FLAGS"]) - {b"\\Recent"}), items[b"MODSEQ"], digest)
        words = {}
        for word in WORDS:
            reply = await client.command(f"UID SEARCH BODY {word}")
            if reply.status == "OK":
                words[word] = {int(v) for u in reply.named("SEARCH") for v in u.values}
        found[mailbox] = (opened.with_code("UIDVALIDITY"), rows, words)
    await client.logout()
    return found, sorted(bytes(u.values[2]) for u in subscribed.named("LSUB"))


def rot(rng, store):
    """Hit one file; how, in words."""
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and path.stat().st_size
             and path.name not in ("LOCK",) and not path.name.startswith("reserve-")]
    # By folder first: the log is the largest by far.
    folder = rng.choice(sorted({path.relative_to(store).parts[0] for path in files}))
    path = rng.choice([path for path in files if path.relative_to(store).parts[0] == folder])
    size, name = path.stat().st_size, path.relative_to(store)
    at = rng.randrange(size)
    how = rng.randrange(8)
    if how == 0:
        path.unlink()
        return f"{name} removed"
    with path.open("r+b") as file:
        if how == 1:
            file.truncate(at)
            return f"{name} cut from {size} to {at}"
        if how <= 3:
            count = min(size - at, rng.randrange(1, 5000))
            file.seek(at)
            file.write(bytes(count))
            return f"{count} bytes at {at} of {size} of {name} zeroed"
        for _ in range(rng.randrange(1, 8)):
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << rng.randrange(8)]))
            at = rng.randrange(size)
        return f"bits of {name} flipped"


def compare(when, told, now, is_repaired):
    """Nothing served is wrong; how many messages are missing or damaged."""
    gone = 0
    for mailbox, (validity, rows, words) in told.items():
        if mailbox not in now:
            gone += len(rows)
            continue
        validity_now, rows_now, words_now = now[mailbox]
        readable = set()
        for uid, row in rows.items():
            found = rows_now.get(uid)
            if found is None or found[2] is None:
                gone += 1
                continue
            readable.add(uid)
            equal(found[2], row[2], f"{when}: bytes of {mailbox!r} UID {uid}")
            if validity == validity_now:
                equal(found[:2], row[:2], f"{when}: flags and modseq of {mailbox!r} UID {uid}")
        for word, hits in words_now.items():
            equal(hits & readable, words[word] & readable, f"{when}: SEARCH BODY {word} in {mailbox!r}")
        if is_repaired:
            equal([uid for uid, row in rows_now.items() if row[2] is None], [], f"{when}: damaged after repair")
    return gone


def digests(told):
    return {row[2] for _, rows, _ in told.values() for row in rows.values()}


async def one_round(context, told, subscribed, held, number):
    server, rng = context.server, context.random
    when = "; ".join(rot(rng, server.store) for _ in range(rng.randrange(1, 4)))
    hit = held.hit(server.store)
    try:
        server.start()
    except Exception as error:
        raise AssertionError(f"{when}: does not start: {error}") from error
    now, _ = await served(context)
    gone = compare(when, told, now, False)
    (server.stop if rng.randrange(2) else server.kill)()
    plan = server.tool("repair", check=False)
    if plan.returncode:
        raise AssertionError(f"{when}: repair ended with {plan.returncode}: "
                             f"{(plan.stdout + plan.stderr).decode(errors='replace')[-1500:]}")
    again = json.loads(server.tool("repair", "--json").stdout)
    equal(again["repaired"], None, f"{when}: a second repair: {again['plan']}")
    try:
        server.check_deep()
    except Exception as error:
        raise AssertionError(f"{when}: {error}") from error
    server.start()
    after, subscribed_now = await served(context)
    still = compare(when, told, after, True)
    server.stop()
    if still > gone:
        raise AssertionError(f"{when}: {gone} messages could not be served, {still} after repair")
    # What the damage did not hit is there, in its mailbox or in Recovered.
    nowhere = digests(told) - digests(after)
    if len(nowhere) > len(hit):
        raise AssertionError(f"{when}: {len(nowhere)} messages are nowhere after repair, {len(hit)} were hit")
    if not still:
        equal(subscribed_now, subscribed, f"{when}: subscriptions")
    print(f"round {number + 1}: {when}: {len(hit)} hit, {gone} not served, {still} not in their place, "
          f"{len(nowhere)} lost", flush=True)
    return len(nowhere)


async def run(context: Context):
    server = context.server
    await fill(context)
    told, subscribed = await served(context)
    server.stop()
    held = Held(server, server.store)
    whole = server.store.with_name("whole")
    server.store.rename(whole)
    lost = 0
    for number in range(context.arguments.rounds):
        shutil.copytree(whole, server.store, ignore=shutil.ignore_patterns("engine.sock", "reserve-*"))
        lost += await one_round(context, told, subscribed, held, number)
        shutil.rmtree(server.store)
    whole.rename(server.store)
    server.start()
    context.summary = (f"{context.arguments.rounds} rounds: nothing wrong served, repaired each time, {lost} messages lost "
                       f"of {context.arguments.rounds * sum(len(rows) for _, rows, _ in told.values())}")


def options(parser):
    parser.add_argument("--rounds", type=int, default=100)


if __name__ == "__main__":
    main(run, __doc__, options=options, mailcask_only=True)
