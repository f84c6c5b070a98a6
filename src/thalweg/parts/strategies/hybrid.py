"""Hybrid: strategies with one budget and one history; they join in turn and play rounds, who gained most gets more.

A gain is how much lower the best value became, so it is compared within one round only, where all have played from the
same best value on: its scale never matters. Each hears the others' answers, and one that joins late is told everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Draft
from ._composite import Child
from ._generational import merits
from ._turns import UNHEARD, Turns

_MOST = 2.0  # the largest share of a round; one by it is the least
_TRUST, _TRUSTED = 4.0, 0.15  # the winner's share where its confidence is at least the second number
_NEAR = 0.1  # of the winner's gain for each evaluation: who has that keeps a full share
_SHORT, _LONG = 1e-3, 1e-2  # seconds: shorter evaluations pay for no thinking; from the second on it has all it may
_AWAY = 16  # times as many answers are told together to who cannot be afforded
_STALL = 3  # times (d + 1) answers without a gain: the others join early
IN_PLACE = 1e9  # answers for each column that no run has: who waits for them stands in for the first one
_SURE = 0.9  # the confidence from which on who may lead does


@final
class Hybrid(Turns):
    """Strategies in rounds, by what they gained in the round before.

    children: strategies by name, class or object, in the order in which they join (none: "bayesian", "cmaes", "de",
        "annealing", for columns of every kind). `Hybrid("bayesian", "genetic")`, `Hybrid("genetic", "de")` and
        `Hybrid("quadratic", "lq_cmaes", "cmaes")` are others that make sense.
    joins: answers for each column with more than one value after which each joins (foreign ones count for who learns
        from them); 1e9: in the place of the first one, as soon as that cannot be afforded; None: 10 times the place
        (the first one has place 0; without children all others after 30).
    early: whether each may join when nothing was gained for 3 (d + 1) answers; None: all of them. Where workers wait
        and nobody has rows for them, the next one joins in any case.
    stalled: whether each joins, from its gate on, only when nothing was gained for 3 (d + 1) answers, idle workers or
        not; None: nobody.
    leads: whether each has four shares of a round, and the others a quarter, as long as its confidence is .9 or more,
        whoever gained most; None: nobody. For who knows that others' gains are not what matters now: `auto` gives both
        to `axes`, which joins when the valley at hand is exhausted, sees by exchanging columns between low points of
        different valleys whether the columns can be searched one by one, and is done where they cannot.
    costs: the seconds of thinking that a row of each takes (0 by default), for the next two.
    overhead: the most thinking, in shares of the evaluations' time; None: it does not matter.
    allowance: seconds of thinking that are free, so that short studies are as good as others, where evaluations take
        10 milliseconds or more, or their time is not known.
    least: the same where most take less than 1 millisecond; in between it grows with their mean time. What is free
        beyond it never exceeds the evaluations' time so far.

    Who cannot afford a row does not play. Evaluations of less than a millisecond count as none at all: so the points of
    cheap objectives do not depend on the clock. Those of objectives slower than some ten rows' thinking do not either.
    Where many points are evaluated in one call, each counts as long as its share of the largest call's time.

    Memory: an archive (see `_composite.Archive`), and what the strategies keep.

    Raises:
        StrategyError: a single strategy, lists whose length is not the number of strategies, an overhead, allowance or
            least below 0.
    """

    def __init__(
        self,
        *children: Child,
        joins: Sequence[float] | None = None,
        early: Sequence[bool] | None = None,
        stalled: Sequence[bool] | None = None,
        leads: Sequence[bool] | None = None,
        costs: Sequence[float] | None = None,
        overhead: float | None = None,
        allowance: float = 2.0,
        least: float = 0.5,
    ) -> None:
        if not children:
            children = ("bayesian", "cmaes", "de", "annealing")
            joins, early = joins or (0, 30, 30, 30), early or (True, False, False, False)
        super().__init__(*children)
        if len(self.children) < 2:
            raise StrategyError("Hybrid needs at least two strategies, got one; use it by itself")
        lists = {"joins": joins, "early": early, "stalled": stalled, "leads": leads, "costs": costs}
        for name, given in lists.items():
            if given is not None and len(given) != len(self.children):
                raise StrategyError(
                    f"Hybrid: {name} has a value for each of the {len(self.children)} strategies, got {len(given)}"
                )
        self.joins = None if joins is None else list(joins)
        if (overhead is not None and not overhead >= 0) or not (allowance >= 0 and least >= 0):
            numbers = f"{overhead}, {allowance} and {least}"
            raise StrategyError(f"Hybrid: overhead, allowance and least are at least 0, got {numbers}")
        self.overhead, self.allowance, self.least = overhead, float(allowance), min(float(least), float(allowance))
        self.costs = [0.0] * len(self.children) if costs is None else list(costs)
        self.early = [True] * len(self.children) if early is None else list(early)
        self.stalled = [False] * len(self.children) if stalled is None else list(stalled)
        self.leads = [False] * len(self.children) if leads is None else list(leads)

    def begin(self) -> None:
        """The first strategy starts."""
        super().begin()
        count = len(self.children)
        self.free = max(int((np.asarray(self.problem.space.levels) > 1).sum()), 1)
        self.gates = [self.free * gate for gate in self.joins or [10.0 * i for i in range(count)]]
        self.shares = [1.0] * count
        self.gained = [0.0] * count  # in this round
        self.told = [0] * count
        self.played = [0] * count  # rows asked for, ever
        self.thought = self.evaluated = 0.0  # seconds
        self.timed = self.long = 0  # answers whose time is known, and those of them that took a millisecond
        self.paces = 0.0  # the sum of their times, in shares of what is long enough for the whole allowance
        self.block, self.block_s = 1, np.inf  # the most rows in one call so far, and the time of a row in it
        self.queue: list[int] = []  # who still plays in this round
        self.start_child(0, self.budget, warm=False)

    # --- who plays ------------------------------------------------------------------------------------------------

    def plays(self, which: int) -> bool:
        """Whether a child has joined, may still give rows, and can be afforded."""
        return self.live(which) and self._affords(which)

    def _affords(self, which: int) -> bool:
        if self.overhead is None or not self.costs[which]:
            return True
        return self._purse() >= self.costs[which] * (1 - 1e-9)

    def _purse(self) -> float:
        """Seconds of thinking that are left, with an overhead."""
        return self._free_s() + (self.overhead or 0.0) * self.evaluated - self.thought

    def _free_s(self) -> float:
        """Seconds of thinking that cost nothing, by how long evaluations are.

        The majority decides whether they are short: one that compiles, or was held up, changes nothing.
        """
        if not self.timed:
            return self.allowance
        if 2 * self.long < self.timed:
            return self.least
        return self.least + min((self.allowance - self.least) * (self.paces / self.timed), self.evaluated)

    def _admit(self, idle: bool = False) -> bool:
        """Start who is due; with `idle` the next one, due or not. Gives whether one was started."""
        stalled = self.stale >= _STALL * (self.free + 1)
        nobody = not any(map(self.plays, range(len(self.children))))
        started = False
        for which in sorted(range(1, len(self.children)), key=lambda which: idle or not self._stands_in(which)):
            if self.runs[which] or not self._affords(which) or (idle and started):
                continue
            early = (stalled and self.early[which]) or nobody or (idle and not self.stalled[which])
            listens = self.children[which].abilities.learns_foreign
            due = (self.heard_rows if listens else self.asked) >= self.gates[which]
            if early or self._stands_in(which) or (due and (stalled or not self.stalled[which])):
                left = None if self.budget is None else max(self.budget - self.asked, 1)
                self.start_child(which, left, warm=True)
                self.queue.insert(0, which)
                known = f"{self.heard_rows} answers known" + (", idle workers" if idle else "")
                self.happened.append({"kind": "switched", "reason": f"{self.label(which)} joined: {known}"})
                nobody, started = False, True
        return started

    def _stands_in(self, which: int) -> bool:
        """Whether a child is to play in the first one's place now."""
        return self.gates[which] >= IN_PLACE and not self._affords(0)

    def order(self) -> list[int]:
        """Who is next in this round; then whoever plays, for rows that are wanted while those wait."""
        if not any(map(self.plays, self.queue)):
            self._round()
        queue = [which for which in self.queue if self.plays(which)]
        others = [which for which in range(len(self.children)) if self.plays(which) and which not in queue]
        # where nobody can be afforded, whoever is left goes on
        return queue + others or [which for which in range(len(self.children)) if self.live(which)]

    def _round(self) -> None:
        """Shares of the next round from the gains of this one; the winner begins."""
        rates = [gain / max(told, 1) for gain, told in zip(self.gained, self.told, strict=True)]
        best = max(rates)
        for which, rate in enumerate(rates):
            if best <= 0:
                self.shares[which] **= 0.5  # nobody knows better: slowly back to equal shares
            elif rate == best:
                self.shares[which] = min(max(2.0 * self.shares[which], 1.0), _MOST)
            elif self.told[which]:
                self.shares[which] = 1.0 if rate >= _NEAR * best else max(0.5 * self.shares[which], 1.0 / _MOST)
        winner = rates.index(best)
        most = _MOST
        if best > 0 and self.runs[winner] and self.children[winner].confidence >= _TRUSTED:
            most = _TRUST
            self.shares = [_TRUST if which == winner else 1.0 / _TRUST for which in range(len(rates))]
        sure = [self._sure(which) for which in range(len(rates))]
        if any(sure):
            most = _TRUST
            self.shares = [_TRUST if leads else 1.0 / _TRUST for leads in sure]
        self.shares = [min(max(share, 1.0 / most), most) for share in self.shares]
        self.gained, self.told = [0.0] * len(rates), [0] * len(rates)
        self.queue = sorted(filter(self.plays, range(len(rates))), key=lambda which: -self.shares[which])

    def _sure(self, which: int) -> bool:
        """Whether a child leads without having gained most."""
        return self.leads[which] and self.plays(which) and self.children[which].confidence >= _SURE

    def rows_of_turn(self, which: int) -> int:
        """Rows of a child's turn."""
        if which in self.queue:
            self.queue.remove(which)
        width = max(self.free + 1, self.heard_rows // 32)
        rows = max(round(width * self.shares[which]), 1)
        if not self.costs[which]:
            return max(rows, min(self.children[which].stride, self.longest))  # free ones give whole generations
        return rows if self.overhead is None else max(min(rows, int(self._purse() / self.costs[which] + 1e-9)), 1)

    # --- ask and tell ---------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats | Draft:
        """Rows of whose turn it is. Where all wait for answers, and workers for rows, the next one joins early."""
        self._admit()
        rows = super().propose(n)
        while not _count(rows) and self._admit(idle=True):
            rows = super().propose(n)
        return rows

    def patience(self, which: int) -> int:
        """More where a child does not play: fronts are found once for many answers."""
        return _AWAY * UNHEARD if self._away(which) else UNHEARD

    def _away(self, which: int) -> bool:
        """Whether a child cannot be afforded even for the rest of its turn: models of several objectives are dear."""
        return len(self.bests) > 1 and not self._affords(which)

    def ask_child(self, which: int, n: int, taken: int = 0) -> Draft | None:
        """Rows of a child, counted; with several objectives none of one that cannot be afforded while another plays."""
        if self._away(which) and any(self.plays(other) for other in range(len(self.children))):
            return None
        draft = super().ask_child(which, n, taken)
        if draft is not None:
            self.played[which] += len(draft.points)
            self.thought += self.costs[which] * len(draft.points)
        return draft

    def learn(self, answers: Answers) -> None:
        """Add up who gained how much."""
        best = float(self.bests[0])
        gaining = len(self.bests) == 1  # several objectives have no single gain: equal shares
        for ticket, merit in zip(answers.tickets.tolist(), merits(answers).tolist(), strict=True):
            which = self.routes[ticket][0]
            self.told[which] += 1
            if gaining and merit < best:
                self.gained[which] += best - merit if best < np.inf else 0.0
                best = merit
        if answers.seconds is not None and self.overhead is not None:
            self._clock(answers.seconds, together=bool(answers.ok.all()))
        super().learn(answers)

    def _clock(self, seconds: Floats, together: bool) -> None:
        """Add up how long evaluations took; seconds: (k,), NaN where not known. together: they may be of one call.

        Rows of one call have the same time, to the last bit: its share for each. What a row takes in the largest call
        is what it is worth, however long calls for few rows take.
        """
        if together and len(seconds) > self.block and seconds[0] > 0 and bool((seconds == seconds[0]).all()):
            self.block, self.block_s = len(seconds), float(seconds[0])
            worth = self.block_s if self.block_s >= _SHORT else 0.0  # of what came in smaller calls, too
            self.evaluated = min(self.evaluated, worth * self.timed)
            self.paces = min(self.paces, worth / _LONG * self.timed)
            self.long = self.long if worth else 0
        long = np.minimum(seconds[seconds >= _SHORT], self.block_s)
        long = long[long >= _SHORT]
        self.evaluated += float(long.sum())
        self.timed += int(np.count_nonzero(seconds >= 0))
        self.long += len(long)
        self.paces += float(np.minimum(long / _LONG, 1.0).sum())

    @property
    def speculates(self) -> bool:
        """Any child does that can be afforded: the others' rows go into blocks."""
        return any(self.plays(which) and child.speculates for which, child in enumerate(self.children))

    @property
    def ponders(self) -> bool:
        """Any child does that can be afforded."""
        return any(self.plays(which) and child.ponders for which, child in enumerate(self.children))

    @property
    def stride(self) -> int:
        """That of whose turn it is."""
        return max(1, self.children[self.holder].stride if self.live(self.holder) else 1)

    @property
    def done(self) -> bool:
        """Nobody has anything to give, or will have."""
        started = all(runs > 0 for runs in self.runs)
        return started and not any(self.live(which) for which in range(len(self.children)))

    @property
    def why(self) -> str:
        """Who gave how many rows."""
        rows = ", ".join(f"{self.label(which)} {rows}" for which, rows in enumerate(self.played) if rows)
        return f"rows: {rows}"


def _count(rows: Floats | Draft) -> int:
    return len(rows.points) if isinstance(rows, Draft) else len(rows)
