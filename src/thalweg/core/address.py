"""Addresses of stores and services, as they may be shown: without what opens the door."""

from __future__ import annotations

import re

HIDDEN = "***"
"""What stands where a secret was."""

_USERINFO = re.compile(r"(://[^\s:@/?#]*):[^\s]*@(?=[^@\s]*(?:\s|$))")
"""scheme://user:secret@host; the secret may itself hold @, / and :, so it ends at the last @ of its word."""
_WORDS = "password|passwd|passfile|passphrase|pwd|secret|token|api_?key|access_?key|credential"
_NAMED = re.compile(
    rf"((?:{_WORDS})[\w.-]{{0,40}}\s{{0,9}}=\s{{0,9}})(?:'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s&;,]+)", re.IGNORECASE
)
"""password=..., sslpassword='...', api_key=...: in the query of an address, and in libpq's "key=value" form."""


def redacted(text: str) -> str:
    """`text` with passwords, tokens and keys replaced by "***": for messages, logs, representations and pages.

    text: an address ("postgresql://user:secret@host/db?password=secret"), a "host=... password=..." line, or a sentence
    that holds such. What opens nothing (user, host, port, path) stays readable, so that a wrong address can be found.
    Idempotent.

        >>> redacted("postgresql://ada:s3cr3t@db.example:5432/tuning?sslmode=require")
        'postgresql://ada:***@db.example:5432/tuning?sslmode=require'
    """
    return _NAMED.sub(rf"\1{HIDDEN}", _USERINFO.sub(rf"\1:{HIDDEN}@", str(text)))
