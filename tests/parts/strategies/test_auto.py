"""Auto: every kind of problem gets a strategy that can be started, and the choice is said in words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from _doubles import answer
from driving import bowl, cube, run

from thalweg.core import plain
from thalweg.core.batch import Answers
from thalweg.core.choices import Choice, Permutation
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Integer
from thalweg.core.problem import Objective, Problem, constraints_of
from thalweg.core.space import Space
from thalweg.parts.strategies._plans import PLANS, make_plan, plan_words
from thalweg.parts.strategies.auto import RULES, Auto, Facts
from thalweg.testing.problems import PROBLEMS, make_test_problem


@pytest.mark.parametrize("budget", [1, 5, 20, 60, 300, 3000, None])
@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_problem_gets_a_strategy(name, budget):
    auto = Auto()
    auto.start(make_test_problem(name).problem(), 0, budget)
    assert len(auto.ask(3)) >= 1
    assert auto.plan[0] in auto.why
    assert auto.because in auto.explain()


def test_every_rule_is_reached_by_some_problem():
    reached = set()
    wide = [Problem(Space({"order": Permutation([str(i) for i in range(60)])}))]
    wide += [Problem(Space([(0.0, 1.0)] * 60)), Problem(Space([(0.0, 1.0)] * 60), (Objective("a"), Objective("b")))]
    wide += [Problem(Space([(0.0, 1.0)] * 60), noisy=True), Problem(Space([(0, 9)] * 60))]
    wide += [Problem(Space([(0.0, 1.0)] * 60), constraints=constraints_of("g <= 0"))]
    for problem in [make_test_problem(name).problem() for name in PROBLEMS] + wide:
        for budget in (1, 5, 20, 60, 300, 3000, 30_000):
            facts = Facts.of(problem, budget)
            reached.add(next(i for i, rule in enumerate(RULES) if rule.fits(facts)))
    assert reached == set(range(len(RULES)))


def test_a_finite_space_within_the_budget_is_enumerated():
    auto = Auto()
    auto.start(make_test_problem("finite200").problem(), 0, 250)
    assert auto.plan == ["grid", [], {}]
    seen = set()
    while not auto.done:
        asked = auto.ask(16)
        seen |= {row.tobytes() for row in asked.points}
        auto.tell(answer(asked, np.zeros(len(asked))))
    assert len(seen) == 200


def test_several_objectives_get_a_front():
    problem = Problem(Space([(0.0, 1.0)] * 3), (Objective("a"), Objective("b")))
    auto = Auto()
    auto.start(problem, 0, 100)
    assert auto.plan[1][0][0] == "bayesian_pareto"
    assert "2 objectives" in auto.explain()


@pytest.mark.parametrize(
    ("space", "objectives"),
    [
        ([(0.0, 1.0)] * 6, 1),
        ([(0.0, 1.0)] * 40, 1),
        ([(0.0, 1.0)] * 5, 2),
        ([(0.0, 1.0)] * 5, 4),
        ({"x": (0.0, 1.0), "n": Integer(1, 90), "kind": Choice(["a", "b", "c"])}, 1),
        ({"order": Permutation([str(i) for i in range(9)])}, 1),
    ],
)
@pytest.mark.parametrize(("seconds", "free"), [(2e-5, 0.5), (5e-3, 1.25), (0.02, 2.0)])
def test_thinking_stays_below_its_share_in_every_plan(space, objectives, seconds, free):
    problem = Problem(Space(space), tuple(Objective(f"f{i}") for i in range(objectives)))
    auto, rows = Auto(), 120 if objectives == 1 else 80
    auto.start(problem, 3, rows)
    for _ in range(rows):
        asked = auto.ask(1)
        points = np.array(asked.points)
        values = ((points[:, None] - np.linspace(0.2, 0.8, objectives)[:, None]) ** 2).sum(axis=2)
        done = np.full(len(asked), 2, np.int8)
        auto.tell(Answers(asked.tickets, points, values, done, seconds=np.full(len(asked), seconds)))
    hybrid = auto.child
    thought = sum(cost * rows for cost, rows in zip(hybrid.costs, hybrid.played, strict=True))
    assert thought <= free + 0.1 * rows * seconds + 1e-9
    assert hybrid.played[0] > 5


@pytest.mark.parametrize(
    "space", [[(0.0, 1.0)] * 5, {"x": (0.0, 1.0), "n": Integer(1, 90), "kind": Choice(["a", "b"])}]
)
@pytest.mark.parametrize("rate", [10, 40, 200])
def test_noise_is_met_by_a_model_at_any_budget_and_by_a_population_later(space, rate):
    problem = Problem(Space(space), noisy=True)
    d = problem.space.dimension
    name, children, options = Auto.choose(Facts.of(problem, rate * d)).plan
    assert (name, [child[0] for child in children]) == ("hybrid", ["bayesian", "cmaes"])
    assert options["joins"] == [0, 50]
    exact = Auto.choose(Facts.of(Problem(Space({"n": Integer(1, 90), "x": (0.0, 1.0)})), 60)).plan[2]["costs"]
    assert options["costs"][0] > exact[0]  # the knowledge gradient thinks longer than expected improvement
    wide = Problem(Space([(0.0, 1.0)] * 60), noisy=True)
    assert Auto.choose(Facts.of(wide, 6000)).plan[0] == "cmaes"


@pytest.mark.parametrize("rate", [0.5, 1.5, 20])
def test_many_real_columns_are_met_by_slopes(rate):
    _, found = run(Auto(), cube(60), bowl, int(rate * 60), batch=1)
    middle = 60 * (0.5 - 0.3217) ** 2
    assert found.min() <= (1e-9 if rate > 1 else 1.0) * middle  # random points: 2.5 times the middle's


def test_measured_constraints_are_met_by_a_model_of_their_borders():
    space = Space([(0.0, 1.0)] * 4)
    free, bound = (
        Auto.choose(Facts.of(Problem(space, constraints=given), 400)) for given in ((), constraints_of("g <= 0"))
    )
    assert free.plan[1][0][0] == "handover"
    assert [child[0] for child in bound.plan[1]] == ["bayesian", "cmaes", "de", "annealing"]
    assert "measured constraints" in bound.facts
    assert not bound.measured


def test_models_of_more_objectives_and_parameters_cost_more():
    def costs(dimension, objectives):
        names = tuple(Objective(f"f{i}") for i in range(objectives))
        return Auto.choose(Facts.of(Problem(Space([(0.0, 1.0)] * dimension), names), 1000)).plan[2]["costs"]

    assert costs(5, 4)[0] == 4 * costs(5, 2)[0]
    assert costs(40, 1)[3] > 10 * costs(20, 1)[3]  # lq_cmaes


def test_bad_options_are_refused():
    for options in ({"overhead": -0.1}, {"least": -1.0}, {"allowance": float("nan")}):
        with pytest.raises(StrategyError, match="at least 0"):
            Auto(**options)


def test_the_facts_are_said_in_words():
    space = Space({"x": (0.0, 1.0), "n": Integer(1, 9), "kind": Choice(["a", "b", "c"])})
    words = Facts.of(Problem(space, noisy=True), 50).words()
    assert words == "1 continuous + 1 ordered discrete + 1 unordered choice column(s), noisy, 50 evaluations"
    assert "no number of evaluations given" in Facts.of(Problem(space), None).words()


def test_a_restored_twin_keeps_its_choice_when_the_rule_has_changed():
    problem = make_test_problem("sphere", 3).problem()
    old = Auto()
    old.start(problem, 1, 200)
    state = old.state()
    plan = ["relay", [["lhs", [], {}], ["de", [], {}]], {"shares": [0.3, 0.7]}]
    old.plan, old.because = plan, "as it was then"
    old._start()
    for _ in range(4):
        old.tell(answer(old.ask(8)))
    state = json.loads(json.dumps(plain.encode(old.state())))
    new = Auto()
    new.start(problem, 1, 200)
    assert new.plan != plan
    new.restore(plain.decode(state))
    assert new.plan == plan
    assert "as it was then" in new.why
    for _ in range(10):
        a, b = old.ask(8), new.ask(8)
        assert np.array_equal(a.points, b.points)
        assert np.array_equal(a.tickets, b.tickets)
        old.tell(answer(a))
        new.tell(answer(b))


def test_plans_are_plain_and_readable():
    facts = Facts.of(make_test_problem("sphere", 3).problem(), 100)
    plans = [rule.plan_for(facts) for rule in RULES] + [named.priced(facts) for named in PLANS.values()]
    for plan in plans:
        assert plain.decode(json.loads(json.dumps(plain.encode(plan)))) == plan
        assert make_plan(plan) is not None
        assert plan[0] in plan_words(plan)
    assert all(len(rule.because) > 20 for rule in RULES)
    with pytest.raises(StrategyError, match="unknown strategy 'bayesain'"):
        make_plan(["bayesain", [], {}])


@pytest.mark.parametrize("name", sorted(PLANS))
def test_every_plan_by_name_can_be_run(name):
    problem = make_test_problem("tsp" if name == "model_neighbours" else "sphere").problem()
    plan = PLANS[name].priced(Facts.of(problem, 60))
    strategy = make_plan(plan)
    strategy.start(problem, 0, 60)
    for _ in range(10):
        strategy.tell(answer(strategy.ask(4)))
    assert strategy.next_ticket >= 10
    if plan[0] == "hybrid":
        assert len(plan[2]["costs"]) == len(plan[1])
        assert plan[2]["costs"][-1] == 0  # somebody can always be afforded
