"""What stands in for a strategy that cannot be made here: its study can be looked at, not run on."""

from __future__ import annotations

from typing import NoReturn, final

from ..core.batch import Answers, Floats
from ..core.errors import StrategyError
from ..core.strategy import MANY, Abilities, Strategy


@final
class Unmade(Strategy):
    """The strategy of a loaded study whose class or options are not known by a name.

    reason: what to do about it, in words.
    """

    abilities = Abilities(objectives=MANY)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def refuse(self) -> NoReturn:
        """Raise StrategyError with the reason."""
        raise StrategyError(self.reason)

    def begin(self) -> None:
        """Refuse."""
        self.refuse()

    def propose(self, n: int) -> Floats:  # noqa: ARG002 (a seam's argument)
        """Never called: it does not begin."""
        self.refuse()

    def learn(self, answers: Answers) -> None:  # noqa: ARG002 (a seam's argument)
        """Never called: it does not begin."""
        self.refuse()
