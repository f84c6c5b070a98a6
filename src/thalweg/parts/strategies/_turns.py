"""The shared base of composites whose children take turns: each child hears the others."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from ...core.batch import Answers, Floats
from ...core.strategy import Draft
from ._composite import Composite, as_foreign, columns_of, joined
from ._generational import copied, join

UNHEARD = 64
"""So many answers of others wait at most until a child hears them."""


class Turns(Composite):
    """Abstract: write `begin`, which starts children (`start_child`; `super().begin()` comes first), `order` and `why`.

    A turn has as many rows as the child's `stride`, at most `longest`; `rows_of_turn` may say otherwise.
    """

    longest: ClassVar[int] = 256

    def begin(self) -> None:
        """Empty books; no child is started yet."""
        super().begin()
        count = len(self.children)
        self.turns = [0] * count
        self.holder = 0  # whose turn it is
        self.left = 0  # rows left in it
        self.unheard: list[list[Answers]] = [[] for _ in range(count)]  # others' answers a child was not told yet

    @abstractmethod
    def order(self) -> list[int]:
        """Children that may be asked, the one to ask first in front; nothing is heard until the next `learn`."""

    def rows_of_turn(self, which: int) -> int:
        """Rows of a child's turn that begins now."""
        return min(max(self.children[which].stride, 1), self.longest)

    def propose(self, n: int) -> Floats | Draft:
        """Rows of whose turn it is; where a child waits for answers, the next one fills in."""
        drafts: list[Draft] = []
        given = 0
        blocked: set[int] = set()
        patient = True
        while given < n:
            if self.left < 1 or self.holder in blocked or not self.live(self.holder):
                ready = [which for which in self.order() if which not in blocked]
                if not ready:
                    if given or not patient:
                        break
                    patient = False
                    blocked.clear()
                    continue
                self.holder = ready[0]
                self.turns[self.holder] += 1
                self.left = self.rows_of_turn(self.holder)
            if (patient or given) and self.children[self.holder].all_out:
                if self.unheard[self.holder]:
                    self._catch_up(self.holder)
                blocked.add(self.holder)  # more of it only where nobody else has rows, and workers are idle
                continue
            draft = self.ask_child(self.holder, min(n - given, self.left), given)
            if draft is None:
                blocked.add(self.holder)
                continue
            drafts.append(draft)
            given += len(draft.points)
            self.left -= len(draft.points)
        return joined(drafts, self.dimension)

    # --- answers --------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Tell each child its own answers, and the others' as foreign ones."""
        whose = [self.routes[ticket][0] for ticket in answers.tickets.tolist()]
        super().learn(answers)
        for which, child in enumerate(self.children):
            if child.abilities.learns_foreign and self.live(which):
                others = [i for i, owner in enumerate(whose) if owner != which]
                if others:
                    theirs = answers if len(others) == len(whose) else answers.rows(np.array(others))
                    self.unheard[which].append(as_foreign(copied(theirs)))
                    if sum(map(len, self.unheard[which])) >= self.patience(which):
                        self._catch_up(which)

    def patience(self, which: int) -> int:  # noqa: ARG002 (all children have the same here)
        """How many answers of others a child hears together, unless it is asked or told anything before."""
        return UNHEARD

    def _catch_up(self, which: int) -> None:
        """Tell a child what the others found: all at once, before it is asked or told anything else."""
        heard, self.unheard[which] = self.unheard[which], []
        if heard:
            self.children[which].tell(join(*heard))

    def ask_child(self, which: int, n: int, taken: int = 0) -> Draft | None:
        """Rows of a child that knows everything."""
        if self.unheard[which]:
            self._catch_up(which)
        return super().ask_child(which, n, taken)

    def tell_child(self, which: int, answers: Answers) -> None:
        """Tell a child that knows everything that came before."""
        if self.unheard[which]:
            self._catch_up(which)
        super().tell_child(which, answers)

    def state(self) -> dict[str, Any]:
        """The books; answers that a child was not told yet as plain columns."""
        kept, self.unheard = self.unheard, [[] for _ in self.children]
        try:
            state = super().state()
        finally:
            self.unheard = kept
        state["own"]["unheard"] = [[columns_of(copied(item)) for item in waiting] for waiting in kept]
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self._must_be_started("restore")
        own = dict(state["own"])
        unheard = own.pop("unheard")
        super().restore({**state, "own": own})
        self.unheard = [[copied(Answers(**item)) for item in waiting] for waiting in unheard]

    @property
    def stride(self) -> int:
        """What the live children can give together."""
        return max(1, sum(child.stride for which, child in enumerate(self.children) if self.live(which)))

    @property
    def done(self) -> bool:
        """Every child is done."""
        return all(child.done for child in self.children)

    @property
    def why(self) -> str:
        """Who got how many turns."""
        shares = ", ".join(f"{self.label(which)} {turns}" for which, turns in enumerate(self.turns))
        return ("all are done; " if self.done else "") + f"turns: {shares}"
