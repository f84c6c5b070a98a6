"""Forecasters: from the bars so far to the levels of the next one.

A `Stepwise` forecaster is causal by construction: it is handed one bar after the other, as each closes, and says what
it expects of the next; it never holds the future. One that works on whole arrays (a neural network with batched
inference) derives from `Forecaster` and is checked: `check_causal` forecasts truncated histories again, and every row
must be the same to the last bit, the one of a bar that is not known yet too.
"""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core.errors import ProblemError
from ...core.registry import resolve
from .bars import PRICES, Bars
from .forecast import Forecast

Row = tuple[float, float, int]
"""Log-move of the high, log-move of the low (from the last close), side."""
NONE: Row = (float("nan"), float("nan"), 0)
"""Nothing to say yet."""


class Forecaster(ABC):
    """Levels for every bar from the bars before it.

    options: what it was made with, as plain data; with the class's name and `version` they are its identity, by which
    forecasts are cached. Change `version` when the code forecasts something else.
    """

    version = "1"

    @property
    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """The options it was made with."""

    @abstractmethod
    def forecast(self, bars: Bars) -> Forecast:
        """(n,) rows; row t may depend on bars 0 .. t - 1 only."""

    def identity(self) -> str:
        """Class, version and options, as text."""
        kind = type(self)
        return json.dumps([kind.__module__, kind.__qualname__, self.version, dict(self.options)], sort_keys=True)


class Stepwise(Forecaster):
    """A forecaster that hears bar after bar."""

    @abstractmethod
    def begin(self) -> None:
        """Forget everything."""

    @abstractmethod
    def step(self, open: float, high: float, low: float, close: float) -> Row:
        """Hear the bar that has just closed; say what is expected of the next one."""

    def forecast(self, bars: Bars) -> Forecast:
        """All rows; the first is empty, as nothing was known before it."""
        self.begin()
        rows = [NONE]
        columns = (bars.open.tolist(), bars.high.tolist(), bars.low.tolist(), bars.close.tolist())
        for bar in zip(*(item[:-1] for item in columns), strict=True):
            rows.append(self.step(*bar))
        return Forecast.of(*zip(*rows, strict=True))


class Ewma(Stepwise):
    """Exponentially weighted means of the highs' and lows' log-moves, after `warm_up` bars.

    half_life: bars.  trend: the side is the sign of the mean return; else always long.
    """

    def __init__(self, half_life: float = 10.0, warm_up: int = 20, trend: bool = False) -> None:
        if not half_life > 0 or warm_up < 2:
            raise ProblemError(f"ewma: half_life > 0 and warm_up >= 2 are expected, got {half_life} and {warm_up}")
        self._options = {"half_life": float(half_life), "warm_up": int(warm_up), "trend": bool(trend)}
        self._keep = float(0.5 ** (1.0 / half_life))

    @property
    def options(self) -> Mapping[str, Any]:
        return self._options

    def begin(self) -> None:
        self._seen, self._last, self._weight = 0, 0.0, 0.0
        self._means = [0.0, 0.0, 0.0]

    def step(self, open: float, high: float, low: float, close: float) -> Row:  # noqa: ARG002 (a seam's argument)
        if self._seen:
            keep = self._keep
            moves = (np.log(high / self._last), np.log(low / self._last), np.log(close / self._last))
            self._weight = keep * self._weight + 1.0 - keep
            self._means = [keep * m + (1.0 - keep) * float(x) for m, x in zip(self._means, moves, strict=True)]
        self._seen, self._last = self._seen + 1, close
        if self._seen < self._options["warm_up"]:
            return NONE
        up, down, drift = (item / self._weight for item in self._means)
        side = 1 if not self._options["trend"] or drift > 0 else -1 if drift < 0 else 0
        return up, down, side


class Range(Stepwise):
    """The next bar's high and low are quantiles of those of the last `window` bars. quantile: of the highs' moves
    (1 - quantile: of the lows'); always long."""

    def __init__(self, window: int = 20, quantile: float = 0.5) -> None:
        if window < 2 or not 0 < quantile < 1:
            raise ProblemError(f"range: window >= 2 and 0 < quantile < 1 are expected, got {window} and {quantile}")
        self._options = {"window": int(window), "quantile": float(quantile)}

    @property
    def options(self) -> Mapping[str, Any]:
        return self._options

    def begin(self) -> None:
        self._last: float | None = None
        self._moves: list[tuple[float, float]] = []

    def step(self, open: float, high: float, low: float, close: float) -> Row:  # noqa: ARG002 (a seam's argument)
        if self._last is not None:
            self._moves.append((float(np.log(high / self._last)), float(np.log(low / self._last))))
        self._last = close
        window = int(self._options["window"])
        if len(self._moves) < window:
            return NONE
        del self._moves[:-window]
        share = float(self._options["quantile"])
        up, down = np.array(self._moves).T
        return float(np.quantile(up, share)), float(np.quantile(down, 1 - share)), 1


