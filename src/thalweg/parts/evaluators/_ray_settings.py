"""The environment that a Ray cluster of our own is started in. No Ray in here."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_token: dict[str, str] = {}


def authentication() -> dict[str, str]:
    """A token for clusters started here, unless people have settled that. Ray reads it once, when it is loaded, so
    there is one for the whole process; where Ray was loaded before, its own default stands.
    """
    if not _token and "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        _token.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    return dict(_token)


@contextmanager
def environment(fresh: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for what is started meanwhile; those that people have set stay."""
    added = {name: value for name, value in fresh.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def handlers() -> Iterator[None]:
    """Ray takes SIGTERM for itself; give it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
