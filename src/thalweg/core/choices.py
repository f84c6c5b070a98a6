"""Parameters that are not numbers: Choice, Boolean, Permutation, Subset, Fixed."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import Floats
from .errors import SpaceError
from .parameter import KEY, ORDERED, UNORDERED, Parameter, When

_SCALARS = (type(None), bool, int, float, str)
"""Exact types that need no label; their subclasses (enum members, ...) are objects like any other."""
_LONG = 2**63


def _same(a: Any, b: Any) -> bool:
    """Identity, or the same type and value: 1, 1.0 and True are three different options."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    try:
        return bool(a == b)
    except (ValueError, TypeError):  # arrays: only identity counts
        return False


class _Items:
    """Distinct Python objects with labels that name them in every process."""

    def __init__(self, items: Any, what: str, labels: Sequence[str] | None) -> None:
        if isinstance(items, (str, bytes)) or not hasattr(items, "__iter__"):
            raise SpaceError(f"{what}: a list of options is expected, got {items!r}; did you mean [{items!r}]?")
        self.objects = [_plain(item) for item in items]
        self.what = what
        if not self.objects:
            raise SpaceError(f"{what}: at least one option is expected, got none")
        for i, item in enumerate(self.objects):
            if any(_same(item, other) for other in self.objects[:i]):
                raise SpaceError(f"{what}: options must differ, {item!r:.60} comes twice")
        if labels is not None and not _are_labels(labels, len(self.objects)):
            raise SpaceError(f"{what}: labels must be {len(self.objects)} distinct strings, got {labels!r:.80}")
        self.labels = list(labels) if labels is not None else _own_labels(self.objects)
        self._by_scalar = {(type(x), x): i for i, x in enumerate(self.objects) if type(x) in _SCALARS}
        self._by_label = {(type(x), x): i for i, x in enumerate(self.labels) if x is not None or self.has_none(i)}

    def has_none(self, i: int) -> bool:
        """Whether item i is None (whose label is None, like that of an object without one)."""
        return self.objects[i] is None

    def __len__(self) -> int:
        return len(self.objects)

    def index(self, value: Any) -> int:
        """Where `value` stands. Raises SpaceError if it is not an option."""
        value = _plain(value)
        if type(value) in _SCALARS:
            found = self._by_scalar.get((type(value), value))
            if found is not None:
                return found
        else:
            for i, item in enumerate(self.objects):
                if _same(item, value):
                    return i
        raise SpaceError(f"{value!r:.60} ({type(value).__name__}) is not one of {self._show()}")

    def label(self, i: int) -> Any:
        """The label of item i. Raises SpaceError if it has none."""
        if self.labels[i] is None and not self.has_none(i):
            raise SpaceError(
                f"{self.what}: option {self.objects[i]!r:.60} is not a scalar and has no unique name, so it cannot "
                "live in a store; give labels=[...], one string per option"
            )
        return self.labels[i]

    def of_label(self, label: Any) -> int:
        """Where the item with this label stands. Raises SpaceError if there is none (was the option removed?)."""
        try:
            found = self._by_label.get((type(label), label))
        except TypeError:  # a list where one option is expected
            found = None
        if found is None:
            raise SpaceError(f"{self.what}: stored option {label!r:.60} is not one of {self._show()}; was it removed?")
        return found

    def spec(self) -> list[Any]:
        """Labels as plain data; options without one are shown by position (such a study cannot be stored)."""
        return [f"#{i}" if x is None and not self.has_none(i) else x for i, x in enumerate(self.labels)]

    def _show(self) -> str:
        shown = ", ".join(f"{item!r:.40}" for item in self.objects[:8])
        return f"[{shown}{', ...' if len(self.objects) > 8 else ''}]"

    def array(self) -> NDArray[Any]:
        """The objects as an array for vectorised objectives: typed where they are all of one scalar type."""
        kinds = {type(item) for item in self.objects}
        if len(kinds) == 1 and next(iter(kinds)) in (bool, int, float, str):
            typed = np.array(self.objects)
            if all(map(_same, typed.tolist(), self.objects)):  # NumPy has no room for 10**30, and cuts "a\0"
                return typed
        array = np.empty(len(self.objects), dtype=object)
        for i, item in enumerate(self.objects):
            array[i] = item
        return array


