"""Asking one server everything, with a clock.

Laws
- A row is asked until it has `repeat` times or its seconds are up, but at least once.
- A row that was too slow, or that the server refused, says so in place of a figure.
- Everything is asked in one selected session; cold rows have a new process of the server each.
"""

import os
import random
import subprocess
import time
from dataclasses import dataclass, field

from .client import Client, Refused, numbers
from .mailcask import PASSWORD, USER
from .process import resident_bytes
from .rows import CHANGED, FLAGGED_EVERY, UNSEEN_EVERY, needle_searches


@dataclass
class Result:
    """One row on one server."""

    times_s: list = field(default_factory=list)
    hits: int | None = None
    true_hits: int | None = None
    right: bool | None = None   # None: the truth is not known
    note: str = ""

    def percentile_ms(self, percent):
        times = sorted(self.times_s)
        if not times:
            return None
        return 1000 * times[min(len(times) - 1, len(times) * percent // 100)]


def connect(server, timeout_s=600):
    client = Client(server.address, timeout_s)
    client.login(USER, PASSWORD)
    return client


def prepare(server, mailbox):
    """Flags, and the mod-sequence before the last of them; sees that UIDs are ordinals."""
    client = connect(server, 3600)
    reply = client.ask(b"SELECT INBOX (CONDSTORE)")
    if b"* %d EXISTS" % mailbox.count not in reply:
        raise Refused(f"{server.name} does not have {mailbox.count} messages: {bytes(reply)[:300]!r}")
    for ordinal, message_id in mailbox.message_ids.items():
        if int(ordinal) > mailbox.count:
            continue
        reply = client.ask(b"UID FETCH %b (RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])" % ordinal.encode())
        if message_id.encode() not in reply.lower() or b"RFC822.SIZE %d" % mailbox.sizes[int(ordinal) - 1] not in reply:
            raise Refused(f"{server.name}: UID {ordinal} is not message {ordinal} of the mbox: {bytes(reply)!r}")
    store(client, b"+FLAGS.SILENT (\\Seen)", [n for n in range(1, mailbox.count + 1) if n % UNSEEN_EVERY])
    store(client, b"+FLAGS.SILENT (\\Flagged)",
          range(FLAGGED_EVERY, mailbox.count - CHANGED + 1, FLAGGED_EVERY))
    reply = client.ask(b"SELECT INBOX (CONDSTORE)")
    before = int(reply.split(b"HIGHESTMODSEQ ", 1)[1].split(b"]", 1)[0])
    store(client, b"+FLAGS.SILENT (\\Flagged)", range(mailbox.count - CHANGED + 1, mailbox.count + 1))
    client.close()
    return before + 1


def store(client, change, uids):
    runs = []
    for uid in uids:
        if runs and runs[-1][1] + 1 == uid:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    for at in range(0, len(runs), 1000):
        named = ",".join(f"{a}:{b}" for a, b in runs[at:at + 1000])
        client.ask(b"UID STORE " + named.encode() + b" " + change)


def ask_row(client, row, seq, repeat, seconds):
    command = row.command.replace(b"{seq}", b"%d" % seq)
    result = Result()
    until = time.monotonic() + seconds
    reply = b""
    while len(result.times_s) < repeat and (not result.times_s or time.monotonic() < until):
        took, reply = client.timed(command)
        result.times_s.append(took)
    judge(result, row, numbers(reply))
    return result


def judge(result, row, found):
    counted = isinstance(found, int)
    result.hits = found if counted else len(set(found)) if row.kind == "sort" else len(found)
    if row.truth is None:
        return
    result.true_hits = len(row.truth) if isinstance(row.truth, set) else row.truth
    result.right = result.hits == result.true_hits
    if isinstance(row.truth, set) and not counted:
        result.right = result.right and set(found) == row.truth


def warm(server, rows, seq, options):
    """Each row, again and again; {label: Result}."""
    results = {}
    client = selected(server, options)
    for row in rows:
        repeat = options.repeat if not (server.scans and row.slow) else min(options.repeat, options.scan_repeat)
        try:
            # Once unmeasured, but not where once is a scan of minutes.
            if repeat > 3:
                client.ask(row.command.replace(b"{seq}", b"%d" % seq))
            results[row.label] = ask_row(client, row, seq, repeat, options.row_seconds)
        except (Refused, OSError) as error:
            results[row.label] = Result(note=str(error)[:60])
            print(f"  {server.name}: {row.label}: {error}", flush=True)
            client = selected(server, options)
    client.close()
    return results


def selected(server, options):
    client = connect(server, options.search_timeout)
    client.ask(b"SELECT INBOX (CONDSTORE)")
    return client


def cold(server, rows, seq, options):
    """The first search after a start, each row with starts of its own."""
    results = {}
    for row in rows:
        if not row.cold or (server.scans and row.slow and options.scan_repeat < 2):
            continue
        result = results["cold: " + row.label] = Result()
        for _ in range(options.cold_repeat):
            server.stop()
            if options.drop_caches:
                drop_caches()
            server.start()
            try:
                client = selected(server, options)
                once = ask_row(client, row, seq, 1, 1)
                client.close()
            except (Refused, OSError) as error:
                result.note = str(error)[:60]
                break
            result.times_s += once.times_s
            result.hits, result.true_hits, result.right = once.hits, once.true_hits, once.right
    return results


def drop_caches():
    subprocess.run(["sync"], check=True)
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3\n")


def needles(server, mailbox, options):
    """(exact answers, searches asked, names of the wrong ones)."""
    client = selected(server, options)
    asked, wrong = 0, []
    until = time.monotonic() + options.needle_seconds
    searches = list(needle_searches(mailbox))
    # Where the time does not suffice, any part of them is as good as another.
    random.Random(1).shuffle(searches)
    for name, command, truth in searches:
        if time.monotonic() > until:
            break
        asked += 1
        try:
            found = numbers(client.ask(command))
            if set(found) != truth or len(found) != len(truth):
                wrong.append(f"{name}: {len(set(found) & truth)} of {len(truth)}, {len(set(found) - truth)} not true")
        except (Refused, OSError) as error:
            wrong.append(f"{name}: {error}")
            client = selected(server, options)
    client.close()
    return asked - len(wrong), asked, wrong


def resident(server):
    return resident_bytes(server.process.pid)


def machine():
    cores = os.cpu_count()
    load = os.getloadavg()
    return f"{cores} cores, load {load[0]:.1f} {load[1]:.1f} {load[2]:.1f}"
