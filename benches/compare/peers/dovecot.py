"""Debian's Dovecot on a Maildir, without an index of texts or with dovecot-fts-xapian."""

import os
import pwd
import subprocess
import time
from pathlib import Path

from . import process
from .process import ServerError

USER, PASSWORD = "u", "correct horse 7"

_CONF = """
base_dir = {folder}/run
state_dir = {folder}/run/state
instance_name = compare-{port}
log_path = {folder}/server.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:{folder}/mail/%n/Maildir
mail_uid = {user.pw_uid}
mail_gid = {user.pw_gid}
first_valid_uid = 1
first_valid_gid = 1
mail_fsync = never
# A command of the load names many messages.
imap_max_line_length = 1M
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {folder}/users
  default_fields = uid={user.pw_uid} gid={user.pw_gid} home={folder}/mail/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  vsz_limit = 0
}}
{more}
"""

_XAPIAN = """
mail_plugins = fts fts_xapian
plugin {{
  fts = xapian
  fts_xapian = partial={partial} full=20 verbose=0
  fts_autoindex = no
  fts_enforced = yes
}}
service indexer-worker {{
  vsz_limit = 0
}}
"""


class Dovecot:
    name = "dovecot"
    scans = True
    more = ""

    def __init__(self, folder, options):
        if os.geteuid():
            raise ServerError("Dovecot is started as root here (its processes change to other users)")
        self.options = options
        self.folder = Path(folder)
        self.folder.chmod(0o755)
        self.user = pwd.getpwnam("mail")
        self.process = None
        self.address = ("127.0.0.1", process.free_port())
        self.maildir = self.folder / "mail" / USER / "Maildir"
        self.conf = self.folder / "dovecot.conf"
        (self.folder / "users").write_text(f"{USER}:{PASSWORD}::::::\n")
        self.conf.write_text(_CONF.format(folder=self.folder, port=self.address[1], user=self.user,
                                          more=self.more.format(partial=3)))

    def version(self):
        return "Dovecot " + process.run(["dovecot", "--version"]).decode().strip()

    def load(self, mailbox):
        """A file a message, then one SELECT that numbers them."""
        began = time.monotonic()
        for name in ("cur", "new", "tmp"):
            (self.maildir / name).mkdir(parents=True)
        cur = str(self.maildir / "cur")
        for ordinal, (when, message) in enumerate(mailbox.messages(), 1):
            # Dovecot numbers new files by the time in their names.
            path = f"{cur}/{1_000_000_000 + ordinal}.M0P1.compare:2,"
            with open(path, "xb", 0) as file:
                file.write(message)
            os.utime(path, (when, when))
        process.chown_tree(self.folder / "mail", self.user)
        self.start()
        self.doveadm("mailbox", "status", "-u", USER, "messages", "INBOX")
        return {"load_s": time.monotonic() - began} | self.index()

    def index(self):
        return {}

    def doveadm(self, *words, timeout=None):
        return process.run(["doveadm", "-c", self.conf, *words], timeout)

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(self.conf)], stdin=subprocess.DEVNULL)
        process.wait_for(self.address, self.process)

    def stop(self):
        process.end(self.process)
        self.process = None

    def index_bytes(self):
        """Dovecot's own caches of headers; a text index where it has one."""
        return sum(path.stat().st_blocks * 512 for path in self.maildir.glob("dovecot.index*"))


class DovecotXapian(Dovecot):
    name = "dovecot-xapian"
    scans = True
    more = _XAPIAN

    def version(self):
        package = process.run(["dpkg-query", "-W", "-f", "${Version}", "dovecot-fts-xapian"])
        return f"{super().version()}, fts-xapian {package.decode()}"

    def index(self):
        began = time.monotonic()
        done = self.doveadm("index", "-u", USER, "INBOX", timeout=self.options.xapian_seconds)
        took = time.monotonic() - began
        if done is None:
            raise ServerError(f"dovecot-fts-xapian (partial=3) had not indexed the mailbox in {took:.0f} s")
        return {"index_s": took}

    def index_bytes(self):
        return super().index_bytes() + process.disk_bytes(self.maildir / "xapian-indexes")
