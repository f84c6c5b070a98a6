"""Auto: looks at the problem and chooses, by what was measured on problems of its class, else by rules.

`RULES` is read from the top; the first that fits names a plan. Where the table of measurements (`_evidence`) has the
problem's class, its choice is taken instead: the rule's own plan but where another one was surely better, on problems
kept back too. `why` says what was chosen and what it is doing, `explain()` the whole story with the evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np

from ...core.batch import Answers, Floats
from ...core.errors import StrategyError
from ...core.problem import Problem
from ...core.strategy import MANY, Abilities, Draft, Strategy
from ._evidence import TABLE, Class, known
from ._plans import PLANS, Plan, hybrid, make_plan, one, plan_words, titled
from .hybrid import IN_PLACE


@dataclass(frozen=True)
class Facts:
    """What the rule looks at."""

    dimension: int
    continuous: int
    """Columns of real numbers."""
    ordered: int
    """Columns of integers, steps and ordered choices."""
    unordered: int
    """Columns of choices without an order."""
    keys: int
    """Columns of permutations and subsets."""
    conditional: bool
    size: int | None
    """Different feasible points; None: infinitely or too many."""
    objectives: int
    constrained: bool
    """Whether violations are measured while evaluating."""
    noisy: bool
    budget: int
    """Evaluations; a default where the study has no number."""
    budget_known: bool

    @classmethod
    def of(cls, problem: Problem, budget: int | None) -> Facts:
        """The facts of a problem."""
        space = problem.space
        counts = np.bincount(np.asarray(space.kinds, dtype=np.int64), minlength=4).tolist()
        return cls(
            dimension=space.dimension,
            continuous=counts[0],
            ordered=counts[1],
            unordered=counts[2],
            keys=counts[3],
            conditional=space.conditional,
            size=space.size,
            objectives=len(problem.objectives),
            constrained=bool(problem.constraints),
            noisy=problem.noisy,
            budget=budget if budget is not None else 100 * max(space.dimension, 1),
            budget_known=budget is not None,
        )

    def with_budget(self, budget: int) -> Facts:
        """The same with another number of evaluations."""
        return replace(self, budget=budget, budget_known=True)

    @property
    def real(self) -> bool:
        """Every column is a real number."""
        return self.continuous == self.dimension

    @property
    def slopes(self) -> bool:
        """Differences may tell how the values fall: real columns, neither noise nor borders."""
        return self.real and not self.noisy and not self.constrained

    def words(self) -> str:
        """The facts in words."""
        parts = [
            f"{count} {what}"
            for count, what in (
                (self.continuous, "continuous"),
                (self.ordered, "ordered discrete"),
                (self.unordered, "unordered choice"),
                (self.keys, "permutation or subset"),
            )
            if count
        ]
        text = " + ".join(parts) + " column(s)" if parts else "no column"
        text += ", some conditional" if self.conditional else ""
        text += f", {self.size} different points" if self.size is not None else ""
        text += f", {self.objectives} objectives" if self.objectives > 1 else ""
        text += ", measured constraints" if self.constrained else ""
        text += ", noisy" if self.noisy else ""
        return text + (f", {self.budget} evaluations" if self.budget_known else ", no number of evaluations given")


@dataclass(frozen=True)
class Rule:
    """One line of the table. because: why `plan` suits problems for which `fits`.

    plan: a name in `PLANS`, whose plans are measured; or a plan, which measurements do not replace.  costs: of a
    hybrid's children, the seconds of thinking that a row takes (CPU time of one core, measured).
    """

    fits: Callable[[Facts], bool]
    plan: Plan | str
    because: str
    costs: Callable[[Facts], list[float]] | None = None

    def plan_for(self, facts: Facts) -> Plan:
        """The plan, with the costs of such a problem."""
        if isinstance(self.plan, str):
            return PLANS[self.plan].priced(facts)
        name, children, options = self.plan
        return self.plan if self.costs is None else [name, children, options | {"costs": self.costs(facts)}]


_WIDE = 40  # columns beyond which models of all pairs of columns cost more than they bring


RULES: tuple[Rule, ...] = (
    Rule(
        lambda f: f.size is not None and f.size <= f.budget and not f.noisy,
        one("grid"),
        "the whole space fits into the budget: every point is looked at once",
    ),
    Rule(
        lambda f: 1 < f.objectives <= 4 and f.dimension <= 20,
        hybrid([one("bayesian_pareto"), one("nsga2")], [0, IN_PLACE], [True, False]),
        "several objectives: models of all of them find a front in few evaluations; where evaluations are too quick "
        "for models, breeding does",
        lambda f: [4e-3 * f.objectives**2, 0.0],  # a model each, and boxes that multiply
    ),
    Rule(
        lambda f: f.objectives > 1,
        one("nsga2"),
        "many objectives or many columns: a front by breeding",
    ),
    Rule(
        lambda f: f.keys > 0 and f.dimension <= _WIDE,
        "model_neighbours",
        "orders or subsets: a Gaussian process learns what matters in few evaluations, places, pairs or neighbours; "
        "annealing, which changes a point by one move at a time, goes on from there",
    ),
    Rule(
        lambda f: f.keys > 0,
        "annealing",
        "long orders or subsets: one move at a time from a good point is ahead of any population",
    ),
    Rule(
        lambda f: f.noisy and f.dimension <= _WIDE,
        "model_cmaes",
        "noise: a Gaussian process tells values from it by all points together, and leaves half to three quarters of "
        "the gap that a population does; CMA-ES goes on from there",
    ),
    Rule(
        lambda f: f.noisy and f.budget >= 40 * f.dimension,
        "cmaes",
        "noise, and evaluations enough for a population that averages it out",
    ),
    Rule(
        lambda f: f.constrained and f.dimension <= _WIDE,
        "model_populations",
        "measured constraints: a Gaussian process learns where their borders run, along which the best points lie and "
        "on which methods that follow slopes stand still; methods without a model go on from there",
    ),
    Rule(
        lambda f: f.real and f.dimension <= _WIDE,
        "gradients",
        "real parameters: a quadratic model is best from the first evaluations on as long as it keeps its promises, "
        "and following gradients where it does not; a surrogate-assisted CMA-ES and a plain one go on from there",
    ),
    Rule(
        lambda f: f.dimension <= _WIDE,
        "model_populations",
        "parameters that are not all real: a Gaussian process first, then methods without a model in turns with it",
    ),
    Rule(
        lambda f: f.slopes and f.budget > f.dimension + 2,
        "gradients_wide",
        "many real parameters: a gradient takes an evaluation for each and brings more than a population of that size; "
        "where it brings nothing columns are searched one by one, and covariance adaptation joins",
    ),
    Rule(
        lambda f: f.slopes,
        one("axes"),
        "too few evaluations for a single gradient: from the middle on, parameter by parameter",
    ),
    Rule(
        lambda f: f.real and f.budget >= 150 * f.dimension,
        "pair",
        "many real parameters and borders: differential evolution for many valleys and covariance adaptation for "
        "long bent ones take turns, by who improves",
    ),
    Rule(
        lambda f: f.budget <= f.dimension + 2,
        one("lhs"),
        "too few evaluations to learn from: they are spread evenly",
    ),
    Rule(
        lambda _: True,
        "de",
        "many parameters: differential evolution was best or near the best on every kind of problem measured",
    ),
)
"""Measured on the problems of `benchmarks.quality`: see docs/benchmarks/answers.md and docs/benchmarks/choices.md."""


@dataclass(frozen=True)
class Choice:
    """What `Auto` decided. facts, because: in words. evidence: what was measured, or why nothing was (not measured)."""

    facts: str
    because: str
    evidence: str
    plan: Plan
    measured: bool = False


@final
class Auto(Strategy):
    """Chooses a strategy when it is started, and passes everything on to it (foreign answers too).

    overhead: the most time that it may think, in shares of the time of the evaluations, beyond what is free: models
        that cost more than they are worth are left out. None: evaluations are all that counts.
    allowance, least: seconds of thinking that are free where evaluations take 10 milliseconds or more, and where they
        take less than 1; what many points in one call take is shared out among them.

    Raises:
        StrategyError: a negative overhead, allowance or least.
    """

    abilities = Abilities(objectives=MANY, learns_foreign=True)

    def __init__(self, *, overhead: float | None = 0.1, allowance: float = 2.0, least: float = 0.5) -> None:
        if overhead is not None and not overhead >= 0:
            raise StrategyError(
                f"auto: overhead is a share of the evaluations' time, at least 0, or None; got {overhead}"
            )
        if not (allowance >= 0 and least >= 0):
            raise StrategyError(f"auto: allowance and least are seconds, at least 0; got {allowance} and {least}")
        self.overhead, self.allowance, self.least = overhead, float(allowance), float(least)

    def begin(self) -> None:
        """Choose, and start the chosen one."""
        choice = self.choose(Facts.of(self.problem, self.budget))
        self.facts_words, self.because, self.evidence = choice.facts, choice.because, choice.evidence
        self.measured = choice.measured
        name, children, options = choice.plan
        limits = {"overhead": self.overhead, "allowance": self.allowance, "least": self.least}
        self.plan = [name, children, options | limits] if name == "hybrid" else choice.plan
        self._start()

    @staticmethod
    def choose(facts: Facts, path: Path = TABLE) -> Choice:
        """What is done for some facts. path: the table of measurements; where it cannot be read, the rules decide."""
        rule = next(rule for rule in RULES if rule.fits(facts))
        if not isinstance(rule.plan, str):
            return Choice(facts.words(), rule.because, "the rule decides without measurements", rule.plan_for(facts))
        table, wrong = known(path)
        of = Class.of(facts)
        row = table.get(of) if of is not None else None
        if row is None or row.rule != rule.plan:  # also where the rules have become others since
            without = wrong or "no problems of this class were measured, so the rule decides"
            return Choice(facts.words(), rule.because, without, rule.plan_for(facts))
        if row.choice == rule.plan:
            return Choice(facts.words(), rule.because, row.words(), rule.plan_for(facts), True)
        because = f"{titled(row.choice)} was better than {titled(row.rule)}, which the rules name, on such problems"
        return Choice(facts.words(), because, row.words(), PLANS[row.choice].priced(facts), True)

    def _start(self) -> None:
        self.child = make_plan(self.plan)
        seeds = np.random.SeedSequence(self.seeds.entropy, spawn_key=(*self.seeds.spawn_key, 0))
        self.child.start(self.problem, seeds, self.budget)

    # The child's tickets are Auto's own: both count from 0, and every row of the one is a row of the other.

    def propose(self, n: int) -> Floats | Draft:
        """The chosen strategy's rows."""
        given = self.child.ask(n)
        return Draft(given.points, given.fidelities, given.parents)

    def learn(self, answers: Answers) -> None:
        """Passed on."""
        self.child.tell(answers)

    def absorb(self, answers: Answers) -> None:
        """Passed on."""
        self.child.tell(answers)

    @property
    def stride(self) -> int:
        """The chosen strategy's."""
        return self.child.stride

    @property
    def speculates(self) -> bool:
        """The chosen strategy does."""
        return self.child.speculates

    @property
    def all_out(self) -> bool:
        """The chosen strategy's generation is."""
        return self.child.all_out

    @property
    def ponders(self) -> bool:
        """The chosen strategy does."""
        return self.child.ponders

    @property
    def confidence(self) -> float:
        """The chosen strategy's."""
        return self.child.confidence

    @property
    def done(self) -> bool:
        """The chosen strategy is done."""
        return self.child.done

    @property
    def events(self) -> list[dict[str, Any]]:
        """The chosen strategy's switches and fallbacks, where it has some."""
        return list(self.child.events)

    @property
    def why(self) -> str:
        """What was chosen, why, what was measured, and what it says."""
        parts = [f"auto chose {plan_words(self.plan)}: {self.because}"]
        parts += [self.evidence] if self.measured else []
        return "; ".join([*parts, self.child.why] if self.child.why else parts)

    def explain(self) -> str:
        """The facts, the reason, the evidence and the choice, in sentences."""
        return (
            f"The problem: {self.facts_words}.\nThe rule: {self.because}.\n"
            f"Measured: {self.evidence}.\nThe choice: {plan_words(self.plan)}.\n"
            f"Now: {self.child.why or 'running'}."
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`, with the strategy that was chosen then, even if the rule says otherwise by now."""
        self._must_be_started("restore")
        plan = state["own"]["plan"]
        if plan != self.plan:
            self.plan = plan
            self._start()
        super().restore(state)
