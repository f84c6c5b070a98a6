"""Strategies with populations when workers answer one by one, in an order of their own, and idle ones ask for more."""

import heapq

import numpy as np
import pytest
from driving import answer, bowl, constrained, cube, finite, foreign, mixed, ordered, rosenbrock

from thalweg.core import plain
from thalweg.core.parameter import Integer
from thalweg.core.problem import Problem, objectives_of
from thalweg.core.space import Space
from thalweg.parts.strategies import make_strategy
from thalweg.parts.strategies._candidates import Candidates
from thalweg.parts.strategies._cma import Normal
from thalweg.parts.strategies.auto import Auto
from thalweg.parts.strategies.cmaes import CMAES
from thalweg.parts.strategies.de import DE
from thalweg.parts.strategies.hybrid import Hybrid
from thalweg.parts.strategies.lq_cmaes import LqCMAES
from thalweg.parts.strategies.portfolio import Portfolio
from thalweg.parts.strategies.pso import PSO

POPULATIONS = ["cmaes", "lq_cmaes", "de", "genetic", "pso", "nsga2", "nsga3", "annealing"]
EVERYONE = [*POPULATIONS, "nelder_mead", "quasi_newton", "direct", "direct_l"]


class Crew:
    """Workers whose evaluations take random times; whoever is idle asks at once, every answer is told by itself."""

    def __init__(self, strategy, problem, values, workers, budget, seed=0):
        self.strategy, self.problem, self.values, self.workers, self.budget = strategy, problem, values, workers, budget
        self.rng = np.random.default_rng(seed)
        self.out, self.now, self.busy, self.asked, self.points, self.found = [], 0.0, 0.0, 0, [], []

    def fill(self):
        while len(self.out) < self.workers and self.asked < self.budget:
            proposals = self.strategy.ask(min(self.workers - len(self.out), self.budget - self.asked))
            if not len(proposals):
                break
            answers = answer(self.problem, proposals, self.values)
            for row in range(len(answers)):
                lasts = float(self.rng.lognormal(-0.045, 0.3))
                self.busy += lasts
                ticket = int(answers.tickets[row])
                heapq.heappush(self.out, (self.now + lasts, ticket, answers.rows(np.array([row]))))
                self.asked += 1

    def step(self):
        self.fill()
        if not self.out:
            return False
        self.now, _, told = heapq.heappop(self.out)
        self.points.append(told.points[0])
        self.found.append(told.values[0, 0])
        self.strategy.tell(told)
        return True

    def run(self):
        while self.step():
            pass
        return self

    @property
    def under_way(self):
        return self.busy / self.now


def crew(name, workers, budget, *, problem=None, values=rosenbrock, seed=1, **options):
    problem = problem or cube(4)
    strategy = make_strategy(name, **options) if isinstance(name, str) else name
    strategy.start(problem, seed, budget)
    return Crew(strategy, problem, values, workers, budget)


def two_bowls(points):
    return np.stack([((points - 0.3) ** 2).sum(axis=1), ((points - 0.6) ** 2).sum(axis=1)], axis=1)


@pytest.mark.parametrize("name", EVERYONE)
@pytest.mark.parametrize(("workers", "least"), [(8, 7.5), (32, 27.0)])
def test_workers_are_kept_busy(name, workers, least):
    if name.startswith("direct"):
        least *= 0.85  # only after the first few boxes is there enough to divide
    problem, values = (cube(4), rosenbrock)
    if name.startswith("nsga"):
        problem, values = Problem(cube(4).space, objectives=objectives_of(2)), two_bowls
    one = crew(name, workers, 400, problem=problem, values=values).run()
    assert len(one.points) == 400
    assert one.under_way > least


@pytest.mark.parametrize("name", [name for name in EVERYONE if not name.startswith(("direct", "nsga"))])
def test_workers_are_kept_busy_where_points_are_finitely_many(name):
    problem = Problem(Space({f"n{i}": Integer(0, 40) for i in range(4)}))
    one = crew(name, 8, 200, problem=problem, values=bowl).run()
    assert len(np.unique(np.array(one.points), axis=0)) == 200
    assert one.under_way > 7.5


