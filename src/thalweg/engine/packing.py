"""Numbers of trials and tickets, short, as they stand in the log."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.batch import Ints


def pack(numbers: Ints) -> Any:
    """JSON-able integers: [first, count] as a dict where they are consecutive, else a list."""
    k = len(numbers)
    first = int(numbers[0])
    if k > 2 and int(numbers[-1]) - first == k - 1 and bool((np.diff(numbers) == 1).all()):
        return {"from": first, "count": k}
    return numbers.tolist()


def unpack(packed: Any) -> Ints:
    """What `pack` was given."""
    if isinstance(packed, dict):
        return np.arange(packed["from"], packed["from"] + packed["count"])
    return np.array(packed, dtype=np.int64)
