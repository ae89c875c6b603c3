"""The load of stress and crash: LMTP deliverers and IMAP sessions on one mailbox.

Laws
- All choices come from the seed; each worker has a generator of its own.
- An error is never waited out: any reply but the expected one ends the run.
  The one NO that is allowed is [EXPUNGEISSUED], for a message another session
  removed (RFC 5530).
- In a crash run a lost connection ends its worker, and what it had not heard
  the answer to stays open in the ledger.
"""

import asyncio
import random
from contextlib import suppress

from .imap import Imap, Literal, Lost, Refused
from .ledger import APPENDED, Broken, load_id
from .lmtp import Lmtp, LmtpLost
from .mail import crlf
from .view import View
from .wire import as_set, uid_set

LOST = (Lost, LmtpLost, ConnectionError, asyncio.IncompleteReadError)


def options(parser):
    parser.add_argument("--deliverers", type=int, default=64, help="LMTP connections")
    parser.add_argument("--sessions", type=int, default=20, help="IMAP sessions")
    parser.add_argument("--rate", type=float, default=300, help="deliveries a second at most, 0: no limit")


class Load:
    """The workers of one run and what they share."""

    def __init__(self, context, ledger, seed):
        self.context, self.ledger, self.seed = context, ledger, seed
        self.deliverers, self.sessions = context.arguments.deliverers, context.arguments.sessions
        # Unpaced, deliveries take all of this process's time, and each session
        # only learns of new mail.
        rate = context.arguments.rate
        self.pause_s = 2 * self.deliverers / rate if rate else 0
        self.stopping = False
        self.workers = []

    async def run(self, seconds, crash=None):
        """Load for a time. With `crash` (an async function) it ends in that instead,
        and lost connections are expected from then on."""
        self.stopping = False
        self.workers = [Session(self, k) for k in range(self.sessions)]
        for session in self.workers:
            await session.open()
        tasks = [asyncio.create_task(session.run()) for session in self.workers]
        tasks += [asyncio.create_task(Deliverer(self, k).run()) for k in range(self.deliverers)]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            if crash:
                await crash()
            self.stopping = True
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 120)
            for result in results:
                if isinstance(result, BaseException) and not (crash and isinstance(result, LOST)):
                    raise result
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for session in self.workers:
                self.ledger.gone |= session.view.gone
            if crash:
                self.close()

    def close(self):
        for session in self.workers:
            session.client.close()

    def compose(self, rng, maker):
        """A message with an id of its own; one in 200 is larger than a log keeps inline."""
        ident = f"{self.seed}-{maker}-{self.ledger.counts['composed']}"
        self.ledger.counts["composed"] += 1
        lines = 4500 if rng.random() < 0.005 else rng.randrange(1, 60)
        body = "".join(f"{n} {rng.getrandbits(200):050x} . line\n" for n in range(lines))
        message = crlf((f"From: {maker}@example.net\nTo: ada@example.org\nX-Load-Id: {ident}\n"
                        f"Message-ID: <same@example.net>\nSubject: load {ident}\n\n{body}").encode())
        self.ledger.given[ident] = message
        return ident, message


class Deliverer:
    """One LMTP connection after the other, some transactions on each."""

    def __init__(self, load, number):
        self.load, self.number = load, number
        self.random = random.Random(f"{load.seed} deliverer {number}")

    async def run(self):
        server = self.load.context.server
        while not self.load.stopping:
            client = await Lmtp.connect(server.socket if self.random.random() < 0.3 else server.lmtp)
            for _ in range(self.random.randrange(1, 40)):
                if self.load.stopping:
                    break
                await self.deliver(client)
                await asyncio.sleep(self.random.uniform(0, self.load.pause_s))
            await client.quit()

    async def deliver(self, client):
        ledger = self.load.ledger
        ident, message = self.load.compose(self.random, f"d{self.number}")
        recipients = ["ada@example.org"]
        if self.random.random() < 0.1:
            recipients.append("bob@example.org")
            ledger.copied_to_bob[ident] = False
        bdat = "CHUNKING" in client.extensions and self.random.random() < 0.3
        verdicts = await client.deliver(sender(ident), recipients, message, bdat)
        for recipient, (code, text) in zip(recipients, verdicts):
            if code != 250:
                raise Broken(f"LMTP answered {code} {text} for {recipient}")
        ledger.promised.add(ident)
        if len(recipients) > 1:
            ledger.copied_to_bob[ident] = True
        ledger.counts["delivered"] += 1


def sender(ident):
    return f"load-{ident}@example.net"


async def retry_open(load, client, share, rng):
    """Deliver again what was not answered, as an MTA does: it must not be doubled."""
    ledger = load.ledger
    waiting = [i for i in ledger.given if i not in ledger.promised and i not in ledger.by_append]
    tried = 0
    for ident in waiting:
        if rng.random() >= share:
            continue
        recipients = ["ada@example.org"] + ["bob@example.org"] * (ident in ledger.copied_to_bob)
        for code, text in await client.deliver(sender(ident), recipients, ledger.given[ident]):
            if code != 250:
                raise Broken(f"retry answered {code} {text}")
        ledger.promised.add(ident)
        if len(recipients) > 1:
            ledger.copied_to_bob[ident] = True
        tried += 1
    return tried


