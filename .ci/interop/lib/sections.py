"""Every section of a message, from its BODYSTRUCTURE: RFC 3501 sections 6.4.5 and 7.4.2.

Laws
- A part is what BODYSTRUCTURE says it is; nothing here parses the message.
- No recursion, for the torture mail nests more than a thousand deep.
"""

from dataclasses import dataclass, field

from .wire import Atom


class BadStructure(Exception):
    """BODYSTRUCTURE is not of the form of RFC 3501 section 7.4.2."""


@dataclass
class Part:
    path: tuple                  # () is the message itself
    kind: str                    # "multipart", "message" or "leaf"
    subtype: bytes = b""
    boundary: bytes | None = None
    size: int | None = None
    lines: int | None = None
    children: list = field(default_factory=list)
    of_message: bool = False     # it is the body of the message or of a message/rfc822

    def name(self):
        return ".".join(map(str, self.path))


def parts(structure):
    """All parts, parents first. A single-part body of a message is its part 1."""
    root = Part((), "root", of_message=True)
    found = []
    waiting = [(structure, root)]
    while waiting:
        value, parent = waiting.pop()
        if not isinstance(value, list) or not value:
            raise BadStructure(f"a body is a list: {value!r}"[:200])
        if isinstance(value[0], list):
            found.append(_multipart(value, parent, waiting))
        else:
            found.append(_leaf(value, parent, waiting))
    return found


def _multipart(value, parent, waiting):
    count = next((n for n, v in enumerate(value) if not isinstance(v, list)), len(value))
    if count == len(value) or not _string(value[count]):
        raise BadStructure("a multipart has no subtype")
    part = parent
    part.kind, part.subtype = "multipart", value[count].lower()
    if len(value) > count + 1:
        part.boundary = parameters(value[count + 1]).get(b"boundary")
    for number, child in enumerate(value[:count], 1):
        part.children.append(Part(part.path + (number,), "?"))
        waiting.append((child, part.children[-1]))
    return part


def _leaf(value, parent, waiting):
    if len(value) < 7:
        raise BadStructure(f"a body has at least seven fields: {value!r}"[:300])
    # The one part of a message that is not a multipart has the number 1.
    part = Part(parent.path + (1,), "leaf", of_message=True) if parent.of_message else parent
    kind, part.subtype, params, ident, description, encoding, size = value[:7]
    for text in (kind, part.subtype, encoding):
        if not _string(text):
            raise BadStructure(f"type, subtype and encoding are strings: {value[:7]!r}"[:300])
    for text in (ident, description):
        if text is not None and not _string(text):
            raise BadStructure(f"id and description are strings or NIL: {value[:7]!r}"[:300])
    parameters(params)
    part.kind, part.size = "leaf", _number(size)
    if kind.lower() == b"message" and part.subtype.lower() == b"rfc822":
        if len(value) < 10:
            raise BadStructure("message/rfc822 without envelope, body or lines")
        part.kind = "message"
        envelope(value[7])
        part.lines = _number(value[9])
        # Its own body: a multipart has the numbers of this part, a single one is .1
        inner = Part(part.path, "inner", of_message=True)
        part.children.append(inner)
        waiting.append((value[8], inner))
    elif kind.lower() == b"text":
        if len(value) < 8:
            raise BadStructure("text without lines")
        part.lines = _number(value[7])
    return part


def parameters(value):
    """{name: value} of a parameter list."""
    if value is None:
        return {}
    if not isinstance(value, list) or len(value) % 2 or not all(map(_string, value)):
        raise BadStructure(f"parameters: {value!r}"[:300])
    return {name.lower(): text for name, text in zip(value[::2], value[1::2])}


def envelope(value):
    """Check the form of an ENVELOPE."""
    if not isinstance(value, list) or len(value) != 10:
        raise BadStructure(f"an envelope has ten fields: {value!r}"[:300])
    for text in value[:2] + value[8:]:
        if text is not None and not _string(text):
            raise BadStructure(f"envelope string: {text!r}"[:200])
    for addresses in value[2:8]:
        for address in addresses or ():
            if not isinstance(address, list) or len(address) != 4 \
                    or not all(a is None or _string(a) for a in address):
                raise BadStructure(f"address: {address!r}"[:200])


def _string(value):
    return isinstance(value, bytes) and not isinstance(value, Atom)


def _number(value):
    if not isinstance(value, Atom) or not value.isdigit():
        raise BadStructure(f"a number: {value!r}"[:100])
    return int(value)


def requests(part):
    """Sections to ask for one part, beside HEADER and TEXT of the whole message."""
    name = part.name()
    if part.kind == "message":
        return [name, f"{name}.MIME", f"{name}.HEADER", f"{name}.TEXT"]
    if part.kind == "multipart" and part.of_message:
        return []  # its sections are those of the message it is the body of
    return [name, f"{name}.MIME"]


def judge(part, message, got):
    """What is wrong with the sections of one part; `got` is {section: bytes}."""
    text = lambda section: got.get(section) or b""
    name = part.name()
    if part.kind in ("leaf", "message"):
        body = text(name)
        if part.size != len(body):
            yield f"BODYSTRUCTURE says part {name} has {part.size} bytes, BODY[{name}] has {len(body)}"
        # A last line without an end may be counted or not.
        ends = body.count(b"\n")
        if part.lines is not None and part.lines not in (ends, ends + (not body.endswith(b"\n"))):
            yield f"BODYSTRUCTURE says part {name} has {part.lines} lines, there are {ends} line ends"
        above = ".".join(map(str, part.path[:-1]))
        if part.of_message and body != text(f"{above}.TEXT" if above else "TEXT"):
            yield f"BODY[{name}] is not the TEXT of its message"
    if part.kind == "message" and text(f"{name}.HEADER") + text(f"{name}.TEXT") != text(name):
        yield f"HEADER and TEXT of {name} are not the part"
    if part.kind == "multipart":
        yield from _judge_children(part, message, got)


def _judge_children(part, message, got):
    """Each child is MIME + body, after a delimiter line and before the next delimiter."""
    if not part.path:
        whole = got.get("TEXT") or b""
    elif part.of_message:
        whole = got.get(f"{part.name()}.TEXT") or b""
    else:
        whole = got.get(part.name()) or b""
    at = 0
    for child in part.children:
        name = child.name()
        piece = (got.get(f"{name}.MIME") or b"") + (got.get(name) or b"")
        if not piece:
            continue
        delimiter = None if part.boundary is None else b"--" + part.boundary.rstrip()
        found = whole.find(piece, at)
        while found >= 0 and delimiter and not _after_delimiter(whole, found, delimiter):
            found = whole.find(piece, found + 1)
        if found < 0:
            yield f"MIME and body of {name} are not in their parent after {at}, behind a delimiter"
            return
        at = found + len(piece)
        rest = whole[at: at + 200]
        if delimiter and rest.strip(b"\r\n \t") and not rest.lstrip(b"\r\n").startswith(b"--"):
            yield f"after part {name} comes {rest[:40]!r}, not a delimiter"


def _after_delimiter(whole, at, delimiter):
    before = whole[max(0, at - 2000): at]
    if not before.endswith((b"\n", b"\r")):
        return False
    last = before.rstrip(b"\r\n").rsplit(b"\n", 1)[-1].rsplit(b"\r", 1)[-1]
    return last.startswith(delimiter)
