#!/usr/bin/env python3
"""kill -9 of the tools in the middle of their work: import, compact, reindex, check.

Each is killed at random moments, once while it owns the store and once beside a server (then either of the two is
killed). After each kill `check --deep` finds nothing, everything that was there before is there with its UIDs and
flags, and of an import there are the first messages of its source, whole and once each. At the end the tool is left
alone and comes to its end.
"""

import asyncio
import hashlib
import random
import subprocess
import time

from lib.check import Context, equal, main
from lib.imap import fetch_all
from lib.mail import crlf, ham

IMPORTED = 1500


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
        }[verb]
        return [str(self.server.binary), verb, *map(str, arguments), "--store", str(self.server.store)]

    async def holds(self):
        """{mailbox: {uid: (digest, flags)}} of all there is."""
        self.server.start()
        client = await self.context.imap()
        listed = await client.ok('LIST "" "*"')
        found = {}
        for mailbox in sorted(bytes(u.values[2]).decode() for u in listed.named("LIST")):
            await client.ok(f'EXAMINE "{mailbox}"')
            rows = await fetch_all(client, "FLAGS BODY.PEEK[]", 100)
            found[mailbox] = {
                uid: (hashlib.sha256(items[b"BODY[]"]).hexdigest(), frozenset(map(bytes, items[b"FLAGS"]))
                      - {b"\\Recent"})
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
            process.wait(self.random.uniform(0, self.takes_s.get(verb, 3.0)))
            self.takes_s[verb] = max(0.2, time.monotonic() - began)
            ended = True
        except subprocess.TimeoutExpired:
            ended = False
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


async def one_round(victim, verb, beside):
    before = await victim.holds()
    victim.number += 1
    ended = await asyncio.to_thread(victim.kill, verb, beside)
    victim.server.check_deep()
    after = await victim.holds()
    new = after.pop(f"Mail-{victim.number}", None)
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
    for number in range(context.arguments.rounds):
        for verb in verbs:
            if verb == "compact":
                await victim.make_dead()
            beside = rng.random() < 0.5
            ended, new = await one_round(victim, verb, beside)
            killed[verb] += not ended
            told = f", {len(new)} of {IMPORTED} imported" if new is not None else ""
            print(f"round {number + 1}: {verb} {'beside the server' if beside else 'alone'} "
                  f"{'had ended' if ended else 'killed'}{told}", flush=True)
    for verb in verbs:
        victim.number += 1
        context.run(*victim.command(verb))
    victim.server.check_deep()
    context.summary = f"killed in the middle: {killed}; nothing lost, check --deep clean"


def options(parser):
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--verbs", default="import,compact,reindex,check")


if __name__ == "__main__":
    main(run, __doc__, options=options, mailcask_only=True)
