"""The tests run the same from a terminal, a job in the background and a service."""

from __future__ import annotations

import signal

from postgres_server import fresh_postgres, mortal_postgres, postgres_address, postgres_database, postgres_server

__all__ = ["fresh_postgres", "mortal_postgres", "postgres_address", "postgres_database", "postgres_server"]

# A shell starts background jobs with Ctrl-C ignored, programs inherit that, and tests that press it would wait forever.
signal.signal(signal.SIGINT, signal.default_int_handler)
