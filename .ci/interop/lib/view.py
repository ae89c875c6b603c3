"""What one IMAP session may believe of its mailbox: RFC 3501 sections 5.2 and 7.4.

Laws, each checked at every response
- EXPUNGE never comes while FETCH, STORE or SEARCH is in progress (section
  7.4.1; the UID forms allow it), and its number lies in the view.
- EXISTS never shrinks the view; only EXPUNGE does.
- UIDs are strictly ascending in the view, and a UID's place is the one its
  FETCH responses name.
- A UID that was announced as expunged never comes back.
"""

from bisect import bisect_left


class ViewError(Exception):
    """The server told a session something that cannot be true."""


_NO_EXPUNGE = (b"FETCH ", b"STORE ", b"SEARCH ", b"SORT ", b"THREAD ")


class View:
    """UIDs in sequence order (None where not yet known) and flags by UID."""

    def __init__(self, name):
        self.name = name
        self.uids = []
        self.flags = {}
        self.gone = set()

    def __call__(self, response, command):
        """To be given to `Imap` as `watch`."""
        if response.name == "EXISTS":
            if response.number < len(self.uids):
                self.fail(f"EXISTS {response.number} with {len(self.uids)} in the view", command)
            self.uids.extend([None] * (response.number - len(self.uids)))
        elif response.name == "EXPUNGE":
            self.expunge(response.number, command)
        elif response.name == "FETCH":
            # Said now: a later EXPUNGE in the same reply shifts the numbers.
            response.uid = self.fetch(response.number, response.items(), command)
        elif response.name in ("BAD", "BYE") and not command.startswith(b"LOGOUT"):
            self.fail(f"{response.name} {response.text!r}", command)

    def expunge(self, number, command):
        if command.upper().startswith(_NO_EXPUNGE):
            self.fail(f"EXPUNGE {number}", command)
        if not 1 <= number <= len(self.uids):
            self.fail(f"EXPUNGE {number} with {len(self.uids)} in the view", command)
        uid = self.uids.pop(number - 1)
        if uid is not None:
            self.flags.pop(uid, None)
            self.gone.add(uid)

    def fetch(self, number, items, command):
        if not 1 <= number <= len(self.uids):
            self.fail(f"FETCH {number} with {len(self.uids)} in the view", command)
        known = self.uids[number - 1]
        if b"UID" in items:
            uid = int(items[b"UID"])
            if known is None:
                self.place(number - 1, uid, command)
            elif known != uid:
                self.fail(f"message {number} was UID {known}, now {uid}", command)
            known = uid
        if b"FLAGS" in items and known is not None:
            self.flags[known] = frozenset(bytes(f) for f in items[b"FLAGS"]) - {b"\\Recent"}
        return known

    def place(self, index, uid, command):
        # Only the newest UIDs are ever unknown, so a look at both sides is short.
        before = next((u for u in reversed(self.uids[max(0, index - 50): index]) if u is not None), 0)
        after = next((u for u in self.uids[index + 1: index + 50] if u is not None), uid + 1)
        if not before < uid < after:
            self.fail(f"UID {uid} between {before} and {after}", command)
        if uid in self.gone:
            self.fail(f"UID {uid} came back", command)
        self.uids[index] = uid

    def fail(self, what, command):
        raise ViewError(f"{self.name}: {what}, during {command[:120]!r}")

    def place_of(self, uid):
        """Index of a known UID, or None."""
        known = self.unknown_from()
        end = len(self.uids) if known is None else known - 1
        index = bisect_left(self.uids, uid, 0, end)
        return index if index < end and self.uids[index] == uid else None

    def unknown_from(self):
        """Sequence number of the first message whose UID is not known, or None."""
        if not self.uids or self.uids[-1] is not None:
            return None
        index = len(self.uids) - 1
        while index and self.uids[index - 1] is None:
            index -= 1
        return index + 1

    async def learn(self, client):
        """Fetch UID and flags of messages that EXISTS announced."""
        while (first := self.unknown_from()) is not None:
            await client.ok(f"FETCH {first}:{len(self.uids)} (UID FLAGS)")

    def rows(self):
        return [(uid, self.flags.get(uid)) for uid in self.uids]

    async def select(self, client, mailbox):
        from .imap import quote
        reply = await client.ok(b"SELECT ", quote(mailbox))
        await self.learn(client)
        return reply
