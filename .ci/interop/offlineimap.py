#!/usr/bin/env python3
"""offlineimap3: two-way sync with flag changes on both sides."""

import email
import email.policy
import os

from lib import mail, maildir
from lib.check import Context, equal, main
from lib.imap import append, fetch_all

CONFIG = """
[general]
accounts = test
metadata = {folder}/offlineimap
maxsyncaccounts = 1
socktimeout = 60

[Account test]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {maildir}
sep = /

[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {port}
remoteuser = {user}
remotepass = {password}
ssl = no
starttls = no
usecompression = no
maxconnections = 2
"""


def sync(context):
    output = context.run("offlineimap", "-c", context.folder / "offlineimaprc", "-o", "-u", "basic",
                         env={"HOME": str(context.folder), "PATH": os.environ["PATH"]})
    if "ERROR" in output or "Traceback" in output:
        raise AssertionError(f"offlineimap reports:\n{output[-3000:]}")


def unchanged(message):
    try:
        return email.message_from_bytes(message, policy=email.policy.default).as_bytes() == message
    except (ValueError, LookupError, AttributeError, TypeError, IndexError):
        return False


async def run(context: Context):
    context.maildir = context.folder / "maildir"
    context.maildir.mkdir()
    (context.folder / "offlineimaprc").write_text(CONFIG.format(
        port=context.server.imap[1], user=context.account, password=context.password,
        maildir=context.maildir, folder=context.folder))
    # offlineimap reads and writes mail with Python's email, so only what that
    # leaves alone can be compared.
    given = [mail.crlf(m) for m in mail.ham()[0][300:] if unchanged(m)][:100]
    client = await context.imap()
    for message in given:
        equal((await append(client, "INBOX", message)).status, "OK", "APPEND")
    sync(context)
    await maildir.same(context, "INBOX", len(given))

    await client.ok("SELECT INBOX")
    uids = list(await fetch_all(client, "FLAGS"))
    await client.ok(f"UID STORE {uids[0]}:{uids[3]} +FLAGS (\\Seen \\Flagged)")
    await client.ok(f"UID STORE {uids[4]} +FLAGS (\\Deleted)")
    await client.ok(f"UID EXPUNGE {uids[4]}")
    await client.ok(f"UID COPY {uids[5]} Archive")
    by_uid = maildir.by_uid(context.maildir / "INBOX")
    maildir.set_letters(by_uid[uids[10]], "S")
    maildir.set_letters(by_uid[uids[11]], "FRS")
    by_uid[uids[12]].unlink()
    (context.maildir / "INBOX" / "new" / "1700000000_9.1.host").write_bytes(
        b"From: new@example.org\nMessage-ID: <new@example.org>\nSubject: new here\n\nbody\n")
    sync(context)
    await maildir.same(context, "INBOX", len(given) - 2 + 1)
    await maildir.same(context, "Archive", 1)
    rows = await maildir.far(context, "INBOX")
    sync(context)
    equal(await maildir.far(context, "INBOX") == rows, True, "another sync changes nothing")
    await client.logout()
    context.summary = f"{len(given)} messages, changes on both sides, equal after sync, stable after one more"


if __name__ == "__main__":
    main(run, __doc__, needs=["offlineimap"])
