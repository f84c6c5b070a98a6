"""Many small batches of a `MemoryStudy` as one large one: arrays of one row take ten times what is in them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...core.by_number import Named, Shared
from ...core.store import Finishing, Opening

OPENED, FINISHED, GIVEN_BACK = 0, 1, 2


class Batch(NamedTuple):
    """One change: `amount` trials from number `first` on were opened, or results came, or `released` were given back.
    version: of the study, after it.  token: who did it."""

    version: int
    first: int
    amount: int
    opening: Opening | None
    finishing: Finishing | None
    token: int | None
    released: Sequence[int] = ()


@dataclass(slots=True, eq=False)
class Pack:
    """Batches of one member, joined. opening: of consecutive trials from number `first` on, all of a kind.
    finishing: its components are rows of `components`, its workers those of `workers`, both by row.
    steps: (version, what, rows) of every batch, flat: what happened, and to how many rows, in that order.
    """

    token: int | None
    first: int
    opening: Opening | None
    finishing: Finishing | None
    released: list[int]
    components: Named = field(default_factory=Named)
    workers: Shared[str] = field(default_factory=Shared)
    steps: array[int] = field(default_factory=lambda: array("q"))

    def changes(self) -> Iterable[tuple[int, int | None, Sequence[int]]]:
        """(version, token, numbers) of every batch."""
        numbers = self.finishing.numbers.tolist() if self.finishing is not None else []
        begun, ended, back = self.first, 0, 0
        for i in range(0, len(self.steps), 3):
            version, what, rows = self.steps[i : i + 3]
            if what == OPENED:
                begun += rows
                yield version, self.token, range(begun - rows, begun)
            elif what == FINISHED:
                ended += rows
                yield version, self.token, numbers[ended - rows : ended]
            else:
                back += rows
                yield version, self.token, self.released[back - rows : back]


def packed(batches: Sequence[Batch]) -> list[Pack]:
    """The same as few packs as there can be: a new one begins where trials of another kind are opened."""
    packs: list[Pack] = []
    begin, kind, width, expected = 0, None, None, -1
    for i, batch in enumerate(batches):
        new_kind = None if batch.opening is None else _kind(batch.opening)
        new_width = None if batch.finishing is None else batch.finishing.values.shape[1]
        fits = (
            batch.token == batches[begin].token
            and (new_kind is None or (kind in (None, new_kind) and expected in (-1, batch.first)))
            and (new_width is None or width in (None, new_width))
        )
        if not fits:
            packs.append(_joined(batches[begin:i]))
            begin, kind, width, expected = i, None, None, -1
        kind, width = new_kind or kind, new_width or width
        if batch.opening is not None:
            expected = batch.first + batch.amount
    if batches:
        packs.append(_joined(batches[begin:]))
    return packs


def _kind(opening: Opening) -> tuple[Any, ...]:
    return id(opening.space), opening.source, opening.by, opening.active is None, opening.fidelities is None


def _joined(batches: Sequence[Batch]) -> Pack:
    begun = [(batch.opening, batch.amount) for batch in batches if batch.opening is not None]
    ended = [batch.finishing for batch in batches if batch.finishing is not None]
    pack = Pack(
        batches[0].token,
        next((batch.first for batch in batches if batch.opening is not None), 0),
        _one_opening(begun) if begun else None,
        _one_finishing(ended) if ended else None,
        [number for batch in batches for number in batch.released],
    )
    row = 0
    for batch in batches:
        what = OPENED if batch.opening is not None else FINISHED if batch.finishing is not None else GIVEN_BACK
        pack.steps.extend((batch.version, what, batch.amount))
        finishing = batch.finishing
        if finishing is not None:
            if finishing.components is not None:
                pack.components.put(range(row, row + len(finishing)), finishing.components)
            if finishing.worker:
                pack.workers.fill(np.arange(row, row + len(finishing)), finishing.worker)
            row += len(finishing)
    return pack


def _one_opening(parts: Sequence[tuple[Opening, int]]) -> Opening:
    first = parts[0][0]

    def join(column: Callable[[Opening], Any], nothing: Callable[[int], Any] | None = None) -> Any:
        found = [None if (given := column(item)) is None else given[:count] for item, count in parts]
        return _join(found, [count for _, count in parts], nothing)

    return Opening(
        first.space,
        join(lambda item: item.tickets),
        join(lambda item: item.reals),
        join(lambda item: item.active),
        join(lambda item: item.fidelities),
        join(lambda item: item.replicates, lambda count: np.zeros(count, dtype=np.int64)),
        first.source,
        first.by,
    )


def _one_finishing(parts: Sequence[Finishing]) -> Finishing:
    counts = [len(item) for item in parts]
    errors: dict[int, str] = {}
    row = 0
    for item in parts:
        errors.update({row + i: text for i, text in item.errors.items()} if item.errors else ())
        row += len(item)
    return Finishing(
        np.concatenate([item.numbers for item in parts]),
        np.concatenate([item.values for item in parts]),
        np.concatenate([item.statuses for item in parts]),
        np.concatenate([item.seconds for item in parts]),
        _join([item.violations for item in parts], counts, np.zeros),
        None,
        errors,
        _join([item.started for item in parts], counts, lambda count: np.full(count, np.nan)),
        _join([item.attempts for item in parts], counts, lambda count: np.ones(count, dtype=np.int64)),
    )


def _join(parts: Sequence[Any], counts: Sequence[int], nothing: Callable[[int], Any] | None) -> Any:
    """The parts as one column, None where all are None. nothing: what None stands for in some of them."""
    for part in parts:
        if part is not None:
            break
    else:
        return None
    if nothing is not None:
        parts = [nothing(count) if part is None else part for part, count in zip(parts, counts, strict=True)]
    return np.concatenate(parts)
