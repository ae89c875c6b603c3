#!/usr/bin/env python3
"""Import of an mbox, export in each format, and APPEND/FETCH: byte for byte (Must show 1)."""

import gzip
import time

from lib import mail
from lib.check import Context, equal, main
from lib.imap import append


async def by_tools(context: Context):
    """mailcask import, then FETCH and export as mbox, Maildir and .eml."""
    messages, source = mail.ham()
    given = [mail.crlf(m) for m in messages]
    path = mail.CORPUS / "ham.mbox.gz"
    if not path.exists():
        path = context.folder / "small.mbox"
        path.write_bytes(b"".join(
            b"From ada@example.org Thu May  9 08:00:00 2024\n" + _quoted(m) + b"\n" for m in messages))
    server = context.server
    began = time.monotonic()
    server.tool("import", "--account", context.account, "--mailbox", "Archive", path)
    took = time.monotonic() - began
    served = list((await context.served("Archive")).values())
    equal(served, given, "messages after import") if len(served) < 50 else \
        mail.compare(given, served, "FETCH after import")
    for form in ("mbox", "maildir", "eml"):
        out = context.folder / f"out.{form}"
        server.tool("export", "--account", context.account, "--mailbox", "Archive",
                    "--format", form, out)
        exported = [mail.crlf(m) for m in read_export(out, form)]
        mail.compare([mail.crlf(m) for m in given], exported, f"export as {form}")
        again = f"Again-{form}"
        server.tool("import", "--account", context.account, "--mailbox", again, out)
        mail.compare(given, list((await context.served(again)).values()), f"{form} imported again")
    context.summary = f"{len(given)} messages of {source} imported in {took:.1f} s; mbox, maildir, eml equal"


def read_export(out, form):
    """Messages of an export, whatever the file layout below OUT."""
    if out.is_file():
        data = out.read_bytes()
        return mail.split_mboxrd(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    files = sorted(p for p in out.rglob("*") if p.is_file())
    if form == "mbox":
        return [m for p in files for m in mail.split_mboxrd(p.read_bytes())]
    if form == "maildir":
        return [p.read_bytes() for p in files if p.parent.name in ("cur", "new")]
    return [p.read_bytes() for p in files if p.suffix == ".eml"]


def _quoted(message):
    import re
    return re.sub(rb"(?m)^(>*From )", rb">\1", message)


async def by_imap(context: Context):
    """The same without tools: APPEND, then FETCH."""
    messages, source = mail.ham()
    given = [mail.crlf(m) for m in messages]
    client = await context.imap()
    for message in given:
        equal((await append(client, "Archive", message)).status, "OK", "APPEND")
    await client.logout()
    mail.compare(given, list((await context.served("Archive")).values()), "FETCH after APPEND")
    context.summary = f"{len(given)} messages of {source} appended and fetched"


async def run(context: Context):
    await (by_tools if context.server.has_tools else by_imap)(context)


if __name__ == "__main__":
    main(run, __doc__)
