import json
from pathlib import Path

import numpy as np
import pytest
from driving import (
    ALL_SPACES,
    answer,
    bowl,
    constrained,
    cube,
    finite,
    foreign,
    mixed,
    rosenbrock,
    run,
    torture,
    twins_agree,
)  # fmt: skip

from thalweg.core.choices import Choice
from thalweg.core.errors import StrategyError
from thalweg.core.parameter import Float, Integer
from thalweg.core.problem import Problem
from thalweg.core.space import Space
from thalweg.parts.strategies._categories import Categories
from thalweg.parts.strategies._cma import Normal
from thalweg.parts.strategies._margin import _below, widen
from thalweg.parts.strategies.cmaes import CMAES

GOLDEN = Path(__file__).parents[2] / "golden" / "cmaes.json"


def box(d):
    return Problem(Space([(-5.0, 5.0)] * d))


def sphere(x):
    return (x**2).sum(axis=-1)


def ellipsoid(x):
    return ((np.logspace(0, 3, x.shape[-1]) * x) ** 2).sum(axis=-1)


def rosen(x):
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(axis=-1)


def needed(values, d, seed, limit=20000):
    """Evaluations until 1e-8."""
    strategy = CMAES(restarts=None, sigma0=0.2, mean0=[0.8] * d)
    strategy.start(box(d), seed)
    count = 0
    while count < limit and not strategy.done:
        answers = answer(strategy, strategy.ask(1000), lambda u: values(u * 10 - 5))
        count += len(answers)
        if answers.values.min() < 1e-8:
            return count
        strategy.tell(answers)
    return np.nan


@pytest.mark.parametrize("values", [sphere, ellipsoid, rosen])
def test_as_many_evaluations_as_the_reference(values):
    reference = pytest.importorskip("cmaes")
    d, theirs = 5, []
    for seed in range(1, 6):
        bounds = np.array([[-5.0, 5.0]] * d)
        peer = reference.CMA(mean=np.full(d, 3.0), sigma=2.0, bounds=bounds, seed=seed)
        count, best = 0, np.inf
        while best >= 1e-8 and count < 20000:
            points = [peer.ask() for _ in range(peer.population_size)]
            found = [(x, float(values(x))) for x in points]
            count, best = count + len(found), min(v for _, v in found)
            peer.tell(found)
        theirs.append(count)
    mine = [needed(values, d, seed) for seed in range(7)]
    assert np.isnan(mine).sum() <= 1  # Rosenbrock's valley has a second bottom from 4 dimensions on
    assert np.nanmedian(mine) == pytest.approx(np.median(theirs), rel=0.25)


def test_default_constants_are_the_tutorials():
    # table 1 for n = 10, lambda = 10, computed by hand from eq. 49-58
    normal = Normal.make(np.zeros(10), 0.3, 10)
    assert normal.mu_eff == pytest.approx(3.1672992, rel=1e-6)
    assert normal.c_sigma == pytest.approx(5.1672992 / 18.1672992, rel=1e-6)
    assert normal.c_1 == pytest.approx(2 / (11.3**2 + 3.1672992), rel=1e-6)
    gains, covers = normal.weights
    assert gains.sum() == pytest.approx(1.0) and (gains[5:] == 0).all()
    assert (np.diff(covers) < 0).all() and (covers[5:] < 0).all()
    assert normal.decay > 0  # C stays positive definite


