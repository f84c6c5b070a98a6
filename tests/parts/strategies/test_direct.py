import json
from pathlib import Path

import numpy as np
import pytest
from driving import ALL_SPACES, answer, bowl, cube, finite, mixed, rosenbrock, run, torture, twins_agree
from scipy import optimize
from test_several_workers import Crew

from thalweg.core.batch import Status
from thalweg.core.choices import Choice, Fixed
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies.direct import Direct, DirectL

GOLDEN = Path(__file__).parents[2] / "golden" / "direct.json"
BOTH = [Direct, DirectL]


def branin(u):
    x, y = u[:, 0] * 15 - 5, u[:, 1] * 15
    return (y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10


def scipys(values, d, evaluations, biased):
    found = optimize.direct(
        lambda x: float(values(x[None])[0]), [(0, 1)] * d, maxfun=evaluations, maxiter=10**6,
        locally_biased=biased, vol_tol=0, len_tol=0,
    )  # fmt: skip
    return found.fun, found.nfev


@pytest.mark.parametrize(("values", "d", "evaluations"), [(branin, 2, 440), (bowl, 3, 600), (bowl, 6, 2000)])
def test_locally_biased_reaches_scipys_minimum(values, d, evaluations):
    other, used = scipys(values, d, evaluations, True)
    _, found = run(DirectL(), cube(d), values, used)
    assert found.min() == pytest.approx(other, rel=1e-4, abs=1e-9)


def test_the_first_iterations_are_scipys():
    seen = []
    optimize.direct(lambda x: seen.append(x) or float(branin(x[None])[0]), [(0, 1)] * 2, maxfun=60, maxiter=10**6)
    strategy, mine, compared = DirectL(), set(), 0
    strategy.start(cube(2), 0)
    while len(mine) < 32:
        assert {tuple(np.round(p, 9)) for p in seen[: len(mine)]} == mine  # at the end of every iteration
        proposals = strategy.ask(100)
        mine |= {tuple(np.round(p, 9)) for p in proposals.points}
        strategy.tell(answer(strategy, proposals, branin))
        compared += 1
    assert compared >= 7


@pytest.mark.parametrize("kind", BOTH)
def test_what_is_divided_is_potentially_optimal(kind):
    """Against definition 3.1 taken literally: some K > 0 makes the box best and promises epsilon."""
    strategy, divided = kind(), 0
    strategy.start(cube(3), 0)
    choose = strategy._choose

    def checked(barren=False):
        tops = {size: heap[0][0] for size, heap in strategy._heaps.items()}
        chosen = choose(barren)
        found = {strategy.measure(strategy._depths[box]) for box in chosen}
        expected = set()
        for size, value in tops.items():
            least = max([(value - w) / (size - z) for z, w in tops.items() if z < size], default=0.0)
            most = min([(w - value) / (z - size) for z, w in tops.items() if z > size], default=np.inf)
            promise = -np.inf if most == np.inf else value - most * size
            if most >= least and most > 0 and promise <= strategy.floor - 1e-4 * abs(strategy.floor):
                expected.add(size)
        assert found == expected
        return chosen

    strategy._choose = checked
    for _ in range(40):
        proposals = strategy.ask(1000)
        divided += len(proposals)
        strategy.tell(answer(strategy, proposals, rosenbrock))
    assert divided > 300


@pytest.mark.parametrize("kind", BOTH)
def test_on_average_as_good_as_scipy_on_lopsided_valleys(kind):
    rng, logs = np.random.default_rng(2), []
    for _ in range(6):
        turn, shift = rng.normal(size=(3, 3)), rng.uniform(0.2, 0.8, 3)

        def values(u, turn=turn, shift=shift):
            y = (u - shift) @ turn
            return (y * y * [1.0, 10.0, 100.0]).sum(axis=1) + 0.1 * (1 - np.cos(20 * y)).sum(axis=1) + 1e-12

        other, used = scipys(values, 3, 900, kind is DirectL)
        logs.append(np.log10(run(kind(), cube(3), values, used)[1].min() / other))
    assert np.mean(logs) < 0.3


@pytest.mark.parametrize("kind", BOTH)
def test_golden_run(kind):
    points, found = run(kind(), Problem(mixed()), bowl, 60)
    stored = json.loads(GOLDEN.read_text())[kind.__name__]
    np.testing.assert_allclose(points[::6], stored["points"], atol=1e-12)
    np.testing.assert_allclose(found[::6, 0], stored["values"], atol=1e-12)


@pytest.mark.parametrize("kind", BOTH)
def test_boxes_tile_the_cube(kind):
    strategy = kind()
    run(strategy, cube(3), rosenbrock, 500)
    strategy.ask(1)  # divides what was told
    volume = sum(3.0 ** -sum(row) for row in strategy._depths)
    assert volume == pytest.approx(1.0, abs=1e-12)
    assert len(strategy._depths) == strategy.count


@pytest.mark.parametrize("kind", BOTH)
def test_an_iteration_is_one_batch_whatever_the_size_of_asks(kind):
    whole, _ = run(kind(), cube(2), branin, 200)
    single, _ = run(kind(), cube(2), branin, 200, batch=1)
    np.testing.assert_array_equal(whole, single)
    strategy = kind()
    strategy.start(cube(4), 0)
    first = strategy.ask(100)
    assert len(first) == 1
    strategy.tell(answer(strategy, first, bowl))
    second = strategy.ask(100)
    assert len(second) == 8
    assert len(strategy.ask(5)) == 0 and not strategy.done


@pytest.mark.parametrize("kind", BOTH)
def test_a_finite_space_is_enumerated_once_and_done(kind):
    for space in (finite(), Space({"w": Integer(1, 60, log=True), "c": Choice(list("abc"))})):
        strategy = kind()
        points, _ = run(strategy, Problem(space), bowl, 1000)
        assert strategy.done and "cell" in strategy.why
        assert len(points) == space.size == len({row.tobytes() for row in points})


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("space", [Space({"a": Float(1.0, 1.0), "b": Choice(["only"])}), Space({"a": Fixed(2.0)})])
def test_nothing_to_vary(kind, space):
    strategy = kind()
    points, _ = run(strategy, Problem(space), bowl, 10)
    assert len(points) == 1 and strategy.done


@pytest.mark.parametrize("kind", BOTH)
def test_conditional_orders_never_repeat_and_end(kind):
    space = Space({"kind": Choice(list("abc")), "n": Integer(0, 5, when="kind == 'a'")})
    strategy = kind()
    points, _ = run(strategy, Problem(space), bowl, 100)
    assert len(points) == len({row.tobytes() for row in points}) == 8
    assert strategy.done


def test_requirements_are_met_without_repair():
    space = Space({"a": Float(0.0, 1.0), "b": Float(0.0, 1.0)}, require="a + b <= 0.7")
    strategy = DirectL()
    strategy.start(Problem(space), 0, 300)
    first, best = True, np.inf
    for _ in range(25):
        proposals = strategy.ask(50)
        if not first:
            assert space.feasible(space.decode(proposals.points)).all()
        first = False
        answers = answer(strategy, proposals, lambda u: ((u - [0.5, 0.4]) ** 2).sum(axis=1))
        best = min(best, answers.values.min())
        strategy.tell(answers)
    assert best == pytest.approx(0.02, rel=0.05)  # on the border: (0.4, 0.3)


def test_failures_are_passed_round():
    strategy = DirectL()

    def values(u):
        return np.where((u[:, 0] - 0.7) ** 2 + (u[:, 1] - 0.6) ** 2 < 0.02, np.nan, bowl(u))

    strategy.start(cube(2), 0, 300)
    best = np.inf
    for _ in range(40):
        proposals = strategy.ask(100)
        answers = answer(strategy, proposals, values, failed=np.isnan(values(proposals.points)))
        best = min(best, np.nanmin(answers.values))
        strategy.tell(answers)
    assert best < 1e-5
    assert np.isfinite(strategy.values).all()


def test_violations_lie_above_all_good_values():
    strategy = DirectL()
    strategy.start(cube(2), 0, 400)
    best = np.inf
    for _ in range(40):
        proposals = strategy.ask(100)
        violations = np.maximum(0.0, 0.6 - proposals.points[:, 0])
        answers = answer(strategy, proposals, lambda u: -1.0 / (bowl(u) + 1e-2), violations=violations)
        good = violations == 0
        best = min(best, answers.values[good, 0].min(initial=np.inf))
        strategy.tell(answers)
    strategy.ask(1)
    values, merits = np.array(strategy.values), np.array(strategy.merits)
    assert values[merits >= 1e290].min() > values[merits < 1e290].max()
    exact = -1.0 / ((0.6 - 0.3217) ** 2 + 1e-2)
    assert best == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(kind, space):
    assert torture(kind(), space()) > 0


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(kind, space):
    twins_agree(kind, Problem(space()), bowl)


def test_everything_fails():
    strategy = DirectL()
    strategy.start(cube(2), 0, 100)
    for _ in range(15):
        proposals = strategy.ask(50)
        assert len(proposals)
        strategy.tell(answer(strategy, proposals, bowl, failed=np.ones(len(proposals), bool)))
    assert int(Status.FAILED) == 3


def test_epsilon_must_make_sense():
    with pytest.raises(StrategyError, match="epsilon"):
        DirectL(epsilon=-1.0)


@pytest.mark.parametrize("kind", BOTH)
def test_while_an_iteration_is_out_the_next_best_boxes_begin_one_by_one(kind):
    strategy = kind()
    strategy.start(cube(2), 0)
    while strategy.count < 40:
        strategy.tell(answer(strategy, strategy.ask(100), branin))
    out = strategy.ask(100)
    assert strategy.all_out and strategy.speculates and len(strategy.divisions) == 1
    begun = strategy.divisions[0].boxes
    more = strategy.ask(100)
    assert 0 < len(more) <= 4 and len(strategy.divisions) == 2
    (box,) = strategy.divisions[1].boxes
    assert box not in begun
    count = strategy.count
    strategy.tell(answer(strategy, more, branin))
    strategy.ask(100)  # that box is done, the iteration is not
    assert strategy.count == count + len(more)
    assert strategy.divisions[0].boxes == begun
    strategy.tell(answer(strategy, out, branin))
    strategy.ask(100)
    assert strategy.count == count + len(more) + len(out)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("values", [branin, lambda u: np.where(u[:, 0] > 0.7, np.nan, branin(u))])
def test_whatever_the_order_of_answers_the_boxes_fill_the_cube(kind, values):
    strategy = kind()
    strategy.start(cube(2), 0)
    one = Crew(strategy, cube(2), values, 7, 400).run()
    assert len(np.unique(one.points, axis=0)) == 400
    volumes = [np.prod([3.0**-depth for depth in row]) for row in strategy._depths]
    assert sum(volumes) == pytest.approx(1.0)
    on_heaps = [box for heap in strategy._heaps.values() for _, box in heap]
    divided = [box for work in strategy.divisions for box in work.boxes]
    assert sorted(on_heaps + divided) == list(range(strategy.count))


@pytest.mark.parametrize("kind", BOTH)
def test_boxes_beside_an_iteration_are_not_only_the_smallest(kind):
    strategy = kind()
    strategy.start(cube(3), 0)
    Crew(strategy, cube(3), rosenbrock, 8, 600).run()
    depths = np.array([min(row) for row in strategy._depths])
    assert depths.min() >= 1  # the largest have gone, too
    assert depths.max() >= 5
