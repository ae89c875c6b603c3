#!/usr/bin/env python3
"""Python's imaplib: every command it has a method for, IDLE and literals aside."""

import imaplib
import re

from lib import mail
from lib.check import Context, equal, main


def good(answer, status="OK"):
    equal(answer[0], status, f"answer {answer!r}")
    return answer[1]


def run(context: Context):
    host, port = context.server.imap
    client = imaplib.IMAP4(host, port, timeout=60)
    capabilities = set(client.capabilities)
    wanted = {"IMAP4REV1", "LITERAL+", "SASL-IR", "IDLE", "ID", "ENABLE", "NAMESPACE", "CHILDREN",
              "UIDPLUS", "UNSELECT", "MOVE", "SPECIAL-USE", "STATUS=SIZE", "MULTIAPPEND", "CONDSTORE"}
    plain = f"\0{context.account}\0{context.password}".encode()
    good(client.authenticate("PLAIN", lambda _: plain))
    capabilities |= set(good(client.capability())[0].decode().upper().split())
    equal(wanted - capabilities, set(), "capabilities not announced")
    good(client.noop())
    good(client.namespace())
    good(client.enable("CONDSTORE"))
    special = b"\n".join(good(client.list()))
    for use in (b"\\Drafts", b"\\Sent", b"\\Junk", b"\\Trash", b"\\Archive"):
        equal(use in special, True, f"{use} in {special}")

    mailboxes(client)
    messages(client, context)
    flags_and_copies(client)
    searches(client)
    good(client.unselect())
    good(client.select("INBOX"))
    good(client.close())
    equal(client.logout()[0], "BYE", "LOGOUT")
    refusals(context)
    context.summary = "authentication, mailboxes, APPEND, FETCH, STORE, COPY, MOVE, SEARCH, CONDSTORE, refusals"


def mailboxes(client):
    good(client.create("Work"))
    good(client.create("Work"), "NO")
    good(client.create("Work/&AMQ-rger"))
    good(client.create('"with space"'))
    good(client.subscribe("Work/&AMQ-rger"))
    equal(any(b"&AMQ-rger" in line for line in good(client.lsub())), True, "LSUB")
    good(client.rename("Work", "Play"))
    equal(b"Play/&AMQ-rger" in names(client), True, f"rename moves children: {names(client)}")
    good(client.unsubscribe("Work/&AMQ-rger"))
    good(client.delete("Play/&AMQ-rger"))
    good(client.delete("Play"))
    good(client.delete('"with space"'))
    equal({n for n in names(client) if n.startswith((b"Work", b"Play", b"with"))}, set(), "all deleted")
    good(client.select("INBOX"))
    good(client.create("INBOX"), "NO")
    good(client.delete("INBOX"), "NO")
    good(client.select("not-there"), "NO")


def names(client):
    lines = [line for line in good(client.list()) if line]
    return {re.match(rb'\(.*?\) "/" "?(.*?)"?$', line).group(1) for line in lines}


def messages(client, context):
    given = [m for _, m in mail.samples() if context.server.exact or m == mail.crlf(m)]
    date = '"09-May-2024 10:00:00 +0200"'
    before = int(good(client.select("INBOX"))[0])
    for message in given:
        # Not client.append(): it writes CRLF for each bare newline.
        client.literal = message
        good(client._simple_command("APPEND", "INBOX", "(\\Seen $Known)", date))
    equal(int(good(client.select("INBOX"))[0]), before + len(given), "EXISTS")
    for number, message in enumerate(given, before + 1):
        fetched = good(client.fetch(str(number), "(BODY.PEEK[] RFC822.SIZE FLAGS INTERNALDATE UID)"))
        equal(fetched[0][1], message, f"message {number}")
        line = fetched[0][0] + fetched[1]
        equal(f"RFC822.SIZE {len(message)}".encode() in line, True, f"size in {line}")
        equal(imaplib.Internaldate2tuple(line)[:5], imaplib.Internaldate2tuple(
            f"1 (INTERNALDATE {date})".encode())[:5], f"date in {line}")
        equal(b"\\Seen" in line and b"$Known" in line, True, f"flags in {line}")
        fetched = good(client.fetch(str(number), "(RFC822.HEADER RFC822.TEXT)"))
        parts = [f[1] for f in fetched if isinstance(f, tuple)]
        equal(b"".join(parts), message if len(parts) == 2 else parts[0], "header and text")
        partial = good(client.fetch(str(number), "(BODY.PEEK[]<3.20>)"))
        equal(partial[0][1], message[3:23], "BODY[]<3.20>")
        good(client.fetch(str(number), "(ENVELOPE BODYSTRUCTURE BODY)"))
        good(client.fetch(str(number), "FULL"))
    for macro in ("ALL", "FAST"):
        equal(len(good(client.fetch("1:*", macro))) >= before + len(given), True, macro)
    status = good(client.status("INBOX", "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ)"))
    equal(b"SIZE %d" % sum(map(len, given)) in status[0] if not before and context.server.exact else True,
          True, f"SIZE in {status}")


