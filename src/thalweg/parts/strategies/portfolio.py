"""Portfolio: several strategies share one budget and one history; who finds improvements gets more of the budget.

Who gets a turn is decided by the bandit of `_turns`.
"""

from __future__ import annotations

from typing import final

from ._composite import Child
from ._turns import Turns


@final
class Portfolio(Turns):
    """Several strategies take turns; each hears the others' answers as foreign ones.

    children: strategies by name, class or object (none: "cmaes", "de", "nelder_mead").
    window: answers that count for a strategy's score.  explore: weight of the bandit's exploration term.
    cost: "evaluations", or "seconds" (improvement per second of evaluation; then who gets a turn depends on timing).
    turn: the least rows of a turn (a turn has at least the strategy's `stride`, at most 256 rows).

    Memory: `window` numbers for each strategy, and what the strategies keep.
    """

    keeps_archive = False

    def __init__(
        self,
        *children: Child,
        window: int = 100,
        explore: float = 0.1,
        cost: str = "evaluations",
        turn: int = 1,
    ) -> None:
        children = children or ("cmaes", "de", "nelder_mead")
        super().__init__(*children, window=window, explore=explore, cost=cost, turn=turn)

    def begin(self) -> None:
        """Every child starts; the first turns go round in the order given."""
        super().begin()
        count = len(self.children)
        for which in range(count):
            # a method that plans by its budget plans for its fair share, and one for which that is a guess loses little
            self.start_child(which, None if self.budget is None else max(1, -(-self.budget // count)), warm=False)
