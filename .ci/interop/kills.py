#!/usr/bin/env python3
"""kill -9 of the tools in the middle of their work: import, compact, reindex, check, backup, restore, repair.

Each is killed at random moments, while it owns the store or beside a server (then either of the two is killed). After each kill `check --deep` finds nothing, everything that was there before is there with its UIDs and
flags, every mailbox has its UIDVALIDITY, and of an import there are the first messages of its source, whole and once
each. At the end the tool is left alone and comes to its end. A round in which the tool had ended before the kill is
tried again, with a shorter wait.

A backup that was killed leaves the older ones whole, and the next one goes on; a killed restore is not served and goes
on when it is run again. Before a repair bits are flipped in the log; run again after the kill it comes to its end, and
what was not hit is there, in its place as before but for a few, else in Recovered.
"""

import asyncio
import hashlib
import json
import random
import shutil
import subprocess
import time

from lib.check import Context, equal, main
from lib.held import Held
from lib.held import digest as digest_of
from lib.imap import fetch_all
from lib.mail import crlf, ham

IMPORTED = 1500
FLIPS = 20
# How long a verb is let run at first, and how often a round is tried until its kill comes in the middle.
FIRST_S, TRIES = 0.3, 8


def mbox(messages):
    out = []
    for number, message in enumerate(messages):
        out.append(b"From a@example.org Wed Jan  2 18:%02d:%02d 2002\n" % (number // 60 % 60, number % 60))
        lines = message.split(b"\n")
        out.append(b"\n".join(b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines))
        out.append(b"" if message.endswith(b"\n") else b"\n")
        out.append(b"\n")
    return b"".join(out)


class Victim:
    def __init__(self, context, rng):
        self.context, self.server, self.random = context, context.server, rng
        self.mail = context.folder / "mail.mbox"
        self.backups, self.restored = context.folder / "backups", context.folder / "restored"
        self.number = 0
        # How long each verb takes when nobody kills it.
        self.takes_s = {}
        messages, _ = ham()
        self.messages = [b"X-Number: %d\n" % n + messages[n % len(messages)] for n in range(IMPORTED)]
        self.mail.write_bytes(mbox(self.messages))

    def command(self, verb):
        folder = f"Mail-{self.number}"
        arguments = {
            "import": ("--account", "ada", "--mailbox", folder, self.mail),
            "compact": ("--ignore-retention",),
            "reindex": ("--all",),
            "check": ("--deep",),
            "backup": (self.backups,),
            "restore": (self.backups,),
            "repair": (),
        }[verb]
        store = self.restored if verb == "restore" else self.server.store
        return [str(self.server.binary), verb, *map(str, arguments), "--store", str(store)]

    async def holds(self):
        """{mailbox: (UIDVALIDITY, {uid: (digest, flags)})} of all there is."""
        self.server.start()
        client = await self.context.imap()
        listed = await client.ok('LIST "" "*"')
        found = {}
        for mailbox in sorted(bytes(u.values[2]).decode() for u in listed.named("LIST")):
            opened = await client.ok(f'EXAMINE "{mailbox}"')
            rows = await fetch_all(client, "FLAGS BODY.PEEK[]", 100)
            found[mailbox] = int(opened.with_code("UIDVALIDITY")), {
                uid: (digest_of(items[b"BODY[]"]), frozenset(map(bytes, items[b"FLAGS"])) - {b"\\Recent"})
                for uid, items in rows.items()}
        await client.logout()
        self.server.stop()
        return found

    async def make_dead(self):
        """Some of the mail goes, so that there is something to compact."""
        self.server.start()
        client = await self.context.imap()
        listed = await client.ok('LIST "" "Mail-*"')
        for mailbox in sorted(bytes(u.values[2]).decode() for u in listed.named("LIST")):
            await client.ok(f'SELECT "{mailbox}"')
            reply = await client.ok("UID SEARCH ALL")
            uids = [int(v) for u in reply.named("SEARCH") for v in u.values]
            gone = self.random.sample(uids, len(uids) // 3)
            if gone:
                numbers = ",".join(map(str, gone))
                await client.ok(f"UID STORE {numbers} +FLAGS.SILENT (\\Deleted)")
                await client.ok("EXPUNGE")
        await client.logout()
        self.server.stop()

    def kill(self, verb, beside):
        """Start it, kill it (or the server beside which it runs) at a random moment. True when it had ended before."""
        if beside:
            self.server.start()
        process = subprocess.Popen(self.command(verb), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        try:
            # Not before it has begun.
            process.wait(self.random.uniform(0.1, 1) * self.takes_s.get((verb, beside), FIRST_S))
            self.takes_s[verb, beside] = 0.7 * (time.monotonic() - began)
            ended = True
        except subprocess.TimeoutExpired:
            ended = False
            # It may take longer than was thought.
            self.takes_s[verb, beside] = 1.5 * self.takes_s.get((verb, beside), FIRST_S)
        if beside and self.random.random() < 0.5:
            self.server.kill()
            process.wait(120)
        else:
            process.kill()
            process.wait()
        if beside and self.server.running():
            self.server.stop()
        return ended

    def imported(self, rows):
        """The first messages of the source, in order."""
        expected = [hashlib.sha256(crlf(message)).hexdigest() for message in self.messages[: len(rows)]]
        equal([digest for _, (digest, _) in sorted(rows.items())], expected,
              f"messages of a killed import, {len(rows)} of {IMPORTED}")


    def flip_bits(self):
        """So that repair has work."""
        files = [path for kind in ("log", "cold", "bodies") for path in (self.server.store / kind).glob("*.seg")]
        for _ in range(FLIPS):
            path = self.random.choices(files, [path.stat().st_size for path in files])[0]
            with path.open("r+b") as file:
                offset = self.random.randrange(path.stat().st_size)
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ 1 << self.random.randrange(8)]))

    def finish(self, verb):
        """What the killed one left is taken up by the next."""
        run = self.context.run
        if verb == "backup":
            run(*self.command(verb))
            run(*self.command(verb), "--verify")
        elif verb == "restore":
            # One that came to its end is a store like any other, and not restored over.
            if not (self.restored / "FORMAT").exists() or (self.restored / "RESTORING").exists():
                run(*self.command(verb))
            run(str(self.server.binary), "check", "--deep", "--store", str(self.restored))
            equal(self.messages_of(self.restored), self.messages_of(self.server.store), "messages restored")
        elif verb == "repair":
            run(*self.command(verb))
            told = json.loads(run(*self.command(verb), "--json"))
            equal(told["repaired"], None, "a second repair")

    def messages_of(self, store):
        return json.loads(self.context.run(str(self.server.binary), "stats", "--json", "--store", str(store)))["messages"]


def kept(before, after, hit):
    """Every message that no flipped bit hit is there, and what is in its place is as it was."""
    told = {row[0] for _, rows in before.values() for row in rows.values()}
    now = {row[0] for _, rows in after.values() for row in rows.values()}
    if len(told - now) > len(hit):
        raise AssertionError(f"{len(told - now)} messages are nowhere, {len(hit)} were hit by {FLIPS} flipped bits")
    moved = 0
    for mailbox, (validity, rows) in before.items():
        # A mailbox that repair could not keep has every row in another place.
        validity_now, rows_now = after.get(mailbox, (validity, {}))
        moved += len(rows.keys() - rows_now.keys())
        equal([uid for uid in rows.keys() & rows_now.keys() if rows[uid] != rows_now[uid]], [],
              f"rows of {mailbox} that repair changed")
        if validity_now < validity:
            raise AssertionError(f"UIDVALIDITY of {mailbox} fell from {validity} to {validity_now}")
    if moved > FLIPS:
        raise AssertionError(f"{moved} messages are not in their place after {FLIPS} flipped bits")


async def one_round(victim, verb, beside):
    before = await victim.holds()
    if verb == "restore":
        # What is there now, as a backup, and a new place.
        shutil.rmtree(victim.restored, ignore_errors=True)
        victim.context.run(*victim.command("backup"))
    elif verb == "repair":
        held = Held(victim.server, victim.server.store)
        victim.flip_bits()
        hit = held.hit(victim.server.store)
    victim.number += 1
    ended = await asyncio.to_thread(victim.kill, verb, beside)
    if verb in ("backup", "restore", "repair"):
        await asyncio.to_thread(victim.finish, verb)
    victim.server.check_deep()
    after = await victim.holds()
    if verb == "repair":
        kept(before, after, hit)
        return ended, None
    _, new = after.pop(f"Mail-{victim.number}", (None, None))
    after = {mailbox: rows for mailbox, rows in after.items() if mailbox in before}
    equal(after == before, True, f"everything there after a killed {verb}")
    if new is not None:
        victim.imported(new)
    return ended, new


async def run(context: Context):
    context.server.stop()
    rng = random.Random(context.seed)
    victim = Victim(context, rng)
    verbs = context.arguments.verbs.split(",")
    killed = dict.fromkeys(verbs, 0)
    # Something to work on, however early an import is killed.
    context.run(*victim.command("import"))
    for number in range(context.arguments.rounds):
        for verb in verbs:
            beside = rng.random() < 0.5
            for _ in range(TRIES):
                if verb == "compact":
                    await victim.make_dead()
                ended, new = await one_round(victim, verb, beside)
                told = f", {len(new)} of {IMPORTED} imported" if new is not None else ""
                print(f"round {number + 1}: {verb} {'beside the server' if beside else 'alone'} "
                      f"{'had ended' if ended else 'killed'}{told}", flush=True)
                if not ended:
                    killed[verb] += 1
                    break
    for verb in verbs:
        victim.number += 1
        shutil.rmtree(victim.restored, ignore_errors=True)
        context.run(*victim.command(verb))
    victim.server.check_deep()
    rarely = [verb for verb in verbs if not killed[verb]]
    equal(rarely, [], f"what was never killed in the middle in {context.arguments.rounds} rounds of {TRIES} tries")
    counts = ", ".join(f"{verb} {count}" for verb, count in killed.items())
    context.summary = f"killed in the middle: {counts}; nothing lost, check --deep clean"


def options(parser):
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--verbs", default="import,compact,reindex,check,backup,restore,repair")


if __name__ == "__main__":
    main(run, __doc__, options=options, mailcask_only=True)
