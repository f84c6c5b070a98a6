"""Forecast once, tune many times: forecasts are kept under the hash of what they were made of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from .bars import Bars
from .forecast import Forecast
from .forecasters import Forecaster, Stepwise, check_causal


class ForecastCache:
    """Forecasts in memory and, where a folder is given, in it (one .npz file each), so that other processes find them.

    A key is made of the forecaster's identity and the prices' bits: another option, another bar, another forecast.
    hits, misses: how often it knew, and how often it forecast.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.hits = self.misses = 0
        self._known: dict[str, Forecast] = {}

    def forecast(self, forecaster: Forecaster, bars: Bars) -> Forecast:
        """The forecast of `bars`, checked to be causal when it is made (`Stepwise` ones are by construction).

        Raises:
            ProblemError: the forecaster knows the future.
        """
        key = hashlib.sha256(f"{forecaster.identity()}\n{bars.digest()}".encode()).hexdigest()
        found = self._known.get(key) or self._read(key)
        if found is None or len(found) != len(bars):
            self.misses += 1
            stepwise = isinstance(forecaster, Stepwise)
            found = forecaster.forecast(bars) if stepwise else check_causal(forecaster, bars)
            self._write(key, found)
        else:
            self.hits += 1
        self._known[key] = found
        return found

    def _read(self, key: str) -> Forecast | None:
        if self.folder is None:
            return None
        try:
            with np.load(self.folder / f"{key}.npz", allow_pickle=False) as file:
                return Forecast.of(file["high"], file["low"], file["side"])
        except (OSError, ValueError, KeyError, EOFError):
            return None  # not there, or half a file: forecast again

    def _write(self, key: str, made: Forecast) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{key}.{os.getpid()}.npz"
        np.savez(part, high=made.high, low=made.low, side=made.side)
        part.replace(self.folder / f"{key}.npz")  # whole or not at all
