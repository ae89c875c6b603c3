#!/usr/bin/env python3
"""neomutt and mutt in batch: copy mail out and in, change flags, delete."""

import os
import pty
import re
import select
import shutil
import signal
import time

from lib import mail, maildir
from lib.check import Context, equal, main
from lib.imap import append, fetch_all

RC = """
set folder="imap://{user}@127.0.0.1:{port}/"
set imap_pass="{password}"
set imap_user="{user}"
set ssl_starttls=no
set ssl_force_tls=no
set header_cache=""
set mbox_type=Maildir
set confirmappend=no
set confirmcreate=no
set delete=yes
set quit=yes
set wait_key=no
set sort=mailbox-order
set mail_check=600
set realname="Ada"
set from="ada@example.org"
set use_from=yes
set timeout=30
unset mark_old
bind pager q exit
"""
_OWN = re.compile(rb"(?m)^(?:Content-Length|Lines|Status|X-Status): [^\n]*\n")


def drive(context, mutt, mailbox, keys, status=0):
    """Run a mutt in a terminal of its own until it ends by itself."""
    arguments = [mutt, "-F", str(context.rc), "-f", mailbox, "-e", f'push "{keys}"']
    environment = {"HOME": str(context.folder), "TERM": "xterm", "PATH": os.environ["PATH"],
                   "LANG": "C.UTF-8", "USER": "ada"}
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe(mutt, arguments, environment)
    screen = b""
    until = time.monotonic() + 120
    try:
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            screen += piece
        else:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"{mutt} did not end; its screen: {screen[-2000:]!r}")
    finally:
        os.close(terminal)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    equal(ended, status, f"{mutt}'s exit status, screen {screen[-800:]!r}")


def bare(messages):
    """Without the fields that mutt writes as it copies."""
    return [_OWN.sub(b"", mail.lf(message)) for message in messages]


async def once(context, mutt):
    given = [mail.lf(m) for m in mail.ham()[0][500:540]] or mail.ham()[0]
    client = await context.imap()
    for mailbox in ("INBOX", "Archive"):
        await client.ok("SELECT " + mailbox)
        await client.command("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        await client.ok("EXPUNGE")
    for message in given:
        equal((await append(client, "INBOX", mail.crlf(message))).status, "OK", "APPEND")

    out = context.folder / f"out-{mutt}"
    drive(context, mutt, "=INBOX",
          f"<tag-pattern>~A<enter><tag-prefix><copy-message>{out}<enter><quit>")
    mail.compare(bare(given), bare(p.read_bytes() for p in maildir.files(out)), f"copied out by {mutt}")

    drive(context, mutt, str(out), "<tag-pattern>~A<enter><tag-prefix><copy-message>=Archive<enter><quit>")
    mail.compare(bare(given), bare((await context.served("Archive")).values()),
                 f"copied in by {mutt}")

    drive(context, mutt, "=INBOX", "<jump>1<enter><flag-message><jump>2<enter><delete-message>"
          "<jump>4<enter><set-flag>r<jump>5<enter><toggle-new><sync-mailbox><quit>")
    await client.ok("SELECT INBOX")
    rows = list((await fetch_all(client, "FLAGS")).values())
    equal(len(rows), len(given) - 1, f"messages after {mutt} deleted one")
    equal(b"\\Flagged" in rows[0][b"FLAGS"], True, f"flag set by {mutt}: {rows[0]}")
    equal(b"\\Answered" in rows[2][b"FLAGS"], True, f"answered set by {mutt}: {rows[2]}")
    await client.logout()
    return len(given)


async def run(context: Context):
    context.rc = context.folder / "muttrc"
    context.rc.write_text(RC.format(user=context.account, password=context.password,
                                    port=context.server.imap[1]))
    done = [mutt for mutt in ("neomutt", "mutt") if shutil.which(mutt)]
    for mutt in done:
        count = await once(context, mutt)
    context.summary = f"{' and '.join(done)}: {count} messages out and in, flags, delete"


if __name__ == "__main__":
    main(run, __doc__, needs=["neomutt"])