class Session:
    """One IMAP session that works on INBOX and believes only what it is told."""

    def __init__(self, load, k):
        self.load, self.ledger, self.k = load, load.ledger, k
        self.random = random.Random(f"{load.seed} session {k}")
        self.view = View(f"session {k}")
        self.keyword = f"s{k}"

    async def open(self):
        self.client = await self.load.context.imap(watch=None)
        self.client.watch = self.view
        await self.view.select(self.client, "INBOX")

    async def run(self):
        actions = [(self.own_keyword, 5), (self.shared_flags, 4), (self.copy, 2), (self.move, 2),
                   (self.expunge, 2), (self.idle, 3), (self.noop, 3), (self.read, 2),
                   (self.append, 2), (self.search, 1), (self.pipeline, 1)]
        if not self.load.context.server.atomic_move:
            actions.remove((self.move, 2))
        callables, weights = zip(*actions)
        while not self.load.stopping:
            action = self.random.choices(callables, weights)[0]
            self.ledger.counts[action.__name__] += 1
            await action()
            await self.view.learn(self.client)

    # -- picking ---------------------------------------------------------

    async def pick(self, most):
        """Some UIDs of the view, each with its id in the ledger."""
        known = self.view.uids
        if not known:
            return []
        if self.random.random() < 0.5:
            start = self.random.randrange(len(known))
            uids = known[start: start + self.random.randint(1, most)]
        else:
            uids = [self.random.choice(known) for _ in range(self.random.randint(1, most))]
        uids = sorted(set(uids))
        strange = [uid for uid in uids if uid not in self.ledger.ids]
        if strange:
            reply = await self.allowed(
                f"UID FETCH {as_set(strange)} (BODY.PEEK[HEADER.FIELDS (X-Load-Id)])")
            for _, items in reply.fetches():
                for name, value in items.items():
                    if name.startswith(b"BODY[HEADER") and load_id(value):
                        self.ledger.saw(int(items[b"UID"]), load_id(value))
        return [uid for uid in uids if uid in self.ledger.ids and self.view.place_of(uid) is not None]

    async def allowed(self, line):
        """A command that may meet messages which another session removed."""
        reply = await self.client.command(line)
        if reply.status != "OK" and reply.code != "EXPUNGEISSUED":
            raise Refused(line.encode(), reply)
        return reply

    def address(self, uids):
        """("UID ", set of UIDs) or ("", set of sequence numbers): the same messages."""
        if self.random.random() < 0.5:
            return "UID ", as_set(uids)
        return "", as_set(self.view.place_of(uid) + 1 for uid in uids)

    # -- actions ---------------------------------------------------------

    async def own_keyword(self):
        uids = await self.pick(20)
        if not uids:
            return
        wanted = self.random.random() < 0.6
        open_facts = [(self.ledger.ids[uid], self.k) for uid in uids]
        self.ledger.keywords.update(dict.fromkeys(open_facts))
        uid, numbers = self.address(uids)
        reply = await self.allowed(f"{uid}STORE {numbers} {'+' if wanted else '-'}FLAGS ({self.keyword})")
        heard = self.heard(reply)
        for uid in uids:
            # An OK promises the change for all that was asked; NO [EXPUNGEISSUED] only for what it shows.
            shown = uid in heard and (self.keyword.encode() in heard[uid]) == wanted
            if reply.status == "OK" or shown:
                self.ledger.keywords[self.ledger.ids[uid], self.k] = wanted

    def heard(self, reply):
        """{uid: flags} as a STORE's FETCH responses say last."""
        here = {}
        for response in reply.named("FETCH"):
            items = response.items()
            if b"FLAGS" in items:
                here[response.uid] = set(map(bytes, items[b"FLAGS"]))
        return here

    async def shared_flags(self):
        uids = await self.pick(20)
        if not uids:
            return
        flags = " ".join(self.random.sample(["\\Seen", "\\Flagged", "\\Answered", "\\Draft"], 2))
        sign = self.random.choice("+-")
        uid, numbers = self.address(uids)
        silent = self.random.random() < 0.3
        await self.allowed(f"{uid}STORE {numbers} {sign}FLAGS{'.SILENT' * silent} ({flags})")
        if silent:
            # What others did meanwhile cannot be told apart after .SILENT, so ask.
            await self.allowed(f"UID FETCH {as_set(uids)} (FLAGS)")

    async def copy(self):
        uids = await self.pick(5)
        if not uids:
            return
        idents = [self.ledger.ids[uid] for uid in uids]
        self.ledger.open_copies.append(idents)
        uid, numbers = self.address(uids)
        reply = await self.allowed(f"{uid}COPY {numbers} Copies")
        if reply.status == "OK":
            for source, copy in self.copyuid(reply, uids):
                self.ledger.copies[copy] = self.ledger.ids[source]
        self.ledger.open_copies.remove(idents)

    async def move(self):
        uids = await self.pick(5)
        if not uids:
            return
        uid, numbers = self.address(uids)
        reply = await self.allowed(f"{uid}MOVE {numbers} Moved")
        for source, copy in self.copyuid(reply, uids):
            self.ledger.moved[copy] = self.ledger.ids[source]
            self.ledger.gone.add(source)

    def copyuid(self, reply, uids):
        """Pairs of the COPYUID code (RFC 4315 section 3), none where nothing was left to copy."""
        code = reply.with_code("COPYUID")
        if code is None:
            return []
        _, source, target = code.decode().split(" ")
        source, target = uid_set(source.encode()), uid_set(target.encode())
        if len(source) != len(target) or not set(source) <= set(uids):
            raise Broken(f"COPYUID {code!r} for {uids}")
        return zip(source, target)

    async def expunge(self):
        uids = await self.pick(5)
        if not uids:
            return
        self.ledger.doomed.update(self.ledger.ids[uid] for uid in uids)
        uid, numbers = self.address(uids)
        reply = await self.allowed(f"{uid}STORE {numbers} +FLAGS (\\Deleted)")
        here = self.heard(reply)
        deleted = [u for u in uids if b"\\Deleted" in here.get(u, ())]
        if self.random.random() < 0.5:
            await self.client.ok(f"UID EXPUNGE {as_set(uids)}")
        else:
            await self.client.ok("EXPUNGE")
        # Nobody takes \Deleted back, so what was heard to have it is gone.
        self.ledger.gone.update(deleted)

    async def idle(self):
        await self.client.idle(self.random.uniform(0.02, 0.6))

    async def noop(self):
        await self.client.ok(self.random.choice(["NOOP", "CHECK", "STATUS Moved (MESSAGES UNSEEN)"]))

    async def read(self):
        uids = await self.pick(5)
        if not uids:
            return
        reply = await self.allowed(f"UID FETCH {as_set(uids)} (RFC822.SIZE BODY.PEEK[])")
        for _, items in reply.fetches():
            # Dovecot answers NIL for a message that is gone (RFC 2180 section 4.1.2).
            if b"BODY[]" in items and (items[b"BODY[]"] is not None or self.load.context.server.exact):
                self.ledger.right("INBOX", int(items[b"UID"]), items[b"BODY[]"])

    async def append(self):
        ledger, many = self.ledger, 1
        if "MULTIAPPEND" in self.client.capabilities:
            many = self.random.choice([1, 1, 3])
        parts, made = ["APPEND INBOX"], []
        for _ in range(many):
            ident, message = self.load.compose(self.random, f"a{self.k}")
            ledger.by_append.add(ident)
            ledger.keywords[ident, self.k] = None
            parts += [f" ({APPENDED.decode()} {self.keyword}) ", Literal(message)]
            made.append(ident)
        reply = await self.client.ok(*parts)
        for ident in made:
            ledger.promised.add(ident)
            ledger.keywords[ident, self.k] = True
        code = reply.with_code("APPENDUID")
        if code:
            for uid, ident in zip(uid_set(code.split(b" ")[1]), made, strict=True):
                ledger.saw(uid, ident)
        ledger.counts["appended"] += many

    async def search(self):
        reply = await self.client.ok(f"UID SEARCH KEYWORD {self.keyword} NOT DELETED")
        found = [int(v) for u in reply.named("SEARCH") for v in u.values]
        if found != sorted(set(found)):
            raise Broken("UID SEARCH is not strictly ascending")

    async def pipeline(self):
        """Several commands in one packet."""
        uids = await self.pick(5)
        if not uids:
            return
        lines = ["NOOP", f"UID FETCH {as_set(uids)} (FLAGS)", "UID SEARCH 1:5", "NOOP"]
        for line, reply in zip(lines, await self.client.pipeline(lines)):
            if reply.status != "OK" and reply.code != "EXPUNGEISSUED":
                raise Refused(line.encode(), reply)

    async def settle(self):
        """After the load: hear everything that is to be heard."""
        for _ in range(2):
            await self.client.ok("NOOP")
            await self.view.learn(self.client)


async def equal_views(load):
    """Every session's view and a fresh session's, UIDs and flags in sequence order."""
    for session in load.workers:
        await session.settle()
    fresh = Session(load, 10_000)
    await fresh.open()
    await fresh.settle()
    rows = fresh.view.rows()
    uids = [uid for uid, _ in rows]
    if uids != sorted(set(uids)):
        raise Broken("UIDs are not strictly ascending")
    for session in load.workers:
        load.ledger.gone |= session.view.gone
        if session.view.rows() != rows:
            unlike = [(a, b) for a, b in zip(session.view.rows(), rows) if a != b][:5]
            raise Broken(f"session {session.k} sees {len(session.view.uids)} messages, a fresh one "
                         f"{len(rows)}; first that differ: {unlike}")
        with suppress(*LOST):
            await session.client.logout()
    await fresh.client.logout()
    return len(rows)
