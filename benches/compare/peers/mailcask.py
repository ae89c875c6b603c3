"""Mailcask: `mailcask import`, `mailcask serve`, and waiting until nothing is left to index."""

import json
import subprocess
import time
from pathlib import Path

from . import process
from .process import ServerError

USER, PASSWORD = "u", "correct horse 7"


class Mailcask:
    name = "mailcask"
    scans = False    # no search of it takes seconds

    def __init__(self, folder, options):
        self.folder = Path(folder)
        self.store = self.folder / "store"
        self.binary = Path(options.bin).resolve()
        self.process = self.address = self.lmtp = None
        if not self.binary.exists():
            raise ServerError(f"{self.binary} is not there: --bin names the mailcask to measure")

    def version(self):
        return process.run([self.binary, "--version"]).decode().strip()

    def tool(self, *words, stdin=None):
        return process.run([self.binary, *words, "--store", self.store], stdin=stdin)

    def load(self, mailbox):
        """Import, then wait for the indexer; what each took."""
        self.tool("account", "add", USER, "--password-stdin", stdin=PASSWORD.encode() + b"\n")
        self.start()
        began = time.monotonic()
        words = ["import", "--account", USER, "--format", "mbox"]
        if mailbox.count == mailbox.whole:
            self.tool(*words, mailbox.path)
        else:
            part = self.folder / "first.mbox"
            write_first(mailbox, part)
            began = time.monotonic()
            self.tool(*words, part)
            part.unlink()
        loaded = time.monotonic() - began
        self.wait_indexed()
        indexed = time.monotonic() - began
        cpu = process.cpu_seconds(self.process.pid)
        return {"load_s": loaded, "index_s": indexed, "index_note": "import and indexing together",
                "server_cpu_s": cpu, "peak_bytes": process.resident_bytes(self.process.pid, "VmHWM")}

    def index_stats(self):
        """None from a build that has no index."""
        return json.loads(self.tool("stats", "--json")).get("index")

    def backlog(self):
        return (self.index_stats() or {"backlog": 0})["backlog"]

    def wait_indexed(self, seconds=7200):
        """Until all is indexed, and nothing waits to be built or merged."""
        until = time.monotonic() + seconds
        while not (self.index_stats() or {"settled": True})["settled"]:
            if time.monotonic() > until:
                raise ServerError(f"still {self.backlog()} messages to index after {seconds} s")
            time.sleep(0.25)

    def start(self):
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            [str(self.binary), "serve", "--store", str(self.store), "--imap", "127.0.0.1:0",
             "--lmtp", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        log.close()
        self.address = self.lmtp = None
        while not (self.address and self.lmtp):
            words = self.process.stdout.readline().decode().split()
            if not words:
                raise ServerError(f"mailcask serve ended: {(self.folder / 'server.log').read_text()[-1500:]}")
            port = words[1].rsplit(":", 1)[-1] if len(words) > 1 else ""
            if words[0] == "imap":
                self.address = ("127.0.0.1", int(port))
            elif words[0] == "lmtp":
                self.lmtp = ("127.0.0.1", int(port))

    def stop(self):
        process.end(self.process)
        self.process = None

    def index_bytes(self):
        return process.disk_bytes(self.store / "text") + process.disk_bytes(self.store / "summaries")

    def text_bytes(self):
        """Of decoded and folded text, as the index counts it."""
        return (self.index_stats() or {"text_bytes": None})["text_bytes"]


def write_first(mailbox, path):
    """The first messages of a longer mbox, as an mbox: cut, not written anew."""
    from .mailbox import entry_ends
    left = entry_ends(mailbox.path, mailbox.count)
    with mailbox.path.open("rb") as whole, path.open("wb") as part:
        while left:
            block = whole.read(min(1 << 23, left))
            part.write(block)
            left -= len(block)
