"""A small IMAP client over asyncio that hides nothing.

Laws
- Every untagged response is handed over, in order, before its command returns.
- A command that ends in NO or BAD returns that; only `ok()` turns it into an error.
- Nothing is retried and nothing is corrected.
"""

import asyncio
import re
from dataclasses import dataclass, field

from .wire import Atom, BadResponse, fetch_items, tokens

_LITERAL_AT_END = re.compile(rb"~?\{(\d+)\+?\}$")
_CODE = re.compile(rb"\[([^\]\s]+)(?: ([^\]]*))?\] ?(.*)", re.DOTALL)
_NUMBERED = re.compile(rb"(\d+) (EXISTS|EXPUNGE|RECENT|FETCH)(?: |$)", re.IGNORECASE)
READ_LIMIT_BYTES = 1 << 27


class Refused(Exception):
    """A command was answered NO or BAD, or the server said BYE."""

    def __init__(self, command, reply):
        super().__init__(f"{command[:160]!r} answered {reply.status} {reply.text[:300]!r}")
        self.reply = reply


class Lost(Exception):
    """The connection ended in the middle of something."""


@dataclass
class Untagged:
    """One untagged response: its name, number (if any) and values."""

    name: str
    number: int = 0
    values: list = field(default_factory=list)
    code: str = ""
    code_args: bytes = b""
    text: bytes = b""
    uid: int | None = None  # of a FETCH, where a View saw it

    def items(self):
        return fetch_items(self.values[0])


@dataclass
class Reply:
    """The tagged answer to a command and the untagged responses before it."""

    status: str
    code: str
    code_args: bytes
    text: bytes
    untagged: list

    def fetches(self):
        return [(u.number, u.items()) for u in self.untagged if u.name == "FETCH"]

    def named(self, name):
        return [u for u in self.untagged if u.name == name]

    def with_code(self, code):
        """Arguments of a response code, on the tagged or any untagged OK."""
        if self.code == code:
            return self.code_args
        for response in self.untagged:
            if response.code == code:
                return response.code_args
        return None


class Literal(bytes):
    """An argument to be sent as a literal."""


