"""How many rows one job should have, so that sending it costs little and stopping it loses little."""

from __future__ import annotations

from ...core.errors import EvaluatorError
from ...core.evaluator import Outcomes

MOST = 256


class ChunkSize:
    """Rows per job from the mean time of an evaluation (exponentially weighted): about `aim_s` of work.

    One row while nothing is known, and for evaluations of more than half of `aim_s`.
    """

    def __init__(self, aim_s: float = 0.03, most: int = MOST, weight: float = 0.3) -> None:
        if not (isinstance(most, int) and not isinstance(most, bool) and 1 <= most <= MOST):
            raise EvaluatorError(f"rows per job must be a count in 1..{MOST}, got {most!r}")
        self.aim_s = aim_s
        self.most = most
        self.weight = weight
        self.mean_s: float | None = None

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from a job's times."""
        if not len(outcomes):
            return
        mean = float(outcomes.seconds.mean())
        weight = 1.0 if self.mean_s is None else self.weight
        self.mean_s = mean if self.mean_s is None else self.mean_s + weight * (mean - self.mean_s)

    @property
    def rows(self) -> int:
        """Rows for the next job."""
        if self.mean_s is None:
            return 1
        return max(1, min(self.most, int(self.aim_s / max(self.mean_s, 1e-7))))
