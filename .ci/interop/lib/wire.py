"""Reading of IMAP responses into Python values.

Laws
- Nothing is decoded: every string stays the bytes that were on the wire.
- A quoted string and a literal are `bytes`, an atom is `Atom`, NIL is None, a
  parenthesised list is a list; so "NIL" and NIL differ.
- No recursion: BODYSTRUCTURE of the torture mail is more than a thousand deep.
"""

import re


class Atom(bytes):
    """An unquoted word; numbers and flags are atoms too."""


class BadResponse(Exception):
    """The server sent what the grammar of RFC 3501 section 9 does not allow."""


_TOKEN = re.compile(
    rb"(?P<space> +)|(?P<open>\()|(?P<close>\))"
    rb'|"(?P<quoted>(?:[^"\\\r\n]|\\["\\])*)"'
    rb'|(?P<atom>[^\s()"\[\]{]+(?:\[[^\]]*\](?:<\d+>)?)?|\[[^\]]*\])'
)
# The response that comes by the thousand, read in one go.
_UID_FLAGS = re.compile(rb"\((?:UID (\d+) FLAGS \(([^()]*)\)|FLAGS \(([^()]*)\) UID (\d+)|FLAGS \(([^()]*)\))\)")
_UNESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def tokens(segments):
    """Values of a response: text pieces, with a literal between each two."""
    common = _UID_FLAGS.fullmatch(segments[0]) if len(segments) == 1 else None
    if common:
        first, *flags, last, alone = common.groups()
        flags = [Atom(f) for f in (flags[0] or flags[1] or alone or b"").split()]
        uid = first or last
        return [[Atom(b"UID"), Atom(uid), Atom(b"FLAGS"), flags] if uid else [Atom(b"FLAGS"), flags]]
    top = []
    stack = [top]
    for number, segment in enumerate(segments):
        if number % 2:
            stack[-1].append(bytes(segment))
            continue
        at = 0
        while at < len(segment):
            found = _TOKEN.match(segment, at)
            if not found:
                raise BadResponse(f"cannot read {segment[at:at + 60]!r} in {segment[:200]!r}")
            at = found.end()
            kind = found.lastgroup
            if kind == "open":
                inner = []
                stack[-1].append(inner)
                stack.append(inner)
            elif kind == "close":
                if len(stack) == 1:
                    raise BadResponse(f"one ) too many in {segment[:200]!r}")
                stack.pop()
            elif kind == "quoted":
                stack[-1].append(_UNESCAPE.sub(rb"\1", found.group(kind)))
            elif kind == "atom":
                word = found.group(kind)
                stack[-1].append(None if word.upper() == b"NIL" else Atom(word))
    if len(stack) != 1:
        raise BadResponse(f"a ( is not closed in {bytes(segments[0][:200])!r}")
    return top


def fetch_items(pairs):
    """{name: value} of the list in a FETCH response; names in upper case."""
    if len(pairs) % 2:
        raise BadResponse(f"FETCH items are not pairs: {pairs[:6]!r}")
    items = {}
    for name, value in zip(pairs[::2], pairs[1::2]):
        name = bytes(name).upper()
        if name in items:
            raise BadResponse(f"{name!r} twice in one FETCH response")
        items[name] = value
    return items


def uid_set(text):
    """UIDs of an IMAP set in the order written ("4:2" counts down, as COPYUID may)."""
    uids = []
    for part in text.decode().split(","):
        first, _, last = part.partition(":")
        first, last = int(first), int(last or first)
        uids.extend(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    return uids


def as_set(numbers):
    """The shortest IMAP set for some numbers."""
    runs = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}:{b}" if a != b else f"{a}" for a, b in runs)