def test_idle_workers_bring_a_step_by_step_search_of_integers_sooner_to_its_end():
    problem = Problem(Space({f"n{i}": Integer(0, 40) for i in range(4)}))

    def when(workers, seed):
        one, now = crew("quasi_newton", workers, 200, problem=problem, values=bowl, seed=seed), []
        while one.step():
            now.append(one.now)
        return now[int(np.argmin(one.found))] if min(one.found) <= 1e-3 else np.inf

    assert np.median([when(8, seed) for seed in range(5)]) < 0.5 * np.median([when(1, seed) for seed in range(5)])


@pytest.mark.parametrize("name", ["de", "pso", "nsga2"])
def test_with_a_quorum_of_one_they_still_wait(name):
    assert crew(name, 8, 300, values=bowl, quorum=1.0).run().under_way < 7.2


@pytest.mark.parametrize(
    ("name", "budget", "reached"),
    [
        ("cmaes", 500, 1e-6),
        ("lq_cmaes", 200, 1e-12),
        ("de", 500, 1e-6),
        ("genetic", 500, 5e-4),
        ("pso", 500, 1e-3),
        ("annealing", 500, 1e-3),
    ],
)
def test_they_converge_in_the_order_of_the_answers(name, budget, reached):
    found = [min(crew(name, 8, budget, values=bowl, seed=seed).run().found) for seed in range(3)]
    assert np.median(found) < reached


def test_a_bent_valley_is_followed_sooner_than_by_workers_who_wait():
    def when(workers, **how):
        times = []
        for seed in range(3):
            one = crew("cmaes", workers, 2500, seed=seed, restarts=None, **how)
            while one.step() and one.found[-1] > 1e-6:
                pass
            assert one.found[-1] <= 1e-6
            times.append(one.now)
        return np.median(times)

    # waiting for whole generations of 8 takes 1 / 5.4 of one worker's time at best
    assert when(8) < when(1) / 5.4


@pytest.mark.parametrize("name", EVERYONE)
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_who_hears_everything_before_asking_again_never_meets_late_answers(name, block):
    problem = cube(3)
    strategy = make_strategy(name)
    strategy.start(problem, 5, 200)
    for _ in range(60):
        proposals = strategy.ask(block)
        assert len(proposals)
        strategy.tell(answer(problem, proposals, bowl))
        assert not getattr(strategy, "loose", False)
        assert not len(getattr(strategy, "_late", ())) and not len(getattr(strategy, "extra", ()))


@pytest.mark.parametrize("space", [mixed, constrained, ordered, finite, lambda: cube(3).space])
@pytest.mark.parametrize("name", EVERYONE)
def test_the_same_answers_in_the_same_order_give_the_same_rows_and_so_does_a_restored_twin(name, space):
    problem = Problem(space())
    one, same = (crew(name, 6, 150, problem=problem, values=bowl).run() for _ in range(2))
    np.testing.assert_array_equal(one.points, same.points)
    half = crew(name, 6, 150, problem=problem, values=bowl)
    for _ in range(61):
        half.step()
    half.fill()
    twin = make_strategy(name)
    twin.start(problem, 1, 150)
    twin.restore(plain.decode(plain.encode(half.strategy.state())))
    half.strategy = twin
    half.run()
    np.testing.assert_array_equal(one.points, half.points)


@pytest.mark.parametrize("name", EVERYONE)
def test_a_finite_space_is_covered_without_repeats(name):
    problem = Problem(finite())
    one = crew(name, 8, 400, problem=problem, values=bowl).run()
    assert len(np.unique(one.points, axis=0)) == len(one.points)
    assert len(one.points) >= 190
    assert one.strategy.done


# --- CMA-ES -----------------------------------------------------------------------------------------------------------


def loosened(**options):
    """A CMA-ES whose first generation is out, with four rows of the same distribution more."""
    strategy = CMAES(population=6, **options)
    strategy.start(cube(2), 3, 500)
    first = strategy.ask(6)
    more = strategy.ask(4)
    assert (len(first), len(more)) == (6, 4)
    return strategy, first, more


