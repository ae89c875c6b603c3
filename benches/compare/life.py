#!/usr/bin/env python3
"""A store's life in figures: deliveries, kill -9, views deleted, most of it expunged, compacted.

Every message of an mbox is delivered over LMTP by several connections. Then
- the server is killed (-9) and started: seconds until it listens, and until the mailbox is selected;
- the catalog is deleted, and the text index: how fast they come back from the log;
- a share of the messages, drawn by the seed, is expunged, and the store compacted: bytes before and after, beside
  the bytes that live.
Each step ends with `mailcask check`, and with the count of messages that there have to be.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from freshness import Lmtp
from peers import measure, process
from peers.client import Client
from peers.mailbox import entries_between
from peers.mailcask import PASSWORD, USER, Mailcask
from peers.measure import store as change_flags

NOT_TEXT = ("text", "summaries")


def deliverer(address, path, start, end, left, delivered):
    lmtp = Lmtp(address)
    for message in entries_between(path, start, end):
        with left.get_lock():
            if not left.value:
                return
            left.value -= 1
        # Lines that begin with a dot gain one (RFC 5321 section 4.5.2).
        if b"\r\n." in message or message.startswith(b"."):
            message = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
        if not message.endswith(b"\r\n"):
            message += b"\r\n"
        lmtp.deliver(message)
        with delivered.get_lock():
            delivered.value += 1


def deliver(server, options):
    size = Path(options.mbox).stat().st_size
    left = multiprocessing.Value("q", options.messages or 1 << 60)
    delivered = multiprocessing.Value("q", 0)
    cuts = [size * n // options.connections for n in range(options.connections + 1)]
    workers = [multiprocessing.Process(target=deliverer, args=(
        server.lmtp, options.mbox, cuts[n], cuts[n + 1], left, delivered)) for n in range(options.connections)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit("a connection did not get its 250")
    took = time.monotonic() - began
    say(f"{delivered.value} messages delivered by {options.connections} connections in {took:.0f} s, "
        f"{delivered.value / took:.0f}/s")
    return delivered.value


class Life:
    def __init__(self, server, options, messages):
        self.server, self.options, self.messages = server, options, messages

    def start(self, what):
        """Start, and say how long it took until it listened and until INBOX was selected."""
        began = time.monotonic()
        self.server.start()
        listening = time.monotonic() - began
        client = Client(self.server.address, 3600)
        client.login(USER, PASSWORD)
        reply = client.ask(b"SELECT INBOX")
        selected = time.monotonic() - began
        if b"* %d EXISTS" % self.messages not in reply:
            raise SystemExit(f"{what}: {self.messages} messages are not there: {bytes(reply)[:300]!r}")
        client.close()
        say(f"{what}: listens after {listening:.2f} s, INBOX selected after {selected:.2f} s")
        return listening

    def without_catalog(self):
        self.server.stop()
        shutil.rmtree(self.server.store / "catalog")
        took = self.start("catalog deleted")
        say(f"  rebuilt at {self.messages / took:.0f} messages/s")

    def without_snapshots(self):
        """Every group of the log is read and applied again."""
        self.server.stop()
        for view in ("catalog", "snapshots"):
            shutil.rmtree(self.server.store / view)
        took = self.start("catalog and snapshots deleted")
        say(f"  rebuilt at {self.messages / took:.0f} messages/s")
        self.server.stop()
        self.server.tool("repair")
        self.server.start()

    def without_text(self):
        self.server.stop()
        for view in NOT_TEXT:
            shutil.rmtree(self.server.store / view, ignore_errors=True)
        began = time.monotonic()
        self.start("text index and summaries deleted")
        while self.server.backlog():
            time.sleep(0.1)
        covered = time.monotonic() - began
        self.server.wait_indexed()
        settled = time.monotonic() - began
        say(f"  covered after {covered:.0f} s, {self.messages / covered:.0f} messages/s; "
            f"merged after {settled:.0f} s, {self.messages / settled:.0f} messages/s")

    def expunge(self):
        rng = random.Random(self.options.seed)
        client = Client(self.server.address, 3600)
        client.login(USER, PASSWORD)
        client.ask(b"SELECT INBOX")
        reply = client.ask(b"UID SEARCH ALL")
        uids = next(line for line in reply.split(b"\r\n") if line.startswith(b"* SEARCH")).split()[2:]
        gone = sorted(rng.sample([int(uid) for uid in uids], int(self.messages * self.options.expunge)))
        began = time.monotonic()
        change_flags(client, b"+FLAGS.SILENT (\\Deleted)", gone)
        client.ask(b"EXPUNGE")
        self.messages -= len(gone)
        say(f"{len(gone)} expunged in {time.monotonic() - began:.1f} s, {self.messages} left")
        client.close()

    def compact(self):
        before = self.sizes("before")
        began = time.monotonic()
        told = self.server.tool("compact", "--ignore-retention")
        took = time.monotonic() - began
        say(f"compacted in {took:.0f} s: {told.decode().strip()}")
        # What was dropped is unlinked after a grace time for sessions that show it: at the latest by a start.
        self.server.stop()
        self.start("started again")
        # The text index gives up its dead by itself.
        self.server.wait_indexed()
        after = self.sizes("after")
        say(f"  {before / after:.2f} times smaller")

    def sizes(self, when):
        stats = json.loads(self.server.tool("stats", "--json"))
        disk = stats["disk"]
        log = sum(disk[kind] for kind in ("log", "bodies", "cold", "snapshots"))
        text = process.disk_bytes(self.server.store / "text") + process.disk_bytes(self.server.store / "summaries")
        live = stats["message_bytes"]
        mib = lambda n: f"{n / (1 << 20):.0f}"
        say(f"  {when}: log and snapshots {mib(log)} MiB ({', '.join(f'{k} {mib(v)}' for k, v in disk.items())}), "
            f"catalog {mib(stats['catalog_bytes'])}, text and summaries {mib(text)}; "
            f"live messages {mib(live)} MiB raw: {log / max(live, 1):.2f}")
        return log

    def check(self, *words):
        began = time.monotonic()
        told = self.server.tool("check", *words)
        say(f"  check{' ' if words else ''}{' '.join(words)} in {time.monotonic() - began:.0f} s: "
            f"{told.decode().strip().splitlines()[-1]}")


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/mailcask")
    parser.add_argument("--mbox", required=True, help="of make_mailbox.py --format mbox")
    parser.add_argument("--messages", type=int, help="the first so many that the connections come to (all)")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--expunge", type=float, default=0.7, help="share of the messages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", default=tempfile.gettempdir())
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="life-", dir=options.dir))
    server = None
    try:
        server = Mailcask(folder, options)
        say(f"{measure.machine()}; {folder}")
        server.tool("account", "add", USER, "--password-stdin", stdin=PASSWORD.encode() + b"\n")
        server.start()
        life = Life(server, options, deliver(server, options))
        server.process.kill()
        server.process.wait()
        life.start("killed (-9)")
        life.check()
        life.without_catalog()
        life.without_snapshots()
        life.without_text()
        life.check("--deep")
        life.expunge()
        life.compact()
        life.check("--deep")
    finally:
        if server is not None:
            server.stop()
        if options.keep:
            say(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
