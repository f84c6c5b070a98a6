import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, finite, foreign, mixed, ordered, run, torture, twins_agree

from golden import check_golden
from thalweg.core.choices import Choice, Permutation, Subset
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.genetic import PRESETS, Genetic, tournament
from thalweg.parts.strategies.random_search import Random


def best(make, problem, values, budget, seeds=range(3)):
    return float(np.median([run(make(), problem, values, budget, seed=s)[1].min() for s in seeds]))


def populated(d=4, population=20, told=1, **options):
    strategy = Genetic(population=population, **options)
    strategy.start(cube(d), 0, 1000)
    for _ in range(told):
        strategy.tell(answer(strategy, strategy.ask(1000), bowl))
    return strategy


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("genetic", {}),
        ("genetic_deap", {"preset": "deap"}),
        ("genetic_token_sim", {"preset": "token_sim"}),
        ("genetic_self_adaptive", {"self_adaptive": True, "crossover": "uniform"}),
    ],
)
def test_golden(name, options):
    check_golden(name, Genetic(**{"population": 12, **options}), budget=90, kept=80)


@pytest.mark.parametrize(
    "options",
    [{}, {"preset": "deap"}, {"preset": "token_sim"}, {"self_adaptive": True}, {"survival": "generational"}],
)
def test_beats_random_search_on_reals(options):
    make = lambda: Genetic(**options)  # noqa: E731
    assert best(make, cube(6), bowl, 1500) < 0.1 * best(Random, cube(6), bowl, 1500)


def test_beats_random_search_on_integers_and_labels():
    space = Space({f"n{i}": Integer(0, 40) for i in range(5)} | {f"c{i}": Choice(list("abcde")) for i in range(3)})
    goal = space.encode(space.from_params([{f"n{i}": 7 * i for i in range(5)} | {f"c{i}": "d" for i in range(3)}]))

    def values(points):
        return np.abs(points[:, :5] - goal[:, :5]).sum(axis=1) + (points[:, 5:] != goal[:, 5:]).sum(axis=1)

    found = best(Genetic, Problem(space), values, 800)
    assert found < 0.25 * best(Random, Problem(space), values, 800)


def test_orders_and_subsets_are_searched():
    space = Space({"p": Permutation(list(range(9))), "s": Subset(list("abcdefghij"))})

    def values(points):
        order = np.argsort(points[:, :9], axis=1)
        return (order != np.arange(9)[::-1]).sum(axis=1) + np.abs((points[:, 9:] > 0.5).sum(axis=1) - 10.0)

    assert best(Genetic, Problem(space), values, 1500) < 0.5 * best(Random, Problem(space), values, 1500)


def test_presets_are_what_their_names_promise():
    deap = Genetic.deap().options
    assert (deap["population"], deap["crossover"], deap["crossover_prob"]) == (50, "two_point", 0.7)
    assert (deap["mutation_prob"], deap["tournament"], deap["elite_size"]) == (0.3, 3, 2)
    sim = Genetic(preset="token_sim").options
    assert (sim["population"], sim["generations"], sim["mutation_prob"], sim["crossover_prob"]) == (50, 100, 0.1, 0.8)
    assert sim["tournament"] == 3
    assert Genetic.token_sim(population=10).options["population"] == 10
    assert set(PRESETS) == {"deap", "token_sim"}


@pytest.mark.parametrize("survival", ["best", "generational"])
def test_the_best_is_never_lost(survival):
    strategy = populated(survival=survival, elite_size=2)
    low = np.inf
    for _ in range(25):
        proposals = strategy.ask(1000)
        told = answer(strategy, proposals, bowl)
        low = min(low, float(told.values.min()), float(strategy._merit.min()))
        strategy.tell(told)
        assert strategy._merit.min() == low
        assert len(strategy._pop) <= strategy.size


def test_without_elite_the_best_can_be_lost():
    strategy = populated(survival="generational", elite_size=0)
    lost = False
    for _ in range(25):
        before = strategy._merit.min()
        strategy.tell(answer(strategy, strategy.ask(1000), bowl))
        lost |= strategy._merit.min() > before
    assert lost


def test_parents_are_never_changed_in_place():
    strategy = populated(told=3)
    before = strategy._pop.copy()
    strategy.ask(1000)
    np.testing.assert_array_equal(strategy._pop, before)
    np.testing.assert_array_equal(strategy._merit, bowl(before))


