#!/usr/bin/env python3
"""Debian's postfix delivers through its LMTP client, by TCP and Unix socket; byte for byte (Must show 1).

The postfix here has a configuration, queue and ports of its own and touches nothing
of the system's. Messages are injected by SMTP on loopback; what it adds is its own
Received, before the message.
"""

import asyncio
import os
import shutil
import subprocess
import time

from lib import mail
from lib.check import Context, Skip, equal, main
from lib.lmtp import Lmtp
from lib.server import free_port

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
mail_owner = postfix
setgid_group = postdrop
myhostname = mta.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
default_transport = error:nothing leaves this test
virtual_transport = lmtp:inet:127.0.0.1:{lmtp_port}
transport_maps = inline:{{ {{ bob@example.org = lmtp:unix:{socket} }} }}
virtual_mailbox_domains = example.org
virtual_mailbox_maps =
alias_maps =
alias_database =
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtputf8_enable = yes
strict_smtputf8 = no
biff = no
message_size_limit = 0
mailbox_size_limit = 0
# The message is to arrive as it was given: no field dropped or rewritten, no
# long line broken, no 8-bit text encoded.
message_drop_headers =
local_header_rewrite_clients =
header_size_limit = 10000000
line_length_limit = 1000000
lmtp_line_length_limit = 0
smtp_line_length_limit = 0
disable_mime_input_processing = yes
disable_mime_output_conversion = yes
lmtp_destination_concurrency_limit = 20
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
"""
MASTER = """
127.0.0.1:{smtp_port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
lmtp unix - - n - 30 lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One instance with everything below `folder`."""

    def __init__(self, folder, server):
        self.folder, self.conf = folder, folder / "conf"
        self.smtp = ("127.0.0.1", free_port())
        for name in ("conf", "queue", "data"):
            (folder / name).mkdir(parents=True)
        shutil.chown(folder / "data", "postfix")
        (self.conf / "main.cf").write_text(MAIN.format(
            folder=folder, lmtp_port=server.lmtp[1], socket=server.socket))
        (self.conf / "master.cf").write_text(MASTER.format(smtp_port=self.smtp[1]))
        (folder / "log").touch()

    def command(self, *arguments):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(self.conf)}
        return subprocess.run([arguments[0], "-c", str(self.conf), *arguments[1:]], env=environment,
                              capture_output=True, text=True, timeout=60)

    def start(self):
        done = self.command("postfix", "start")
        if done.returncode:
            raise AssertionError(f"postfix start: {done.stdout}{done.stderr}{self.log_tail()}")

    def stop(self):
        self.command("postfix", "stop")

    def queued(self):
        return [line for line in self.command("postqueue", "-j").stdout.splitlines() if line.strip()]

    def log_tail(self):
        return (self.folder / "log").read_text(errors="replace")[-2000:]


async def inject(address, jobs, connections=8):
    """[(message, recipients)] by SMTP."""
    waiting = list(enumerate(jobs))[::-1]

    async def worker():
        client = await Lmtp.connect(address, smtp=True)
        while waiting:
            number, (message, recipients) = waiting.pop()
            for code, text in await client.deliver("sender@example.net", recipients, message):
                equal(code, 250, f"SMTP for message {number}: {text}")
        await client.quit()

    await asyncio.gather(*(worker() for _ in range(connections)))


async def drained(postfix, limit_s=600):
    """Wait until the queue is empty."""
    until = time.monotonic() + limit_s
    while postfix.queued():
        if time.monotonic() > until:
            raise AssertionError(f"queue not empty after {limit_s} s: {postfix.queued()[:2]} {postfix.log_tail()}")
        await asyncio.sleep(0.3)


async def run(context: Context):
    if os.geteuid():
        raise Skip("postfix needs root")
    messages, source = mail.ham()
    given = [mail.crlf(m) for m in messages]
    postfix = Postfix(context.folder / "postfix", context.server)
    postfix.start()
    try:
        began = time.monotonic()
        # All to ada over TCP; each tenth to bob as well, over the Unix socket.
        jobs = [(message, ["ada@example.org"] + ["bob@example.org"] * (n % 10 == 0))
                for n, message in enumerate(given)]
        await inject(postfix.smtp, jobs)
        await drained(postfix)
        took = time.monotonic() - began
        log = (postfix.folder / "log").read_text(errors="replace")
        equal(log.count("status=sent"), sum(len(r) for _, r in jobs), "status=sent in postfix's log")
        equal(log.count("status=deferred") + log.count("status=bounced"), 0, "deferred and bounced")
    finally:
        postfix.stop()
    for account, expected in (("ada", given), ("bob", given[::10])):
        served = (await context.served(account=account)).values()
        mail.compare_delivered(expected, list(served), f"delivered to {account} by postfix")
    if context.server.has_tools:
        from roundtrip import read_export
        out = context.folder / "out"
        context.server.tool("export", "--account", "ada", "--mailbox", "INBOX", "--format", "mbox", out)
        exported = [mail.crlf(m) for m in read_export(out, "mbox")]
        mail.compare_delivered(given, exported, "exported after postfix")
    context.summary = (f"{len(given)} messages of {source} by TCP, {len(given[::10])} by Unix socket in "
                       f"{took:.0f} s; equal but for the trace fields before them")


if __name__ == "__main__":
    main(run, __doc__, needs=["postfix"], accounts=("ada", "bob"))
