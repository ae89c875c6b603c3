#!/usr/bin/env python3
"""curl imap://: LIST, EXAMINE by URL, FETCH whole and by section, SEARCH, APPEND, custom commands."""

import re

from lib import mail
from lib.check import Context, equal, main
from lib.imap import append


async def run(context: Context):
    base = f"imap://127.0.0.1:{context.server.imap[1]}"
    user = f"{context.account}:{context.password}"

    def curl(url, *options, **expected):
        return context.run("curl", "--silent", "--show-error", "--max-time", "60", "-u", user,
                           *options, base + url, **expected)

    # With a line end each, for curl ends a literal that has none with one.
    given = [m for _, m in mail.samples() if m.endswith(b"\r\n")]
    client = await context.imap()
    for message in given:
        equal((await append(client, "INBOX", message)).status, "OK", "APPEND")
    await client.ok("SELECT INBOX")

    for mailbox in ("INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"):
        equal(bool(re.search(rf'^\* LIST \([^)]*\) "/" "?{mailbox}"?\r?$', curl("/"), re.M)), True,
              f"{mailbox} in LIST")
    fetched = context.folder / "fetched"
    for number, message in enumerate(given, 1):
        for login in ([], ["--login-options", "AUTH=PLAIN"], ["--sasl-ir"]):
            curl(f"/INBOX;MAILINDEX={number}", "-o", fetched, *login)
            equal(fetched.read_bytes(), message, f"message {number}")
    whole = {uid: m for uid, m in (await context.served()).items()}
    for uid, message in whole.items():
        curl(f"/INBOX;UID={uid}", "-o", fetched)
        equal(fetched.read_bytes(), message, f"UID {uid}")
        curl(f"/INBOX;UID={uid};SECTION=HEADER", "-o", fetched)
        header = fetched.read_bytes()
        curl(f"/INBOX;UID={uid};SECTION=TEXT", "-o", fetched)
        text = fetched.read_bytes() if message != header else b""
        equal(header + text, message, f"HEADER and TEXT of UID {uid}")

    found = await client.ok('SEARCH SUBJECT "alt"')
    numbers = " ".join(v.decode() for u in found.named("SEARCH") for v in u.values)
    equal(curl("/INBOX?SUBJECT%20alt").strip(), f"* SEARCH {numbers}", "SEARCH by URL")

    upload = context.folder / "upload"
    big = b"From: a@example.org\r\nSubject: big\r\n\r\n" + b"x" * 70 + b"\r\n"
    big += b"0123456789abcdef" * 4 + b"\r\n" + (b"y" * 98 + b"\r\n") * 20000
    for message in (given[0], big):
        upload.write_bytes(message)
        curl("/Archive", "-T", upload)
    equal(list((await context.served("Archive")).values()), [given[0], big], "APPEND by upload")

    curl("/INBOX", "-X", "STORE 1 +FLAGS (\\Flagged $Label1)")
    flags = (await client.ok("FETCH 1 (FLAGS)")).fetches()[0][1][b"FLAGS"]
    equal({b"\\Flagged", b"$Label1"} <= set(map(bytes, flags)), True, f"flags in {flags}")
    curl("/", "-X", "CREATE curl")
    equal("\"curl\"" in curl("/") or " curl" in curl("/"), True, "CREATE")
    context.run("curl", "-sS", "-u", f"{context.account}:wrong", base + "/INBOX", status=67)
    curl("/INBOX;UID=999999", status=None)
    await client.logout()
    context.summary = f"{len(given)} messages by URL, sections, SEARCH, APPEND of {len(big)} bytes, STORE"


if __name__ == "__main__":
    main(run, __doc__, needs=["curl"])