def flags_and_copies(client):
    uids = good(client.uid("SEARCH", "ALL"))[0].split()
    good(client.store("1", "+FLAGS", "(\\Flagged)"))
    good(client.store("1", "-FLAGS", "(\\Seen)"))
    good(client.store("2:3", "FLAGS.SILENT", "(\\Answered custom)"))
    equal(flags_of(client, "1") & {b"\\Flagged", b"\\Seen"}, {b"\\Flagged"}, "flags of 1")
    equal(flags_of(client, "2") - {b"\\Recent"}, {b"\\Answered", b"custom"}, "flags of 2")
    good(client.copy("1:2", "Archive"))
    code = client.response("COPYUID")
    equal(code[1][0] is not None, True, "COPYUID of COPY")
    good(client.uid("MOVE", uids[3], "Trash"))
    equal(len(good(client.uid("SEARCH", "ALL"))[0].split()), len(uids) - 1, "after MOVE")
    good(client.copy("1", "not-there"), "NO")
    good(client.store("1", "+FLAGS", "(\\Deleted)"))
    good(client.store("2", "+FLAGS", "(\\Deleted)"))
    good(client.uid("EXPUNGE", uids[1]))
    equal(len(good(client.uid("SEARCH", "ALL"))[0].split()), len(uids) - 2, "after UID EXPUNGE")
    # imaplib keeps those of MOVE and UID EXPUNGE until asked.
    equal(good(client.expunge()), [b"4", b"2", b"1"], "EXPUNGE responses")
    good(client.select("Archive", readonly=True))
    equal(flags_of(client, "1") - {b"\\Recent"}, {b"\\Flagged", b"$Known"}, "flags went with COPY")
    good(client.select("INBOX"))
    modseq = int(re.search(rb"MODSEQ \((\d+)\)", good(client.fetch("1", "(MODSEQ)"))[0]).group(1))
    good(client.store("1", "+FLAGS", "(changed)"))
    changed = good(client._simple_command("FETCH", "1:*", "(UID)", f"(CHANGEDSINCE {modseq})"))
    equal(len([x for x in client.response("FETCH")[1] if x]) >= 1, True, f"CHANGEDSINCE {changed}")
    good(client.check())


def flags_of(client, number):
    line = good(client.fetch(number, "(FLAGS)"))[0]
    return set(imaplib.ParseFlags(line))


def searches(client):
    every = good(client.search(None, "ALL"))[0].split()
    for keys, count in (
        (("SUBJECT", "alt"), 1), (("TEXT", '"see below"'), 1), (("NOT", "SUBJECT", "alt"), len(every) - 1),
        (("OR", "SUBJECT", "alt", "SUBJECT", "fwd"), 2), (("SINCE", "9-May-2024"), len(every)),
        (("BEFORE", "9-May-2024"), 0), (("SENTON", "1-Jan-2020"), 0), (("LARGER", "100000"), 0),
        (("HEADER", "Message-ID", "forwarded@"), 1), (("UID", "1:*"), len(every)), (("DELETED",), 0),
        (("KEYWORD", "changed"), 1), (("(FROM", "ada", "SMALLER", "100000)"), None),
    ):
        found = good(client.search(None, *keys))[0].split()
        equal(len(found) if count is not None else None, count, f"SEARCH {keys}")
    client.literal = "ä".encode()
    good(client._simple_command("SEARCH", "CHARSET", "UTF-8", "SUBJECT"))
    good(client.search("X-UNKNOWN", "SUBJECT", "a"), "NO")


def refusals(context):
    host, port = context.server.imap
    client = imaplib.IMAP4(host, port, timeout=60)
    try:
        client.login(context.account, "wrong")
    except imaplib.IMAP4.error as error:
        equal(b"wrong" in str(error).encode(), False, "password repeated")
    else:
        raise AssertionError("a wrong password was taken")
    client.login(context.account, context.password)
    equal(client.logout()[0], "BYE", "LOGOUT")


if __name__ == "__main__":
    main(run, __doc__)