def test_update_is_the_tutorials_formula():
    rng = np.random.default_rng(1)
    normal = Normal.make(np.full(3, 0.4), 0.2, 8)
    normal.C = np.diag([1.0, 2.0, 0.5])
    normal.decompose()
    x = normal.sample(rng)
    y = (x - 0.4) / 0.2
    np.testing.assert_allclose(y, normal.samples[1, :-1])
    np.testing.assert_allclose(y @ np.diag([1.0, 2.0, 0.5]) ** 0.5, y @ normal.root, atol=1e-12)
    order = rng.permutation(8)
    w, c_mu_w = normal.weights
    y_w = w @ y[order]
    before, c_c, c_1 = normal.C.copy(), normal.c_c, normal.c_1
    z_w = y_w / np.sqrt(np.diag(before))
    p_sigma = np.sqrt(normal.c_sigma * (2 - normal.c_sigma) * normal.mu_eff) * z_w
    p_c = np.sqrt(c_c * (2 - c_c) * normal.mu_eff) * y_w
    assert np.linalg.norm(p_sigma) < (1.4 + 2 / 4) * normal.chi * np.sqrt(1 - (1 - normal.c_sigma) ** 2)
    wide = y**2 @ (1 / np.diag(before))
    scaled = np.where(c_mu_w >= 0, c_mu_w, c_mu_w * 3 / wide[order])
    C = (1 - c_1 - c_mu_w.sum()) * before + c_1 * np.outer(p_c, p_c)
    C += (y[order].T * scaled) @ y[order]
    normal.update(order, 8)
    np.testing.assert_allclose(normal.mean, 0.4 + 0.2 * y_w)
    np.testing.assert_allclose(normal.C, C, atol=1e-12)
    grown = np.exp(normal.c_sigma / normal.d_sigma * (np.linalg.norm(p_sigma) / normal.chi - 1))
    assert normal.sigma == pytest.approx(0.2 * grown)


def test_mirroring_changes_nothing_but_the_side():
    rng = np.random.default_rng(2)
    normal = Normal.make(np.array([-0.1, 0.5, 1.2]), 0.2, 6)
    root = rng.normal(size=(3, 3))
    normal.C = root @ root.T
    normal.decompose()

    def folded(x):
        return np.abs(np.remainder(x + 1, 2) - 1)

    first = folded(normal.sample(np.random.default_rng(3)))
    kept = normal.samples.copy()
    normal.mirror()
    assert (normal.mean >= 0).all() and (normal.mean <= 1).all()
    np.testing.assert_allclose(folded(normal.mean + 0.2 * normal.samples[1, :-1]), first, atol=1e-12)
    np.testing.assert_allclose(np.abs(normal.samples), np.abs(kept))
    np.testing.assert_allclose(normal.root @ normal.root, normal.C, atol=1e-10)


def test_the_bottom_on_a_face_is_found():
    _, found = run(CMAES(), cube(4), lambda u: ((u - [0.0, 1.0, 0.3, 0.0]) ** 2).sum(axis=1), 1500)
    assert found.min() < 1e-12


def test_the_margin_keeps_cells_reachable():
    normal = Normal.make(np.array([0.55, 0.05, 0.5]), 1e-6, 8)
    borders = np.arange(1, 10) / 10
    widen(normal, [(0, borders), (1, borders)], 0.01)
    deviation = normal.sigma * normal.scale * np.sqrt(np.diag(normal.C))
    up = _below((normal.mean[0] - 0.6) / deviation[0])
    down = _below((0.5 - normal.mean[0]) / deviation[0])
    assert up == pytest.approx(0.005, rel=0.05) and down == pytest.approx(0.005, rel=0.05)
    assert _below((normal.mean[1] - 0.1) / deviation[1]) == pytest.approx(0.01, rel=1e-6)
    assert normal.scale[2] == 1.0 and normal.mean[2] == 0.5


def test_the_margin_leaves_wide_distributions_alone():
    normal = Normal.make(np.array([0.55]), 0.3, 8)
    widen(normal, [(0, np.arange(1, 10) / 10)], 0.01)
    assert normal.scale[0] == 1.0 and normal.mean[0] == 0.55


def test_integers_do_not_freeze_before_the_continuous_columns_arrive():
    space = Space({f"k{i}": Integer(-10, 10) for i in range(3)} | {f"x{i}": Float(-10.0, 10.0) for i in range(3)})

    def values(u):
        x = space.decode(u)
        return ((np.array([3, -4, 7, 0.5, -0.25, 2.0]) - x) ** 2 * np.logspace(0, 3, 6)).sum(axis=1)

    solved = [run(CMAES(), Problem(space), values, 4000, seed=s)[1].min() < 1e-8 for s in range(3)]
    assert all(solved)


