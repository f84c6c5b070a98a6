"""Prices of one symbol: open, high, low and close of every bar."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.batch import Floats
from ...core.errors import ProblemError

PRICES = ("open", "high", "low", "close")
ROUNDING = 1e-4
"""A high that is below the open or close by no more than this share is a rounding of the source, and is mended."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """open, high, low, close: (n,) prices, positive, low <= open, close <= high; read-only.

    times: n labels, oldest first ("2012-03-01"), or ().  periods: bars a year (252: daily bars of shares).
    Made by `Bars.of`, which checks.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    symbol: str = "bars"
    times: tuple[str, ...] = ()
    periods: float = 252.0

    @classmethod
    def of(
        cls,
        open: Any,
        high: Any,
        low: Any,
        close: Any,
        *,
        symbol: str = "bars",
        times: Iterable[Any] = (),
        periods: float = 252.0,
    ) -> Bars:
        """Checked bars.

        Raises:
            ProblemError: shapes differ, fewer than 2 bars, a price that is not positive and finite, or a range that
            does not hold its open and close; the message names the first bad bar.
        """
        arrays = [np.array(item, dtype=np.float64) for item in (open, high, low, close)]
        shapes = {item.shape for item in arrays}
        if len(shapes) != 1 or arrays[0].ndim != 1 or len(arrays[0]) < 2:
            told = ", ".join(f"{name} {item.shape}" for name, item in zip(PRICES, arrays, strict=True))
            raise ProblemError(f"{symbol}: four arrays (n,) of one length, n >= 2, are expected, got {told}")
        labels = tuple(str(item) for item in times)
        if labels and len(labels) != len(arrays[0]):
            raise ProblemError(f"{symbol}: {len(arrays[0])} bars, but {len(labels)} times")
        if not 0 < periods < np.inf:
            raise ProblemError(f"{symbol}: periods is the number of bars a year, > 0, got {periods!r}")
        for name, item in zip(PRICES, arrays, strict=True):
            bad = np.flatnonzero(~(np.isfinite(item) & (item > 0)))
            if len(bad):
                raise ProblemError(
                    f"{symbol}: {name} of bar {bad[0]} is {item[bad[0]]}; positive prices are expected "
                    f"({len(bad)} bad bars: leave them out, or fill them before)"
                )
        arrays = _mended(symbol, *arrays)
        for item in arrays:
            item.setflags(write=False)
        o, h, lo, c = arrays
        return cls(o, h, lo, c, symbol, labels, float(periods))

    def __len__(self) -> int:
        return len(self.close)

    def head(self, count: int) -> Bars:
        """The first `count` bars: what was known then."""
        cut = [getattr(self, name)[:count] for name in PRICES]
        return replace(self, **dict(zip(PRICES, cut, strict=True)), times=self.times[:count])

    def label(self, index: int) -> str:
        """The time of a bar, or its number."""
        return self.times[index] if self.times else str(index % len(self))

    def digest(self) -> str:
        """A hash of the prices."""
        made = hashlib.sha256()
        for name in PRICES:
            made.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return made.hexdigest()

    @classmethod
    def from_csv(cls, path: str | Path, *, symbol: str | None = None, periods: float = 252.0) -> Bars:
        """Bars of a CSV file with the columns open, high, low, close (any case) and perhaps date or time; with "adj
        close" all prices are scaled by it, so that splits and dividends are no jumps. Oldest first, whatever the file.

        Raises:
            ProblemError: no such file, or what is wrong with it.
        """
        path = Path(path)
        if not path.is_file():
            raise ProblemError(f"there is no file {str(path)!r} with prices")
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [{(key or "").strip().lower(): item for key, item in row.items()} for row in csv.DictReader(file)]
        if not rows or any(name not in rows[0] for name in PRICES):
            got = ", ".join(rows[0]) if rows else "nothing"
            raise ProblemError(f"{path}: columns open, high, low and close are expected, got {got}")
        stamp = next((name for name in ("date", "time", "datetime", "timestamp") if name in rows[0]), None)
        if stamp is not None:
            rows.sort(key=lambda row: str(row[stamp]))
        try:
            columns = [np.array([float(row[name]) for row in rows]) for name in PRICES]
            adjusted = next((name for name in ("adj close", "adj_close") if name in rows[0]), None)
            scale = np.array([float(row[adjusted]) for row in rows]) / columns[3] if adjusted else 1.0
        except (TypeError, ValueError) as error:
            raise ProblemError(f"{path}: a price that is no number: {error}") from None
        times = [row[stamp] for row in rows] if stamp is not None else ()
        return cls.of(*(item * scale for item in columns), symbol=symbol or path.stem, times=times, periods=periods)


def _mended(symbol: str, open_: Floats, high: Floats, low: Floats, close: Floats) -> list[Floats]:
    """The prices with ranges that hold open and close, where only rounding kept them from it."""
    top, bottom = np.maximum(np.maximum(open_, close), low), np.minimum(np.minimum(open_, close), high)
    bad = np.flatnonzero((top > high * (1 + ROUNDING)) | (bottom < low * (1 - ROUNDING)))
    if len(bad):
        i = int(bad[0])
        raise ProblemError(
            f"{symbol}: bar {i} has open {open_[i]:g}, high {high[i]:g}, low {low[i]:g}, close {close[i]:g}; the high "
            f"and the low must hold the others ({len(bad)} such bars). Are only some of the columns adjusted?"
        )
    return [open_, np.maximum(high, top), np.minimum(low, bottom), close]
