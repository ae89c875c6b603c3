"""The harness round one check: arguments, temporary folder, server, verdict.

Laws
- Exit status: 0 passed, 1 failed, 77 skipped (with the reason on one line).
- A check that passed has stopped its server with SIGTERM and `mailcask check`
  found nothing in the store it left.
- A failure prints the seed, the reason and the end of the server's log.
"""

import argparse
import asyncio
import inspect
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from .imap import Imap, fetch_all, quote
from .lmtp import Lmtp
from .server import ACCOUNT, PASSWORD, SERVERS

SKIPPED = 77


class Skip(Exception):
    """The check cannot run here, and why."""


class Context:
    """What a check works with."""

    account, password = ACCOUNT, PASSWORD

    def __init__(self, arguments, folder, server):
        self.arguments, self.folder, self.server = arguments, folder, server
        self.seed = arguments.seed
        self.random = random.Random(self.seed)
        self.summary = ""
        self.cleanups = []  # called at the end, last first, whatever the verdict

    async def imap(self, account=ACCOUNT, password=PASSWORD, watch=None):
        """A logged-in connection."""
        client = await Imap.connect(self.server.imap, watch)
        await client.login(account, password)
        return client

    async def served(self, mailbox="INBOX", account=ACCOUNT):
        """{uid: message bytes} of a mailbox."""
        client = await self.imap(account)
        await client.ok(b"EXAMINE ", quote(mailbox))
        found = await fetch_all(client, "BODY.PEEK[]", 100)
        await client.logout()
        return {uid: items[b"BODY[]"] for uid, items in found.items()}

    async def deliver(self, messages, recipient=None):
        """Deliver some messages by LMTP, one connection."""
        recipient = recipient or f"{self.account}@example.org"
        client = await Lmtp.connect(self.server.lmtp)
        for message in messages:
            for code, text in await client.deliver("sender@example.net", [recipient], message):
                if code != 250:
                    raise AssertionError(f"LMTP answered {code} {text}")
        await client.quit()

    def run(self, *command, env=None, timeout=900, status=0, stdin=b""):
        """Run a client; its output. Any status but the expected one is a failure."""
        done = subprocess.run(list(map(str, command)), capture_output=True, env=env,
                              timeout=timeout, input=stdin)
        output = (done.stdout + done.stderr).decode(errors="replace")
        if status is not None and done.returncode != status:
            raise AssertionError(f"{command[0]} ended with {done.returncode}:\n{output[-3000:]}")
        return output


def equal(got, expected, what):
    if got != expected:
        raise AssertionError(f"{what}: {got!r}, expected {expected!r}")


def main(run, description, needs=(), options=None, mailcask_only=False, accounts=(ACCOUNT,)):
    """Run one check as a program."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--server", choices=SERVERS, default="mailcask")
    parser.add_argument("--bin", help="the server's binary")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of everything random")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    parser.add_argument("--limit-s", type=int, default=1800, help="give up after this time")
    if options:
        options(parser)
    arguments = parser.parse_args()
    name = Path(sys.argv[0]).stem
    missing = [tool for tool in needs if not shutil.which(tool, path=_PATH)]
    if missing:
        print(f"skipped {name}: {', '.join(missing)} not installed")
        sys.exit(SKIPPED)
    if mailcask_only and arguments.server != "mailcask":
        print(f"skipped {name}: for mailcask alone")
        sys.exit(SKIPPED)
    sys.exit(_run(run, name, arguments, accounts))


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _run(run, name, arguments, accounts):
    # Short, because a Unix socket's path may have about 100 bytes.
    # So that a check which is told to end still ends its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="mc-"))
    server, context = None, None
    began = time.monotonic()
    try:
        folder.chmod(0o755)
        (folder / "server").mkdir()
        (folder / "client").mkdir()
        server = SERVERS[arguments.server](folder / "server", arguments.bin)
        for account in accounts:
            server.add_account(account)
        server.start()
        context = Context(arguments, folder / "client", server)
        if inspect.iscoroutinefunction(run):
            asyncio.run(asyncio.wait_for(run(context), arguments.limit_s))
        else:
            run(context)
        server.stop()
        server.check()
        print(f"passed {name} ({time.monotonic() - began:.0f} s): {context.summary}")
        return 0
    except Skip as reason:
        print(f"skipped {name}: {reason}")
        return SKIPPED
    except Exception as error:  # noqa: BLE001 - a verdict is printed whatever went wrong
        traceback.print_exc()
        if server is not None:
            print(f"--- end of the server's log\n{server.log_tail()}---")
        first_line = (str(error) or repr(error)).splitlines()[0][:300]
        print(f"failed {name} (seed {arguments.seed}): {first_line}")
        return 1
    finally:
        if server is not None:
            server.kill()
        for cleanup in reversed(context.cleanups if context else ()):
            cleanup()
        if arguments.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