class Cross(Stepwise):
    """Long at the next open while the mean of the last `fast` closes is above that of the last `slow`; out at the next
    open when it no longer is. Multipliers change nothing: these are market orders."""

    def __init__(self, fast: int = 10, slow: int = 50) -> None:
        if not 1 <= fast < slow:
            raise ProblemError(f"cross: 1 <= fast < slow is expected, got {fast} and {slow}")
        self._options = {"fast": int(fast), "slow": int(slow)}

    @property
    def options(self) -> Mapping[str, Any]:
        return self._options

    def begin(self) -> None:
        self._closes: list[float] = []

    def step(self, open: float, high: float, low: float, close: float) -> Row:  # noqa: ARG002 (a seam's argument)
        fast, slow = int(self._options["fast"]), int(self._options["slow"])
        self._closes.append(close)
        del self._closes[:-slow]
        if len(self._closes) < slow:
            return NONE
        if sum(self._closes[-fast:]) / fast > sum(self._closes) / slow:
            return np.inf, np.inf, 1
        return -np.inf, float("nan"), 0


FORECASTERS = {
    "cross": f"{__name__}:Cross",
    "ewma": f"{__name__}:Ewma",
    "range": f"{__name__}:Range",
}
"""name -> "module:Class"."""


def make_forecaster(given: str | Forecaster | type[Forecaster]) -> Forecaster:
    """A forecaster from itself, its class, a name of `FORECASTERS`, or "package.module:Class"; a name may have options:
    "ewma(half_life=5, trend=true)".

    Raises:
        ProblemError: there is none of that name, or the options do not suit it.
    """
    if isinstance(given, Forecaster):
        return given
    if isinstance(given, type) and issubclass(given, Forecaster):
        return given()
    if not isinstance(given, str):
        raise ProblemError(f"a forecaster, or the name of one, is expected, got {given!r:.80}")
    name, bracket, rest = given.partition("(")
    if bracket and not rest.endswith(")"):
        raise ProblemError(f"forecaster {given!r}: name(option=value, ...) is expected")
    kind = _imported(name.strip()) if ":" in name else resolve(FORECASTERS, name.strip(), "forecaster", ProblemError)
    try:
        made = kind(**_options(given, rest[:-1] if bracket else ""))
    except TypeError as error:
        raise ProblemError(f"forecaster {given!r}: {error}") from None
    if not isinstance(made, Forecaster):
        raise ProblemError(f"forecaster {given!r} is no Forecaster but {type(made).__name__}")
    return made


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ProblemError(f"forecaster {path!r} cannot be imported: {error}") from None


def _options(given: str, text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        name, sign, word = (item.strip() for item in part.partition("="))
        try:
            found[name] = json.loads(word)
        except json.JSONDecodeError:
            raise ProblemError(
                f"forecaster {given!r}: {part!r} is not name=value with a number, true, false or a quoted text"
            ) from None
        if not sign:
            raise ProblemError(f"forecaster {given!r}: {part!r} lacks its value")
    return found


def check_causal(forecaster: Forecaster, bars: Bars, cuts: Sequence[int] | None = None) -> Forecast:
    """The forecast, after making sure that no row knows the future: histories of `cuts` bars are forecast again, with
    a flat bar in the place of their last one, and all their rows must be the same bit by bit - the last row too, which
    must not have looked at its own bar.

    Raises:
        ProblemError: a row changed; the message names it.
    """
    whole = forecaster.forecast(bars)
    if len(whole) != len(bars):
        raise ProblemError(f"{forecaster.identity()} gave {len(whole)} rows for {len(bars)} bars; one each is expected")
    n = len(bars)
    for cut in cuts if cuts is not None else sorted({max(2, n // 3), max(2, n // 2), max(2, 2 * n // 3), n}):
        wrong = np.flatnonzero(~whole.equal_to(forecaster.forecast(_unknown_last(bars, cut))))
        if len(wrong):
            t = int(wrong[0])
            raise ProblemError(
                f"{forecaster.identity()} knows the future: its row {t} is another one when the bars from {cut - 1} on "
                "are not known. Row t may use bars 0 .. t - 1 only; are all means and scales made of past bars?"
            )
    return whole


def _unknown_last(bars: Bars, count: int) -> Bars:
    """The first `count` bars, the last of them flat at the close before it."""
    cut = bars.head(count)
    prices = (np.append(getattr(cut, name)[:-1], cut.close[-2]) for name in PRICES)
    return Bars.of(*prices, symbol=bars.symbol, times=cut.times, periods=bars.periods)
