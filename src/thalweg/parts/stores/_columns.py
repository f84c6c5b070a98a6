"""Stored rows read straight into columns, block by block, without an object per trial that stays.

What is usual is decoded by types made for it: labels that are plain numbers as floats, a result that has values and
times only. A block that has anything else (open trials, labels of an earlier space, a wrong crc) goes the long way, row
by row where it must: both ways find the same damage and give the same trials.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from struct import pack
from typing import Any
from zlib import crc32

import numpy as np

from ...core import plain
from ...core.batch import Floats, Status
from ...core.errors import SpaceError
from ...core.parameter import Float, Integer
from ...core.space import Space
from ...core.stored_columns import Gathering, StoredColumns, Wanted
from ._rows import Row, place, trials_of

_BLOCK = 512
_FINAL = int(Status.DONE)
_NAN = float("nan")

Damaged = Callable[[int, str], None]


def columns_of(study: int, rows: Iterable[Row], wanted: Wanted, damaged: Damaged) -> StoredColumns:
    """The trials in `rows`, in order; a row whose crc is wrong is told to `damaged(number, what)` and left out."""
    reader = _Reader(study, wanted, damaged)
    rows = iter(rows)
    while block := list(islice(rows, _BLOCK)):
        reader.take(block)
    return reader.gathering.columns()


class _Reader:
    """Reads blocks of one study."""

    def __init__(self, study: int, wanted: Wanted, damaged: Damaged) -> None:
        self.study, self.damaged = study, damaged
        self.gathering = Gathering(wanted)
        self._openings = _Openings(wanted.space)
        self._results = _Results(wanted.objectives)
        self._base = place(study, 0)

    def take(self, rows: list[Row]) -> None:
        if not self._read(rows):
            self.gathering.put_trials(trials_of(self.study, rows, self.damaged))

    def _read(self, rows: list[Row]) -> bool:
        """Put the rows into the gathering; False, and nothing is put, if something about them is unusual."""
        import msgspec

        numbers, statuses, openings, opening_crcs, results, result_crcs, _, _ = zip(*rows, strict=True)
        try:
            where = np.frombuffer(array("q", numbers), dtype=np.int64)
            status = np.frombuffer(bytes(statuses), dtype=np.int8)
            places = self._base + 8 * where
            if (
                min(statuses) < _FINAL
                or tuple(map(crc32, openings, places.tolist())) != opening_crcs
                or tuple(map(crc32, results, (places + status).tolist())) != result_crcs
            ):
                return False
            reals, opened = self._openings.read(openings)
            ended = self._results.read(results)
        except (TypeError, ValueError, OverflowError, msgspec.DecodeError):  # NULL, or a text for a number
            return False
        if reals is None:
            return False
        gathering = self.gathering
        gathering.put(
            where, reals, ended["values"], status, opened["ticket"], ended["seconds"], ended["started"],
            ended.get("violation"), ended.get("attempt"), opened.get("replicate"),
        )  # fmt: skip
        rare = gathering.rare
        for kept, column, nothing in (
            (rare.sources, opened.get("source"), "strategy"),
            (rare.by, opened.get("by"), 0),
            (rare.errors, ended.get("error"), ""),
            (rare.workers, ended.get("worker"), ""),
        ):
            for number, item in zip(numbers, column, strict=True) if column is not None else ():
                if item != nothing:
                    kept[number] = item
        for number, item in zip(numbers, opened.get("fidelity", ()), strict=False):
            if item is not None:
                rare.fidelities[number] = item
        if "components" in ended:
            rare.components.put(numbers, ended["components"])
        return True


class _Openings:
    """Reads what trials were opened with, where every parameter is always there."""

    def __init__(self, space: Space) -> None:
        import msgspec

        self._space = space
        parameters: list[Any] = list(space.parameters.values())
        self._numbers = [i for i, item in enumerate(parameters) if _is_number(item)]
        self._low = np.array([parameters[i].low for i in self._numbers])
        self._high = np.array([parameters[i].high for i in self._numbers])
        names = {f"p{i}": name for i, name in enumerate(space.names)}
        kinds = [(f"p{i}", float if _is_number(item) else Any) for i, item in enumerate(parameters)]
        params = msgspec.defstruct("Params", kinds, rename=names, gc=False, forbid_unknown_fields=True)
        few = [("params", params), ("ticket", int)]
        more = [("fidelity", float | None, None), ("replicate", int, 0), ("source", str, "strategy"), ("by", int, 0)]
        self._decode = _Decoder(few, more, strict=True)

    def read(self, texts: Sequence[bytes]) -> tuple[Floats | None, dict[str, Any]]:
        """((k, D) reals, or None where a label is no value to the bit; columns by name)."""
        if self._space.conditional:
            return None, {}
        items, names = self._decode(texts)
        columns: dict[str, Any] = {name: [getattr(item, name) for item in items] for name in names}
        columns["ticket"] = np.fromiter([item.ticket for item in items], np.int64, len(items))
        return self._reals(items), columns

    def _reals(self, items: list[Any]) -> Floats | None:
        import msgspec

        rows = map(msgspec.structs.astuple, [item.params for item in items])
        blocks, k = self._space.blocks, len(items)
        if len(self._numbers) == len(blocks):
            reals = _floats(chain.from_iterable(rows), k * len(blocks)).reshape(k, len(blocks))
            numbers = reals = reals + 0.0  # no negative zeros
        else:
            labels = list(zip(*rows, strict=True))
            reals = np.empty((k, self._space.dimension))
            numbers = np.array([labels[i] for i in self._numbers]).T.reshape(k, -1) + 0.0
            try:
                for i, (name, block) in enumerate(blocks):
                    if i not in self._numbers:
                        reals[:, block] = self._space.parameters[name].from_labels(list(labels[i]))
            except SpaceError:
                return None
        if not bool(((numbers >= self._low) & (numbers <= self._high)).all()):
            return None
        for column, i in enumerate(self._numbers):
            name, block = blocks[i]
            parameter: Any = self._space.parameters[name]
            if parameter.kind and not parameter.allows(numbers[:, column]):
                return None
            if numbers is not reals:
                reals[:, block.start] = numbers[:, column]
        return reals


class _Results:
    """Reads what became of trials."""

    def __init__(self, objectives: int) -> None:
        few = [("values", tuple[(float,) * objectives]), ("seconds", float, _NAN), ("started_unixtime", float, _NAN)]  # type: ignore[misc]
        more = [("violation", float, 0.0), ("components", dict[str, Any] | None, None), ("error", str, ""),
                ("attempt", int, 1), ("worker", str, "")]  # fmt: skip
        self._width = objectives
        self._decode = _Decoder(few, more, strict=False)  # "nan" and "inf" are floats to it

    def read(self, texts: Sequence[bytes]) -> dict[str, Any]:
        """The columns of k results, by name; values: (k, m)."""
        items, names = self._decode(texts)
        k = len(items)
        if self._width == 1:
            values = _floats([item.values[0] for item in items], k)
        else:
            values = _floats(chain.from_iterable([item.values for item in items]), k * self._width)
        columns: dict[str, Any] = {name: [getattr(item, name) for item in items] for name in names}
        if "violation" in columns:
            columns["violation"] = _floats(columns["violation"], k)
        if "components" in columns:
            found = [item or None for item in columns["components"]]
            columns["components"] = [plain.decode(item) for item in found] if b'"~"' in b"".join(texts) else found
        return columns | {
            "values": values.reshape(k, self._width),
            "seconds": _floats([item.seconds for item in items], k),
            "started": _floats([item.started_unixtime for item in items], k),
        }


class _Decoder:
    """Decodes many structs at once: those that have nothing but a few fields with a type for that alone."""

    def __init__(self, few: list[Any], more: list[Any], strict: bool) -> None:
        import msgspec

        def decoder(fields: list[Any], forbid: bool) -> Callable[[bytes], list[Any]]:
            kind: Any = msgspec.defstruct("Row", fields, gc=False, forbid_unknown_fields=forbid)
            return msgspec.json.Decoder(kind, strict=strict).decode_lines

        self._few, self._all = decoder(few, True), decoder([*few, *more], False)
        self._names = [field[0] for field in more]
        self._short = True

    def __call__(self, texts: Sequence[bytes]) -> tuple[list[Any], list[str]]:
        """(the structs, the names that they have beyond the few).

        Raises:
            msgspec.DecodeError: a field has another type.  ValueError: a text is none, or more than one.
        """
        import msgspec

        text = b"\n".join(texts)
        items: list[Any] = []
        if self._short:
            try:
                items = self._few(text)
            except msgspec.ValidationError:
                self._short = False  # what one block has, the next ones mostly have too
        if not self._short:
            items = self._all(text)
        if len(items) != len(texts):
            raise ValueError(f"{len(texts)} texts are {len(items)} structs")
        return items, [] if self._short else self._names


def _floats(items: Iterable[float], count: int) -> Floats:
    """So many floats as an array; in half the time that NumPy's own ways take."""
    return np.frombuffer(pack(f"{count}d", *items))


def _is_number(parameter: Any) -> bool:
    return isinstance(parameter, (Float, Integer)) and parameter.size is None
