"""Debian's Cyrus with its Xapian index, from a folder that its packages were unpacked into.

`search_fuzzy_always` is on: without it Cyrus answers SEARCH by reading the messages.
"""

import os
import pwd
import re
import subprocess
import time
from pathlib import Path

from . import process
from .client import Client
from .mailbox import internal_date
from .process import ServerError

USER, PASSWORD = "u", "any"
_BATCH_BYTES = 1 << 20

_IMAPD = """
configdirectory: {folder}/conf
defaultpartition: default
partition-default: {folder}/spool
proc_path: {folder}/run/proc
mboxname_lockpath: {folder}/run/lock
cyrus_user: mail
cyrus_group: mail
admins: admin
allowplaintext: yes
sasl_mech_list: PLAIN
unixhierarchysep: yes
maxword: 8388608
maxquoted: 8388608
conversations: on
search_engine: xapian
search_fuzzy_always: on
search_index_headers: yes
search_maxtime: 0
defaultsearchtier: t1
t1searchpartition-default: {folder}/search
"""

# imapd -N takes every password.
_SERVICES = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {folder}/imapd.conf -N" listen="127.0.0.1:{port}" prefork=1
}}
EVENTS {{
}}
"""


class Cyrus:
    name = "cyrus"
    scans = False

    def __init__(self, folder, options):
        if os.geteuid():
            raise ServerError("Cyrus is started as root here (it changes to another user)")
        root = Path(options.cyrus_root).resolve()
        self.bin = root / "usr/lib/cyrus/bin"
        if not (self.bin / "master").exists():
            raise ServerError(f"no Cyrus in {root}: packages.sh unpacks it, --cyrus-root says where")
        self.environ = dict(os.environ)
        if str(root) != "/":
            self.environ["LD_LIBRARY_PATH"] = str(root / "usr/lib/x86_64-linux-gnu")
        self.folder = Path(folder)
        self.folder.chmod(0o755)
        self.address = ("127.0.0.1", process.free_port())
        self.process = None
        for name in ("conf/socket", "conf/proc", "conf/db", "conf/log", "spool", "search", "run"):
            (self.folder / name).mkdir(parents=True)
        places = {"folder": self.folder, "bin": self.bin, "port": self.address[1]}
        self.conf = self.folder / "imapd.conf"
        self.conf.write_text(_IMAPD.format(**places))
        (self.folder / "cyrus.conf").write_text(_SERVICES.format(**places))
        process.chown_tree(self.folder, pwd.getpwnam("mail"))

    def version(self):
        client = Client(self.address)
        client.login(USER, PASSWORD)
        said = re.search(rb'"version" "([^"]*)"', client.ask(b"ID NIL"))
        client.close()
        return f"Cyrus {said.group(1).decode() if said else ''}, xapian"

    def load(self, mailbox):
        """APPEND of many messages at once (RFC 3502), then squatter."""
        began = time.monotonic()
        self.start()
        admin = Client(self.address)
        admin.login("admin", PASSWORD)
        admin.ask(b"CREATE user/u")
        admin.close()
        client = Client(self.address)
        client.login(USER, PASSWORD)
        batch, size = [b"APPEND INBOX"], 0
        for when, message in mailbox.messages():
            batch.append(b' "%s" {%d+}\r\n' % (internal_date(when).encode(), len(message)))
            batch.append(message)
            size += len(message)
            if size > _BATCH_BYTES:
                client.ask(b"".join(batch))
                batch, size = [b"APPEND INBOX"], 0
        if size:
            client.ask(b"".join(batch))
        client.close()
        loaded = time.monotonic() - began
        began = time.monotonic()
        process.run([self.bin / "squatter", "-C", self.conf, "-i", "user/u"], env=self.environ)
        return {"load_s": loaded, "index_s": time.monotonic() - began}

    def start(self):
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            [str(self.bin / "master"), "-C", str(self.conf), "-M", str(self.folder / "cyrus.conf"),
             "-p", str(self.folder / "run/master.pid")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environ, cwd="/")
        log.close()
        process.wait_for(self.address, self.process)

    def stop(self):
        process.end(self.process)
        self.process = None

    def index_bytes(self):
        return process.disk_bytes(self.folder / "search")
