"""Distributions over unordered choices, moved along the natural gradient with an adaptive step.

R. Hamano et al., CatCMA, arXiv:2405.09962 (sections 3.2-3.4); the step size is ASNG's: Y. Akimoto et al., ICML 2019,
arXiv:1905.08537. A margin keeps every option possible, so that a lost option can come back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core.batch import Floats, Ints


@dataclass(slots=True, eq=False)
class Categories:
    """c independent choices with up to K options; rows with fewer are padded with zeros.

    q: (c, K) probabilities.  least: (c, K) the margin, zero where padded.
    s: (c, K) accumulated direction (in the frame where the Fisher information is 1).
    """

    q: Floats
    least: Floats
    s: Floats
    delta: float = 1.0
    gamma: float = 0.0

    @classmethod
    def make(cls, counts: Ints) -> Categories:
        """Uniform over counts (c,) options each."""
        used = np.arange(int(counts.max(initial=1))) < counts[:, None]
        # below 27 % chance that a candidate misses its most likely options because of the margins alone
        margin = (1 - 0.73 ** (1 / max(len(counts), 1))) / np.maximum(counts - 1, 1)
        return cls(used / counts[:, None], used * margin[:, None], np.zeros(used.shape))

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """(n, c) option indices."""
        ends = np.cumsum(self.q, axis=1)
        ends[:, -1] = 1.0
        drawn = (rng.random((n, len(ends), 1)) >= ends).sum(axis=2)
        return np.asarray(np.minimum(drawn, (self.least > 0).sum(axis=1) - 1))

    def update(self, gains: Floats, drawn: Ints) -> None:
        """Move towards the options `drawn` (n, c) with weights gains (n,) >= 0 that sum to 1."""
        width = self.q.shape[1]
        frequent = (gains[:, None, None] * (drawn[:, :, None] == np.arange(width))).sum(axis=0)
        gradient = frequent - self.q  # the natural gradient of sum w_i ln p(c_i), eq. 10
        scaled = gradient / np.sqrt(np.where(self.q > 0, self.q, 1.0))
        length = math.sqrt(float((scaled * scaled).sum()))
        if length < 1e-30:
            return
        step = 1.0 / self.delta  # the trust region's radius
        self.q = self.q + step / length * gradient
        beta = step / math.sqrt(max(int((self.least > 0).sum()) - len(self.q), 1))
        beta = min(beta, 1.0)
        self.s = (1 - beta) * self.s + math.sqrt(beta * (2 - beta)) * scaled / length
        self.gamma = (1 - beta) ** 2 * self.gamma + beta * (2 - beta)
        self.delta *= math.exp(beta * (self.gamma - float((self.s * self.s).sum()) / 1.5))
        self._keep_margin()

    def lean(self, drawn: Ints, share: float) -> None:
        """Move a share of the probability to the options drawn (c,)."""
        self.q = (1 - share) * self.q + share * (drawn[:, None] == np.arange(self.q.shape[1]))
        self._keep_margin()

    def _keep_margin(self) -> None:
        """No option below its margin; what that takes comes from the others in proportion (eq. 14-15)."""
        q = np.maximum(self.q, self.least)
        excess = q.sum(axis=1, keepdims=True) - 1.0
        room = q - self.least
        q -= excess * room / np.maximum(room.sum(axis=1, keepdims=True), 1e-300)
        self.q = q / q.sum(axis=1, keepdims=True)
