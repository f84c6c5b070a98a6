import numpy as np
import pytest

from thalweg.parts.strategies import _operators as op


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_sbx_keeps_the_parents_mean_and_the_bounds(rng):
    a, b = np.full((20000, 1), 0.4), np.full((20000, 1), 0.6)
    one, two = op.sbx(a, b, rng, eta=15.0, rate=1.0)
    np.testing.assert_allclose(one + two, 1.0, atol=1e-9)  # symmetric parents: bounds cut both sides alike
    assert one.min() >= 0 and one.max() <= 1
    inside = np.mean(np.abs(one - 0.5) < 0.1)
    assert 0.45 < inside < 0.55  # half of the spread factors are below 1


def test_sbx_leaves_equal_parents_alone(rng):
    a = rng.random((50, 4))
    one, two = op.sbx(a, a.copy(), rng)
    np.testing.assert_array_equal(one, a)
    np.testing.assert_array_equal(two, a)


def test_sbx_spread_follows_its_density(rng):
    # far from the bounds: P(beta <= x) = x^(eta + 1) / 2 for x <= 1
    a, b = np.full((40000, 1), 0.4999), np.full((40000, 1), 0.5001)
    one, _ = op.sbx(a, b, rng, eta=2.0, rate=1.0)
    beta = np.abs(one - 0.5) / 1e-4
    for x in (0.5, 0.8, 1.0):
        assert np.mean(beta <= x) == pytest.approx(x**3 / 2, abs=0.01)


@pytest.mark.parametrize("cross", [op.uniform_crossover, op.two_point_crossover])
def test_exchange_loses_nothing(rng, cross):
    a, b = rng.random((100, 7)), rng.random((100, 7))
    one, two = cross(a, b, rng)
    np.testing.assert_allclose(one + two, a + b)
    assert (one != a).any() and (one == a).any()


def test_two_point_exchanges_one_stretch(rng):
    a, b = np.zeros((200, 9)), np.ones((200, 9))
    one, _ = op.two_point_crossover(a, b, rng)
    changes = np.abs(np.diff(np.pad(one, ((0, 0), (1, 1))), axis=1)).sum(axis=1)
    assert set(changes) == {2.0}
    assert one.sum(axis=1).max() < 9


def test_order_crossover_follows_the_definition(rng):
    k = 8
    a, b = rng.random((300, k)), rng.random((300, k))
    one, _ = op.order_crossover(a, b, np.random.default_rng(3))
    cuts = np.random.default_rng(3)
    start = cuts.integers(0, k, 300)
    stop = np.minimum(start + cuts.integers(1, k, 300), k)
    for row in range(300):
        pa, pb = np.argsort(a[row]).tolist(), np.argsort(b[row]).tolist()
        child = np.argsort(one[row]).tolist()
        s, e = start[row], stop[row]
        kept = pa[s:e]
        rest = [x for x in pb[e:] + pb[:e] if x not in kept]
        expected = [None] * k
        expected[s:e] = kept
        for place, item in zip([(e + i) % k for i in range(k - (e - s))], rest, strict=True):
            expected[place] = item
        assert child == expected


def test_polynomial_mutation_stays_inside_and_near(rng):
    x = rng.random((4000, 5))
    moved = op.polynomial_mutation(x, rng, eta=20.0, rate=1.0)
    assert moved.min() >= 0 and moved.max() <= 1
    assert np.median(np.abs(moved - x)) < 0.05
    assert np.mean(op.polynomial_mutation(x, rng) != x) == pytest.approx(0.2, abs=0.02)
    assert (op.polynomial_mutation(x, rng, rate=0.0) == x).all()


def test_redraw_always_gives_another_cell(rng):
    levels = np.array([2.0, 3.0, 10.0, 1.0])
    x = (np.floor(rng.random((3000, 4)) * levels) + 0.5) / levels
    moved = op.redraw(x, levels, rng, np.ones(x.shape, bool))
    before, after = np.floor(x * levels), np.floor(moved * levels)
    assert (before[:, :3] != after[:, :3]).all()
    assert (moved[:, 3] == x[:, 3]).all()
    jump = (after - before)[:, 2] % 10
    assert np.bincount(jump.astype(int), minlength=10)[1:].min() > 250  # all others equally likely: 333 each