def _plain(item: Any) -> Any:
    """NumPy's scalars as Python's (options are often written as np.linspace(...)); everything else as it is."""
    if isinstance(item, np.generic):
        python = item.item()
        return python if type(python) in _SCALARS else item
    return item


def _are_labels(labels: Any, count: int) -> bool:
    listed = list(labels) if not isinstance(labels, str) and hasattr(labels, "__iter__") else []
    return len(listed) == count == len({item for item in listed if isinstance(item, str)})


def _own_labels(objects: list[Any]) -> list[Any]:
    """Scalars stand for themselves, other objects for their names where those are unique; None where there is none."""
    own = [type(item) in _SCALARS and _in_json(item) for item in objects]
    names = [None if is_own else _name(item) for item, is_own in zip(objects, own, strict=True)]
    taken = {item for item, is_own in zip(objects, own, strict=True) if is_own and isinstance(item, str)}
    given = [name for name in names if name is not None]
    twice = {name for name in given if given.count(name) > 1 or name in taken}
    return [
        item if is_own else (None if name in twice else name)
        for item, is_own, name in zip(objects, own, names, strict=True)
    ]


def _in_json(item: Any) -> bool:
    """Whether JSON keeps it: it has neither NaN nor infinities, and readers cut whole numbers at 64 bits."""
    if isinstance(item, float):
        return math.isfinite(item)
    return not isinstance(item, int) or -_LONG <= item < _LONG


def _name(item: Any) -> str | None:
    if type(item) in _SCALARS:
        return repr(item)
    name = item.name if isinstance(item, enum.Enum) else None
    name = name or getattr(item, "__qualname__", None) or getattr(item, "__name__", None)
    return name if isinstance(name, str) else None


class Choice(Parameter):
    """One of several objects. Types and identity are kept: True, 1 and 1.0 are three options (NumPy scalars become
    Python's).

    ordered: neighbours are similar (small, medium, large).  labels: one unique string per option, needed where an
    option is not a scalar (None, bool, int, float, str) and has no unique `__name__`, and the study is stored.
    """

    kind = UNORDERED

    def __init__(
        self,
        options: Sequence[Any],
        *,
        ordered: bool = False,
        labels: Sequence[str] | None = None,
        when: When = None,
        default: Any = None,
    ) -> None:
        super().__init__(when, default)
        self.items = _Items(options, type(self).__name__, labels)
        self.ordered = bool(ordered)
        self.kind = ORDERED if ordered or len(self.items) <= 2 else UNORDERED
        self._array = self.items.array()

    @property
    def options(self) -> list[Any]:
        """The objects to choose from."""
        return list(self.items.objects)

    @property
    def levels(self) -> float:
        return float(len(self.items))

    @property
    def count(self) -> int | None:
        return len(self.items)

    def from_unit(self, points: Floats) -> Floats:
        return np.minimum(np.floor(points * len(self.items)), len(self.items) - 1)

    def to_unit(self, reals: Floats) -> Floats:
        return (reals + 0.5) / len(self.items)

    def values(self, reals: Floats) -> list[Any]:
        objects = self.items.objects
        return [objects[i] for i in reals[:, 0].astype(np.int64).tolist()]

    def column(self, reals: Floats) -> NDArray[Any]:
        return self._array[reals[:, 0].astype(np.int64)]

    def code(self, value: Any) -> Sequence[float]:
        return (float(self.items.index(value)),)

    def labels(self, reals: Floats) -> list[Any]:
        return [self.items.label(i) for i in reals[:, 0].astype(np.int64).tolist()]

    def from_label(self, label: Any) -> Sequence[float]:
        return (float(self.items.of_label(label)),)

    def cells(self, index: NDArray[Any]) -> Floats:
        return index.astype(np.float64)[:, None]

    def spec(self) -> dict[str, Any]:
        return self._spec(options=self.items.spec(), ordered=self.ordered or None, when=self.when)


