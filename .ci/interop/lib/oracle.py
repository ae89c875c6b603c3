"""What a message's texts are, by Python's email package: a second opinion on searches.

Laws
- Only what RFC 3501 and MIME leave no choice about: one text/plain part that is not format=flowed, and
  header fields without encoded-words. For any other message `body()` or `field()` is None.
- Case is folded as RFC 5051 says: simple title case, then canonical decomposition, character by character.
"""

import email
import functools
import re
import unicodedata
from email import policy


class Texts:
    """One message. Fields are those given, unfolded as RFC 5322 section 2.2.3 says."""

    def __init__(self, raw):
        self.message = email.message_from_bytes(raw, policy=policy.compat32)

    def body(self):
        message = self.message
        if message.get_content_type() != "text/plain" or message.is_multipart() or message.defects:
            return None
        if (message.get_param("format") or "").lower() == "flowed" or message.get_content_disposition():
            return None
        # Blanks at the end of such a line are none of the text (RFC 2045 section 6.7, rule 3); Python keeps them.
        encoding = (message.get("Content-Transfer-Encoding") or "").strip().lower()
        if encoding == "quoted-printable" and re.search(r"[ \t]\r?\n", message.get_payload()):
            return None
        try:
            return message.get_payload(decode=True).decode(message.get_content_charset("us-ascii"))
        except (LookupError, UnicodeDecodeError):
            return None

    def field(self, name):
        """The one field of that name as text; None where it is missing, repeated or encoded."""
        values = self.message.get_all(name) or []
        if len(values) != 1:
            return None
        text = str(values[0])
        if not text.isascii() or "=?" in text:
            return None
        return text.replace("\r\n", "").replace("\n", "").strip()


def fold(text):
    return text.upper() if text.isascii() else "".join(map(_fold_one, text))


@functools.cache
def _fold_one(character):
    title = character.title()
    return unicodedata.normalize("NFD", title if len(title) == 1 else character)


def holds(pattern, text):
    return fold(pattern) in fold(text)
