#!/usr/bin/env python3
"""SEARCH, ESEARCH, SORT and THREAD over IMAP, while mail is delivered and indexed.

What has to be found is known from the generator's needles, and from Python's email package for
random substrings of plain messages: neither knows anything of the server.
"""

import asyncio
import email.utils
import json
import time

from lib import oracle
from lib.check import Context, equal, main
from lib.generated import generate, searches
from lib.imap import Literal, append, quote
from lib.lmtp import Lmtp

BOX = "INBOX"


class Box:
    """The mailbox as it fills: UIDs are ordinals, for one connection delivers."""

    def __init__(self, context, generated):
        self.context, self.generated = context, generated
        self.sent = self.answered = 0

    async def fill_at_once(self, count):
        """As many as that by import, or by APPEND where the server has no tools."""
        context, messages = self.context, self.generated.messages[:count]
        if context.server.has_tools:
            folder = context.folder / "first"
            folder.mkdir()
            for n, message in enumerate(messages):
                (folder / f"{n:06}.eml").write_bytes(message)
            context.server.tool("import", "--account", context.account, "--mailbox", BOX, "--format", "eml", folder)
        else:
            await self._append(messages)
        self.sent = self.answered = count

    async def _append(self, messages):
        client = await self.context.imap()
        for message in messages:
            equal((await append(client, BOX, message)).status, "OK", "APPEND")
        await client.logout()

    async def deliver(self, until):
        client = await Lmtp.connect(self.context.server.lmtp)
        recipient = f"{self.context.account}@example.org"
        while self.sent < until:
            self.sent += 1
            replies = await client.deliver("s@example.net", [recipient], self.generated.messages[self.sent - 1])
            equal([code for code, _ in replies], [250], "LMTP")
            self.answered = self.sent
        await client.quit()


async def found(client, *keys):
    reply = await client.ok(b"UID SEARCH ", *keys)
    uids = [int(value) for response in reply.named("SEARCH") for value in response.values
            if not isinstance(value, list)]
    if uids != sorted(set(uids)):
        raise AssertionError(f"UID SEARCH {keys!r} is not strictly ascending")
    return set(uids)


def key_parts(key, term):
    """A key and its string; CHARSET before it is the caller's."""
    return key.encode() + b" ", quote(term) if term.isascii() and term.isprintable() else Literal(term.encode())


async def needles(box, client):
    """Every key of every needle; what was answered for before the search has to be found."""
    count = 0
    for what, key, term, rule, ordinals in searches(box.generated.needles):
        before = box.answered
        if not box.context.server.has_tools:
            # Dovecot searches what the session has seen, Mailcask what was answered for.
            await client.ok("NOOP")
        got = await found(client, b"CHARSET UTF-8 ", *key_parts(key, term))
        allowed = {n for n in ordinals if n <= box.sent}
        missing = {n for n in ordinals if n <= before} - got if rule == "all" else set()
        if missing or got - allowed:
            raise AssertionError(f"{what} {term!r} ({rule}): not found {sorted(missing)[:5]}, "
                                 f"not true {sorted(got - allowed)[:5]}; {before} answered for, {box.sent} sent")
        count += 1
    return count


class Substrings:
    """Random substrings, each asked of the messages whose text Python is sure of."""

    def __init__(self, box, count):
        self.box, self.random = box, box.context.random
        self.left = count
        self.texts = {}
        for ordinal, raw in enumerate(box.generated.messages, 1):
            texts = oracle.Texts(raw)
            for key, text in (("BODY", texts.body()), ("SUBJECT", texts.field("Subject")),
                              ("HEADER Message-ID", texts.field("Message-ID")), ("TO", texts.field("To"))):
                if text and len(text) > 4:
                    self.texts.setdefault(key, {})[ordinal] = (text, oracle.fold(text))

    def piece(self, key, text):
        """Of a word, across words, or long; of an address only what every way to write it has."""
        at = self.random.randrange(len(text) - 2)
        length = self.random.choice((1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 30, 60, 200))
        piece = text[at:at + length]
        if key == "TO":
            piece = max("".join(c if c.isalnum() or c in ".-@" else " " for c in piece).split() or [""], key=len)
        # Where a text begins and ends is not what is tested, and no IMAP string holds a NUL.
        if self.random.random() < .3:
            piece = piece.strip()
        return self.random.choice((str.upper, str.lower, str, str))(piece) if piece.isascii() else piece

    async def ask(self, client, count):
        for _ in range(min(count, self.left)):
            key = self.random.choice(("BODY", "BODY", "BODY", *self.texts))
            known = {n: texts for n, texts in self.texts.get(key, {}).items() if n <= self.box.answered}
            if not known:
                continue
            piece = self.piece(key, self.random.choice(list(known.values()))[0])
            if not piece.strip("\r\n") or "\0" in piece:
                continue
            # Dovecot does not find what has a line break in it.
            if set(piece) & set("\r\n") and not self.box.context.server.exact:
                continue
            folded = oracle.fold(piece)
            truth = {n for n, (_, text) in known.items() if folded in text}
            got = await found(client, b"CHARSET UTF-8 ", *key_parts(key, piece)) & set(known)
            if got != truth:
                raise AssertionError(f"{key} {piece!r}: not found {sorted(truth - got)[:5]}, "
                                     f"not true {sorted(got - truth)[:5]}")
            self.left -= 1