class Boolean(Choice):
    """False or True."""

    def __init__(self, *, when: When = None, default: Any = None) -> None:
        super().__init__([False, True], ordered=True, when=when, default=default)

    def spec(self) -> dict[str, Any]:
        return self._spec(when=self.when)


class Permutation(Parameter):
    """An order of `items` (a list of all of them). Random keys: the order is the argsort of its columns."""

    kind = KEY
    scalar = False

    def __init__(
        self, items: Sequence[Any], *, labels: Sequence[str] | None = None, when: When = None, default: Any = None
    ) -> None:
        super().__init__(when, default)
        self.items = _Items(items, "Permutation", labels)
        self.width = len(self.items)

    @property
    def count(self) -> int | None:
        return math.factorial(self.width)

    def from_unit(self, points: Floats) -> Floats:
        return np.argsort(points, axis=1, kind="stable").astype(np.float64)

    def to_unit(self, reals: Floats) -> Floats:
        # item reals[:, j] stands at position j, so its key is the j-th rank centre
        ranks = np.argsort(reals, axis=1, kind="stable")
        return (ranks + 0.5) / self.width

    def values(self, reals: Floats) -> list[Any]:
        objects = self.items.objects
        return [[objects[i] for i in row] for row in reals.astype(np.int64).tolist()]

    def column(self, reals: Floats) -> NDArray[Any]:
        return self.items.array()[reals.astype(np.int64)]

    def code(self, value: Any) -> Sequence[float]:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or len(value) != self.width:
            raise SpaceError(f"an order of all {self.width} items is expected, got {value!r:.80}")
        return self._order(value, [self.items.index(item) for item in value])

    def _order(self, value: Any, order: list[int]) -> list[float]:
        if len(order) != self.width or len(set(order)) != self.width:
            raise SpaceError(f"an order of all {self.width} items is expected, each once, got {value!r:.80}")
        return [float(i) for i in order]

    def labels(self, reals: Floats) -> list[Any]:
        return [[self.items.label(i) for i in row] for row in reals.astype(np.int64).tolist()]

    def from_label(self, label: Any) -> Sequence[float]:
        return self._order(label, [self.items.of_label(item) for item in _listed(label)])

    def cells(self, index: NDArray[Any]) -> Floats:
        rows = []
        for number in index.tolist():  # Lehmer code
            left, row = list(range(self.width)), []
            for j in range(self.width, 0, -1):
                digit, number = divmod(number, math.factorial(j - 1))
                row.append(left.pop(digit))
            rows.append(row)
        return np.array(rows, dtype=np.float64)

    def spec(self) -> dict[str, Any]:
        return self._spec(items=self.items.spec(), when=self.when)


