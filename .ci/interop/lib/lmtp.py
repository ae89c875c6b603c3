"""A small LMTP (and SMTP) client over asyncio: RFC 2033, RFC 5321, RFC 3030.

Laws
- The message goes on the wire as it is: dots are doubled after CRLF only, and
  a CRLF is added before the final dot only where the message has none.
- Each accepted recipient has its own reply after the data.
"""

import asyncio


class LmtpLost(Exception):
    """The connection ended before the reply."""


class Lmtp:
    """One connection; `smtp=True` says EHLO and reads one reply for all recipients."""

    def __init__(self, reader, writer, smtp=False):
        self.reader, self.writer, self.smtp = reader, writer, smtp
        self.extensions = {}
        self.timeout_s = 120

    @classmethod
    async def connect(cls, address, smtp=False):
        if isinstance(address, str):
            streams = await asyncio.open_unix_connection(address)
        else:
            streams = await asyncio.open_connection(*address)
        client = cls(*streams, smtp)
        code, text = await client.reply()
        if code != 220:
            raise RuntimeError(f"greeting {code} {text}")
        code, text = await client.say(b"EHLO client.example" if smtp else b"LHLO client.example")
        if code != 250:
            raise RuntimeError(f"LHLO answered {code} {text}")
        for line in text.split("\n")[1:]:
            word, _, arguments = line.partition(" ")
            client.extensions[word.upper()] = arguments
        return client

    async def reply(self):
        """Code and text of one reply, its lines joined by LF."""
        lines = []
        while True:
            try:
                async with asyncio.timeout(self.timeout_s):
                    line = await self.reader.readuntil(b"\n")
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise LmtpLost("connection closed by the server") from error
            if not line.endswith(b"\r\n") or not line[:3].isdigit():
                raise RuntimeError(f"not a reply line: {line!r}")
            lines.append(line[4:-2].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(lines)

    async def send(self, data):
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError as error:
            raise LmtpLost("connection closed by the server") from error

    async def say(self, line):
        await self.send(line + b"\r\n")
        return await self.reply()

    async def envelope(self, sender, recipients, size=None):
        """MAIL and RCPTs, pipelined where offered: [(code, text)], MAIL's first."""
        options = b""
        if "8BITMIME" in self.extensions:
            options += b" BODY=8BITMIME"
        if size is not None and "SIZE" in self.extensions:
            options += b" SIZE=%d" % size
        lines = [b"MAIL FROM:<" + sender.encode() + b">" + options]
        lines += [b"RCPT TO:<" + r.encode() + b">" for r in recipients]
        if "PIPELINING" not in self.extensions:
            return [await self.say(line) for line in lines]
        await self.send(b"\r\n".join(lines) + b"\r\n")
        return [await self.reply() for _ in lines]

    async def data(self, message, accepted):
        """DATA and the message; one reply for each accepted recipient."""
        code, text = await self.say(b"DATA")
        if code != 354:
            return [(code, text)] * accepted
        await self.send(stuffed(message))
        return await self.verdicts(accepted)

    async def bdat(self, message, accepted, chunk=8192):
        """BDAT (RFC 3030) in pieces; only the last one's replies are returned."""
        for at in range(0, len(message), chunk):
            piece = message[at: at + chunk]
            if at + chunk >= len(message):
                break
            await self.send(b"BDAT %d\r\n" % len(piece) + piece)
            code, text = await self.reply()
            if code != 250:
                raise RuntimeError(f"BDAT answered {code} {text}")
        else:
            piece = b""
        await self.send(b"BDAT %d LAST\r\n" % len(piece) + piece)
        return await self.verdicts(accepted)

    async def verdicts(self, accepted):
        return [await self.reply() for _ in range(1 if self.smtp else accepted)]

    async def deliver(self, sender, recipients, message, bdat=False):
        """One transaction: [(code, text)], one for each recipient in order."""
        replies = await self.envelope(sender, recipients, len(message))
        if replies[0][0] != 250:
            await self.say(b"RSET")
            return [replies[0]] * len(recipients)
        accepted = sum(code == 250 for code, _ in replies[1:])
        if not accepted:
            await self.say(b"RSET")
            return replies[1:]
        send = self.bdat if bdat else self.data
        verdicts = iter(await send(message, accepted))
        if self.smtp:
            verdict = next(verdicts)
            return [verdict if reply[0] == 250 else reply for reply in replies[1:]]
        return [next(verdicts) if reply[0] == 250 else reply for reply in replies[1:]]

    async def quit(self):
        try:
            await self.say(b"QUIT")
        except LmtpLost:
            pass
        self.close()

    def close(self):
        self.writer.close()


def stuffed(message):
    """The message as DATA wants it (RFC 5321 section 4.5.2), final dot included."""
    if message.startswith(b"."):
        message = b"." + message
    message = message.replace(b"\r\n.", b"\r\n..")
    return message + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n")


def after_data(message):
    """What a server holds of a message sent by DATA: a last line end is always there."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"
