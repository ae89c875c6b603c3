"""Starting and stopping the server under test.

Laws
- Everything lives in one temporary folder: store, logs, sockets.
- TCP listeners are on loopback, on ports the kernel gave.
- Only processes started here are ended, by their pid.
"""

import json
import os
import pwd
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from .mail import REPO

ACCOUNT, PASSWORD = "ada", "correct horse 7"


class ServerError(Exception):
    """The server did not start, did not stop, or a tool of it failed."""


def mailcask_binary(given=None):
    """The binary under test: as said, else of $MAILCASK_BIN, else the debug build."""
    if given or os.environ.get("MAILCASK_BIN"):
        return Path(given or os.environ["MAILCASK_BIN"]).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    return target / "debug" / "mailcask"


class Mailcask:
    """`mailcask serve` on a store of its own."""

    name = "mailcask"
    exact = True          # what came in is served byte for byte, bare newlines and all
    has_tools = True      # import, export, check
    atomic_move = True    # MOVE is one change, whatever others do and whenever power goes

    def __init__(self, folder, binary=None):
        self.folder = Path(folder)
        self.store = self.folder / "store"
        self.socket = str(self.folder / "lmtp.sock")
        self.binary = mailcask_binary(binary)
        self.log = self.folder / "server.log"
        self.process = None
        self.imap = self.lmtp = None
        if not self.binary.exists():
            raise ServerError(f"{self.binary} is not there: cargo build first, or set MAILCASK_BIN")

    def tool(self, *arguments, stdin=None, check=True):
        """Run `mailcask ARGUMENTS --store STORE`."""
        command = [str(self.binary), *map(str, arguments), "--store", str(self.store)]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=900)
        if check and done.returncode:
            raise ServerError(f"mailcask {' '.join(map(str, arguments))} ended with "
                              f"{done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done

    def add_account(self, name, password=PASSWORD):
        self.tool("account", "add", name, "--password-stdin", stdin=password.encode() + b"\n")

    def start(self):
        command = [str(self.binary), "serve", "--store", str(self.store),
                   "--imap", "127.0.0.1:0", "--lmtp", "127.0.0.1:0", "--lmtp", f"unix:{self.socket}"]
        log = self.log.open("ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log,
                                        stdin=subprocess.DEVNULL)
        log.close()
        self.imap = self.lmtp = None
        listening = threading.Event()
        threading.Thread(target=self._listen, args=(self.process, listening), daemon=True).start()
        if not listening.wait(60):
            self.kill()
            raise ServerError(f"no listener lines within 60 s\n{self.log_tail()}")
        if self.lmtp is None:
            raise ServerError(f"mailcask serve ended at once\n{self.log_tail()}")

    def _listen(self, process, listening):
        """Read the listener lines, then keep the pipe empty."""
        unix = False
        for line in process.stdout:
            with self.log.open("ab") as log:
                log.write(line)
            words = line.decode(errors="replace").split()
            if listening.is_set() or len(words) < 2:
                continue
            kind, address = words[0].lower(), words[1]
            if kind == "imap":
                self.imap = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
            elif kind == "lmtp" and address.startswith("unix:"):
                unix = True
            elif kind == "lmtp":
                self.lmtp = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
            if self.imap and self.lmtp and unix:
                listening.set()
        listening.set()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """SIGTERM; the server has to end with status 0."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"still running 60 s after SIGTERM\n{self.log_tail()}") from None
        self.process = None
        if status:
            raise ServerError(f"ended with status {status} after SIGTERM\n{self.log_tail()}")

    def kill(self):
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def forget_views(self):
        """Delete the catalog: a view of the log, it has to come back equal."""
        import shutil
        shutil.rmtree(self.store / "catalog")

    def check_deep(self):
        """`mailcask check --deep`, beside the server or without one."""
        return self.check("--deep")

    def check(self, *options):
        """`mailcask check`: its report; an error where it found anything."""
        done = self.tool("check", "--json", *options, check=False)
        if done.returncode:
            raise ServerError(f"mailcask check ended with {done.returncode}: "
                              f"{done.stdout.decode(errors='replace')[-3000:]}"
                              f"{done.stderr.decode(errors='replace')[-2000:]}")
        return json.loads(done.stdout)

    def log_tail(self):
        try:
            return self.log.read_text(errors="replace")[-1500:]
        except OSError:
            return ""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


_DOVECOT = """
base_dir = {run}
state_dir = {run}/state
instance_name = interop-{port_imap}
log_path = {log}
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = sdbox:{mail}/%n
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 200
mail_fsync = optimized
lmtp_save_to_detail_mailbox = yes
recipient_delimiter = +
lmtp_rcpt_check_quota = yes
auth_cache_size = 1M
auth_username_format = %Ln
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {users}
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {users}
  default_fields = uid={user} gid={group} home={mail}/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    auto = subscribe
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
  mailbox Junk {{
    auto = subscribe
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = subscribe
    special_use = \\Trash
  }}
  mailbox Archive {{
    auto = subscribe
    special_use = \\Archive
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
service imap-login {{
  inet_listener imap {{
    port = {port_imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  process_limit = 100
  inet_listener lmtp {{
    port = {port_lmtp}
  }}
  unix_listener {socket} {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    """Debian's Dovecot: proves that a check can be passed, and gives comparisons."""

    name = "dovecot"
    exact = False         # bare LF becomes CRLF, NUL becomes 0x80
    has_tools = False
    atomic_move = False

    def __init__(self, folder, binary=None):
        self.folder = Path(folder)
        self.folder.chmod(0o755)
        self.run, self.mail = self.folder / "run", self.folder / "mail"
        self.users, self.conf = self.folder / "users", self.folder / "dovecot.conf"
        self.log = self.folder / "server.log"
        self.socket = str(self.folder / "lmtp.sock")
        self.imap, self.lmtp = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        self.process = None
        self.binary = binary or "/usr/sbin/dovecot"
        owner = pwd.getpwnam("mail")
        self.mail.mkdir()
        os.chown(self.mail, owner.pw_uid, owner.pw_gid)
        self.users.touch()
        self.conf.write_text(_DOVECOT.format(
            run=self.run, log=self.log, mail=self.mail, users=self.users, socket=self.socket,
            user=owner.pw_uid, group=owner.pw_gid, port_imap=self.imap[1], port_lmtp=self.lmtp[1]))

    def add_account(self, name, password=PASSWORD):
        with self.users.open("a") as users:
            users.write(f"{name}:{password}::::::\n")

    def start(self):
        self.process = subprocess.Popen([self.binary, "-F", "-c", str(self.conf)],
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 30
        while time.monotonic() < until and self.running():
            try:
                for address in (self.imap, self.lmtp):
                    with socket.create_connection(address, 5) as probe:
                        probe.recv(100)
                return
            except OSError:
                time.sleep(0.05)
        raise ServerError(f"dovecot does not answer\n{self.log_tail()}")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def kill(self):
        """kill -9 of the master and its children at once: they are a group of their own."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
            time.sleep(0.2)

    def check(self):
        return {}

    def log_tail(self):
        try:
            return self.log.read_text(errors="replace")[-1500:]
        except OSError:
            return ""


SERVERS = {"mailcask": Mailcask, "dovecot": Dovecot}