def test_categories_find_the_best_options():
    space = Space({f"c{i}": Choice(list("abcdef")) for i in range(6)} | {"x": Float(0.0, 1.0)})
    best = np.array([0, 5, 2, 3, 1, 4])

    def values(u):
        reals = space.decode(u)
        return (reals[:, :6] != best).sum(axis=1) + (reals[:, 6] - 0.7) ** 2

    _, found = run(CMAES(), Problem(space), values, 1500)
    assert found.min() < 1e-6


def test_categories_move_to_what_wins_and_keep_a_margin():
    rng, categories = np.random.default_rng(0), Categories.make(np.array([3, 5]))
    assert categories.q[0, 3:].sum() == 0
    for _ in range(400):
        drawn = categories.sample(12, rng)
        order = np.argsort((drawn != [2, 4]).sum(axis=1), kind="stable")
        gains = np.zeros(12)
        gains[order[:6]] = 1 / 6
        categories.update(gains, drawn)
    assert categories.q[0, 2] > 0.8 and categories.q[1, 4] > 0.7
    np.testing.assert_allclose(categories.q.sum(axis=1), 1.0)
    assert (categories.q >= categories.least - 1e-12).all()
    assert (drawn[:, 0] < 3).all()


@pytest.mark.parametrize("restarts", ["bipop", "ipop", None])
def test_restarts(restarts):
    strategy = CMAES(restarts=restarts)
    run(strategy, cube(2), lambda u: 1 + np.abs(np.sin(25 * u)).sum(axis=1), 6000)
    if restarts is None:
        assert strategy.done and "converged" in strategy.why
    else:
        assert strategy.run >= 2 and strategy.doublings >= 1
        large, small = strategy.spent
        assert (small == 0) == (restarts == "ipop")
        if restarts == "bipop":
            assert small < 2 * large


def test_a_run_that_converges_to_less_than_is_known_is_given_up():
    """Two bowls: in the worse one a run ends long before its values are all the same."""

    def two(u):
        return np.minimum(((u - 0.2) ** 2).sum(axis=1) + 1.0, 20 * ((u - 0.8) ** 2).sum(axis=1))

    lengths = []
    for known in (False, True):
        strategy = CMAES(mean0=[0.2] * 3, sigma0=0.05)
        strategy.start(cube(3), 0)
        if known:
            strategy.tell(foreign(np.full((1, 3), 0.8), [0.0]))
        count = 0
        while strategy.run < 1:
            answers = answer(strategy, strategy.ask(100), two)
            strategy.tell(answers)
            count += len(answers)
        lengths.append(count)
    assert lengths[1] < 0.6 * lengths[0]


def test_with_noise_the_population_grows_and_the_mean_comes_nearer_than_without():
    def gap(noisy, seed):
        rng = np.random.default_rng(seed)
        strategy = CMAES(population=8, mean0=[0.5] * 5)
        strategy.start(Problem(cube(5).space, noisy=noisy), seed)
        for _ in range(300):
            strategy.tell(answer(strategy, strategy.ask(8), lambda u: bowl(u) + 0.02 * rng.normal(size=len(u))))
        return bowl(1.0 - np.abs(1.0 - np.remainder(strategy.normal.mean[None], 2.0)))[0]

    aware, unaware = (np.median([gap(noisy, seed) for seed in range(5)]) for noisy in (True, False))
    assert aware < 0.01 and aware < unaware
    strategy = CMAES()
    strategy.start(Problem(cube(5).space, noisy=True), 0)
    assert strategy.normal.population == 16
    run(strategy, Problem(cube(5).space, noisy=True), lambda u: np.random.default_rng(len(u)).random(len(u)), 6000)
    assert strategy.normal.population > 16 and strategy.doublings >= 1


