"""The mailbox that every server is given, and what is true of it.

Laws
- A message is bytes with CRLF, in the order of the mbox: its ordinal, from 1, is its UID on every server.
- What is true (dates, sizes, header fields, needles) is found without any of the servers.
- One pass, one message in memory at a time; the pass is kept in a file beside the mbox.
"""

import array
import calendar
import email.header
import json
import re
import time
from pathlib import Path

_BLOCK = 1 << 23
# mboxrd, LF: a From_ line behind a blank line, with a date that asctime writes.
_FROM = re.compile(rb"\n\nFrom [^\n]* [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\n")
_DATE = re.compile(rb" ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\n")
_QUOTED = re.compile(rb"(?m)^>(>*From )")
_MONTHS = {name: n for n, name in enumerate(
    b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def messages(path, first=None):
    """(unix time of the From_ line, message with CRLF) of an mbox with LF."""
    count = 0
    for from_line, raw in raw_entries(path):
        if first is not None and count == first:
            return
        count += 1
        if b">From " in raw:
            raw = _QUOTED.sub(rb"\1", raw)
        yield _unix(_DATE.search(from_line).group(1)), raw.replace(b"\n", b"\r\n")


def raw_entries(path):
    """(From_ line with its LF, message as it stands) of an mbox."""
    with open(path, "rb") as file:
        rest, from_line = b"\n\n", None
        while True:
            block = file.read(_BLOCK)
            data = rest + block
            at = 0
            for found in _FROM.finditer(data):
                if from_line is not None:
                    yield from_line, data[at:found.start() + 1]
                at, from_line = found.end(), found.group(0)[2:]
            # What was read up to here is searched again with the next block: a message is small.
            rest = data[at:]
            if not block:
                if from_line is not None:
                    # The blank line after the last message is the mbox's.
                    yield from_line, rest[:-1] if rest.endswith(b"\n\n") else rest
                return
            if len(rest) > 1 << 28:
                raise ValueError(f"{path}: no From_ line within 256 MiB")


def entries_between(path, start, end):
    """The messages, with CRLF, whose From_ lines begin in a range of an mbox's octets."""
    with open(path, "rb") as file:
        # The two line ends before a From_ line are part of its pattern.
        file.seek(max(start - 2, 0))
        rest, at_byte = (b"\n\n" if start == 0 else b""), max(start - 2, 0) - (2 if start == 0 else 0)
        begun, done = None, False
        while not done:
            block = file.read(_BLOCK)
            data = rest + block
            at = 0
            for found in _FROM.finditer(data):
                if begun is not None:
                    yield _message(data[at:found.start() + 1])
                begun, at = found, found.end()
                if at_byte + found.start() + 2 >= end:
                    return
            done = not block
            if done and begun is not None:
                yield _message(data[at:-1] if data.endswith(b"\n\n") else data[at:])
            rest, at_byte = data[at:], at_byte + at


def _message(raw):
    if b">From " in raw:
        raw = _QUOTED.sub(rb"\1", raw)
    return raw.replace(b"\n", b"\r\n")


def entry_ends(path, count):
    """Octets of the mbox up to the end of its message number `count`."""
    with open(path, "rb") as file:
        rest, before, seen = b"\n\n", -2, 0
        while block := file.read(_BLOCK):
            data = rest + block
            for found in _FROM.finditer(data):
                seen += 1
                if seen == count + 1:
                    return before + found.start() + 2
            # A From_ line may be cut by the end of the block.
            keep = min(len(data), 4096)
            tail = [found for found in _FROM.finditer(data, len(data) - keep)]
            seen -= len(tail)
            before, rest = before + len(data) - keep, data[-keep:]
        return file.tell()


def _unix(asctime):
    month, day, clock, year = asctime.split()
    hour, minute, second = (int(x) for x in clock.split(b":"))
    return calendar.timegm((int(year), _MONTHS[month], int(day), hour, minute, second))


def internal_date(when):
    """An IMAP date-time, UTC."""
    return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(when))


def imap_date(when):
    return time.strftime("%d-%b-%Y", time.gmtime(when)).lstrip("0")


# Of the header fields whose substrings are searched for: (field, ASCII pattern in lower case).
COUNTED = (("from", "rthwind.exa"), ("from", "anna"), ("to", "ner@mailb"), ("to", "thon-user"),
           ("subject", "nel-dev"), ("subject", "re: "))


class Mailbox:
    """The first `first` messages of an mbox (all where it is None)."""

    def __init__(self, path, first=None):
        self.path = Path(path)
        facts = self._facts()
        self.whole = len(facts["times"])
        self.count = min(self.whole, first or self.whole)
        self.times = facts["times"][:self.count]
        self.sizes = facts["sizes"][:self.count]
        self.message_ids = facts["message_ids"]
        self.fields = {tuple(key.split("\t")): {n for n in ordinals if n <= self.count}
                       for key, ordinals in facts["fields"].items()}
        self.needles = self._needles()

    def messages(self):
        return messages(self.path, self.count)

    @property
    def bytes(self):
        return sum(self.sizes)

    def _needles(self):
        side = Path(f"{self.path}.needles.json")
        if not side.exists():
            raise SystemExit(f"{side} is not there: make_mailbox.py writes it beside the mbox")
        needles = json.loads(side.read_text(encoding="utf-8"))["needles"]
        for needle in needles:
            needle["ordinals"] = {n for n in needle["ordinals"] if n <= self.count}
        return needles

    def needle(self, name):
        return next(n for n in self.needles if n["id"] == name)

    def _facts(self):
        kept = Path(f"{self.path}.facts.json")
        size = self.path.stat().st_size
        if kept.exists():
            facts = json.loads(kept.read_text())
            if facts["mbox_bytes"] == size and facts["version"] == 1:
                return facts
        times, sizes = array.array("q"), array.array("q")
        fields = {key: [] for key in COUNTED}
        message_ids = {}
        for when, message in messages(self.path):
            times.append(when)
            sizes.append(len(message))
            ordinal = len(times)
            header = _header(message)
            for (field, pattern), ordinals in fields.items():
                if any(pattern in value for value in header.get(field, ())):
                    ordinals.append(ordinal)
            # Some, to see that a UID is the ordinal on each server.
            if ordinal & (ordinal - 1) == 0:
                message_ids[str(ordinal)] = header["message-id"][0]
        facts = {"version": 1, "mbox_bytes": size, "times": times.tolist(), "sizes": sizes.tolist(),
                 "message_ids": message_ids,
                 "fields": {"\t".join(key): found for key, found in fields.items()}}
        kept.write_text(json.dumps(facts))
        return facts


_WANTED = re.compile(rb"(?im)^(from|to|subject|message-id):((?:[^\r\n]|\r\n[ \t])*)")


def _header(message):
    """The fields that are counted, unfolded and decoded, in lower case."""
    end = message.find(b"\r\n\r\n")
    fields = {}
    for name, value in _WANTED.findall(message, 0, end if end >= 0 else len(message)):
        text = value.replace(b"\r\n", b"").decode("latin-1").strip()
        if "=?" in text:
            parts = email.header.decode_header(re.sub(r"\?=\s+=\?", "?==?", text))
            text = "".join(part.decode(charset or "latin-1", "replace") if isinstance(part, bytes) else part
                           for part, charset in parts)
        fields.setdefault(name.decode().lower(), []).append(text.lower())
    return fields