def test_step_moves_whole_cells(rng):
    levels = np.array([5.0, 50.0])
    x = (np.floor(rng.random((2000, 2)) * levels) + 0.5) / levels
    moved = op.step(x, levels, rng, np.ones(x.shape, bool))
    assert moved.min() >= 0 and moved.max() <= 1
    cells = np.minimum(np.floor(moved[:, 1] * 50), 49) - np.floor(x[:, 1] * 50)
    assert (cells != 0).mean() > 0.97
    assert 1.2 < np.abs(cells).mean() < 1.8


@pytest.mark.parametrize("move", [op.swap_keys, op.reverse_keys, op.insert_keys])
def test_order_moves_change_the_order_and_keep_a_permutation(rng, move):
    keys = op.order_keys(np.argsort(rng.random((500, 6)), axis=1))
    moved = move(keys, rng)
    before, after = np.argsort(keys, axis=1), np.argsort(moved, axis=1)
    assert (np.sort(after, axis=1) == np.arange(6)).all()
    assert (before != after).any(axis=1).all()
    np.testing.assert_allclose(np.sort(moved, axis=1), np.broadcast_to((np.arange(6) + 0.5) / 6, (500, 6)))


def test_moves_of_one_item_do_nothing(rng):
    for move in (op.swap_keys, op.reverse_keys, op.insert_keys):
        np.testing.assert_array_equal(move(np.full((3, 1), 0.5), rng), np.full((3, 1), 0.5))


def test_swap_changes_two_places_and_reverse_a_stretch(rng):
    keys = op.order_keys(np.tile(np.arange(7), (300, 1)))
    swapped = np.argsort(op.swap_keys(keys, rng), axis=1)
    assert ((swapped != np.arange(7)).sum(axis=1) == 2).all()
    turned = np.argsort(op.reverse_keys(keys, rng), axis=1)
    for row in turned:
        wrong = np.flatnonzero(row != np.arange(7))
        stretch = row[wrong[0] : wrong[-1] + 1]
        assert (np.diff(stretch) == -1).all()
    assert max(np.flatnonzero(row != np.arange(7))[-1] for row in turned) == 6


def test_flip_moves_an_item_in_or_out():
    x = np.array([[0.25, 0.75]])
    np.testing.assert_allclose(op.flip(x, np.array([[True, False]])), [[0.75, 0.75]])


def test_entries_are_crossed_and_mutated_by_the_same_laws():
    draw = np.random.default_rng(3)
    a, b = draw.random(40000), draw.random(40000)
    one, two = op.sbx_entries(a, b, np.random.default_rng(5), 10.0)
    left, right = op.sbx(a[:, None], b[:, None], np.random.default_rng(6), 10.0, 1.0)
    assert min(one.min(), two.min()) >= 0 and max(one.max(), two.max()) <= 1
    levels = np.linspace(0.02, 0.98, 13)
    middle, gap = 0.5 * (a + b), np.abs(a - b)
    for x, y in ((one, left[:, 0]), (two, right[:, 0])):
        spread, other = np.abs(x - middle) / gap, np.abs(y - middle) / gap
        np.testing.assert_allclose(np.quantile(spread, levels), np.quantile(other, levels), rtol=0.03)
    moved = op.mutated_entries(a, np.random.default_rng(5), 20.0)
    other = op.polynomial_mutation(a[:, None], np.random.default_rng(6), 20.0, 1.0)[:, 0]
    np.testing.assert_allclose(np.quantile(moved - a, levels), np.quantile(other - a, levels), atol=0.004)


def test_equal_entries_stay_what_they_are(rng):
    a = rng.random(50)
    one, two = op.sbx_entries(a, a.copy(), rng, 15.0)
    np.testing.assert_allclose(one, a, atol=1e-15)
    np.testing.assert_allclose(two, a, atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_the_quick_forms_give_the_same_bits_and_leave_the_generator_where_it_would_be(seed):
    maker = np.random.default_rng(seed)
    a, b = maker.random(60), maker.random(60)
    a[:6], b[3:9] = [0.0, 1.0, 0.5, 0.25, 0.75, 1e-9], [0.25, 0.75, 1e-9, 0.0, 1.0, 1.0]  # bounds, equal pairs
    slow, quick = (np.random.default_rng(seed) for _ in range(2))
    for given, got in zip(op.sbx(a[:, None], b[:, None], slow, 10.0, 1.0), op.sbx_all(a, b, quick, 10.0), strict=True):
        assert given[:, 0].tobytes() == got.tobytes()
    given, got = op.polynomial_mutation(a[:, None], slow, 37.5, 1.0)[:, 0], op.mutated_all(a, quick, 37.5)
    assert given.tobytes() == got.tobytes()
    assert slow.random() == quick.random()
