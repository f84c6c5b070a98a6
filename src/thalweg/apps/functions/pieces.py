"""Data cut into pieces, and the results of the pieces joined again.

Data that can be cut: lists, tuples, ranges, arrays (along the first axis), pandas frames and series. A function is
called piece by piece on the understanding that it works item by item: f(a + b) = f(a) + f(b). What is seen not to (as
many results as items, or None each time) is not joined by guessing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

Combine = Callable[[list[Any]], Any]
"""(results of the pieces, in order) -> the result."""


class NotItemwise(Exception):
    """The results of pieces cannot be joined: the function does not give one result per item."""


def divisible(data: Any) -> bool:
    """Whether data can be cut into pieces."""
    if isinstance(data, (list, tuple, range)):
        return True
    if isinstance(data, np.ndarray):
        return data.ndim > 0
    return _is_pandas(data)


def cut(data: Any, start: int, stop: int) -> Any:
    """Items start .. stop - 1, of the kind that data is. Named tuples become tuples."""
    return data.iloc[start:stop] if _is_pandas(data) else data[start:stop]


def spans(count: int, pieces: int) -> list[tuple[int, int]]:
    """(start, stop) of at most `pieces` pieces of `count` items, none of them empty, sizes equal but for one."""
    pieces = min(pieces, count)
    edges = [count * i // pieces for i in range(pieces + 1)] if pieces else []
    return list(pairwise(edges))


def join(results: Sequence[Any], sizes: Sequence[int], combine: Combine | None = None) -> Any:
    """The results of pieces of `sizes` items as one.

    Raises:
        NotItemwise: they are not None, nor lists, tuples, arrays or frames with as many items as the pieces.
    """
    if combine is not None:
        return combine(list(results))
    if all(item is None for item in results):
        return None
    for item, size in zip(results, sizes, strict=True):
        check(item, size)
    kinds = {_kind(item) for item in results}
    if len(kinds) > 1:
        raise NotItemwise(f"results of different kinds: {', '.join(sorted(kinds))}")
    first = results[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(list(results))
    if _is_pandas(first):
        return sys.modules["pandas"].concat(list(results))
    return type(first)(chain.from_iterable(results)) if type(first) in (list, tuple) else list(chain(*results))


def check(result: Any, size: int) -> None:
    """Whether a piece's result has as many items as the piece.

    Raises:
        NotItemwise: it has not; the message says what came instead.
    """
    if result is None:
        return
    if not divisible(result) or isinstance(result, range):
        raise NotItemwise(f"{size} items gave a {type(result).__name__}")
    if len(result) != size:
        raise NotItemwise(f"{size} items gave {len(result)} results")


def _is_pandas(item: Any) -> bool:
    return type(item).__module__.split(".")[0] == "pandas" and hasattr(item, "iloc")


def _kind(item: Any) -> str:
    return "ndarray" if isinstance(item, np.ndarray) else type(item).__name__
