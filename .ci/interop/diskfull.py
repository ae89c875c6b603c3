#!/usr/bin/env python3
"""A store on a disk that fills up, empties, and fills up again, without a restart in between.

Mail comes by LMTP and APPEND until both are refused: 452 4.3.1 and NO [UNAVAILABLE], and nothing else. Then every
message is still read, flags are changed and messages expunged; `compact --ignore-retention` gives the room back, and
deliveries go on by themselves. What was answered for is there, byte for byte, and `check --deep` finds nothing.
"""

import asyncio
import base64
import contextlib
import random

from lib.check import Context, equal, main
from lib.disk import Ext4, Tmpfs, needs_disks
from lib.disk import run as run_command
from lib.imap import Literal, fetch_all
from lib.lmtp import Lmtp
from lib.mail import after_trace
from lib.server import ServerError
from lib.wire import as_set

KINDS = {"ext4": Ext4, "tmpfs": Tmpfs}
# How long after room was made a delivery may still be refused.
PATIENCE_S = 30


class Fill:
    """What one run filled in, and what has to be there."""

    def __init__(self, context, name):
        self.context, self.server = context, context.server
        self.random = random.Random(f"{context.seed} {name}")
        self.count = 0
        self.promised = {}   # number -> message
        self.refused = {"lmtp": 0, "append": 0}

    def compose(self):
        """A message that does not compress; one in ten larger than the log keeps inline."""
        self.count += 1
        size = self.random.choice([2_000] * 3 + [20_000] * 4 + [100_000] * 2 + [400_000])
        content = base64.encodebytes(self.random.randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
        head = (f"X-Number: {self.count}\r\nSubject: filling {self.count}\r\nMIME-Version: 1.0\r\n"
                "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
        return self.count, head.encode() + content

    async def deliver(self, client):
        """True when it was taken, False when there is no room."""
        number, message = self.compose()
        [(code, text)] = await client.deliver("filler@example.net", ["ada@example.org"], message)
        if code == 250:
            self.promised[number] = message
            return True
        if (code, text[:5]) != (452, "4.3.1"):
            raise AssertionError(f"LMTP answered {code} {text} on a full disk")
        self.refused["lmtp"] += 1
        return False

    async def append(self, client):
        number, message = self.compose()
        reply = await client.command("APPEND INBOX ", Literal(message))
        if reply.status == "OK":
            self.promised[number] = message
            return True
        if (reply.status, reply.code) != ("NO", "UNAVAILABLE"):
            raise AssertionError(f"APPEND answered {reply.status} [{reply.code}] {reply.text} on a full disk")
        self.refused["append"] += 1
        return False

    async def until_full(self):
        """Several connections at once, until each was refused some times."""
        async def by_lmtp():
            client, refusals = await Lmtp.connect(self.server.lmtp), 0
            while refusals < 5:
                refusals += not await self.deliver(client)
            await client.quit()

        async def by_append():
            client, refusals = await self.context.imap(), 0
            while refusals < 5:
                refusals += not await self.append(client)
            await client.logout()

        await asyncio.gather(*(by_lmtp() for _ in range(4)), by_append(), by_append())

    async def verify(self):
        """Everything promised is read, byte for byte; {number: uid}."""
        client = await self.context.imap()
        await client.ok("EXAMINE INBOX")
        places = {}
        for uid, items in (await fetch_all(client, "BODY.PEEK[]", 50)).items():
            message = items[b"BODY[]"]
            number = int(message.split(b"X-Number: ", 1)[1].split(b"\r\n", 1)[0])
            if number in places:
                raise AssertionError(f"message {number} is there twice")
            if number not in self.promised or after_trace(message, self.promised[number]) is None:
                raise AssertionError(f"UID {uid} is not what was sent as {number}")
            places[number] = uid
        await client.logout()
        equal(sorted(places), sorted(self.promised), "messages promised")
        return places

    async def expunge(self, places):
        """Most of it goes, on the full disk."""
        gone = self.random.sample(sorted(places), len(places) * 7 // 10)
        client = await self.context.imap()
        await client.ok("SELECT INBOX")
        uids = as_set(sorted(places[number] for number in gone))
        await client.ok(f"UID STORE {uids} +FLAGS.SILENT (\\Deleted)")
        await client.ok("EXPUNGE")
        for number in gone:
            del self.promised[number]
        await client.logout()

    async def resumes(self):
        """Deliveries are taken again, by the server that refused them."""
        client = await Lmtp.connect(self.server.lmtp)
        for waited_s in range(PATIENCE_S):
            if await self.deliver(client):
                await client.quit()
                return waited_s
            await asyncio.sleep(1)
        there = run_command("du", "-a", "-m", "-d", "2", self.server.store)
        raise AssertionError(f"deliveries are still refused {PATIENCE_S} s after room was made\n{there}")


async def a_life(context, kind, rounds):
    server = context.server
    folder = context.folder / kind
    folder.mkdir()
    disk = KINDS[kind](folder, context.arguments.mebibytes)
    context.cleanups.append(disk.close)
    disk.mount()
    server.store = disk.at / "store"
    server.add_account("ada")
    server.start()
    pid = server.process.pid
    fill = Fill(context, kind)
    for number in range(rounds):
        await fill.until_full()
        free = disk.free_bytes()
        places = await fill.verify()
        await fill.expunge(places)
        await fill.verify()
        told = server.tool("compact", "--ignore-retention").stdout.decode()
        print(f"{kind} round {number + 1}: full with {len(places)} messages ({free >> 20} MiB free), "
              f"{disk.free_bytes() >> 20} MiB free after compaction\n    "
              + told.replace("\n", "\n    ").rstrip(), flush=True)
        waited_s = await fill.resumes()
        await fill.verify()
        print(f"    taken again after {waited_s} s", flush=True)
        server.check_deep()
        if server.process.pid != pid:
            raise AssertionError("the server was restarted")
    await stopped_while_full(fill)
    server.stop()
    server.check_deep()
    disk.close()
    context.cleanups.remove(disk.close)
    return fill


async def stopped_while_full(fill):
    """On a full disk the server ends (in order, and by kill -9) and starts, with everything there."""
    await fill.until_full()
    server = fill.server
    server.stop()
    server.start()
    await fill.verify()
    await fill.until_full()
    server.kill()
    server.start()
    await fill.verify()
    server.kill()
    # Somebody else took all that there was, the reserve included.
    for reserved in (server.store / "log").glob("reserve-*"):
        reserved.unlink()
    with (server.store.parent / "other").open("wb") as other, contextlib.suppress(OSError):
        while True:
            other.write(bytes(1 << 16))
    try:
        server.start()
        await fill.verify()
    except ServerError as error:
        # Without room for a single block it says so and waits for some.
        if "the disk is full" not in str(error):
            raise
    (server.store.parent / "other").unlink()
    if not server.running():
        server.start()
    places = await fill.verify()
    await fill.expunge(places)
    server.tool("compact", "--ignore-retention")
    await fill.resumes()
    await fill.verify()


async def run(context: Context):
    needs_disks(context.folder)
    server = context.server
    server.stop()
    own = server.store
    told = []
    for kind in context.arguments.kinds.split(","):
        fill = await a_life(context, kind, context.arguments.rounds)
        told.append(f"{kind}: {fill.count} sent, {fill.refused['lmtp']} times 452 4.3.1, {fill.refused['append']} "
                    f"times NO")
    server.store = own
    context.summary = f"full {context.arguments.rounds + 2} times; {'; '.join(told)}; all promised is there"


def options(parser):
    parser.add_argument("--rounds", type=int, default=5, help="times that each disk is filled")
    parser.add_argument("--mebibytes", type=int, default=400, help="of the disk")
    parser.add_argument("--kinds", default="ext4,tmpfs")


if __name__ == "__main__":
    main(run, __doc__, options=options, mailcask_only=True)
