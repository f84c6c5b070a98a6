"""The tests run the same from a terminal, a job in the background and a service."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

from postgres_server import fresh_postgres, mortal_postgres, postgres_address, postgres_database, postgres_server

__all__ = ["fresh_postgres", "mortal_postgres", "postgres_address", "postgres_database", "postgres_server"]

# A shell starts background jobs with Ctrl-C ignored, programs inherit that, and tests that press it would wait forever.
signal.signal(signal.SIGINT, signal.default_int_handler)

if not os.access(".", os.W_OK):  # a checkout that is only read: failing examples cannot be kept in .hypothesis
    settings.register_profile("read only", database=None)
    settings.load_profile("read only")
