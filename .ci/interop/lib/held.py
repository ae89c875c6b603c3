"""Which messages' bytes a damage has hit: by comparing the files with what they were.

Laws
- Where a message lies is asked of the undamaged store (`mailcask dump log`), never of the damaged one.
- A message is hit when each copy of it has a byte that is not as it was: anything else can be brought back, whatever
  else is lost.
"""

import hashlib
import json
import re

_BODY = re.compile(r"(\d+) bytes in (\d+) at (\d+) of segment (\d+)")
_STORED = re.compile(r"bytes in (\d+) \(")
# Behind the blocks of a large message: its head, and 12 bytes for each block of 64 KiB.
_HEAD_BYTES, _BLOCK_BYTES = 256, 65536


_RECOVERED = re.compile(rb"X-Mailcask-Recovered:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


def digest(message):
    """Of a message as it was delivered: without what `repair` says before it."""
    return hashlib.sha256(_RECOVERED.sub(b"", message, count=1) if message.startswith(b"X-Mailcask-Recovered:")
                          else message).hexdigest()


class Held:
    """Where the messages of a whole store lie."""

    def __init__(self, server, store):
        self.copies = {}  # message number -> [(segment, from, to)]
        for line in server.tool("dump", "log", "--json").stdout.splitlines():
            one = json.loads(line)
            if one["kind"] == "message":
                stored = int(_STORED.search(one["what"]).group(1))
                self._add(one["message"], one["segment"], one["offset"], one["offset"] + stored)
            elif one["kind"] == "body":
                size, stored, at, segment = map(int, _BODY.search(one["what"]).groups())
                # A little more than it is: what is taken for hit in addition only weakens the check.
                table = _HEAD_BYTES + 12 * (size // _BLOCK_BYTES + 3)
                self._add(one["message"], segment, max(0, at - stored), at + table)
        self.bytes = {segment: path.read_bytes() for segment, path in _segments(store).items()}

    def _add(self, message, segment, start, end):
        self.copies.setdefault(message, set()).add((segment, start, end))

    def hit(self, store):
        """The messages that the damaged store holds no whole copy of."""
        now = {segment: path.read_bytes() for segment, path in _segments(store).items()}
        same = {segment for segment, was in self.bytes.items() if now.get(segment) == was}

        def is_whole(copy):
            segment, start, end = copy
            return segment in same or now.get(segment, b"")[start:end] == self.bytes.get(segment, b"")[start:end] != b""

        return {message for message, copies in self.copies.items() if not any(map(is_whole, copies))}


def _segments(store):
    return {int(path.stem): path for folder in ("log", "bodies", "cold") for path in (store / folder).glob("*.seg")}
