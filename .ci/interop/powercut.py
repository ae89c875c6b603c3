#!/usr/bin/env python3
"""Power cuts under the load of stress.py, on a real file system.

The store is on ext4 in a file behind a loop device. At a random moment (of the load, of a start, of a compaction) that
file is copied as it is: what the server wrote and did not sync is in the page cache and stays behind. The copy is
mounted (the kernel replays its journal), the server is started on it as after a boot, and every message answered for
before the cut is there once, with its flags; `check --deep` finds nothing.
"""

import asyncio
import random
import subprocess
import time

from lib.check import Context, main
from lib.disk import Cut, boot, needs_disks
from lib.ledger import Ledger
from lib.load import Load, retry_open
from lib.load import options as load_options
from lib.lmtp import Lmtp

import crash

DISK_MEBIBYTES = 1536
# A life of a store is so many cuts: what is read after each grows with it.
ROUNDS_OF_A_LIFE = 12


class Life:
    """One store, from its first message to its last power cut."""

    def __init__(self, context, number):
        self.context, self.server, self.number = context, context.server, number
        self.boots = 0
        self.ledger = Ledger()
        folder = context.folder / f"life-{number}"
        folder.mkdir()
        self.folder = folder
        self.disk = Cut(folder, DISK_MEBIBYTES)
        context.cleanups.append(self.disk.close)
        self.before = {}

    def boot(self):
        self.boots += 1
        self.server.binary = boot(self.folder, self.context.binary, self.number * 1000 + self.boots)
        self.server.store = self.disk.at / "store"

    async def begin(self):
        self.boot()
        for account in ("ada", "bob"):
            self.server.add_account(account)
        self.server.start()
        client = await self.context.imap()
        for mailbox in ("Moved", "Copies"):
            await client.ok(f"CREATE {mailbox}")
        self.before = await crash.validity(client)
        await client.logout()

    def cut(self):
        process = self.server.process
        self.disk.cut(process.kill)
        self.server.kill()
        self.disk.go_on()
        self.boot()

    def end(self):
        self.server.stop()
        self.server.check_deep()
        self.disk.close()
        self.context.cleanups.remove(self.disk.close)


async def under_load(life, rng, name):
    context = life.context
    load = Load(context, life.ledger, name)
    compacting = None
    if rng.random() < 0.3:
        compacting = subprocess.Popen(
            [str(context.binary), "compact", "--ignore-retention", "--store", str(life.server.store)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def cut():
        life.cut()

    await load.run(rng.uniform(0.3, 2) * context.arguments.seconds, crash=cut)
    if compacting is not None:
        compacting.wait(60)
    return load


async def while_it_starts(life, rng):
    """A cut in the middle of recovery, or of the opening."""
    server = life.server
    with server.log.open("ab") as log:
        server.process = subprocess.Popen(
            [str(server.binary), "serve", "--store", str(server.store), "--imap", "127.0.0.1:0", "--lmtp",
             "127.0.0.1:0"], stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL)
    time.sleep(rng.uniform(0, 0.4))
    life.cut()


async def one_round(life, rng, name):
    """A cut, perhaps one more while the server recovers from it, and the comparison."""
    context, server = life.context, life.server
    load = await under_load(life, rng, name)
    starts = 0
    while rng.random() < 0.3:
        await while_it_starts(life, rng)
        starts += 1
    server.start()
    lmtp = await Lmtp.connect(server.lmtp)
    await retry_open(load, lmtp, 0.5, rng)
    await lmtp.quit()
    rows = await crash.verify(context, life.ledger, life.before)
    server.check_deep()
    return rows, starts


async def run(context: Context):
    needs_disks(context.folder)
    server = context.server
    server.stop()
    own = server.store, server.binary
    context.binary = server.binary
    rounds, promised, starts, life = context.arguments.rounds, 0, 0, None
    for number in range(rounds):
        if number % ROUNDS_OF_A_LIFE == 0:
            life = Life(context, number)
            await life.begin()
        rng = random.Random(f"{context.seed}.{number}")
        rows, again = await one_round(life, rng, f"{context.seed}.{number}")
        starts += again
        print(f"round {number + 1}: {len(life.ledger.promised)} promised, "
              f"{ {m: len(r) for m, r in rows.items()} }, all there; {again} cuts while it started", flush=True)
        if number + 1 == rounds or (number + 1) % ROUNDS_OF_A_LIFE == 0:
            promised += len(life.ledger.promised)
            await asyncio.to_thread(life.end)
    server.store, server.binary = own
    context.summary = (
        f"{rounds} power cuts under load and {starts} while the server started: {promised} promised messages, each "
        f"there once with its flags after every cut; check --deep clean")


def options(parser):
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=2, help="of load before a cut, about")
    load_options(parser)


if __name__ == "__main__":
    main(run, __doc__, options=options, mailcask_only=True, accounts=("ada", "bob"))
