#!/usr/bin/env python3
"""Backups while 64 LMTP connections deliver, restored elsewhere and compared with what was promised.

While the load runs, backups are taken one after the other, each restored into a folder of its own. What was answered
250 or OK before a backup began is in it, once, with its bytes and under the UID it has in the store it came from; the
mail that was imported before is all there. Once the load has ended a last backup is equal to the store: UIDVALIDITY,
UIDs, flags. Then 1,000 messages more: how many bytes the next backup copies. `check --deep` finds nothing in any of them.
"""

import asyncio
import json
import shutil
import time

from lib import mail
from lib.check import Context, equal, main
from lib.imap import fetch_all
from lib.ledger import Broken, Ledger, digest
from lib.lmtp import Lmtp
from lib.load import Load, sender
from lib.load import options as load_options
from lib.server import Mailcask

MAILBOXES = ("INBOX", "Moved", "Copies")
MORE = 1000


async def run(context: Context):
    client = await context.imap()
    for mailbox in ("Moved", "Copies"):
        await client.ok(f"CREATE {mailbox}")
    await fill(context)
    ledger = Ledger()
    load = Load(context, ledger, context.seed)
    taken = []

    async def backups():
        for number in range(context.arguments.backups):
            await asyncio.sleep(context.random.uniform(0, 2 * context.arguments.apart))
            taken.append(await Backup.take(context, ledger, number))
            print(taken[-1].told(), flush=True)

    # The load ends when the backups are there.
    ended = asyncio.create_task(backups())
    watch = asyncio.create_task(stop_after(load, ended))
    await load.run(context.arguments.limit_s)
    await watch
    delivered, seconds = ledger.counts["delivered"], time.monotonic() - watch.began
    live = await ledger.verify(client, crashed=False)
    await client.logout()
    for backup in taken:
        await backup.verify(live)
    last = await Backup.take(context, ledger, len(taken))
    print(last.told(), flush=True)
    await last.verify(live, same=True)
    more = await incremental(context, ledger)
    context.summary = (
        f"{delivered} messages answered 250 on {context.arguments.deliverers} connections in {seconds:.1f} s; "
        f"{len(taken)} backups meanwhile, with each message that was promised before they began; "
        f"one after it equal to the store; {more}; seed {context.seed}")


async def stop_after(load, ended):
    asyncio.current_task().began = time.monotonic()
    try:
        await ended
    finally:
        load.stopping = True


async def fill(context):
    source = context.arguments.mbox or (mail.CORPUS / "ham.mbox.gz")
    await tool(context.server, "import", "--account", context.account, "--mailbox", "Archive", source)


async def tool(server, *arguments):
    done = await asyncio.to_thread(server.tool, *arguments)
    return done.stdout


class Backup:
    """One backup, and the store that was made from it."""

    @classmethod
    async def take(cls, context, ledger, number):
        self = cls()
        self.context, self.ledger = context, ledger
        folder = context.folder / f"restored-{number}"
        folder.mkdir()
        self.restored = Mailcask(folder, context.server.binary)
        # What was promised before it began has to be in it.
        self.promised = set(ledger.promised)
        began = time.monotonic()
        self.report = json.loads(await tool(context.server, "backup", context.folder / "backups", "--json"))
        self.took_s = time.monotonic() - began
        began = time.monotonic()
        await tool(self.restored, "restore", context.folder / "backups")
        self.restored_s = time.monotonic() - began
        return self

    def told(self):
        return (f"backup: {len(self.promised)} promised before it; {self.report['bytes_copied'] / 1e6:.1f} of "
                f"{self.report['bytes'] / 1e6:.1f} MB copied in {self.took_s:.1f} s; restored in {self.restored_s:.1f} s")

    async def verify(self, live, same=False):
        """`live` is what the store holds now; `same`: the backup has to have all of it."""
        await asyncio.to_thread(self.restored.check_deep)
        self.restored.start()
        source = await self.context.imap()
        context = Context(self.context.arguments, self.context.folder, self.restored)
        client = await context.imap()
        rows = {mailbox: await self.ledger.dump(client, mailbox) for mailbox in MAILBOXES}
        self.verify_presence(rows)
        for mailbox in MAILBOXES:
            await equal_numbers(source, client, mailbox)
            for uid, (ident, _, _) in rows[mailbox].items():
                if uid in live[mailbox] and live[mailbox][uid][0] != ident:
                    raise Broken(f"{mailbox} UID {uid} is {ident}, in the store {live[mailbox][uid][0]}")
        if same:
            equal(digest(rows), digest(live), "the restored store, and the store")
        await equal_archive(source, client)
        for connection in (source, client):
            await connection.logout()
        self.restored.stop()
        self.restored.check()
        shutil.rmtree(self.restored.store)

    def verify_presence(self, rows):
        places = [ident for mailbox in ("INBOX", "Moved") for ident, _, _ in rows[mailbox].values()]
        if len(places) != len(set(places)):
            raise Broken(f"{len(places) - len(set(places))} messages twice in a backup")
        lost = self.promised - set(places) - self.ledger.doomed
        if lost:
            raise Broken(f"{len(lost)} of {len(self.promised)} messages promised before the backup are not in it: "
                         f"{sorted(lost)[:10]}")


