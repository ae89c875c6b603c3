"""Mail to test with: the corpora beside the clone, or a few messages of our own.

Laws
- A message here is bytes, and nothing in this file parses and re-writes one.
- `crlf()` is the only newline change, and it is the identity on CRLF mail.
"""

import gzip
import hashlib
import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
CORPUS = REPO.parent / "shared" / "corpus"
_BARE_LF = re.compile(rb"(?<!\r)\n")
TRACE = {b"return-path", b"delivered-to", b"received", b"x-original-to", b"envelope-to",
         b"delivery-date"}


def crlf(message):
    """The message with each bare LF as CRLF."""
    return _BARE_LF.sub(b"\r\n", message)


def lf(message):
    return message.replace(b"\r\n", b"\n")


def split_mboxrd(data):
    """Messages of an mboxrd file: From_ line off, one `>` off where quoted, last blank line off."""
    newline = b"\r\n" if data[: data.find(b"\n") + 1].endswith(b"\r\n") else b"\n"
    if data and not data.startswith(b"From "):
        raise ValueError(f"an mbox begins with a From_ line, not {data[:40]!r}")
    messages = []
    for chunk in re.split(rb"(?m)^From [^\n]*\n", data)[1:]:
        if not chunk.endswith(newline):
            raise ValueError(f"no blank line after a message: {chunk[-60:]!r}")
        chunk = chunk[: -len(newline)]
        messages.append(re.sub(rb"(?m)^>(>*From )", rb"\1", chunk))
    return messages


def ham():
    """(messages with LF as in the corpus, name of where they are from)."""
    path = CORPUS / "ham.mbox.gz"
    if path.exists():
        return split_mboxrd(gzip.decompress(path.read_bytes())), "ham.mbox.gz"
    return _ordinary(600), "the small samples (no corpus beside the clone)"


def _ordinary(count):
    """So many different messages that no MTA or client finds fault with, with LF."""
    whole = [lf(m) for name, m in samples() if b"\n\n" in lf(m) and m.endswith(b"\n")
             and name not in ("no-header", "empty-body", "folded", "lf-only")]
    return [b"X-Number: %d\n" % n + whole[n % len(whole)].replace(b"@example.org>\n", b".%d@example.org>\n" % n, 1)
            for n in range(count)]


def torture():
    """([(name, bytes as they are)], name of where they are from)."""
    folder = CORPUS / "torture"
    if folder.is_dir():
        return [(p.name, p.read_bytes()) for p in sorted(folder.glob("*.eml"))], "corpus/torture"
    return samples(), "the small samples (no corpus beside the clone)"


def after_trace(served, original):
    """What was put before `original` in `served`, or None if it is not the exact end of it,
    or if anything but whole trace fields was put there."""
    if not served.endswith(original):
        return None
    prefix = served[: len(served) - len(original)]
    if not prefix:
        return prefix
    if not prefix.endswith(b"\r\n"):
        return None
    for line in prefix[:-2].split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            continue
        if line.split(b":", 1)[0].lower() not in TRACE:
            return None
    return prefix


def compare(expected, served, what):
    """Both as multisets, byte for byte; an AssertionError says what differs."""
    missing = _counted(expected)
    extra = []
    for message in served:
        digest = hashlib.sha256(message).digest()
        if missing.get(digest):
            missing[digest].pop()
            if not missing[digest]:
                del missing[digest]
        else:
            extra.append(message)
    lost = [m for group in missing.values() for m in group]
    if lost or extra:
        raise AssertionError(
            f"{what}: {len(lost)} of {len(expected)} messages not there, {len(extra)} not as sent; "
            f"first not there {_head(lost)}, first not as sent {_head(extra)}{_where(lost, extra)}")


def compare_delivered(expected, served, what):
    """As `compare`, but `served` messages may begin with added trace fields."""
    def tail(message):
        return message[-12:]
    by_tail = {}
    for message in expected:
        by_tail.setdefault(tail(message), []).append(message)
    stripped = []
    for message in served:
        # The longest that fits: a short message may be the end of another.
        fits = [e for e in by_tail.get(tail(message), ()) if after_trace(message, e) is not None]
        found = max(fits, key=len, default=message)
        if fits:
            by_tail[tail(found)].remove(found)
        stripped.append(found)
    compare(expected, stripped, what)


def _counted(messages):
    counted = {}
    for message in messages:
        counted.setdefault(hashlib.sha256(message).digest(), []).append(message)
    return counted


def _head(messages):
    return repr(messages[0][:300]) if messages else "-"


def _where(lost, extra):
    """Where the first lost message and the extra one most like it part."""
    if not lost or not extra:
        return ""
    ids = lambda m: set(re.findall(rb"(?im)^message-id:\s*(\S+)", m))
    like = next((e for e in extra if ids(e) & ids(lost[0])), extra[0])
    a, b = lost[0], like
    at = next((i for i in range(1, min(len(a), len(b)) + 1) if a[-i] != b[-i]), min(len(a), len(b)))
    return f"; seen from the end they part {at} bytes before it: {a[-at - 40:][:100]!r} / {b[-at - 40:][:100]!r}"


def samples():
    """Small messages that touch most of MIME and of what clients stumble over."""
    head = (b"From: Ada <ada@example.org>\r\nTo: bob@example.net\r\n"
            b"Date: Thu, 9 May 2024 10:00:00 +0200\r\n")
    def mail(name, rest):
        return name, head + b"Message-ID: <" + name.encode() + b"@example.org>\r\n" + rest
    return [
        mail("plain", b"Subject: plain\r\n\r\nOne line.\r\n"),
        mail("no-newline-at-end", b"Subject: end\r\n\r\nno newline"),
        mail("dots", b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\nlast\r\n.\r\n"),
        mail("from-lines", b"Subject: from\r\n\r\nFrom here on\r\n>From there\r\n>>From\r\n"),
        mail("eight-bit", b"Subject: \xe4\xf6\r\n\r\n\xff\xfe raw\r\n"),
        mail("empty-body", b"Subject: nothing\r\n\r\n"),
        mail("header-only", b"Subject: nothing at all\r\n"),
        ("lf-only", lf(head) + b"Message-ID: <lf-only@example.org>\n\na\nb\n"),
        mail("alternative", b"Subject: alt\r\nMIME-Version: 1.0\r\n"
             b'Content-Type: multipart/alternative; boundary="b 1"\r\n\r\npreamble\r\n--b 1\r\n'
             b"Content-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n--b 1\r\n"
             b"Content-Type: text/html\r\n\r\n<p>hello</p>\r\n--b 1--\r\nepilogue\r\n"),
        mail("forwarded", b"Subject: fwd\r\nMIME-Version: 1.0\r\n"
             b"Content-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n\r\nsee below\r\n--out\r\n"
             b"Content-Type: message/rfc822\r\n\r\nFrom: c@example.org\r\nSubject: inner\r\n"
             b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: image/png;"
             b" name=a.png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;"
             b" filename*=utf-8''%c3%a4.png\r\n\r\niVBORw0KGgo=\r\n--in\r\nContent-Type:"
             b" text/plain\r\n\r\nx\r\n--in--\r\n--out--\r\n"),
        mail("unclosed", b"Subject: unclosed\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
             b"--q\r\n\r\npart one\r\n--q\r\nContent-Type: text/plain\r\n\r\npart two, no end"),
        mail("folded", b"Subject: a\r\n b\r\n\tc\r\nX-Empty:\r\n\r\nbody\r\n"),
        ("no-header", b"\r\njust a body\r\n"),
    ]