async def extended(client, everything):
    """ESEARCH (RFC 4731), SEARCHRES (RFC 5182) and keys in company, against plain SEARCH."""
    reply = await client.ok("UID SEARCH RETURN (MIN MAX COUNT ALL) NOT 1:3 LARGER 3000")
    values = reply.named("ESEARCH")[0].values
    pairs = [bytes(v).upper() if not isinstance(v, list) else b"(TAG)" for v in values]
    plain = await found(client, b"NOT 1:3 LARGER 3000")
    get = lambda name: bytes(values[pairs.index(name) + 1])
    equal((int(get(b"MIN")), int(get(b"MAX")), int(get(b"COUNT"))), (min(plain), max(plain), len(plain)), "ESEARCH")
    listed = set()
    for run in get(b"ALL").split(b","):
        first, _, last = run.partition(b":")
        listed.update(range(int(first), int(last or first) + 1))
    equal(listed, plain, "ESEARCH ALL")
    if "SEARCHRES" in client.capabilities:
        await client.ok("UID SEARCH RETURN (SAVE) LARGER 3000")
        equal(await found(client, b"UID $ NOT 1:3"), plain, "SEARCH of $")
    text = await found(client, b'BODY "the"')
    equal(await found(client, b'NOT BODY "the"'), everything - text, "NOT BODY")
    equal(await found(client, b'OR BODY "the" LARGER 3000'), text | await found(client, b"LARGER 3000"), "OR")
    equal(await found(client, b'LARGER 3000 BODY "the"'), text & await found(client, b"LARGER 3000"), "AND")


async def ordered(box, client, everything):
    """SORT by DATE and SIZE, THREAD by REFS and REFERENCES (RFC 5256)."""
    messages = box.generated.messages
    dates, sizes = {}, {}
    for ordinal in everything:
        date = email.message_from_bytes(messages[ordinal - 1])["Date"]
        dates[ordinal] = email.utils.parsedate_to_datetime(date).timestamp() if date else None
    for _, items in (await client.ok("UID FETCH 1:* (UID RFC822.SIZE)")).fetches():
        sizes[int(items[b"UID"])] = int(items[b"RFC822.SIZE"])
    if None not in dates.values():
        equal(await sort(client, b"(DATE)"), sorted(everything, key=lambda n: (dates[n], n)), "SORT (DATE)")
    equal(await sort(client, b"(REVERSE SIZE)"), sorted(everything, key=lambda n: (-sizes[n], n)),
          "SORT (REVERSE SIZE)")
    subjects = await sort(client, b"(SUBJECT DATE)")
    equal((len(subjects), set(subjects)), (len(everything), everything), "SORT (SUBJECT DATE)")
    threads = box.generated.threads
    if threads:
        roots = {}
        for ordinal in everything:
            roots.setdefault(threads[ordinal].root, set()).add(ordinal)
        if "THREAD=REFS" in client.capabilities:
            got = await threaded(client, b"REFS")
            equal(sorted(map(sorted, got)), sorted(map(sorted, roots.values())), "THREAD REFS")
        got = await threaded(client, b"REFERENCES")
        equal(sorted(n for thread in got for n in thread), sorted(everything), "THREAD REFERENCES: all, each once")
        of = {n: at for at, thread in enumerate(got) for n in thread}
        for root, thread in roots.items():
            equal({of[n] for n in thread}, {of[root]}, f"THREAD REFERENCES: the thread of {root} is one")


async def sort(client, by):
    reply = await client.ok(b"UID SORT " + by + b" UTF-8 ALL")
    return [int(value) for response in reply.named("SORT") for value in response.values]


async def threaded(client, by):
    """The UIDs of each thread."""
    reply = await client.ok(b"UID THREAD " + by + b" UTF-8 ALL")
    threads = []
    for top in (value for response in reply.named("THREAD") for value in response.values):
        uids, todo = set(), [top]
        while todo:
            for value in todo.pop():
                todo.append(value) if isinstance(value, list) else uids.add(int(value))
        threads.append(uids)
    return threads


async def settled(context):
    """Until nothing is left to index; False where the server does not say."""
    while context.server.has_tools:
        index = json.loads(context.server.tool("stats", "--json").stdout).get("index")
        if index is None:
            return False
        if index["settled"]:
            return True
        await asyncio.sleep(0.2)
    return False


async def run(context: Context):
    count = context.arguments.messages
    generated = generate(context.folder, count, context.seed)
    count = len(generated.messages)
    box = Box(context, generated)
    substrings = Substrings(box, context.arguments.substrings)
    await box.fill_at_once(count * 7 // 10)
    client = await context.imap()
    await client.ok(b"SELECT ", quote(BOX))
    began = time.monotonic()
    # Searched while the rest comes in: a part is indexed, a part is not.
    delivering = asyncio.create_task(box.deliver(count))
    asked = await needles(box, client)
    await substrings.ask(client, context.arguments.substrings // 2)
    during = box.answered
    await delivering
    await client.ok("NOOP")
    everything = await found(client, b"ALL")
    equal(everything, set(range(1, count + 1)), "UIDs")
    await settled(context)
    asked += await needles(box, client)
    await substrings.ask(client, context.arguments.substrings)
    await extended(client, everything)
    await ordered(box, client, everything)
    await client.logout()
    context.summary = (f"{count} messages of {generated.source} ({during} there after the first round), "
                       f"{asked} needle searches, {context.arguments.substrings - substrings.left} "
                       f"substrings in {time.monotonic() - began:.0f} s, all exact; ESEARCH, SORT, THREAD")


def options(parser):
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--substrings", type=int, default=400)


if __name__ == "__main__":
    main(run, __doc__, options=options)
