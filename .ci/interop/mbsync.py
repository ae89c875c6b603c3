#!/usr/bin/env python3
"""mbsync (isync): two-way sync with changes of flags, messages and mailboxes on both sides."""

from lib import mail, maildir
from lib.check import Context, equal, main
from lib.imap import append, fetch_all

CONFIG = """
IMAPAccount test
Host 127.0.0.1
Port {port}
User {user}
Pass "{password}"
SSLType None
PipelineDepth 20

IMAPStore far
Account test

MaildirStore near
Path {maildir}/
Inbox {maildir}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Remove Both
CopyArrivalDate yes
SyncState *
"""

def sync(context):
    return context.run("mbsync", "-c", context.folder / "mbsyncrc", "-V", "-a")


async def change_far(context, new):
    """The server's side: flags of five, one gone, one new, one moved, a new mailbox."""
    client = await context.imap()
    await client.ok("SELECT INBOX")
    uids = list(await fetch_all(client, "FLAGS"))
    await client.ok(f"UID STORE {uids[0]},{uids[1]} +FLAGS (\\Seen \\Flagged)")
    await client.ok(f"UID STORE {uids[2]} +FLAGS (\\Answered)")
    await client.ok(f"UID STORE {uids[3]} FLAGS (\\Draft)")
    await client.ok(f"UID STORE {uids[4]} +FLAGS (\\Deleted)")
    await client.ok("EXPUNGE")
    await client.ok("CREATE Projects/2024")
    await client.ok("SUBSCRIBE Projects/2024")
    await client.ok(f"UID COPY {uids[5]} Projects/2024")
    await client.ok(f"UID MOVE {uids[6]} Archive")
    equal((await append(client, "INBOX", new, ["\\Seen"])).status, "OK", "APPEND")
    await client.logout()


def change_near(context, new):
    """The Maildir's side, on other messages."""
    files = list(maildir.by_uid(context.maildir / "INBOX").values())
    maildir.set_letters(files[20], "S")
    maildir.set_letters(files[21], "FRS")
    maildir.set_letters(files[22], "")
    files[23].unlink()
    maildir.make(context.maildir / "Fresh")
    (context.maildir / "Fresh" / "cur" / "1.a.host:2,FS").write_bytes(new)
    (context.maildir / "INBOX" / "new" / "2.b.host").write_bytes(new.replace(b"Subject:", b"Subject: N", 1))


async def run(context: Context):
    context.maildir = context.folder / "maildir"
    context.maildir.mkdir()
    (context.folder / "mbsyncrc").write_text(CONFIG.format(
        port=context.server.imap[1], user=context.account, password=context.password,
        maildir=context.maildir))
    given = [mail.crlf(m) for m in mail.ham()[0][:203]]
    given = (given * 30)[:203] if len(given) < 30 else given
    new_far, new_near = given.pop(), mail.lf(given.pop())
    client = await context.imap()
    for message in given:
        equal((await append(client, "INBOX", message)).status, "OK", "APPEND")
    await client.logout()

    sync(context)
    await maildir.same(context, "INBOX", len(given))
    await change_far(context, new_far)
    change_near(context, new_near)
    sync(context)
    # far: one expunged, one moved away, one new; near: one removed, one new
    await maildir.same(context, "INBOX", len(given) - 3 + 2)
    for mailbox in ("Projects/2024", "Archive", "Fresh"):
        await maildir.same(context, mailbox, 1)
    before = [await maildir.far(context, m) for m in ("INBOX", "Projects/2024", "Archive", "Fresh")]
    for _ in range(2):
        sync(context)
    after = [await maildir.far(context, m) for m in ("INBOX", "Projects/2024", "Archive", "Fresh")]
    equal(after == before, True, "two further syncs change nothing")
    await maildir.same(context, "INBOX", len(given) - 1)
    context.summary = f"{len(given)} messages, changes on both sides, equal after sync, stable after two more"


if __name__ == "__main__":
    main(run, __doc__, needs=["mbsync"])
