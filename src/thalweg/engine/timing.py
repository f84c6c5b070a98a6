"""Deadlines of single evaluations: a number of seconds, or learnt from the study's own completions."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import numpy as np

from ..core.errors import ProblemError
from .chunk import Chunk
from .deadline import AutoDeadline
from .history import History

NEIGHBOURS = 3
AGAIN_S = 0.1
RETRY_SHARE = 0.02
"""Share of the trials that may get a second, longer try; less finds a quarter of a bimodal objective's slow mode."""


class Deadline:
    """`eval_timeout`: seconds, or "auto" (see `AutoDeadline`; a promising timeout is then retried once at four times).

    Raises:
        ProblemError: neither a positive number nor "auto".
    """

    def __init__(self, given: float | Literal["auto"]) -> None:
        self._auto = AutoDeadline() if given == "auto" else None
        self._fixed = 0.0
        self.again_s = AGAIN_S if given == "auto" else float("inf")
        """Seconds after which a running evaluation's limit may have become another one."""
        self._retried = 0
        if self._auto is None:
            if isinstance(given, bool) or not isinstance(given, Real) or not given > 0:
                raise ProblemError(f'eval_timeout: seconds > 0 or "auto" is expected, got {given!r}')
            self._fixed = float(given)

    def limit(self) -> float:
        """Seconds that an evaluation started now may take."""
        return self._fixed if self._auto is None else self._auto.limit()

    def observe(self, seconds: float, censored: bool) -> None:
        """An evaluation took `seconds`, or was killed then."""
        if self._auto is not None:
            self._auto.observe(seconds, censored)

    def retries(self, history: History, chunk: Chunk) -> bool:
        """Whether a timed-out row deserves a second, longer try: its nearest finished neighbours are among the best
        quarter. A fixed limit is never stretched.
        """
        if self._auto is None:
            return False
        done = history.good()
        if len(done) < 4 * NEIGHBOURS or self._retried >= max(1.0, RETRY_SHARE * history.n):
            return False
        known = history.space.encode(history.reals[done])
        near = np.argsort(((known - chunk.points[0]) ** 2).sum(axis=1))[:NEIGHBOURS]
        values = history.values[done, 0]
        promising = bool(np.median(values[near]) <= np.quantile(values, 0.25))
        self._retried += promising
        return promising