def quote(text):
    """An argument as a quoted string."""
    text = text.encode() if isinstance(text, str) else text
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Imap:
    """One connection. `watch(untagged, command)` sees each untagged response as it is read."""

    def __init__(self, reader, writer, watch=None):
        self.reader, self.writer, self.watch = reader, writer, watch
        self.count = 0
        self.capabilities = set()
        self.timeout_s = 120
        self.alive = True

    @classmethod
    async def connect(cls, address, watch=None):
        if isinstance(address, str):
            streams = await asyncio.open_unix_connection(address, limit=READ_LIMIT_BYTES)
        else:
            streams = await asyncio.open_connection(*address, limit=READ_LIMIT_BYTES)
        client = cls(*streams, watch)
        greeting = await client.read("greeting")
        if not isinstance(greeting, Untagged) or greeting.name not in ("OK", "PREAUTH"):
            raise BadResponse(f"greeting: {greeting!r}")
        await client.ok("CAPABILITY")
        return client

    async def login(self, account, password):
        await self.ok(b"LOGIN ", quote(account), b" ", quote(password))
        await self.ok("CAPABILITY")

    # -- reading ---------------------------------------------------------

    async def _segments(self):
        segments = []
        while True:
            try:
                line = await self.reader.readuntil(b"\n")
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                self.alive = False
                raise Lost("connection closed by the server") from error
            if not line.endswith(b"\r\n"):
                raise BadResponse(f"line ends in a bare LF: {line[:200]!r}")
            line = line[:-2]
            literal = _LITERAL_AT_END.search(line)
            if not literal:
                segments.append(line)
                return segments
            segments.append(line[: literal.start()])
            try:
                segments.append(await self.reader.readexactly(int(literal.group(1))))
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                self.alive = False
                raise Lost("connection closed inside a literal") from error

    async def read(self, command):
        """The next response: Untagged, Reply (tagged, no untagged) or bytes (continuation)."""
        segments = await self._segments()
        head = segments[0]
        if head.startswith(b"+"):
            return head[2:]
        tag, _, rest = head.partition(b" ")
        if tag != b"*":
            status, code, code_args, text = _condition(rest)
            if status not in ("OK", "NO", "BAD"):
                raise BadResponse(f"tagged response {head[:200]!r}")
            reply = Reply(status, code, code_args, text, [])
            reply.tag = tag
            return reply
        response = self._untagged([rest] + segments[1:])
        if response.name == "CAPABILITY":
            self.capabilities = {bytes(v).decode().upper() for v in response.values}
        if self.watch:
            self.watch(response, command)
        return response

    def _untagged(self, segments):
        head = segments[0]
        numbered = _NUMBERED.match(head)
        if numbered:
            rest = [head[numbered.end():]] + segments[1:]
            return Untagged(numbered.group(2).decode().upper(), int(numbered.group(1)), tokens(rest))
        word = head.split(b" ", 1)[0].upper()
        if word in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):
            status, code, code_args, text = _condition(head)
            return Untagged(status, 0, [], code, code_args, text)
        values = tokens(segments)
        return Untagged(bytes(values[0]).decode().upper(), 0, values[1:])

    # -- commands --------------------------------------------------------

    def _tag(self):
        self.count += 1
        return b"t%d" % self.count

    async def command(self, *parts):
        """Send one command; parts are joined as they are, a `Literal` goes as a literal."""
        tag = self._tag()
        shown = b"".join(_as_bytes(p) if not isinstance(p, Literal) else b"{..}" for p in parts)
        untagged = []
        out = [tag, b" "]
        for part in parts:
            if not isinstance(part, Literal):
                out.append(_as_bytes(part))
                continue
            if "LITERAL+" in self.capabilities:
                out += [b"{%d+}\r\n" % len(part), bytes(part)]
                continue
            out.append(b"{%d}\r\n" % len(part))
            await self._send(b"".join(out))
            early = await self._until_continuation(tag, shown, untagged)
            if early:
                return early
            out = [bytes(part)]
        out.append(b"\r\n")
        await self._send(b"".join(out))
        return await self.finish(tag, shown, untagged)

    async def finish(self, tag, shown, untagged):
        """Read until the tagged reply to `tag`."""
        try:
            async with asyncio.timeout(self.timeout_s):
                while True:
                    response = await self.read(shown)
                    if isinstance(response, Reply):
                        if response.tag != tag:
                            raise BadResponse(f"reply to {response.tag!r} in place of {tag!r}")
                        response.untagged = untagged
                        return response
                    if isinstance(response, bytes):
                        raise BadResponse(f"a continuation nobody asked for, in {shown[:100]!r}")
                    untagged.append(response)
        except TimeoutError as error:
            raise BadResponse(f"no reply in {self.timeout_s} s to {shown[:200]!r}") from error

    async def _until_continuation(self, tag, shown, untagged):
        while True:
            response = await self.read(shown)
            if isinstance(response, bytes):
                return None
            if isinstance(response, Reply):
                response.untagged = untagged
                return response
            untagged.append(response)

    async def ok(self, *parts):
        """A command that has to be answered OK."""
        reply = await self.command(*parts)
        if reply.status != "OK":
            raise Refused(b"".join(_as_bytes(p) for p in parts if not isinstance(p, Literal)), reply)
        return reply

    async def pipeline(self, lines):
        """Send several commands at once; their replies in the order of the commands.

        RFC 3501 section 5.5 lets the server answer them in another order.
        """
        waiting = {self._tag(): line for line in lines}
        order = list(waiting)
        await self._send(b"".join(t + b" " + _as_bytes(l) + b"\r\n" for t, l in waiting.items()))
        replies, untagged = {}, []
        async with asyncio.timeout(self.timeout_s):
            while waiting:
                response = await self.read(b" | ".join(map(_as_bytes, waiting.values())))
                if isinstance(response, Untagged):
                    untagged.append(response)
                    continue
                if isinstance(response, bytes) or response.tag not in waiting:
                    raise BadResponse(f"{response!r} while waiting for {list(waiting)}")
                del waiting[response.tag]
                response.untagged, untagged = untagged, []
                replies[response.tag] = response
        return [replies[tag] for tag in order]

    async def idle(self, seconds):
        """RFC 2177: stay in IDLE for a time; the untagged responses that came."""
        tag = self._tag()
        untagged = []
        await self._send(tag + b" IDLE\r\n")
        early = await self._until_continuation(tag, b"IDLE", untagged)
        if early:
            raise Refused(b"IDLE", early)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # A read that is cancelled would lose its bytes, so DONE is sent by a
        # task of its own and the reading goes on until the tagged reply.
        async def done():
            await asyncio.sleep(max(0, until - loop.time()))
            await self._send(b"DONE\r\n")
        ender = asyncio.create_task(done())
        try:
            return await self.finish(tag, b"IDLE", untagged)
        finally:
            ender.cancel()
            await asyncio.gather(ender, return_exceptions=True)

    async def _send(self, data):
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError as error:
            self.alive = False
            raise Lost("connection closed by the server") from error

    async def logout(self):
        try:
            await self.command("LOGOUT")
        except Lost:
            pass
        self.close()

    def close(self):
        self.alive = False
        self.writer.close()


def _condition(rest):
    """Status, code, its arguments and the text of a resp-cond (RFC 3501 section 7.1)."""
    status, _, text = rest.partition(b" ")
    code = _CODE.match(text)
    if not code:
        return status.decode().upper(), "", b"", text
    return (status.decode().upper(), code.group(1).decode().upper(),
            code.group(2) or b"", code.group(3))


def _as_bytes(part):
    return part.encode() if isinstance(part, str) else bytes(part)


async def append(client, mailbox, message, flags=(), date=None):
    """APPEND one message; the reply (its code is APPENDUID where UIDPLUS is there)."""
    parts = [b"APPEND ", quote(mailbox), b" "]
    if flags:
        parts.append(("(" + " ".join(flags) + ") ").encode())
    if date:
        parts += [quote(date), b" "]
    return await client.command(*parts, Literal(message))


async def fetch_all(client, items, chunk=500):
    """{uid: items} of the selected mailbox, in pieces so that no reply is huge."""
    found = (await client.ok("UID SEARCH ALL")).named("SEARCH")
    uids = [int(v) for u in found for v in u.values]
    if uids != sorted(set(uids)):
        raise BadResponse("UID SEARCH ALL is not strictly ascending")
    result = {}
    for at in range(0, len(uids), chunk):
        part = uids[at: at + chunk]
        reply = await client.ok(f"UID FETCH {part[0]}:{part[-1]} (UID {items})")
        for _, got in reply.fetches():
            result[int(got[b"UID"])] = got
    if list(result) != uids:
        raise BadResponse(f"FETCH gave {len(result)} messages, SEARCH {len(uids)}")
    return result


__all__ = ["Atom", "Imap", "Literal", "Lost", "Refused", "Reply", "Untagged",
           "append", "fetch_all", "quote"]
