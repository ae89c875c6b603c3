#!/usr/bin/env python3
"""Deliveries at full rate while sessions search for what was just delivered.

Each message has a word of its own and one that all have. A search after a 250 has to find the message
by its word, once; and by the common word every message that any connection had been answered for
before the search was sent, and none that was not sent yet. Three turns: deliveries alone, searches alone,
both. Connections and sessions are processes, so that the clients do not wait for each other.
"""

import argparse
import multiprocessing
import random
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from peers import measure
from peers.client import Client, numbers
from peers.mailbox import Mailbox
from peers.mailcask import PASSWORD, USER, Mailcask

COMMON = "zqfreshnesswordqz"
BODY_WORDS = [f"{a}{b}" for a in ("mail", "store", "lantern", "durable", "group", "reader", "people", "system")
              for b in ("", "s", "ing", "able", "ly", "ness", "ment", "ful")]


class Lmtp:
    """One connection, a transaction at a time, envelope and DATA in one write each (RFC 2920)."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.expect(b"220")
        self.socket.sendall(b"LHLO bench\r\n")
        while self.expect(b"250").startswith(b"250-"):
            pass

    def expect(self, code):
        line = self.file.readline()
        if not line.startswith(code):
            raise RuntimeError(f"LMTP answered {line!r}, not {code!r}")
        return line

    def deliver(self, message):
        self.socket.sendall(b"MAIL FROM:<b@example.org>\r\nRCPT TO:<%s@example.org>\r\nDATA\r\n" % USER.encode())
        for code in (b"250", b"250", b"354"):
            self.expect(code)
        self.socket.sendall(message + b".\r\n")
        self.expect(b"250")


def word(connection, number):
    return f"zq{connection:03}n{number:08}qz"


def deliverer(connection, address, message_bytes, sent, acked, stop, results):
    rng = random.Random(connection)
    lmtp = Lmtp(address)
    times = []
    number = acked[connection]
    while not stop.is_set():
        number += 1
        own = word(connection, number)
        text = []
        for _ in range(message_bytes // 80):
            text.append(" ".join(rng.choices(BODY_WORDS, k=10)))
        message = (f"From: b@example.org\r\nTo: {USER}@example.org\r\nSubject: {own}\r\n"
                   f"Message-ID: <{own}@example.org>\r\n\r\n{own} {COMMON}\r\n" + "\r\n".join(text) + "\r\n").encode()
        sent[connection] = number
        began = time.perf_counter()
        lmtp.deliver(message)
        times.append(time.perf_counter() - began)
        acked[connection] = number
    results.put(("deliveries", times))


def searcher(session, address, sent, acked, stop, results, share):
    rng = random.Random(f"s{session}")
    client = Client(address)
    client.login(USER, PASSWORD)
    client.ask(b"SELECT INBOX")
    own, common, wrong = [], [], []
    while not stop.is_set():
        if rng.random() < share:
            # Every message that was answered for is to be found, whatever its connection.
            least = sum(acked)
            took, reply = client.timed(b'UID SEARCH RETURN (COUNT) BODY "%s"' % COMMON.encode())
            most = sum(sent)
            common.append(took)
            found = numbers(reply)
            if not least <= found <= most:
                wrong.append(f"{COMMON}: {found} found, {least} answered for before, {most} sent after")
            continue
        connection = rng.randrange(len(acked))
        number = acked[connection]
        if not number:
            time.sleep(0.001)
            continue
        term = word(connection, number)
        took, reply = client.timed(b'UID SEARCH BODY "%s"' % term.encode())
        own.append(took)
        found = numbers(reply)
        if len(found) != 1:
            wrong.append(f"{term}: {found}")
    results.put(("own word", own))
    results.put(("common word", common))
    results.put(("wrong", wrong))


def turn(title, server, options, shared, deliver, search):
    sent, acked = shared
    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    workers = []
    if deliver:
        workers += [multiprocessing.Process(target=deliverer, args=(
            n, server.lmtp, options.message_bytes, sent, acked, stop, results)) for n in range(options.connections)]
    if search:
        workers += [multiprocessing.Process(target=searcher, args=(
            n, server.address, sent, acked, stop, results, options.common_share)) for n in range(options.sessions)]
    before, began = sum(acked), time.monotonic()
    for worker in workers:
        worker.start()
    time.sleep(options.seconds)
    after, took = sum(acked), time.monotonic() - began
    stop.set()
    gathered = {}
    for _ in range(deliver * options.connections + search * 3 * options.sessions):
        kind, values = results.get(timeout=300)
        gathered.setdefault(kind, []).extend(values)
    for worker in workers:
        worker.join()
    wrong = gathered.pop("wrong", [])
    rate = f"{(after - before) / took:.0f}" if deliver else "-"
    cells = [figures(gathered.get(kind)) for kind in ("deliveries", "own word", "common word")]
    print(f"| {title} | {rate} | " + " | ".join(cells) + f" | {len(wrong)} | {server.backlog()} |", flush=True)
    for line in wrong[:10]:
        print(f"  wrong: {line}", file=sys.stderr)
    return len(wrong)


def figures(times):
    if not times:
        return "-"
    times = sorted(times)
    at = lambda percent: 1000 * times[min(len(times) - 1, len(times) * percent // 100)]
    return f"{len(times)}: {at(50):.2f} / {at(99):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--bin", default="target/release/mailcask")
    parser.add_argument("--mbox", help="put into the mailbox, and indexed, before")
    parser.add_argument("--messages", type=int, help="the first so many of it")
    parser.add_argument("--connections", type=int, default=8, help="that deliver")
    parser.add_argument("--sessions", type=int, default=2, help="that search")
    parser.add_argument("--seconds", type=float, default=20, help="of each turn")
    parser.add_argument("--message-bytes", type=int, default=4096)
    parser.add_argument("--common-share", type=float, default=0.1, help="of searches for the word that all have")
    parser.add_argument("--dir", default=tempfile.gettempdir())
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="freshness-", dir=options.dir))
    server = None
    try:
        server = Mailcask(folder, options)
        if options.mbox:
            server.load(Mailbox(options.mbox, options.messages))
        else:
            server.tool("account", "add", USER, "--password-stdin", stdin=PASSWORD.encode() + b"\n")
            server.start()
        # Single words of memory that one process writes: nothing to lock.
        shared = tuple(multiprocessing.Array("q", options.connections, lock=False) for _ in range(2))
        print(f"{options.connections} connections, {options.sessions} sessions, {options.seconds:g} s a turn; {measure.machine()}")
        print("| | deliveries/s | delivery: n: p50 / p99 ms | search, own word | search, common word | wrong | backlog after |")
        print("|---|---|---|---|---|---|---|")
        wrong = turn("deliveries alone", server, options, shared, True, False)
        wrong += turn("both", server, options, shared, True, True)
        wrong += turn("searches alone", server, options, shared, False, True)
        began = time.monotonic()
        server.wait_indexed()
        print(f"backlog gone {time.monotonic() - began:.1f} s after")
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
