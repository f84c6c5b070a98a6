"""A trial as a store gives it back. Apart from the seam, because msgspec makes it, which is loaded with a store.

Decoders fill it in directly, and the garbage collector need not know of it: 100,000 of them take 0.1 CPU-s to make,
where dataclasses take 0.3.
"""

from __future__ import annotations

from typing import Any

import msgspec

_NAN = float("nan")


class StoredTrial(msgspec.Struct, gc=False):
    """params by label (JSON), values minimised (none where there is no result)."""

    number: int = -1
    ticket: int = -1
    params: dict[str, Any] = {}
    status: int = 0
    values: list[float] = []
    seconds: float = _NAN
    violation: float = 0.0
    components: dict[str, Any] | None = None
    error: str = ""
    started_unixtime: float = _NAN
    attempt: int = 1
    replicate: int = 0
    fidelity: float | None = None
    source: str = "strategy"
    worker: str = ""
    by: int = 0
    owner: int | None = None
    """The token of the member that works on it; None: nobody does, or it is final."""