def test_while_a_generation_is_out_more_is_drawn_from_the_same_distribution():
    strategy, _, more = loosened()
    assert strategy.normal.generation == 0
    assert strategy.speculates and strategy.all_out
    assert np.ptp(more.points) > 0
    assert strategy.pending == 10


def test_who_plays_by_a_choice_of_its_own_says_when_all_is_out():
    space = cube(50).space
    strategy = Auto()
    strategy.start(Problem(space, noisy=True), 3, 50 * 50)  # noise in many columns: a population
    assert not strategy.all_out
    out = strategy.ask(strategy.stride)
    assert isinstance(strategy.child, CMAES) and strategy.all_out
    strategy.tell(answer(strategy, out, bowl))
    assert not strategy.all_out


def test_an_update_happens_when_a_populations_worth_has_come_whoever_it_belongs_to():
    strategy, first, more = loosened()
    answers = [answer(strategy, item, bowl) for item in (first, more)]
    strategy.tell(answers[1])
    strategy.tell(answers[0].rows(np.array([4])))
    assert strategy.normal.generation == 0
    strategy.tell(answers[0].rows(np.array([1])))
    assert strategy.normal.generation == 1
    strategy.tell(answers[0].rows(np.array([0, 2, 3, 5])))
    assert strategy.normal.generation == 1  # four have been told since
    assert strategy.pending == 0 and strategy.loose
    proposals = strategy.ask(2)
    strategy.tell(answer(strategy, proposals, bowl))
    assert strategy.normal.generation == 2
    assert not strategy.loose and strategy.stride == 6


