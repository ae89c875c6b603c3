#!/usr/bin/env python3
"""Debian's exim4 delivers through its two LMTP transports; byte for byte (Must show 1).

As postfix.py: own configuration, spool and port. Debian lets only one MTA be
installed, so the binary may stand anywhere: $EXIM4 names it.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time

from lib import mail
from lib.check import Context, Skip, equal, main
from lib.server import free_port
from postfix import inject

CONFIG = """
exim_path = {binary}
primary_hostname = mta.example.net
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
pid_file_path = {folder}/log/pid
daemon_smtp_ports = {smtp_port}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
keep_environment =
accept_8bitmime = true
smtp_accept_max = 100
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
message_size_limit = 0
queue_run_in_order = false
return_path_remove = false
delivery_date_remove = false
envelope_to_remove = false
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all
begin acl
accept_all:
  accept
begin routers
to_bob:
  driver = accept
  domains = example.org
  local_parts = bob
  transport = by_socket
to_ada:
  driver = manualroute
  domains = example.org
  route_list = * 127.0.0.1
  self = send
  transport = by_tcp
begin transports
by_tcp:
  driver = smtp
  protocol = lmtp
  port = {lmtp_port}
  allow_localhost
  message_linelength_limit = 100000000
  hosts_try_fastopen =
by_socket:
  driver = lmtp
  socket = {socket}
  user = Debian-exim
begin retry
* * F,10m,1s
"""


class Exim:
    def __init__(self, binary, folder, server):
        self.binary, self.folder = binary, folder
        self.smtp = ("127.0.0.1", free_port())
        for name in ("spool", "log"):
            (folder / name).mkdir(parents=True)
            shutil.chown(folder / name, "Debian-exim")
        self.conf = folder / "exim.conf"
        self.conf.write_text(CONFIG.format(folder=folder, binary=binary, smtp_port=self.smtp[1],
                                           lmtp_port=server.lmtp[1], socket=server.socket))
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.binary, "-C", str(self.conf), "-bdf", "-q5s"],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(self.smtp, 5).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"exim does not answer: {self.log_tail()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def queued(self):
        done = subprocess.run([self.binary, "-C", str(self.conf), "-bpc"], capture_output=True, text=True)
        return int(done.stdout)

    def log_tail(self):
        logs = [p.read_text(errors="replace")[-1500:] for p in (self.folder / "log").glob("*") if p.is_file()]
        return "\n".join(logs)


async def run(context: Context):
    binary = os.environ.get("EXIM4") or shutil.which("exim4", path="/usr/sbin:/usr/bin")
    if not binary:
        raise Skip("exim4 not there (EXIM4 may name it)")
    if os.geteuid():
        raise Skip("exim4 needs root for a configuration of its own")
    messages, source = mail.ham()
    given = [mail.crlf(m) for m in messages[: context.arguments.messages]]
    exim = Exim(binary, context.folder / "exim", context.server)
    exim.start()
    try:
        began = time.monotonic()
        await inject(exim.smtp, [(message, ["ada@example.org"] + ["bob@example.org"] * (n % 10 == 0))
                                 for n, message in enumerate(given)])
        while exim.queued():
            if time.monotonic() > began + 120:
                raise AssertionError(f"exim's queue not empty after 120 s: {exim.log_tail()}")
            await asyncio.sleep(0.5)
        took = time.monotonic() - began
    finally:
        exim.stop()
    log = (context.folder / "exim" / "log" / "main").read_text(errors="replace")
    equal(log.count(" == ") + log.count(" ** "), 0, f"deferred and failed in exim's log {exim.log_tail()}")
    for account, expected in (("ada", given), ("bob", given[::10])):
        served = (await context.served(account=account)).values()
        mail.compare_delivered(expected, list(served), f"delivered to {account} by exim")
    context.summary = (f"{len(given)} messages of {source} by TCP, {len(given[::10])} by Unix socket in "
                       f"{took:.0f} s; equal but for the trace fields before them")


def options(parser):
    parser.add_argument("--messages", type=int, default=300, help="only so many of them")


if __name__ == "__main__":
    main(run, __doc__, options=options, accounts=("ada", "bob"))
