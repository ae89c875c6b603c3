#!/usr/bin/env python3
"""64 LMTP connections deliver while 20 IMAP sessions work on the same mailbox (Must show 4)."""

from lib.check import Context, main
from lib.ledger import Ledger
from lib.load import Load, equal_views
from lib.load import options as load_options


async def run(context: Context):
    arguments = context.arguments
    client = await context.imap()
    for mailbox in ("Moved", "Copies"):
        await client.ok(f"CREATE {mailbox}")
    ledger = Ledger()
    load = Load(context, ledger, context.seed)
    await load.run(arguments.seconds)
    seen = await equal_views(load)
    rows = await ledger.verify(client, crashed=False)
    bob = await context.imap("bob")
    await ledger.verify_bob(bob)
    for connection in (client, bob):
        await connection.logout()
    counts = ledger.counts
    held = len(rows["INBOX"]) + len(rows["Moved"])
    gone = len(ledger.promised) - held
    context.summary = (
        f"{arguments.seconds} s, {counts['delivered']} answered 250 and {counts['appended']} OK = "
        f"{held} in INBOX and Moved + {gone} expunged; {len(rows['Copies'])} copies; "
        f"{arguments.sessions} views of {seen} messages equal; "
        f"{sum(counts[a] for a in ACTIONS)} IMAP actions; seed {context.seed}")


ACTIONS = ("own_keyword", "shared_flags", "copy", "move", "expunge", "idle", "noop", "read", "append",
           "search", "pipeline")


def options(parser):
    parser.add_argument("--seconds", type=float, default=60)
    load_options(parser)


if __name__ == "__main__":
    main(run, __doc__, options=options, accounts=("ada", "bob"))
