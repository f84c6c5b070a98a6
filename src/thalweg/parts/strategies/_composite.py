"""The shared base of strategies made of strategies.

A composite gives out its children's rows under its own tickets, tells each answer to the child that asked for it, and
keeps the children's states in its own. What became of every row also goes to an `Archive`, from which a child that is
started later is warm-started by telling it the rows as foreign answers.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ...core.batch import FOREIGN, Answers, Floats
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Draft, Strategy
from . import make_strategy
from ._generational import copied, join, merits

Child = str | Strategy | type[Strategy]
"""A strategy by name, as an object, or as a class."""

ARCHIVE_ROWS = 2000


class Archive:
    """Answers worth telling to a strategy that starts late: the best and the newest.

    At most `2 * rows` are held (8 (D + m + 3) bytes each); beyond that, `rows / 2` of the best and of the newest stay.
    With several objectives there is no single order: the newest stay.
    """

    def __init__(self, rows: int = ARCHIVE_ROWS) -> None:
        self.rows = rows
        self._kept: Answers | None = None
        self._waiting: list[Answers] = []
        self._count = 0

    def add(self, answers: Answers) -> None:
        """Keep a copy of `answers`, whoever asked for them."""
        self._waiting.append(copied(answers))
        self._count += len(answers)
        if self._count >= 2 * self.rows:
            merged = self._merge()
            self._kept = merged.rows(self._worth(merged))
            self._count = len(self._kept)

    def all(self) -> Answers | None:
        """Everything kept, as foreign answers in the order they came; None when there is nothing."""
        return self._merge() if self._count else None

    def _merge(self) -> Answers:
        if self._waiting:
            parts = ([self._kept] if self._kept is not None else []) + self._waiting
            self._kept, self._waiting = as_foreign(join(*parts)), []
        return cast(Answers, self._kept)

    def _worth(self, answers: Answers) -> Any:
        newest = np.arange(len(answers) - (self.rows - self.rows // 2), len(answers))
        if answers.values.shape[1] > 1:
            return np.arange(len(answers) - self.rows, len(answers))
        best = np.argsort(answers.merit(), kind="stable")[: self.rows // 2]
        return np.union1d(newest, best)

    def state(self) -> dict[str, Any]:
        """Plain data."""
        kept = self.all()  # merges, which loses nothing: taking a state never changes what comes next
        return {} if kept is None else columns_of(copied(kept))

    def restore(self, state: dict[str, Any]) -> None:
        """Back to `state`."""
        self._kept = copied(Answers(**state)) if state else None
        self._waiting, self._count = [], len(self._kept) if self._kept is not None else 0


def columns_of(answers: Answers) -> dict[str, Any]:
    """The columns by name: plain data, from which `Answers(**columns)` is made again."""
    return {name: getattr(answers, name) for name in Answers.__slots__}


class Composite(Strategy):
    """Abstract: write `propose` (with `ask_child`), and `heard` if answers decide what happens next.

    children: strategies by name, class or object. They are parts of this one: do not use them elsewhere meanwhile.
    """

    keeps_archive = True
    """Whether answers are archived for children that start late."""

    def __init__(self, *children: Child) -> None:
        if not children:
            raise StrategyError(f"{type(self).__name__} needs at least one strategy, got none")
        self.children = tuple(make_strategy(child) for child in children)
        if len({id(child) for child in self.children}) != len(self.children):
            raise StrategyError(f"{type(self).__name__}: one strategy object was given twice; make one for each place")
        abilities = self.ability_of([child.abilities for child in self.children])
        vars(self)["abilities"] = abilities  # of this object, not of the class: it depends on the children

    @staticmethod
    def ability_of(children: list[Abilities]) -> Abilities:
        """What the whole can do; here, what every child can, and hear of foreign points if one can."""
        return Abilities(
            objectives=min(item.objectives for item in children),
            learns_foreign=any(item.learns_foreign for item in children),
            fidelities=any(item.fidelities for item in children),
            needs_budget=any(item.needs_budget for item in children),
        )

    def begin(self) -> None:
        """No child is started yet; a subclass's `begin` calls this first."""
        self.runs = [0] * len(self.children)  # how often each child was started
        self.grants: list[int | None] = [None] * len(self.children)  # the budget it was last started with
        self.routes: dict[int, tuple[int, int, int]] = {}  # own ticket -> child, its run, its ticket
        self.names: dict[tuple[int, int], int] = {}  # (child, its ticket) -> own ticket, for children that name parents
        self.archive = Archive()
        self.asked = 0
        self.bests = np.full(len(self.problem.objectives), np.inf)
        self.best_at = 0  # rows told when the last improvement came
        self.heard_rows = 0
        self.happened: list[dict[str, Any]] = []

    @property
    def speculates(self) -> bool:
        """Any running child does."""
        return any(child.speculates for which, child in enumerate(self.children) if self.live(which))

    @property
    def ponders(self) -> bool:
        """Any running child does."""
        return any(child.ponders for which, child in enumerate(self.children) if self.live(which))

    @property
    def all_out(self) -> bool:
        """Every running child's generation is."""
        live = [child for which, child in enumerate(self.children) if self.live(which)]
        return bool(live) and all(child.all_out for child in live)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Switches and fallbacks so far, its children's included."""
        inner = [event for child in self.children for event in child.events] if "happened" in vars(self) else []
        return [*inner, *self.happened] if inner else getattr(self, "happened", [])

    # --- children -------------------------------------------------------------------------------------------------

    def label(self, which: int) -> str:
        """A child's name for people."""
        return type(self.children[which]).__name__

    def start_child(self, which: int, budget: int | None, warm: bool) -> None:
        """Start a child (again), with a seed of its own; `warm` tells it everything archived."""
        run = self.runs[which]
        self._start_child(which, run, budget)
        self.runs[which] = run + 1
        if self.names:
            self.names = {key: value for key, value in self.names.items() if key[0] != which}
        known = self.archive.all() if warm else None
        if known is not None:
            self.children[which].tell(known)

    def _start_child(self, which: int, run: int, budget: int | None) -> None:
        # numbered by place and run, so that no child's stream depends on when others are started
        seeds = np.random.SeedSequence(self.seeds.entropy, spawn_key=(*self.seeds.spawn_key, which, run))
        self.children[which].start(self.problem, seeds, budget)
        self.grants[which] = budget

    def live(self, which: int) -> bool:
        """Whether a child was started and may still give rows."""
        return self.runs[which] > 0 and not self.children[which].done

    def ask_child(self, which: int, n: int, taken: int = 0) -> Draft | None:
        """Up to n rows of a child, None when it gives none now. taken: rows of this ask that others already gave."""
        child = self.children[which]
        proposals = child.ask(n)
        if not len(proposals):
            return None
        first = self.next_ticket + taken
        run = self.runs[which]
        for own, ticket in enumerate(proposals.tickets.tolist(), first):
            self.routes[own] = (which, run, ticket)
        self.asked += len(proposals)
        parents = None
        if proposals.parents is not None:
            self.names |= {(which, ticket): first + i for i, ticket in enumerate(proposals.tickets.tolist())}
            named = [self.names.get((which, ticket), FOREIGN) for ticket in proposals.parents.tolist()]
            parents = np.array(named, dtype=np.int64)
        return Draft(proposals.points, proposals.fidelities, parents)

    @property
    def stale(self) -> int:
        """Rows told since the last improvement."""
        return self.heard_rows - self.best_at

    def stuck(self, which: int) -> bool:
        """A child that gives nothing although it waits for nothing: it will never give anything again."""
        return self.children[which].pending == 0

    # --- answers --------------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Tell each answer to the child that asked for it; those of a run that has ended are archived only."""
        routes = [self.routes.pop(ticket) for ticket in answers.tickets.tolist()]
        self._note(answers)
        first = routes[0][:2]
        if all(route[:2] == first for route in routes):  # the usual case, without a copy
            if first[1] == self.runs[first[0]]:
                own = with_tickets(answers, [route[2] for route in routes])
                self.tell_child(first[0], own)
                self.heard(first[0], own)
            return
        for which in dict.fromkeys(route[0] for route in routes):
            rows = [i for i, route in enumerate(routes) if route[0] == which and route[1] == self.runs[which]]
            if rows:
                own = with_tickets(answers.rows(np.array(rows)), [routes[i][2] for i in rows])
                self.tell_child(which, own)
                self.heard(which, own)

    def tell_child(self, which: int, answers: Answers) -> None:
        """One way to a child for all answers, own and foreign."""
        self.children[which].tell(answers)

    def heard(self, which: int, answers: Answers) -> None:
        """Rows that child `which` asked for in its current run have been told to it."""

    def absorb(self, answers: Answers) -> None:
        """Foreign answers go to every live child, and are kept for those that start later."""
        self._note(answers)
        for which in range(len(self.children)):
            if self.live(which):
                self.tell_child(which, answers)

    def _note(self, answers: Answers) -> None:
        if self.keeps_archive:
            self.archive.add(answers)
        self.heard_rows += len(answers)
        if answers.values.shape[1] == 1:
            best = float(merits(answers).min())
            if best < self.bests[0]:
                self.bests[0] = best
                self.best_at = self.heard_rows
            return
        # there is no single order: better in any objective counts
        bests = np.where(np.isfinite(answers.values), answers.values, np.inf).min(axis=0)
        if (bests < self.bests).any():
            self.bests = np.minimum(self.bests, bests)
            self.best_at = self.heard_rows

    # --- state ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The books, the archive and every started child's state."""
        state = super().state()
        own = state["own"]
        own["routes"] = [[ticket, *route] for ticket, route in self.routes.items()]
        own["names"] = [[*key, ticket] for key, ticket in self.names.items()]
        own["archive"] = self.archive.state()
        state["children"] = [
            child.state() if run else None for child, run in zip(self.children, self.runs, strict=True)
        ]
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`: children are started with the seeds and budgets they had, then restored."""
        self._must_be_started("restore")
        own = dict(state["own"])
        routes, names, archive = own.pop("routes"), own.pop("names"), own.pop("archive")
        super().restore({**state, "own": own})
        self.routes = {int(ticket): (int(which), int(run), int(theirs)) for ticket, which, run, theirs in routes}
        self.names = {(int(which), int(theirs)): int(ticket) for which, theirs, ticket in names}
        self.archive = Archive()
        self.archive.restore(archive)
        for which, data in enumerate(state["children"]):
            if data is not None:
                self._start_child(which, self.runs[which] - 1, self.grants[which])
                self.children[which].restore(data)


def as_foreign(answers: Answers) -> Answers:
    """The same answers with foreign tickets."""
    return with_tickets(answers, [FOREIGN] * len(answers))


def with_tickets(answers: Answers, tickets: list[int]) -> Answers:
    """The same answers under other tickets; the arrays are shared."""
    return Answers(
        np.array(tickets, dtype=np.int64),
        answers.points,
        answers.values,
        answers.statuses,
        answers.violations,
        answers.seconds,
        answers.fidelities,
        answers.noise,
    )


def joined(drafts: list[Draft], dimension: int) -> Draft:
    """Several children's rows as one draft."""
    if len(drafts) == 1:
        return drafts[0]
    if not drafts:
        return Draft(np.empty((0, dimension)))

    def column(name: str, missing: float, dtype: Any) -> Any:
        parts = [getattr(draft, name) for draft in drafts]
        if all(part is None for part in parts):
            return None
        filled = [
            np.full(len(draft.points), missing, dtype=dtype) if part is None else part
            for draft, part in zip(drafts, parts, strict=True)
        ]
        return np.concatenate(filled)

    points: Floats = np.concatenate([draft.points for draft in drafts])
    return Draft(points, column("fidelities", 1.0, np.float64), column("parents", FOREIGN, np.int64))