def test_foreign_points_before_the_first_ask_set_the_mean():
    strategy = CMAES()
    strategy.start(cube(3), 0)
    points = np.array([[0.9, 0.1, 0.5], [0.2, 0.2, 0.2]])
    strategy.tell(foreign(points, [1.0, 2.0]))
    strategy.ask(1)
    np.testing.assert_allclose(strategy.normal.mean, points[0])


def test_foreign_points_pull():
    def after(injected):
        strategy = CMAES(sigma0=0.05, mean0=[0.1] * 5)
        strategy.start(cube(5), 0)
        for _ in range(6):
            strategy.tell(answer(strategy, strategy.ask(100), lambda u: bowl(u)))
            if injected:
                strategy.tell(foreign(np.full((1, 5), 0.3217), [0.0]))
        return bowl(strategy.normal.mean[None])[0]

    assert after(True) < 0.5 * after(False)


def test_failed_rows_do_not_count_as_good():
    def values(u):
        return rosenbrock(u)

    strategy = CMAES()
    strategy.start(cube(3), 1)
    rng, best = np.random.default_rng(0), np.inf
    for _ in range(200):
        proposals = strategy.ask(100)
        answers = answer(strategy, proposals, values, failed=rng.random(len(proposals)) < 0.3)
        best = min(best, np.nanmin(answers.values, initial=np.inf))
        strategy.tell(answers)
    assert best < 1e-4


def test_repaired_points_are_learnt_where_they_were_evaluated():
    problem = Problem(constrained())
    _, found = run(CMAES(), problem, lambda u: ((u[:, :2] - [0.9, 0.6]) ** 2).sum(axis=1), 600)
    assert found.min() == pytest.approx(0.125, rel=1e-3)  # on the border: (0.65, 0.35)


def test_no_repeats_on_a_finite_space():
    points, _ = run(CMAES(), Problem(finite()), bowl, 100)
    assert len(points) == len({row.tobytes() for row in points}) == 100
    strategy = CMAES()
    points, _ = run(strategy, Problem(finite()), bowl, 1000)
    assert strategy.done and len({row.tobytes() for row in points}) == 200


def test_golden_run():
    points, found = run(CMAES(), Problem(mixed()), bowl, 60)
    stored = json.loads(GOLDEN.read_text())["CMAES"]
    np.testing.assert_allclose(points[::6], stored["points"], atol=1e-6)
    np.testing.assert_allclose(found[::6, 0], stored["values"], atol=1e-6)


@pytest.mark.parametrize("space", ALL_SPACES)
def test_survives_everything(space):
    assert torture(CMAES(), space()) > 60


@pytest.mark.parametrize("space", [*ALL_SPACES, lambda: cube(3).space])
def test_twins(space):
    twins_agree(CMAES, Problem(space()), bowl)


def test_all_rows_fail():
    strategy = CMAES()
    strategy.start(cube(2), 0)
    for _ in range(12):
        proposals = strategy.ask(100)
        assert len(proposals)
        strategy.tell(answer(strategy, proposals, bowl, failed=np.ones(len(proposals), bool)))
    assert strategy.run >= 2  # somewhere else


@pytest.mark.parametrize(
    "options", [{"sigma0": 0.0}, {"population": 2}, {"restarts": "often"}], ids=["sigma0", "population", "restarts"]
)
def test_options_must_make_sense(options):
    with pytest.raises(StrategyError, match=next(iter(options))):
        CMAES(**options)


def test_mean0_must_fit():
    with pytest.raises(StrategyError, match="mean0"):
        CMAES(mean0=[0.5, 0.5]).start(cube(3), 0)


def test_a_run_begins_narrower_where_there_are_cells():
    for space, width in ((cube(3).space, 0.25), (mixed(), 0.2), (finite(), 0.2)):
        strategy = CMAES()
        strategy.start(Problem(space), 0)
        assert strategy.normal.sigma == strategy.widest == width
    strategy = CMAES(sigma0=0.4)
    strategy.start(Problem(mixed()), 0)
    assert strategy.normal.sigma == 0.4