def test_late_answers_of_the_same_distribution_move_it_as_a_whole_generation_does():
    strategy, first, _ = loosened()
    twin = CMAES(population=6)
    twin.start(cube(2), 3, 500)
    whole = twin.ask(6)
    np.testing.assert_array_equal(whole.points, first.points)
    twin.tell(answer(twin, whole, bowl))
    answers = answer(strategy, first, bowl)
    for row in (3, 0, 5, 1, 4, 2):
        strategy.tell(answers.rows(np.array([row])))
    np.testing.assert_allclose(strategy.normal.mean, twin.normal.mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(strategy.normal.C, twin.normal.C, rtol=1e-12)
    assert strategy.normal.sigma == pytest.approx(twin.normal.sigma, rel=1e-12)


def test_steps_begin_half_way_between_the_mean_they_were_drawn_around_and_the_present_one():
    normal = Normal.make(np.array([0.5, 0.5]), 0.1, 6)
    late = Candidates.none(2, 2, 0)
    late.places, late.origins = np.array([[0.45, 0.6]]), np.array([[0.3, 0.5]])
    steps = late.samples(normal)
    assert steps.shape == (2, 2, 2)
    np.testing.assert_allclose(steps[1, 0], (np.array([0.45, 0.6]) - [0.4, 0.5]) / 0.1)
    np.testing.assert_array_equal(steps[:, 1], normal.samples[:, -1])


def test_late_answers_follow_a_mean_that_is_brought_back_into_the_cube():
    normal = Normal.make(np.array([-0.1, 1.3, 2.2]), 0.1, 6)
    late = Candidates.none(3, 3, 0)
    late.places, late.origins = np.array([[-0.2, 1.5, 2.0]]), normal.mean[None].copy()
    steps = (late.places - normal.mean)[0]
    turns = np.floor(normal.mean)
    normal.mirror()
    late.mirror(turns)
    np.testing.assert_allclose(normal.mean, [0.1, 0.7, 0.2])
    np.testing.assert_allclose(late.origins[0], normal.mean)
    np.testing.assert_allclose((late.places - normal.mean)[0], steps * [-1, -1, 1])


def test_late_answers_of_a_run_that_has_ended_count_but_move_nothing():
    strategy, first, more = loosened()
    strategy.tell(answer(strategy, first, lambda u: np.zeros(len(u))))
    while strategy.run == 0:  # flat: this run ends, while four of its rows are out
        proposals = strategy.ask(6)
        strategy.tell(answer(strategy, proposals, lambda u: np.zeros(len(u))))
    before, spent = strategy.normal.mean.copy(), sum(strategy.spent)
    late = answer(strategy, more, lambda u: np.full(len(u), -5.0))
    strategy.tell(late)
    np.testing.assert_array_equal(strategy.normal.mean, before)
    assert len(strategy.ripe) == 0
    assert strategy.best == -5.0 and (late.points == strategy.best_point).all(axis=1).any()
    assert sum(strategy.spent) == spent + 4


def test_failed_late_answers_are_survived_and_three_failed_generations_end_a_run():
    strategy, first, more = loosened(restarts=None)
    for proposals in (first, more):
        strategy.tell(answer(strategy, proposals, bowl, failed=np.ones(len(proposals), dtype=bool)))
    while not strategy.done:
        proposals = strategy.ask(3)
        strategy.tell(answer(strategy, proposals, bowl, failed=np.ones(len(proposals), dtype=bool)))
    assert "three generations in a row failed" in strategy.why
    assert strategy.normal.generation == 0


def test_foreign_answers_move_a_distribution_whose_own_come_late():
    target = np.array([0.81, 0.23])

    def values(u):
        return ((u - target) ** 2).sum(axis=1)

    def best(helped):
        strategy, first, more = loosened(restarts=None)
        if helped:
            strategy.tell(foreign(target[None] + 0.01, values(target[None] + 0.01)))
        for proposals in (more, first):
            strategy.tell(answer(strategy, proposals, values))
        return float(values(strategy.normal.mean[None])[0])

    assert best(True) < 0.5 * best(False)


def test_integers_keep_moving_while_answers_come_late():
    space = mixed()
    problem = Problem(space)
    target = space.snap(np.full((1, space.dimension), 0.83))[0]
    one = crew("cmaes", 8, 900, problem=problem, values=lambda u: np.abs(u - target).sum(axis=1))
    one.run()
    discrete = np.asarray(space.kinds) > 0
    best = one.points[int(np.argmin(one.found))]
    np.testing.assert_allclose(best[discrete], target[discrete], atol=2e-3)  # two of the 1000 cells of one column


# --- the others -------------------------------------------------------------------------------------------------------


def test_a_late_trial_meets_who_is_in_its_parents_place():
    strategy = DE(population=8)
    strategy.start(cube(2), 0)
    first = strategy.ask(8)
    given = answer(strategy, first, bowl)
    strategy.tell(given.rows(np.arange(6)))
    strategy.ask(2)  # closes the first population without its last two
    assert strategy.size == 8 and np.isinf(strategy._merit[6:]).all()
    strategy.tell(given.rows(np.array([6, 7])))
    np.testing.assert_array_equal(strategy._merit, given.values[:, 0])
    np.testing.assert_array_equal(strategy._pool[:8], given.points)


def test_late_trials_of_a_population_that_has_shrunk_find_their_parents_or_nobody():
    strategy = DE(population=40)
    one = crew(strategy, 8, 400, values=bowl)
    sizes = set()
    while one.step():
        sizes.add(strategy.size)
        mine = strategy._notes[strategy._notes[:, 0] == strategy.runs] if len(strategy._late) else np.empty((0, 4))
        assert (mine[:, 1] < max(strategy.size, 40 if not strategy.size else 0)).all()
    assert len(sizes) > 5
    assert min(one.found) < 1e-3


def test_a_particle_remembers_a_late_place_that_is_better():
    strategy = PSO(population=6)
    strategy.start(cube(2), 0)
    given = answer(strategy, strategy.ask(6), bowl)
    strategy.tell(given.rows(np.arange(5)))
    strategy.ask(1)
    assert np.isinf(strategy._merit[5])
    strategy.tell(given.rows(np.array([5])))
    np.testing.assert_array_equal(strategy._best[5], given.points[5])
    assert strategy._merit[5] == given.values[5, 0]


@pytest.mark.parametrize(("name", "share"), [("genetic", 0.1), ("de", 0.45)])
def test_idle_workers_do_not_breed_row_by_row(name, share, monkeypatch):
    bred = []
    kind = type(make_strategy(name))
    brood = kind.brood
    monkeypatch.setattr(kind, "brood", lambda self: bred.append(self.next_ticket) or brood(self))
    one = crew(name, 8, 2000, values=bowl).run()
    assert len(one.points) == 2000
    assert len(bred) < share * 2000


@pytest.mark.parametrize("name", ["de", "pso", "genetic", "nsga2"])
def test_more_workers_than_members_get_points_everywhere(name):
    problem = cube(3)
    strategy = make_strategy(name, population=8)
    strategy.start(problem, 0, 500)
    proposals = [strategy.ask(30 - 8 * i) for i in range(2)]
    points = np.concatenate([item.points for item in proposals])
    assert len(points) > 8
    assert np.ptp(points, axis=0).min() > 0.7
    for item in reversed(proposals):
        strategy.tell(answer(strategy, item, bowl))
    assert len(strategy.ask(4)) == 4


def started_lq(told=24):
    strategy = LqCMAES()
    strategy.start(cube(3), 2, 300)
    for _ in range(told):
        strategy.tell(answer(strategy, strategy.ask(1), rosenbrock))
    return strategy


def test_lq_cmaes_takes_the_models_word_for_what_has_not_come():
    strategy = started_lq()
    out = strategy.ask(30)
    number, age = strategy.number, strategy.normal.generation
    assert strategy.given.all() and np.isnan(strategy.found).any()
    age += int(not np.isnan(strategy.found).all())  # were nothing of it told: more of the same distribution
    more = strategy.ask(30)
    assert len(more) and strategy.number == number + 1
    assert strategy.normal.generation == age
    answers = answer(strategy, more, rosenbrock)
    for told in range(1, len(more)):  # until the model and the answers agree
        strategy.tell(answers.rows(np.array([told - 1])))
        if strategy.normal.generation > age:
            break
    assert strategy.normal.generation == age + 1
    strategy.tell(answer(strategy, out, rosenbrock))
    strategy.tell(answers.rows(np.arange(told, len(more))))


def test_good_late_answers_join_the_generation_that_is_open():
    strategy = started_lq()
    strategy.ask(1)
    assert strategy.open and not strategy.given.all()
    strategy.history = [0.1, 7.0, 5.0, 6.0]
    free = [row for row in strategy.order if not strategy.given[row]]
    assert strategy._welcome(np.full(3, 0.4), 7.5) == []
    assert strategy._welcome(np.full(3, 0.4), 6.5) == [free[-1]]
    assert strategy.found[free[-1]] == 6.5 and strategy.given[free[-1]]
    np.testing.assert_array_equal(strategy.candidates[free[-1]], np.full(3, 0.4))


def test_late_answers_of_a_run_that_has_ended_teach_the_model_alone():
    strategy = started_lq()
    out = strategy.ask(2)
    strategy._end("for the test")
    strategy.open = False
    first = strategy.ask(1)
    known, found = len(strategy.surrogate), strategy.found.copy()
    strategy.tell(answer(strategy, out, lambda u: np.full(len(u), -1.0)))
    assert len(strategy.surrogate) == known + 2
    np.testing.assert_array_equal(strategy.found, found)
    assert strategy.best == -1.0 and len(first) == 1


@pytest.mark.parametrize("names", [("genetic", "de"), ("cmaes", "de", "annealing"), ("lq_cmaes", "pso")])
@pytest.mark.parametrize("kind", [Hybrid, Portfolio])
def test_one_ask_for_everything_does_not_empty_the_budget_into_one_child(kind, names):
    strategy = kind(*names)
    strategy.start(cube(3), 0, 2000)
    for _ in range(4):  # as an evaluator on the caller's thread asks: for all it could take, then all answers at once
        proposals = strategy.ask(1000)
        assert 0 < len(proposals) < 200
        strategy.tell(answer(cube(3), proposals, bowl))