async def status(client, mailbox, items):
    values = (await client.ok(f"STATUS {mailbox} ({items})")).named("STATUS")[0].values[1]
    return [int(value) for value in values[1::2]]


async def equal_numbers(source, client, mailbox):
    """Clients need not load it anew, and no UID is given again."""
    validity, uid_next = await status(source, mailbox, "UIDVALIDITY UIDNEXT")
    restored_validity, restored_next = await status(client, mailbox, "UIDVALIDITY UIDNEXT")
    equal(restored_validity, validity, f"UIDVALIDITY of {mailbox}")
    if restored_next < uid_next:
        raise Broken(f"{mailbox}: UIDNEXT {restored_next}, that of the store is {uid_next}")


async def equal_archive(source, client):
    """What was there before the load: the messages' bytes were read by `check --deep`, here it is what clients see."""
    shown = []
    for connection in (source, client):
        await connection.ok("EXAMINE Archive")
        rows = await fetch_all(connection, "FLAGS INTERNALDATE RFC822.SIZE MODSEQ EMAILID", 5000)
        shown.append({uid: repr(sorted(items.items())) for uid, items in rows.items()})
    equal(len(shown[1]), len(shown[0]), "messages of Archive")
    equal(shown[1] == shown[0], True, "Archive as clients see it, in both stores")


async def incremental(context, ledger):
    """The bytes that a backup copies for 1,000 new messages."""
    load = Load(context, ledger, f"{context.seed} more")
    source = context.random.sample(mail.ham()[0], MORE) if not context.arguments.mbox else None
    client = await Lmtp.connect(context.server.lmtp)
    total_bytes = 0
    for number in range(MORE):
        message = mail.crlf(source[number]) if source else load.compose(context.random, "more")[1]
        total_bytes += len(message)
        for code, text in await client.deliver(sender(f"more-{number}"), ["ada@example.org"], message):
            equal(code, 250, f"reply {text}")
    await client.quit()
    began = time.monotonic()
    report = json.loads(await tool(context.server, "backup", context.folder / "backups", "--json"))
    took_s = time.monotonic() - began
    again = json.loads(await tool(context.server, "backup", context.folder / "backups", "--json"))
    return (f"{MORE} messages more of {total_bytes} bytes: {report['bytes_copied']} bytes copied in {took_s:.1f} s, "
            f"{again['bytes_copied']} by one more backup at once")


def options(parser):
    parser.add_argument("--mbox", help="what is there before (the corpus)")
    parser.add_argument("--backups", type=int, default=5, help="while the load runs")
    parser.add_argument("--apart", type=float, default=5, help="seconds between them, about")
    load_options(parser)
    parser.set_defaults(rate=0, sessions=4)


if __name__ == "__main__":
    main(run, __doc__, options=options, mailcask_only=True, accounts=("ada", "bob"))
