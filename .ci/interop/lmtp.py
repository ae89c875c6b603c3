#!/usr/bin/env python3
"""LMTP promises on the wire: replies for each recipient, one copy for many, retries, sizes.

RFC 2033, RFC 3030 (CHUNKING), RFC 1870 (SIZE), RFC 2034 (enhanced codes), RFC 6531.
"""

import asyncio

from lib import mail
from lib.check import Context, equal, main
from lib.lmtp import Lmtp, stuffed

MANY = [f"user{n}" for n in range(100)]
WANTED = {"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE", "ENHANCEDSTATUSCODES", "CHUNKING"}


def message(subject, lines=3):
    return (f"From: a@example.net\r\nTo: b@example.org\r\nSubject: {subject}\r\n\r\n"
            + "line\r\n" * lines).encode()


async def many_recipients(context, client):
    """Each of 100 gets it, with a Delivered-To of his own; the unknown one gets 550 5.1.1."""
    sent = message("for a hundred")
    recipients = [f"{name}@example.org" for name in MANY]
    recipients.insert(50, "nobody-here@example.org")
    replies = await client.deliver("sender@example.net", recipients, sent)
    for recipient, (code, text) in zip(recipients, replies):
        if recipient.startswith("nobody"):
            equal((code, text.split()[0]), (550, "5.1.1"), f"reply for {recipient}")
        else:
            equal((code, text.split()[0][:2]), (250, "2."), f"reply for {recipient}")
    for name in MANY[::7]:
        [served] = (await context.served(account=name)).values()
        prefix = mail.after_trace(served, sent)
        if not prefix or f"Delivered-To: {name}@example.org\r\n".encode() not in prefix \
                or b"Return-Path: <sender@example.net>\r\n" not in prefix:
            raise AssertionError(f"trace fields for {name}: {prefix!r}")


async def details(context, client):
    """user+detail goes into the mailbox of that name if there is one, else to INBOX."""
    imap = await context.imap()
    await imap.ok("CREATE lists")
    await imap.logout()
    for address in ("ada+lists@example.org", "ada+nowhere@example.org"):
        equal((await client.deliver("s@example.net", [address], message(address)))[0][0], 250, address)
    subjects = lambda held: [m.split(b"Subject: ")[1].split(b"\r\n")[0] for m in held.values()]
    equal(subjects(await context.served("lists")), [b"ada+lists@example.org"], "mailbox lists")
    equal(subjects(await context.served()), [b"ada+nowhere@example.org"], "INBOX")


async def lost_reply(context):
    """Cut after the final dot, before the reply is read; then tried again until 250: one copy."""
    before = len(await context.served())
    for number in range(5):
        sent = message(f"lost reply {number}")
        client = await Lmtp.connect(context.server.lmtp)
        await client.envelope("retry@example.net", ["ada@example.org"])
        equal((await client.say(b"DATA"))[0], 354, "DATA")
        await client.send(stuffed(sent))
        client.close()
        await asyncio.sleep(0.02 * number)
        client = await Lmtp.connect(context.server.lmtp)
        equal((await client.deliver("retry@example.net", ["ada@example.org"], sent))[0][0], 250, "retry")
        await client.quit()
    equal(len(await context.served()), before + 5, "messages after five lost replies")
    # The same Message-ID is no reason to drop anything.
    client = await Lmtp.connect(context.server.lmtp)
    for number in range(3):
        sent = b"Message-ID: <one@example.net>\r\n" + message(f"other text {number}")
        equal((await client.deliver("s@example.net", ["ada@example.org"], sent))[0][0], 250, "same Message-ID")
    await client.quit()
    equal(len(await context.served()), before + 8, "messages of one Message-ID")


async def order_and_limits(client):
    """Commands out of order, RSET, NOOP, VRFY, SIZE past the limit."""
    equal((await client.say(b"NOOP"))[0], 250, "NOOP")
    equal((await client.say(b"RCPT TO:<ada@example.org>"))[0] // 100, 5, "RCPT before MAIL")
    equal((await client.say(b"DATA"))[0] // 100, 5, "DATA before MAIL")
    equal((await client.say(b"VRFY ada"))[0] // 100 in (2, 5), True, "VRFY")
    equal((await client.say(b"MAIL FROM:<>"))[0], 250, "empty sender")
    equal((await client.say(b"RSET"))[0], 250, "RSET")
    limit = int(client.extensions["SIZE"] or 0)
    if limit:
        code, text = await client.say(b"MAIL FROM:<a@example.net> SIZE=%d" % (limit + 1))
        equal((code, text.split()[0]), (552, "5.3.4"), "SIZE past the limit")
    equal((await client.say(b"XYZZY"))[0] // 100, 5, "unknown command")


async def utf8_and_chunks(context, client):
    """SMTPUTF8 and BDAT in one transaction; a message of no bytes at all is taken or refused cleanly."""
    sent = "From: ä@example.net\r\nSubject: ü\r\n\r\nø\r\n".encode() + b"\r\n.\r\nnot the end\r\n" * 500
    equal((await client.say("MAIL FROM:<ä@example.net> SMTPUTF8 BODY=8BITMIME".encode()))[0], 250, "SMTPUTF8")
    equal((await client.say(b"RCPT TO:<bob@example.org>"))[0], 250, "RCPT")
    equal((await client.bdat(sent, 1, 777))[0][0], 250, "BDAT")
    [served] = (await context.served(account="bob")).values()
    if mail.after_trace(served, sent) is None:
        raise AssertionError(f"BDAT not kept: {served[:300]!r}")


async def run(context: Context):
    client = await Lmtp.connect(context.server.lmtp)
    equal(WANTED - set(client.extensions), set(), "extensions not offered by LHLO")
    await many_recipients(context, client)
    await details(context, client)
    await order_and_limits(client)
    await utf8_and_chunks(context, client)
    await client.quit()
    await lost_reply(context)
    context.summary = "100 recipients, details, lost replies, order, SIZE, SMTPUTF8, BDAT"


if __name__ == "__main__":
    main(run, __doc__, mailcask_only=True, accounts=["ada", "bob", *MANY])