def test_only_changed_children_are_evaluated_even_where_the_value_is_zero():
    strategy = Genetic(
        population=30, survival="generational", crossover_prob=0.2, mutation_prob=0.2, crossover="uniform"
    )
    strategy.start(cube(3), 0, 1000)
    zero = lambda points: np.zeros(len(points))  # noqa: E731
    seen = []
    for _ in range(12):
        proposals = strategy.ask(1000)
        seen.append(proposals.points)
        strategy.tell(answer(strategy, proposals, zero))
    assert all(len(rows) < 28 for rows in seen[1:])  # unchanged children keep the value of their parent
    rows = np.concatenate(seen)
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_mutation_moves_get_smaller_as_eta_rises():
    def moves(told):
        strategy = populated(d=6, gene_mutation_prob=1.0)
        strategy.told = told
        rows = np.full((4000, 6), 0.5)
        chosen = np.ones(rows.shape, dtype=bool)
        return np.abs(strategy._mutate(rows, chosen, np.zeros(len(rows))) - 0.5)

    early, late = moves(0), moves(1000)
    # around the middle the mean move is close to 1 / (eta + 2)
    assert early.mean() == pytest.approx(1 / 12, rel=0.1)
    assert late.mean() == pytest.approx(1 / 62, rel=0.1)


def test_the_share_of_mutated_genes_is_honoured():
    strategy = populated(d=10, gene_mutation_prob=0.4)
    chosen = strategy._genes(np.ones(3000, dtype=bool))
    assert chosen.mean() == pytest.approx(0.4, abs=0.01)
    default = populated(d=10)._genes(np.ones(3000, dtype=bool))
    assert default.mean() == pytest.approx(0.1, abs=0.01)
    none = strategy._genes(np.zeros(5, dtype=bool))
    assert not none.any()


def test_labels_are_drawn_anew_and_integers_move_by_whole_steps():
    space = Space({"c": Choice(list("abcde")), "n": Integer(0, 99), "x": Float(0, 1)})
    strategy = Genetic(population=10)
    strategy.start(Problem(space), 0, 100)
    rows = np.tile(space.encode(space.from_params([{"c": "b", "n": 0, "x": 0.5}])), (2000, 1))
    moved = space.snap(strategy._mutate(rows, np.ones(rows.shape, dtype=bool), np.zeros(len(rows))))
    assert (moved != rows).all()
    labels = np.unique(np.floor(moved[:, 0] * 5), return_counts=True)
    assert labels[0].tolist() == [0, 2, 3, 4]
    assert labels[1].min() > 400


def test_self_adaptation_changes_the_steps():
    strategy = populated(self_adaptive=True, told=40)
    assert len(np.unique(strategy._steps)) > 5
    assert np.median(strategy._steps) < 0.1  # they shrink as the population closes in


def test_tournament_prefers_the_better():
    merit = np.arange(10.0)
    drawn = tournament(merit, 20000, 3, np.random.default_rng(0))
    share = np.bincount(drawn, minlength=10) / 20000
    expected = [((10 - i) / 10) ** 3 - ((9 - i) / 10) ** 3 for i in range(10)]
    np.testing.assert_allclose(share, expected, atol=0.015)


def test_finite_spaces_are_covered_without_repeats():
    for make in (finite, ordered):
        points, _ = run(Genetic(), Problem(make()), bowl, 100, batch=8)
        assert len(np.unique(points, axis=0)) == len(points) >= 100
    strategy = Genetic()
    points, _ = run(strategy, Problem(finite()), bowl, 10_000, batch=8)
    assert len(np.unique(points, axis=0)) == len(points) == 200
    assert strategy.done


def test_foreign_answers_join_the_population():
    strategy = populated(told=2)
    point = np.full((1, 4), 0.3217)
    strategy.tell(foreign(point, bowl(point)))
    strategy.ask(5)
    assert strategy._merit.min() == bowl(point)[0]
    cold = Genetic()
    cold.start(cube(4), 0, 200)
    rng = np.random.default_rng(0)
    known = np.clip(0.3217 + 0.03 * rng.standard_normal((40, 4)), 0, 1)
    cold.tell(foreign(known, bowl(known)))
    _, helped = run(cold, cube(4), bowl, 200, start=False)
    assert helped.min() < 0.3 * best(Genetic, cube(4), bowl, 200)


@pytest.mark.parametrize("options", [{}, {"preset": "deap"}, {"self_adaptive": True, "quorum": 0.6}])
def test_state_and_disorder(options):
    for make in ALL_SPACES:
        twins_agree(lambda: Genetic(**{**options, "population": 8}), Problem(make()), bowl)
        assert torture(Genetic(**{**options, "population": 8}), make()) > 50
    twins_agree(lambda: Genetic(**{**options, "population": 8}), Problem(mixed()), bowl, before=12, batch=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "deep"}, "preset is one of deap, token_sim"),
        ({"crossover": "blx"}, "crossover is one of"),
        ({"survival": "none"}, "survival is one of"),
        ({"mutation": 0.1}, "no option mutation"),
        ({"mutation_prob": 1.2}, "mutation_prob lies in"),
        ({"population": 3}, "population is at least 4"),
        ({"eta": (1.0, 2.0, 3.0)}, "eta is a number"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(StrategyError, match=message):
        Genetic(**options)