class Subset(Parameter):
    """Some of `items`, in the items' order: at least `min`, at most `max` of them."""

    kind = KEY
    scalar = False

    def __init__(
        self,
        items: Sequence[Any],
        *,
        min: int = 0,
        max: int | None = None,
        labels: Sequence[str] | None = None,
        when: When = None,
        default: Any = None,
    ) -> None:
        super().__init__(when, default)
        self.items = _Items(items, "Subset", labels)
        self.width = len(self.items)
        self.min, self.max = min, self.width if max is None else max
        whole = all(isinstance(item, int) and not isinstance(item, bool) for item in (self.min, self.max))
        if not whole or not 0 <= self.min <= self.max <= self.width:
            raise SpaceError(f"Subset: whole 0 <= min <= max <= {self.width} are expected, got {min=}, {max=}")

    @property
    def count(self) -> int | None:
        return sum(math.comb(self.width, k) for k in range(self.min, self.max + 1))

    def from_unit(self, points: Floats) -> Floats:
        chosen = points > 0.5
        if self.min > 0 or self.max < self.width:
            sizes = np.clip(chosen.sum(axis=1), self.min, self.max)
            ranks = np.argsort(np.argsort(-points, axis=1, kind="stable"), axis=1, kind="stable")
            chosen = ranks < sizes[:, None]
        return chosen.astype(np.float64)

    def to_unit(self, reals: Floats) -> Floats:
        return 0.25 + 0.5 * reals

    def values(self, reals: Floats) -> list[Any]:
        objects = self.items.objects
        return [[item for item, used in zip(objects, row, strict=True) if used] for row in reals.tolist()]

    def column(self, reals: Floats) -> NDArray[Any]:
        return reals > 0.5

    def code(self, value: Any) -> Sequence[float]:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise SpaceError(f"a list of items is expected, got {value!r:.80}")
        return self._mask(value, [self.items.index(item) for item in value])

    def _mask(self, value: Any, used: list[int]) -> list[float]:
        if len(set(used)) != len(used) or not self.min <= len(used) <= self.max:
            raise SpaceError(f"{self.min} to {self.max} different items are expected, got {value!r:.80}")
        return [1.0 if i in used else 0.0 for i in range(self.width)]

    def labels(self, reals: Floats) -> list[Any]:
        return [[self.items.label(i) for i, used in enumerate(row) if used] for row in reals.tolist()]

    def from_label(self, label: Any) -> Sequence[float]:
        return self._mask(label, [self.items.of_label(item) for item in _listed(label)])

    def cells(self, index: NDArray[Any]) -> Floats:
        rows = []
        for number in index.tolist():
            size = self.min
            while number >= math.comb(self.width, size):
                number -= math.comb(self.width, size)
                size += 1
            rows.append(_combination(number, self.width, size))
        return np.array(rows, dtype=np.float64)

    def spec(self) -> dict[str, Any]:
        return self._spec(items=self.items.spec(), min=self.min, max=self.max, when=self.when)


def _listed(label: Any) -> list[Any]:
    if not isinstance(label, (list, tuple)):
        raise SpaceError(f"a stored list of items is expected, got {label!r:.80}")
    return list(label)


def _combination(number: int, width: int, size: int) -> list[float]:
    """The `number`-th 0/1 row with `size` ones, in lexicographic order."""
    row = []
    for left in range(width, 0, -1):
        without = math.comb(left - 1, size)
        if number < without:
            row.append(0.0)
        else:
            number -= without
            size -= 1
            row.append(1.0)
    return row


class Fixed(Parameter):
    """Always the same value; it reaches the objective but is not searched."""

    kind = UNORDERED
    width = 0

    def __init__(self, value: Any, *, label: str | None = None, when: When = None) -> None:
        super().__init__(when, value)
        self.items = _Items([value], "Fixed", None if label is None else [label])
        self.value = self.items.objects[0]

    @property
    def count(self) -> int | None:
        return 1

    def from_unit(self, points: Floats) -> Floats:
        return points

    def to_unit(self, reals: Floats) -> Floats:
        return reals

    def values(self, reals: Floats) -> list[Any]:
        return [self.value] * len(reals)

    def column(self, reals: Floats) -> NDArray[Any]:
        return self.items.array()[np.zeros(len(reals), dtype=np.int64)]

    def code(self, value: Any) -> Sequence[float]:
        self.items.index(value)
        return ()

    def labels(self, reals: Floats) -> list[Any]:
        return [self.items.label(0)] * len(reals)

    def from_label(self, label: Any) -> Sequence[float]:
        self.items.of_label(label)
        return ()

    def cells(self, index: NDArray[Any]) -> Floats:
        return np.empty((len(index), 0))

    def spec(self) -> dict[str, Any]:
        return {**self._spec(when=self.when), "value": self.items.spec()[0]}  # None is a value, too
