"""An IMAP client that costs as little as it can, so that what is timed is the server.

Laws
- A command is timed from before the send to after the read of its tagged line.
- A reply is bytes; numbers are parsed after the clock was read.
- Anything but OK is an error.
"""

import re
import socket
import time

_NUMBER = re.compile(rb"\d+")


class Refused(Exception):
    """A command was not answered OK, or not within its time."""


class Client:
    def __init__(self, address, timeout_s=600):
        self.socket = socket.create_connection(address, timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.room = memoryview(bytearray(1 << 20))
        self.count = 0
        self._until(b"* ")

    def _until(self, start):
        """Read up to a last line that begins so; all of it, as pieces."""
        data = bytearray()
        while True:
            got = self.socket.recv_into(self.room)
            if not got:
                raise Refused(f"connection closed after {bytes(data[-200:])!r}")
            data += self.room[:got]
            if data.endswith(b"\r\n"):
                line = data.rfind(b"\r\n", 0, len(data) - 2)
                if data.startswith(start, line + 2 if line >= 0 else 0):
                    return data

    def send(self, data):
        self.socket.sendall(data)

    def timed(self, command):
        """(seconds, reply with its tagged line)."""
        self.count += 1
        tag = b"c%d " % self.count
        wire = tag + command + b"\r\n"
        began = time.perf_counter()
        self.socket.sendall(wire)
        try:
            data = self._until(tag)
        except TimeoutError as error:
            raise Refused(f"no reply in {self.socket.gettimeout():.0f} s to {command[:80]!r}") from error
        took = time.perf_counter() - began
        last = data.rfind(tag)
        if not data.startswith(b"OK", last + len(tag)):
            raise Refused(f"{command[:100]!r} answered {bytes(data[last:])[:200]!r}")
        return took, data

    def ask(self, command):
        return self.timed(command)[1]

    def login(self, user, password):
        self.ask(b'LOGIN "%s" "%s"' % (user.encode(), password.encode()))

    def close(self):
        try:
            self.ask(b"LOGOUT")
        except (Refused, OSError):
            pass
        self.socket.close()


def quoted(text):
    """An astring: a quoted string where it can be one, else a literal that is not waited for."""
    raw = text.encode()
    if raw.isascii():
        return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d+}\r\n" % len(raw) + raw


def numbers(reply):
    """What a SEARCH, SORT or THREAD answered, in its order; of RETURN (COUNT) the count alone."""
    for line in reply.split(b"\r\n"):
        if line.startswith(b"* ESEARCH"):
            return int(line.rsplit(b"COUNT ", 1)[1])
        if line.startswith((b"* SEARCH", b"* SORT", b"* THREAD")):
            # RFC 7162 section 3.1.5 puts "(MODSEQ n)" behind the hits.
            line = line.split(b"(MODSEQ", 1)[0] if not line.startswith(b"* THREAD") else line
            return [int(n) for n in _NUMBER.findall(line)]
    return []
