#!/usr/bin/env python3
"""Mailcask and its peers: the same mailbox, the same searches over IMAP, one table. See README.md."""

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from peers import measure, table
from peers.cyrus import Cyrus
from peers.dovecot import Dovecot, DovecotXapian
from peers.mailbox import Mailbox
from peers.mailcask import Mailcask
from peers.rows import rows

PEERS = {peer.name: peer for peer in (Dovecot, DovecotXapian, Cyrus, Mailcask)}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--mbox", required=True, help="of make_mailbox.py --format mbox, its needles beside it")
    parser.add_argument("--messages", type=int, help="the first so many of it (all)")
    parser.add_argument("--peers", default="dovecot,dovecot-xapian,cyrus,mailcask")
    parser.add_argument("--bin", default="target/release/mailcask", help="the mailcask to measure")
    parser.add_argument("--cyrus-root", default="/", help="where packages.sh unpacked Cyrus")
    parser.add_argument("--repeat", type=int, default=100, help="of each row, unless its seconds are up")
    parser.add_argument("--row-seconds", type=float, default=10)
    parser.add_argument("--scan-repeat", type=int, default=3,
                        help="of rows for which a server without an index reads the whole mailbox")
    parser.add_argument("--cold-repeat", type=int, default=3, help="0: no cold rows")
    parser.add_argument("--drop-caches", action="store_true",
                        help="empty the page cache before each cold start (root; of the whole machine)")
    parser.add_argument("--search-timeout", type=float, default=600, help="seconds for one search")
    parser.add_argument("--needle-seconds", type=float, default=900, help="for all needles of one server")
    parser.add_argument("--xapian-seconds", type=float, default=600, help="for dovecot-fts-xapian to index")
    parser.add_argument("--xapian-messages", type=int, default=2000,
                        help="dovecot-fts-xapian has only the first so many")
    parser.add_argument("--count", action="store_true", help="ask with RETURN (COUNT), RFC 4731")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where the servers' data is made")
    parser.add_argument("--keep", action="store_true", help="keep the servers' data")
    parser.add_argument("--only", help="only rows whose label has this in it")
    parser.add_argument("--json", help="write everything measured to a file")
    return parser.parse_args()


def main():
    options = parse()
    names = options.peers.split(",")
    if set(names) - set(PEERS):
        sys.exit(f"no peer {', '.join(sorted(set(names) - set(PEERS)))}: there are {', '.join(PEERS)}")
    mailbox = Mailbox(options.mbox, options.messages)
    columns = []
    for name in names:
        of_this = mailbox
        if name == "dovecot-xapian" and mailbox.count > options.xapian_messages:
            of_this = Mailbox(options.mbox, options.xapian_messages)
        columns.append(one(PEERS[name], of_this, options))
        if options.json:
            # After each: a server takes its time, and the next may be ended.
            Path(options.json).write_text(json.dumps([table.plain(column) for column in columns], indent=1))
    print(table.render(mailbox, columns, options))
    sys.exit(any(column.get("failed") for column in columns))


def one(peer, mailbox, options):
    """Everything about one server: a column of the table."""
    folder = Path(tempfile.mkdtemp(prefix=f"compare-{peer.name}-", dir=options.dir))
    column = {"peer": peer.name, "messages": mailbox.count, "machine": measure.machine(), "rows": {}}
    server = None
    try:
        say(peer, f"loads {mailbox.count} messages, {mailbox.bytes / 1e6:.0f} MB, in {folder}")
        server = peer(folder, options)
        column.update(server.load(mailbox))
        column["version"] = server.version()
        seq = measure.prepare(server, mailbox)
        say(peer, "searches")
        asked = [row for row in rows(mailbox, options.count) if not options.only or options.only in row.label]
        column["rows"].update(measure.warm(server, asked, seq, options))
        if not options.only:
            column["needles"] = measure.needles(server, mailbox, options)
        column["resident_bytes"] = measure.resident(server)
        column["index_bytes"] = server.index_bytes()
        column["text_bytes"] = server.text_bytes() if hasattr(server, "text_bytes") else None
        if options.cold_repeat:
            say(peer, "starts cold")
            column["rows"].update(measure.cold(server, asked, seq, options))
    except Exception as error:  # noqa: BLE001 - the other columns are still worth having
        traceback.print_exc()
        column["failed"] = str(error)[:300] or repr(error)
    finally:
        if server is not None:
            server.stop()
        if options.keep:
            say(peer, f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return column


def say(peer, text):
    print(f"{time.strftime('%H:%M:%S')} {peer.name}: {text} ({measure.machine()})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
