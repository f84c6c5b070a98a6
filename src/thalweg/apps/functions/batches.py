"""Pieces one after the other, and plain functions called with whole arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from ...core.errors import ProblemError
from . import pieces


def batches(data: Any, size: int) -> Iterator[Any]:
    """Pieces of `size` items, the last one with what is left; of an iterator lists, read when they are needed."""
    if pieces.divisible(data):
        for start in range(0, len(data), size):
            yield pieces.cut(data, start, start + size)
        return
    items = iter(data)
    while batch := list(islice(items, size)):
        yield batch


def in_batches(call: Callable[[Any], Any], data: Any, size: int, combine: pieces.Combine | None = None) -> Any:
    """call(data) by calls on batches of `size` items, joined. Of an iterator only one batch is held at a time.

    A function that does not work item by item is called with all of the data, unless that is an iterator.

    Raises:
        ProblemError: data that cannot be cut, or (of an iterator) results that cannot be joined.
    """
    whole = pieces.divisible(data)
    if not whole and not isinstance(data, Iterable):
        return call(data)
    if whole and len(data) <= size:
        return call(data)
    results, sizes = [], []
    try:
        for batch in batches(data, size):
            results.append(call(batch))
            sizes.append(len(batch))
            if combine is None:
                pieces.check(results[-1], sizes[-1])
        return pieces.join(results, sizes, combine) if results or combine else []
    except pieces.NotItemwise as reason:
        if whole:
            return call(data)
        raise ProblemError(
            f"the results of batches cannot be joined: {reason}; say how with combine=, or use stream()"
        ) from None


def vectorised(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, bool]:
    """(result, whether one call gave it): `function` with lists and tuples of numbers as arrays.

    Where the function cannot take arrays (it branches on a value, or calls `math`), it is called element by element, as
    arrays broadcast, and the results make an array.

    Raises:
        What the function raises for a single element.
    """
    given = [_array(item) for item in args]
    named = {name: _array(item) for name, item in kwargs.items()}
    arrays = [item for item in (*given, *named.values()) if isinstance(item, np.ndarray) and item.ndim]
    if not arrays:
        return function(*args, **kwargs), True
    try:
        with warnings.catch_warnings():
            if all(item.size == 1 for item in arrays):  # such arrays pass for numbers, with this warning
                warnings.simplefilter("error", DeprecationWarning)
            result = function(*given, **named)
        if all(item.size == 1 for item in arrays) and not np.ndim(result) and _of_numbers(function, given, named):
            return np.broadcast_arrays(*arrays)[0] * 0 + result, False
        return result, True
    except (TypeError, ValueError, AttributeError, DeprecationWarning) as error:
        reason = error
    try:
        return _elementwise(function, given, named), False
    except Exception as error:
        raise error from reason


def _of_numbers(function: Callable[..., Any], given: list[Any], named: dict[str, Any]) -> bool:
    """Whether a function that gave a number for arrays of one element is one of numbers, or a sum and the like: two
    elements tell."""

    def twice(item: Any) -> Any:
        return np.concatenate([item, item]) if isinstance(item, np.ndarray) and item.ndim else item

    try:
        more = function(*map(twice, given), **{name: twice(item) for name, item in named.items()})
    except (TypeError, ValueError):
        return True
    return bool(np.ndim(more))


def _array(item: Any) -> Any:
    if isinstance(item, (list, tuple, range)):
        try:
            made = np.asarray(item)
        except ValueError:  # ragged
            return item
        return made if made.dtype.kind in "biufcmM" else item
    return item


def _elementwise(function: Callable[..., Any], given: list[Any], named: dict[str, Any]) -> Any:
    names = list(named)
    all_of = [*given, *named.values()]
    places = [i for i, item in enumerate(all_of) if isinstance(item, np.ndarray) and item.ndim]
    grid = np.broadcast_arrays(*(all_of[i] for i in places))
    results = []
    for values in zip(*(item.ravel() for item in grid), strict=True):
        for place, value in zip(places, values, strict=True):
            all_of[place] = value.item() if isinstance(value, np.generic) else value
        results.append(function(*all_of[: len(given)], **dict(zip(names, all_of[len(given) :], strict=True))))
    made = np.empty(len(results), dtype=object)
    made[:] = results
    plain = all(isinstance(item, (bool, int, float, complex, str, np.generic)) for item in results)
    return (np.array(results) if plain else made).reshape(grid[0].shape)
