"""The searches that every server is asked, and what they have to answer.

Laws
- The truth of a row comes from the mailbox, not from a server; None where nothing outside a server knows it.
- UIDs are ordinals, so a truth is a set of UIDs, or a count.
"""

from dataclasses import dataclass

from .client import quoted
from .mailbox import imap_date

# Flags are given after the load, so that UNSEEN and FLAGGED find some: every message but these is \Seen.
UNSEEN_EVERY = 10
FLAGGED_EVERY = 97
# The last ones flagged are what MODSEQ finds.
CHANGED = 50


@dataclass
class Row:
    label: str
    command: bytes       # with {seq} for the MODSEQ of this server
    truth: object = None  # a set of UIDs, a count, or None
    kind: str = "search"
    slow: bool = False    # reads every message on a server without an index
    cold: bool = False    # asked once more as the first search after a start


def search(keys, counting=False, charset=False):
    begin = b"UID SEARCH " + (b"RETURN (COUNT) " if counting else b"")
    return begin + (b"CHARSET UTF-8 " if charset else b"") + keys


def text_key(key, term):
    """`BODY "term"`; HEADER keys are written "HEADER Name"."""
    return key.encode() + b" " + quoted(term)


def rows(mailbox, counting=False):
    needle = lambda name: mailbox.needle(name)["ordinals"]
    found = []

    def text(label, key, term, truth, slow=True, cold=False):
        keys = text_key(key, term)
        found.append(Row(label, search(keys, counting, not term.isascii()), truth, "search", slow, cold))

    text("BODY rare word", "BODY", "quillofenbrask", needle("rare10"), cold=True)
    text("TEXT rare word", "TEXT", "quillofenbrask", needle("rare10"))
    text("BODY absent word", "BODY", "qwxzzyvwort", set())
    text("BODY word in 30 %", "BODY", "tolmerandine", needle("p30"), cold=True)
    text("BODY mid-word substring", "BODY", "zephrocast", needle("infix"), cold=True)
    text("TEXT mid-word, absent", "TEXT", "zephrocasq", set())
    text("BODY CJK word", "BODY", "麒麟珈琲館裏", needle("cjk_utf8"), cold=True)
    text("BODY two CJK characters", "BODY", "珈琲", None)
    text("BODY order number, part", "BODY", "7788123-q", needle("order_part"))
    text("BODY phrase of four words", "BODY", "amber lanterns drifting seaward", needle("phrase"), cold=True)
    text("BODY across words, rare", "BODY", "ber lanterns drif", needle("phrase"))
    text("BODY across words, common", "BODY", "to the", None, cold=True)
    text("BODY mid of common words", "BODY", "o th", None)
    text("BODY two letters", "BODY", "qx", None)
    text("FROM substring, rare", "FROM", "vious Dellam", needle("from_name"), slow=False)
    for field, pattern in mailbox.fields:
        text(f"{field.upper()} substring {pattern!r}", field.upper(), pattern,
             mailbox.fields[field, pattern], slow=False, cold=pattern == "rthwind.exa")
    text("SUBJECT substring, rare", "SUBJECT", "errymantl", needle("subject_plain"), slow=False)
    text("HEADER X-Tracker-Tag", "HEADER X-Tracker-Tag", "merfros", needle("header_only"), slow=False)

    every = range(1, mailbox.count + 1)
    unseen = {n for n in every if n % UNSEEN_EVERY == 0}
    flagged = {n for n in every if n % FLAGGED_EVERY == 0} | set(every[-CHANGED:])
    # A day near the end, and its beginning in UTC.
    day = sorted(mailbox.times)[mailbox.count * 9 // 10] // 86400 * 86400
    since = {n for n, when in enumerate(mailbox.times, 1) if when >= day}
    larger = {n for n, size in enumerate(mailbox.sizes, 1) if size > 50_000}
    date = imap_date(day).encode()
    plain = lambda label, keys, truth, **more: found.append(Row(label, search(keys, counting), truth, **more))
    plain("UNSEEN", b"UNSEEN", unseen, cold=True)
    plain("SINCE, the last tenth", b"SINCE " + date, since)
    plain("LARGER 50000", b"LARGER 50000", larger)
    plain("UNSEEN FLAGGED SINCE", b"UNSEEN FLAGGED SINCE " + date, unseen & flagged & since)
    plain("OR FLAGGED LARGER, NOT SEEN", b"OR FLAGGED LARGER 50000 NOT SEEN", (flagged | larger) & unseen)
    plain("UNSEEN BODY word in 30 %", b'UNSEEN BODY "tolmerandine"', needle("p30") & unseen, slow=True)
    plain("SINCE FROM substring", b'SINCE ' + date + b' FROM "rthwind.exa"',
          since & mailbox.fields["from", "rthwind.exa"])
    plain("MODSEQ, 50 changed", b"MODSEQ {seq}", set(every[-CHANGED:]))
    found += [
        Row("SORT (DATE)", b"UID SORT (DATE) US-ASCII ALL", mailbox.count, "sort"),
        Row("SORT (SUBJECT)", b"UID SORT (SUBJECT) UTF-8 ALL", mailbox.count, "sort", cold=True),
        Row("THREAD=REFERENCES", b"UID THREAD REFERENCES UTF-8 ALL", mailbox.count, "sort", cold=True),
    ]
    return found


def needle_searches(mailbox):
    """(name, command, UIDs to find) of every needle's every key that RFC 3501 decides."""
    for needle in mailbox.needles:
        for key, rule in needle["search"].items():
            if rule in ("all", "none"):
                keys = text_key(key, needle["term"])
                truth = needle["ordinals"] if rule == "all" else set()
                yield f"{needle['id']} {key}", search(keys, False, not needle["term"].isascii()), truth
