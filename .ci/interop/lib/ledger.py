"""What the clients were promised, and whether a store keeps it.

Laws
- A fact is written down as promised only after the reply that promised it was
  read; what was on its way when a connection ended is written down as open.
- A message is known by its X-Load-Id alone, never by UID or Message-ID.
- In INBOX and Moved together each promised message is there exactly once,
  unless a session had begun to delete it; an open one at most once.
- A keyword `s<k>` is changed by session k alone, so its last answer is the truth.
"""

import hashlib
import re
from collections import Counter

from .imap import fetch_all, quote
from .mail import after_trace

_ID = re.compile(rb"(?m)^X-Load-Id: (\S+)\r$")
APPENDED = b"appended"


def load_id(message):
    found = _ID.search(message)
    return found.group(1).decode() if found else None


class Broken(AssertionError):
    """The store does not hold what a client was promised."""


class Ledger:
    def __init__(self):
        self.given = {}        # id -> bytes of the message, from before it is sent
        self.promised = set()  # ids answered 250 or OK
        self.by_append = set()
        self.copied_to_bob = {}  # id -> promised or open (False)
        self.ids = {}          # INBOX uid -> id, as fetched
        self.gone = set()      # INBOX uids announced or answered as expunged or moved
        self.doomed = set()    # ids that a session began to delete
        self.moved = {}        # Moved uid -> id
        self.copies = {}       # Copies uid -> id
        self.open_copies = []  # lists of ids of COPY commands that were never answered
        self.keywords = {}     # (id, k) -> True, False, or None while open
        self.counts = Counter()

    def saw(self, uid, ident):
        """UIDs are never reused or given to another message."""
        if self.ids.setdefault(uid, ident) != ident:
            raise Broken(f"UID {uid} was {self.ids[uid]}, now {ident}")

    async def dump(self, client, mailbox):
        """{uid: (id, flags, size)} of a mailbox, each body compared with what was sent."""
        status = (await client.ok(
            b"STATUS ", quote(mailbox), b" (MESSAGES UNSEEN UIDNEXT SIZE)")).named("STATUS")[0]
        told = dict(zip([bytes(v) for v in status.values[1][::2]], map(int, status.values[1][1::2])))
        await client.ok(b"EXAMINE ", quote(mailbox))
        rows = {}
        found = await fetch_all(client, "FLAGS RFC822.SIZE BODY.PEEK[]", 200)
        for uid, items in found.items():
            message = items[b"BODY[]"]
            ident = self.right(mailbox, uid, message)
            flags = frozenset(map(bytes, items[b"FLAGS"])) - {b"\\Recent"}
            if int(items[b"RFC822.SIZE"]) != len(message):
                raise Broken(f"{mailbox} UID {uid}: RFC822.SIZE {items[b'RFC822.SIZE']}, {len(message)} bytes")
            rows[uid] = (ident, flags, len(message))
        counted = {
            b"MESSAGES": len(rows),
            b"UNSEEN": sum(b"\\Seen" not in flags for _, flags, _ in rows.values()),
            b"SIZE": sum(size for _, _, size in rows.values()),
        }
        for name, count in counted.items():
            if told[name] != count:
                raise Broken(f"{mailbox}: STATUS says {name.decode()} {told[name]}, there are {count}")
        if rows and told[b"UIDNEXT"] <= max(rows):
            raise Broken(f"{mailbox}: UIDNEXT {told[b'UIDNEXT']}, highest UID {max(rows)}")
        return rows

    def right(self, mailbox, uid, message):
        """The id of a served message, which has to be what was sent."""
        ident = load_id(message)
        if ident not in self.given:
            raise Broken(f"{mailbox} UID {uid}: a message nobody sent, {message[:200]!r}")
        prefix = after_trace(message, self.given[ident])
        if prefix is None or (ident in self.by_append and prefix):
            raise Broken(f"{mailbox} UID {uid}: not the bytes of {ident}: {message[:300]!r}")
        return ident

    async def verify(self, client, crashed):
        """Hold the store against the ledger; what it holds, for comparing later."""
        inbox = await self.dump(client, "INBOX")
        moved = await self.dump(client, "Moved")
        copies = await self.dump(client, "Copies")
        for uid, (ident, _, _) in inbox.items():
            self.saw(uid, ident)
        self.verify_presence(inbox, moved, crashed)
        self.verify_copies(copies, crashed)
        self.verify_flags(inbox, moved)
        return {"INBOX": inbox, "Moved": moved, "Copies": copies}

    def verify_presence(self, inbox, moved, crashed):
        back = self.gone & set(inbox)
        if back:
            raise Broken(f"{len(back)} UIDs came back after EXPUNGE or MOVE: {sorted(back)[:10]}")
        places = {}
        for mailbox, rows in (("INBOX", inbox), ("Moved", moved)):
            for uid, (ident, _, _) in rows.items():
                places.setdefault(ident, []).append(f"{mailbox} UID {uid}")
        twice = {ident: where for ident, where in places.items() if len(where) > 1}
        if twice:
            raise Broken(f"{len(twice)} messages twice: {list(twice.items())[:10]}")
        lost = self.promised - set(places) - self.doomed
        if lost:
            raise Broken(f"{len(lost)} of {len(self.promised)} messages lost: {sorted(lost)[:10]}")
        for uid, ident in self.moved.items():
            if uid not in moved or moved[uid][0] != ident:
                raise Broken(f"MOVE was answered with UID {uid} for {ident}: there is {moved.get(uid)}")
        if not crashed:
            gone = {self.ids[uid] for uid in self.gone if uid in self.ids}
            silent = (self.promised & self.doomed) - set(places) - gone
            if silent:
                raise Broken(f"{len(silent)} messages gone with no session told: {sorted(silent)[:10]}")
        for ident in places:
            if ident not in self.promised:
                # It was open: now it is there, and has to stay.
                self.promised.add(ident)

    def verify_copies(self, copies, crashed):
        for uid, ident in self.copies.items():
            if uid not in copies or copies[uid][0] != ident:
                raise Broken(f"COPY was answered with UID {uid} for {ident}: there is {copies.get(uid)}")
        spare = Counter(ident for group in self.open_copies for ident in group)
        for uid in set(copies) - set(self.copies):
            ident = copies[uid][0]
            if not spare[ident]:
                raise Broken(f"Copies UID {uid} ({ident}): no COPY gave it")
            spare[ident] -= 1
            self.copies[uid] = ident
        if self.open_copies and not crashed:
            raise Broken("a COPY was left open")
        self.open_copies.clear()

    def verify_flags(self, inbox, moved):
        for mailbox, rows in (("INBOX", inbox), ("Moved", moved)):
            for uid, (ident, flags, _) in rows.items():
                if (APPENDED in flags) != (ident in self.by_append):
                    raise Broken(f"{mailbox} UID {uid} ({ident}): flags of APPEND not kept: {flags}")
        held = {row[0]: (mailbox, row[1]) for mailbox, rows in (("INBOX", inbox), ("Moved", moved))
                for row in rows.values()}
        for (ident, k), state in list(self.keywords.items()):
            if ident not in held:
                continue
            mailbox, flags = held[ident]
            there = b"s%d" % k in flags
            if state is None:
                self.keywords[ident, k] = there
            elif there != state:
                raise Broken(f"{mailbox} {ident}: keyword s{k} answered as {state}, the store says {there}")

    async def verify_bob(self, client):
        """Bob has each promised message of his exactly once."""
        rows = await self.dump(client, "INBOX")
        counted = Counter(row[0] for row in rows.values())
        lost = {i for i, promised in self.copied_to_bob.items() if promised} - set(counted)
        if lost or any(n > 1 for n in counted.values()) or set(counted) - set(self.copied_to_bob):
            raise Broken(f"bob's INBOX: {len(lost)} lost, {[i for i, n in counted.items() if n > 1][:5]} twice")
        self.copied_to_bob.update(dict.fromkeys(counted, True))
        return rows


def digest(rows):
    """One value for what `verify` gave, to compare stores by."""
    text = repr([(mailbox, sorted((uid, ident, sorted(flags), size)
                                  for uid, (ident, flags, size) in held.items()))
                 for mailbox, held in sorted(rows.items())])
    return hashlib.sha256(text.encode()).hexdigest()
