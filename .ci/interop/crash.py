#!/usr/bin/env python3
"""kill -9 under the load of stress.py, again and again (Must show 5).

After each restart every message answered 250 or OK is there once, with the flags
that were answered; half of what was not answered is delivered again, as an MTA
does, and is there once too. Then the server is stopped, the catalog deleted, and
the store has to come back equal.
"""

import random

from lib.check import Context, equal, main
from lib.imap import fetch_all, quote
from lib.ledger import Ledger
from lib.load import Load, retry_open
from lib.load import options as load_options
from lib.lmtp import Lmtp


async def fingerprint(context, account):
    """All that IMAP says of an account, to be compared with itself later."""
    client = await context.imap(account)
    listed = await client.ok('LIST "" "*"')
    subscribed = await client.ok('LSUB "" "*"')
    told = [lines(listed.named("LIST")), lines(subscribed.named("LSUB"))]
    for mailbox in sorted(bytes(u.values[2]) for u in listed.named("LIST")):
        status = await client.ok(b"STATUS ", quote(mailbox), b" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY "
                                 b"SIZE HIGHESTMODSEQ)")
        told.append(repr(status.named("STATUS")[0].values))
        await client.ok(b"EXAMINE ", quote(mailbox))
        rows = await fetch_all(client, "FLAGS INTERNALDATE RFC822.SIZE MODSEQ")
        for uid, items in rows.items():
            flags = sorted(set(items.pop(b"FLAGS")) - {b"\\Recent"})
            told.append(f"{mailbox} {uid} {flags} {items}")
    await client.logout()
    return told


def lines(listed):
    """LIST or LSUB responses without what may change at any time."""
    passing = {b"\\Marked", b"\\Unmarked", b"\\UnMarked"}
    return sorted(repr((sorted(set(u.values[0]) - passing), u.values[1:])) for u in listed)


async def validity(client):
    """{mailbox: (UIDVALIDITY, UIDNEXT)}"""
    told = {}
    for mailbox in ("INBOX", "Moved", "Copies"):
        values = (await client.ok(f"STATUS {mailbox} (UIDVALIDITY UIDNEXT)")).named("STATUS")[0].values[1]
        named = dict(zip(map(bytes, values[::2]), map(int, values[1::2])))
        told[mailbox] = (named[b"UIDVALIDITY"], named[b"UIDNEXT"])
    return told


async def verify(context, ledger, before):
    client, bob = await context.imap(), await context.imap("bob")
    rows = await ledger.verify(client, crashed=True)
    await ledger.verify_bob(bob)
    now = await validity(client)
    for mailbox, (uid_validity, uid_next) in now.items():
        equal(uid_validity, before[mailbox][0], f"UIDVALIDITY of {mailbox}")
        equal(uid_next >= before[mailbox][1], True, f"UIDNEXT of {mailbox} {uid_next} not below {before[mailbox]}")
    await client.logout()
    await bob.logout()
    before.update(now)
    return rows


async def without_catalog(context):
    """Stopped, the catalog deleted, started: equal."""
    server = context.server
    told = [await fingerprint(context, account) for account in ("ada", "bob")]
    server.stop()
    if server.has_tools:
        server.check()
        server.forget_views()
    server.start()
    for account, old in zip(("ada", "bob"), told):
        new = await fingerprint(context, account)
        if new != old:
            unlike = [(a, b) for a, b in zip(old, new) if a != b][:3]
            raise AssertionError(f"{account} differs after the catalog was deleted "
                                 f"({len(old)} lines, {len(new)}): {unlike}")


async def run(context: Context):
    arguments, server = context.arguments, context.server
    client = await context.imap()
    for mailbox in ("Moved", "Copies"):
        await client.ok(f"CREATE {mailbox}")
    before = await validity(client)
    await client.logout()
    ledger, rng, retried = Ledger(), random.Random(context.seed), 0

    async def kill():
        server.kill()

    for number in range(arguments.rounds):
        load = Load(context, ledger, f"{context.seed}.{number}")
        await load.run(rng.uniform(0.5, 2) * arguments.seconds, crash=kill)
        server.start()
        if server.has_tools:
            lmtp = await Lmtp.connect(server.lmtp)
            retried += await retry_open(load, lmtp, 0.5, rng)
            await lmtp.quit()
        rows = await verify(context, ledger, before)
        await without_catalog(context)
        print(f"round {number + 1}: {len(ledger.promised)} promised, "
              f"{ {m: len(r) for m, r in rows.items()} }, all there", flush=True)
    await verify(context, ledger, before)
    context.summary = (
        f"{arguments.rounds} times kill -9: {len(ledger.promised)} promised messages "
        f"({ledger.counts['delivered']} answered 250, {ledger.counts['appended']} OK), {retried} delivered "
        f"again, each there once with its flags; equal after the catalog was deleted {arguments.rounds} times")


def options(parser):
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2, help="of load before a kill, about")
    load_options(parser)


if __name__ == "__main__":
    main(run, __doc__, options=options, accounts=("ada", "bob"))
