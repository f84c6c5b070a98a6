"""What some trials have and others have not, by trial number, in a few bytes each.

A dict entry with a key of its own takes some 100 bytes, a dict of named results 300 and more: a study of many trials
holds thousands of them that are nearly equal. Here every different value is kept once (`Shared`), and results that have
the same names and types are rows of one table (`Named`).
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .batch import Ints

V = TypeVar("V", bound=Hashable)

_TABLES = 63
"""Sets of names and types that get a table of their own; results of yet another shape stay dicts."""
_SHIFT = 6
_CODES = {float: "d", int: "q", bool: "b"}


class Shared(MutableMapping[int, V], Generic[V]):
    """A value for some numbers, most of them equal: four bytes a number, and every different value once."""

    def __init__(self) -> None:
        self._codes = np.zeros(0, dtype=np.int32)  # by number; 0: it has none
        self._values: list[Any] = [None]
        self._code_of: dict[V, int] = {}

    def _code(self, value: V) -> int:
        code = self._code_of.get(value)
        if code is None:
            self._values.append(value)
            code = self._code_of[value] = len(self._values) - 1
        return code

    def __setitem__(self, number: int, value: V) -> None:
        self._codes = _reaching(self._codes, number + 1)
        self._codes[number] = self._code(value)

    def fill(self, numbers: Ints, value: V) -> None:
        """The same value for all these numbers."""
        if len(numbers):
            self._codes = _reaching(self._codes, int(numbers.max()) + 1)
            self._codes[numbers] = self._code(value)

    def __getitem__(self, number: int) -> V:
        if number not in self:
            raise KeyError(number)
        value: V = self.get(number)
        return value

    def get(self, number: int, default: Any = None) -> Any:
        """Its value, or `default`."""
        codes = self._codes
        if 0 <= number < len(codes):
            code = codes[number]
            if code:
                return self._values[code]
        return default

    def __contains__(self, number: object) -> bool:
        codes = self._codes
        return isinstance(number, int) and 0 <= number < len(codes) and bool(codes[number])

    def __delitem__(self, number: int) -> None:
        if number not in self:
            raise KeyError(number)
        self._codes[number] = 0

    def __bool__(self) -> bool:
        return len(self._values) > 1 and bool(self._codes.any())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._codes))

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._codes).tolist())

    def of(self, value: V) -> Ints:
        """(k,) the numbers that have this value."""
        return np.flatnonzero(self._codes == self._code_of.get(value, -1))

    def drop(self, numbers: Ints) -> None:
        """None of these numbers has a value any more."""
        if len(self._values) > 1:
            self._codes[numbers[numbers < len(self._codes)]] = 0


def _reaching(column: NDArray[Any], room: int) -> NDArray[Any]:
    """The column with at least so much room. What it was is left as it is: another thread may be reading it."""
    if room <= len(column):
        return column
    grown = np.zeros(max(room, 2 * len(column), 64), dtype=column.dtype)
    grown[: len(column)] = column
    return grown


class _Table:
    """Rows that have the same names, with values of the same types."""

    __slots__ = ("columns", "names", "rows", "truths")

    def __init__(self, names: tuple[str, ...], types: Sequence[type]) -> None:
        self.names = names
        self.columns: list[Any] = [array(_CODES[kind]) if kind in _CODES else [] for kind in types]
        self.truths = [i for i, kind in enumerate(types) if kind is bool]
        self.rows = 0

    def append(self, items: Sequence[Mapping[str, Any]]) -> bool:
        """Add rows; False, and nothing is added, if an integer is too large."""
        try:
            for column, name in zip(self.columns, self.names, strict=True):
                column.extend([item[name] for item in items])
        except OverflowError:
            for column in self.columns:
                del column[self.rows :]
            return False
        self.rows += len(items)
        return True

    def row(self, row: int) -> dict[str, Any]:
        values = [column[row] for column in self.columns]
        for i in self.truths:
            values[i] = bool(values[i])
        return dict(zip(self.names, values, strict=True))


class Named(MutableMapping[int, dict[str, Any]]):
    """Named results by trial number: eight bytes a number and, for every name, eight bytes for a float or an integer,
    one for a truth value, a reference for anything else. What is read is a dict of the reader's own."""

    def __init__(self) -> None:
        self._at = np.zeros(0, dtype=np.int64)  # by number: 0 none, else 1 + (row * 64 + table)
        self._tables: list[_Table] = []
        self._table_of: dict[tuple[Any, ...], int] = {}
        self._others: dict[int, dict[str, Any]] = {}

    def __setitem__(self, number: int, item: Mapping[str, Any]) -> None:
        self._add((*item, *map(type, item.values())), (number,), (item,))

    def put(self, numbers: Sequence[int], items: Sequence[Mapping[str, Any] | None]) -> None:
        """The results of these numbers (None: there are none)."""
        shape: Any = None
        begin = 0
        for i, item in enumerate(items):
            new = None if item is None else (*item, *map(type, item.values()))
            if new != shape:
                self._add(shape, numbers[begin:i], items[begin:i])
                shape, begin = new, i
        self._add(shape, numbers[begin:], items[begin:])

    def _add(self, shape: tuple[Any, ...] | None, numbers: Sequence[int], items: Sequence[Any]) -> None:
        """Rows of one shape."""
        if shape is None or not numbers:
            return
        self._at = _reaching(self._at, max(numbers) + 1)
        table, place = self._table(shape)
        first = table.rows if table is not None else 0
        if table is not None and table.append(items):
            if len(numbers) == 1:
                self._at[numbers[0]] = 1 + (first << _SHIFT | place)
            else:
                self._at[list(numbers)] = 1 + (np.arange(first, table.rows) << _SHIFT | place)
            for number in self._others.keys() & set(numbers) if self._others else ():
                del self._others[number]
            return
        for number, item in zip(numbers, items, strict=True):
            self._at[number] = 0
            self._others[number] = dict(item)

    def _table(self, shape: tuple[Any, ...]) -> tuple[_Table | None, int]:
        """The table of rows of this shape, and its place; None: there are too many already."""
        place = self._table_of.get(shape)
        if place is None:
            if len(self._tables) == _TABLES:
                return None, -1
            place = self._table_of[shape] = len(self._tables)
            half = len(shape) // 2
            self._tables.append(_Table(shape[:half], shape[half:]))
        return self._tables[place], place

    def get(self, number: int, default: Any = None) -> Any:
        """Its results, as a new dict, or `default`."""
        places = self._at
        if 0 <= number < len(places) and places[number]:
            at = int(places[number]) - 1
            return self._tables[at & _TABLES].row(at >> _SHIFT)
        found = self._others.get(number)
        return default if found is None else dict(found)

    def __getitem__(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] | None = self.get(number)
        if found is None:
            raise KeyError(number)
        return found

    def __delitem__(self, number: int) -> None:
        if number not in self:
            raise KeyError(number)
        self._others.pop(number, None)
        if number < len(self._at):
            self._at[number] = 0  # its row stays where it is

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and (
            (0 <= number < len(self._at) and bool(self._at[number])) or number in self._others
        )

    def __bool__(self) -> bool:
        return bool(self._others) or bool(self._at.any())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._at)) + len(self._others)

    def __iter__(self) -> Iterator[int]:
        places: Iterable[int] = np.flatnonzero(self._at).tolist()
        return iter(sorted([*places, *self._others]) if self._others else places)
