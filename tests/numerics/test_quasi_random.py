import math
import warnings

import numpy as np
import pytest
from scipy.stats import qmc

from thalweg.numerics._joe_kuo import JOE_KUO
from thalweg.numerics.quasi_random import (
    centred_discrepancy,
    coprime_stride,
    is_primitive,
    latin_hypercube,
    prime_factors,
    scrambled,
    sobol_directions,
    sobol_points,
    spread_out,
)

NO_SHIFT = np.zeros(128, dtype=np.uint64)


def strata(column, count):
    return sorted(np.floor(column * count).astype(int).tolist())


def test_the_first_points_are_the_published_ones():
    points = sobol_points(sobol_directions(3), NO_SHIFT[:3], 0, 8)
    known = [
        [0, 0, 0], [0.5, 0.5, 0.5], [0.75, 0.25, 0.25], [0.25, 0.75, 0.75],
        [0.375, 0.375, 0.625], [0.875, 0.875, 0.125], [0.625, 0.125, 0.875], [0.125, 0.625, 0.375],
    ]  # fmt: skip
    np.testing.assert_array_equal(points, known)


@pytest.mark.parametrize("dimension", [1, 4, 64, 128])
def test_unscrambled_points_equal_scipys(dimension):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = qmc.Sobol(dimension, scramble=False, bits=52).random(700)
    points = sobol_points(sobol_directions(dimension), NO_SHIFT[:dimension], 0, 700)
    np.testing.assert_array_equal(points, known)


def test_points_by_index_are_points_in_order():
    directions, shift = scrambled(sobol_directions(5), np.random.default_rng(1))
    whole = sobol_points(directions, shift, 0, 500)
    parts = [sobol_points(directions, shift, start, stop - start) for start, stop in ((0, 1), (1, 77), (77, 500))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert sobol_points(directions, shift, 10, 0).shape == (0, 5)


def test_the_sequence_has_an_end():
    with pytest.raises(ValueError, match="2\\*\\*52"):
        sobol_points(sobol_directions(2), NO_SHIFT[:2], 2**52 - 1, 2)


@pytest.mark.parametrize("kind", ["none", "shift", "linear"])
def test_scrambling_keeps_the_net(kind):
    directions, shift = scrambled(sobol_directions(8), np.random.default_rng(3), kind)
    points = sobol_points(directions, shift, 0, 256)
    assert ((points >= 0) & (points < 1)).all()
    for column in points.T:  # every dimension is a (0, 8, 1)-net
        assert strata(column, 256) == list(range(256))
    pairs = {(int(a * 16), int(b * 16)) for a, b in points[:, :2]}
    assert len(pairs) == 256  # the first two dimensions are a (0, 8, 2)-net


def test_scrambling_depends_on_the_generator_and_changes_the_matrix():
    one, shift_one = scrambled(sobol_directions(4), np.random.default_rng(0))
    two, shift_two = scrambled(sobol_directions(4), np.random.default_rng(1))
    assert (one != two).any()
    assert (shift_one != shift_two).any()
    shifted, _ = scrambled(sobol_directions(4), np.random.default_rng(0), "shift")
    np.testing.assert_array_equal(shifted, sobol_directions(4))


def test_scrambled_points_are_uniform():
    first = [sobol_points(*scrambled(sobol_directions(2), np.random.default_rng(s)), 5, 1)[0] for s in range(400)]
    mean, spread = np.mean(first, axis=0), np.std(first, axis=0)
    np.testing.assert_allclose(mean, 0.5, atol=4 * 0.2887 / 20)
    np.testing.assert_allclose(spread, math.sqrt(1 / 12), atol=0.03)


def test_dimensions_beyond_the_table_are_nets_too():
    directions = sobol_directions(140)
    points = sobol_points(directions, np.zeros(140, dtype=np.uint64), 0, 128)
    for column in points[:, 128:].T:
        assert strata(column, 128) == list(range(128))
    assert len({tuple(column) for column in directions.T.tolist()}) == 140


def test_the_table_holds_primitive_polynomials_with_odd_numbers():
    assert len(JOE_KUO) == 127
    for j, (polynomial, *numbers) in enumerate(JOE_KUO):
        assert is_primitive(polynomial)
        assert len(numbers) == polynomial.bit_length() - 1
        assert all(m % 2 == 1 and m < 2 ** (i + 1) for i, m in enumerate(numbers)), j


def test_is_primitive():
    degree_four = [p for p in range(17, 32, 2) if is_primitive(p)]
    assert degree_four == [0b10011, 0b11001]  # x^4+x^3+x^2+x+1 is irreducible but not primitive
    assert not is_primitive(0b110)
    assert prime_factors(2 * 2 * 3 * 97) == [2, 3, 97]


def test_lower_discrepancy_than_random():
    rng = np.random.default_rng(5)
    random = np.mean([centred_discrepancy(rng.random((128, 4))) for _ in range(5)])
    sobol = centred_discrepancy(sobol_points(*scrambled(sobol_directions(4), rng), 0, 128))
    hypercube = np.mean([centred_discrepancy(latin_hypercube(128, 4, rng)) for _ in range(5)])
    assert sobol < 0.35 * random
    assert hypercube < 0.8 * random


def test_discrepancy_equals_scipys():
    points = np.random.default_rng(2).random((40, 3))
    assert centred_discrepancy(points) ** 2 == pytest.approx(qmc.discrepancy(points, method="CD"), rel=1e-10)


def test_latin_hypercube():
    rng = np.random.default_rng(0)
    points = latin_hypercube(37, 5, rng)
    for column in points.T:
        assert strata(column, 37) == list(range(37))
    centred = latin_hypercube(4, 2, rng, centred=True)
    assert set(centred.ravel().tolist()) == {0.125, 0.375, 0.625, 0.875}
    assert latin_hypercube(0, 3, rng).shape == (0, 3)


def test_spread_out_keeps_the_strata_and_widens_the_gaps():
    rng = np.random.default_rng(4)
    points = latin_hypercube(30, 3, rng)
    before = points.copy()
    better = spread_out(points, rng)
    np.testing.assert_array_equal(points, before)
    np.testing.assert_array_equal(np.sort(better, axis=0), np.sort(points, axis=0))

    def closest(p):
        gaps = ((p[:, None] - p[None]) ** 2).sum(axis=2)
        return math.sqrt(gaps[~np.eye(len(p), dtype=bool)].min())

    assert closest(better) > 1.5 * closest(points)


@pytest.mark.parametrize("total", [1, 2, 3, 12, 97, 1000, 2**40, 10**24])
def test_coprime_stride(total):
    stride = coprime_stride(total, total * 618 // 1000)
    assert math.gcd(stride, total) == 1
    assert 1 <= stride <= max(total - 1, 1)
    assert abs(stride - total * 618 // 1000) < 40
