#!/usr/bin/env python3
"""swaks over LMTP, by TCP and by Unix socket: each message as given, one reply a recipient."""

from concurrent.futures import ThreadPoolExecutor

from lib import lmtp, mail
from lib.check import Context, equal, main


async def run(context: Context):
    messages, source = mail.ham()
    given = [mail.crlf(m) for m in messages[: context.arguments.messages or None]]
    folder = context.folder / "mail"
    folder.mkdir()
    for number, message in enumerate(given):
        # As it goes on the wire, for swaks "fixes" what it is not told to
        # leave alone; it adds the last line end itself.
        (folder / str(number)).write_bytes(lmtp.stuffed(message)[:-2])

    def send(number):
        where = (["--socket", context.server.socket] if number % 2 else
                 ["--server", "127.0.0.1", "--port", context.server.lmtp[1]])
        context.run("swaks", "--protocol", "LMTP", *where, "--from", "sender@example.net",
                    "--to", f"{context.account}@example.org", "--data", f"@{folder / str(number)}",
                    "--no-data-fixup", "--silent", "2")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, range(len(given))))
    mail.compare_delivered(given, list((await context.served()).values()), "delivered by swaks")

    output = context.run(
        "swaks", "--protocol", "LMTP", "--server", "127.0.0.1", "--port", context.server.lmtp[1],
        "--from", "sender@example.net", "--header", "Subject: for two of three",
        "--to", "ada@example.org,nobody-here@example.org,bob@example.org", status=None)
    equal(sum(line.startswith("<** 550 5.1.1") for line in output.splitlines()), 1,
          f"550 5.1.1 for the unknown account in\n{output}\n")
    for account, before in (("ada", len(given)), ("bob", 0)):
        equal(len(await context.served(account=account)), before + 1, f"messages of {account}")
    context.summary = f"{len(given)} messages of {source} by TCP and Unix socket, equal"


def options(parser):
    parser.add_argument("--messages", type=int, default=0, help="only so many of them")


if __name__ == "__main__":
    main(run, __doc__, needs=["swaks"], options=options, accounts=("ada", "bob"))
