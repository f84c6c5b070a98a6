"""Where a PostgreSQL store is: its address, without what opens the door, and what its errors mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from ...core.address import HIDDEN, redacted
from ...core.errors import MissingExtra, StoreError
from ...core.store import Store
from ._common import check_lease

if TYPE_CHECKING:
    import psycopg

OWN_OPTIONS = ("schema", "durability", "lease_s", "patience_s")
"""What the query of an address may say to the store itself; the rest is libpq's."""
_DEFAULTS: dict[str, Any] = {
    "client_encoding": "utf8",
    "fallback_application_name": "thalweg",
    "connect_timeout": 10,
    # A peer that fell silent (power cut, cable) is found out within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_ENCODING = "write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23 and % as %25 in user, password and database"

_CURES: tuple[tuple[str, str], ...] = (
    ("28P01|password authentication failed", "check user and password (the address, PGPASSWORD, ~/.pgpass)"),
    ("no password supplied", "give it in the address, in PGPASSWORD or in ~/.pgpass"),
    ("role .* does not exist", "check the user's name, or make it: createuser --pwprompt NAME"),
    ("database .* does not exist", "make it first: createdb NAME"),
    ("no pg_hba.conf entry", "the server does not let this user in from here; add a line to its pg_hba.conf"),
    ("53300|too many (connections|clients)", "raise max_connections, or use pgbouncer with pool_mode = session"),
    (
        "42501|permission denied",
        "the role lacks a right: GRANT CREATE ON DATABASE name TO role, or make the schema and let the role own it",
    ),
    ("53100|No space left", "the server's disk is full; free some space and go on: what was acknowledged is safe"),
    (
        "25006|read-only",
        "this server takes no writes (a standby?); give the address of the primary, or name all hosts and add "
        "target_session_attrs=read-write",
    ),
    ("resolve host|translate host name|Name or service", "check the host's name"),
    (
        "refused|No such file|timeout|unreachable|lost|closed|terminat|receive data",
        "is the server running, and does it listen there? try: pg_isready",
    ),
    ("SSL|certificate", "check sslmode and the certificates"),
    ("42P07|already exists", "the schema holds something of another program; choose another one: ?schema=name"),
    ("22021|22P05|byte sequence", "the database must be able to hold any text: createdb -E UTF8 -T template0 NAME"),
)
"""What an error's code or text matches -> what to do; the first one counts."""
DEFINITE = re.compile(
    "password authentication failed|no password supplied|does not exist|no pg_hba.conf entry|permission denied"
    "|authentication"
)
"""Refusals that another try will not change."""
STARTING = re.compile("starting up|shutting down|not yet accepting|recovery|closed the connection|terminating")
"""The server is there, and will be ready in a moment."""


@dataclass(frozen=True)
class Address:
    """parameters: what libpq is given.  shown: what people may read.  options: the store's own, from the query."""

    parameters: dict[str, Any] = field(repr=False)
    shown: str
    options: dict[str, str]

    def hide(self, text: str) -> str:
        """`text` without this address's passwords, wherever they are in it."""
        text = redacted(text)
        for name, value in self.parameters.items():
            if "password" in name and value:
                text = text.replace(str(value), HIDDEN)
        return text


def library() -> Any:
    """The module psycopg.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtra("psycopg", "postgres", "a store in PostgreSQL") from error
    return psycopg


def parse(given: str) -> Address:
    """The parts of postgresql://user:password@host:port/database?option=value. Everything but the scheme may be left
    out, as in libpq: PGHOST, PGUSER, PGPASSWORD, ~/.pgpass and its other sources are used then.

    Raises:
        StoreError: it cannot be read. Nothing of what may be a password is in the message.
    """
    psycopg = library()
    head, at, tail = given.rpartition("@")
    place, mark, query = tail.partition("?")
    theirs: list[tuple[str, str]] = []
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in OWN_OPTIONS:
            options[name] = value
        else:
            theirs.append((name, value))
    plain = head + at + place
    shown = redacted(plain)
    try:
        parts = psycopg.conninfo.conninfo_to_dict(plain + (mark + urlencode(theirs) if theirs else ""))
    except psycopg.Error as error:
        unknown = re.search(r'invalid URI query parameter: "(\w+)"', str(error))
        if unknown:
            raise StoreError(
                f"{shown}: there is no option {unknown[1]!r}; the store's own are {', '.join(OWN_OPTIONS)}, the others "
                f"are libpq's (sslmode, connect_timeout ...)"
            ) from None
        raise StoreError(f"postgresql://user:password@host:port/database expected; {_ENCODING}") from None
    misread = "@" in f"{parts.get('host', '')}{parts.get('dbname', '')}"
    if misread or not re.fullmatch(r"[\d,]*", str(parts.get("port", ""))):
        raise StoreError(f"the address cannot be read: user or password hold a sign that ends them; {_ENCODING}")
    return Address({**_DEFAULTS, **parts}, shown, options)


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """The store's own options, checked.

    Raises:
        StoreError: one of them cannot be.
    """
    options: dict[str, Any] = {
        "schema": "thalweg",
        "durability": "full",
        "lease_s": Store.lease_s,
        "patience_s": 60.0,
    } | given
    if options["durability"] not in ("full", "fast"):
        raise StoreError(f"durability must be 'full' or 'fast', got {options['durability']!r}")
    if not isinstance(options["schema"], str) or not re.fullmatch(r"[a-z_][a-z0-9_]{0,47}", options["schema"]):
        raise StoreError(
            f"schema must be a name of small letters, digits and _ (48 at most), got {options['schema']!r}"
        )
    for name in ("lease_s", "patience_s"):
        if isinstance(options[name], str):
            try:
                options[name] = float(options[name])
            except ValueError:
                raise StoreError(f"{name} must be a number of seconds, got {options[name]!r}") from None
    check_lease(options["lease_s"])
    if isinstance(options["patience_s"], bool) or not options["patience_s"] >= 0:
        raise StoreError(f"patience_s must be a number of seconds, got {options['patience_s']!r}")
    return options


def cure(text: str) -> str:
    """What to do about an error that says `text`."""
    found = (what for pattern, what in _CURES if re.search(pattern, text))
    return next(found, "this is unexpected; please report it")


def translated(error: psycopg.Error, address: Address) -> StoreError:
    """A StoreError that says the same, with a cure, and without passwords."""
    text = " ".join(address.hide(str(error)).split())
    return StoreError(f"{address.shown}: {text}: {cure(f'{error.sqlstate} {text}')}")
