"""Parameters that are not numbers: Choice, Boolean, Permutation, Subset, Fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import Floats
from .errors import SpaceError
from .parameter import KEY, ORDERED, UNORDERED, Parameter, When

_SCALARS = (type(None), bool, int, float, str)


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
        self.objects = list(items)
        self.what = what
        if not self.objects:
            raise SpaceError(f"{what}: at least one option is expected, got none")
        for i, item in enumerate(self.objects):
            if any(_same(item, other) for other in self.objects[:i]):
                raise SpaceError(f"{what}: options must differ, {item!r:.60} comes twice")
        if labels is not None and (len(labels) != len(self.objects) or len(set(labels)) != len(labels)):
            raise SpaceError(f"{what}: labels must be {len(self.objects)} distinct strings, got {labels!r:.80}")
        self.declared = list(labels) if labels is not None else None
        self.labels = list(labels) if labels is not None else self._own_labels()
        self._by_scalar = {(type(x), x): i for i, x in enumerate(self.objects) if isinstance(x, _SCALARS)}
        self._by_label = {(type(x), x): i for i, x in enumerate(self.labels) if x is not None or self._is_none(i)}

    def _is_none(self, i: int) -> bool:
        return self.objects[i] is None

    def _own_labels(self) -> list[Any]:
        labels: list[Any] = []
        for item in self.objects:
            name = getattr(item, "__qualname__", None) or getattr(item, "__name__", None)
            labels.append(item if isinstance(item, _SCALARS) else name)
        names = [label for label, item in zip(labels, self.objects, strict=True) if not isinstance(item, _SCALARS)]
        unique = len(set(names)) == len(names) and not any(name in self.objects for name in names if name)
        scalar = [isinstance(item, _SCALARS) for item in self.objects]
        return [label if unique or is_scalar else None for label, is_scalar in zip(labels, scalar, strict=True)]

    def __len__(self) -> int:
        return len(self.objects)

    def index(self, value: Any) -> int:
        """Where `value` stands. Raises SpaceError if it is not an option."""
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, _SCALARS):
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
        if self.labels[i] is None and self.objects[i] is not None:
            raise SpaceError(
                f"{self.what}: option {self.objects[i]!r:.60} is not a scalar and has no unique name, so it cannot live "
                "in a store; give labels=[...], one string per option"
            )
        return self.labels[i]

    def of_label(self, label: Any) -> int:
        """Where the item with this label stands. Raises SpaceError if there is none (was the option removed?)."""
        found = self._by_label.get((type(label), label))
        if found is None:
            raise SpaceError(f"{self.what}: stored option {label!r:.60} is not one of {self._show()}; was it removed?")
        return found

    def spec(self) -> list[Any]:
        """Labels as plain data; options without one are shown by position (such a study cannot be stored)."""
        return [f"#{i}" if x is None and self.objects[i] is not None else x for i, x in enumerate(self.labels)]

    def _show(self) -> str:
        shown = ", ".join(f"{item!r:.40}" for item in self.objects[:8])
        return f"[{shown}{', ...' if len(self.objects) > 8 else ''}]"

    def array(self) -> NDArray[Any]:
        """The objects as an array for vectorised objectives: typed where they are all of one scalar type."""
        kinds = {type(item) for item in self.objects}
        if len(kinds) == 1 and next(iter(kinds)) in (bool, int, float, str):
            return np.array(self.objects)
        array = np.empty(len(self.objects), dtype=object)
        for i, item in enumerate(self.objects):
            array[i] = item
        return array


class Choice(Parameter):
    """One of several objects. Types and identity are kept: True, 1 and 1.0 are three options.

    ordered: neighbours are similar (small, medium, large).  labels: one unique string per option, needed where an option
    is not a scalar (None, bool, int, float, str) and has no unique `__name__`, and the study is stored.
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
        order = [self.items.index(item) for item in value]
        if len(set(order)) != self.width:
            raise SpaceError(f"an order of all {self.width} items is expected, some come twice in {value!r:.80}")
        return [float(i) for i in order]

    def labels(self, reals: Floats) -> list[Any]:
        return [[self.items.label(i) for i in row] for row in reals.astype(np.int64).tolist()]

    def from_label(self, label: Any) -> Sequence[float]:
        return [float(self.items.of_label(item)) for item in label]

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
        if not 0 <= self.min <= self.max <= self.width:
            raise SpaceError(f"Subset: 0 <= min <= max <= {self.width} is expected, got min={min}, max={max}")

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
        used = [self.items.index(item) for item in value]
        if len(set(used)) != len(used) or not self.min <= len(used) <= self.max:
            raise SpaceError(f"{self.min} to {self.max} different items are expected, got {value!r:.80}")
        return [1.0 if i in used else 0.0 for i in range(self.width)]

    def labels(self, reals: Floats) -> list[Any]:
        return [[self.items.label(i) for i, used in enumerate(row) if used] for row in reals.tolist()]

    def from_label(self, label: Any) -> Sequence[float]:
        used = {self.items.of_label(item) for item in label}
        return [1.0 if i in used else 0.0 for i in range(self.width)]

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
        self.value = value

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
        return self._spec(value=self.items.spec()[0], when=self.when)
