"""Points that fill the unit cube more evenly than random ones: Sobol sequences, Latin hypercubes, rank-1 lattices.

Sobol: I. M. Sobol' (1967), doi:10.1016/0041-5553(67)90144-9; Gray code order of Antonov & Saleev (1979); direction
numbers of Joe & Kuo (2008), doi:10.1137/070709359; random linear scrambling of Matousek (1998),
doi:10.1006/jcom.1998.0489. Latin hypercubes: McKay, Beckman & Conover (1979), doi:10.2307/1268522.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ._joe_kuo import JOE_KUO

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]

BITS = 52
"""Binary digits of a coordinate: 2**52 different values fit a float64 exactly and stay below 1."""

Scramble = Literal["linear", "shift", "none"]


# --- Sobol ------------------------------------------------------------------------------------------------------------


def sobol_directions(dimension: int) -> Bits:
    """(BITS, dimension) direction numbers V: row j flips with the j-th bit of the Gray code; digit 1 is bit 51.

    The first 128 dimensions are Joe and Kuo's. Further ones take the next primitive polynomials with odd initial
    numbers drawn by a fixed generator: the same everywhere, but their two-dimensional projections are not tuned.
    """
    columns = [_column(index) for index in range(dimension)]
    return np.array(columns, dtype=np.uint64).T.reshape(BITS, dimension)


@cache
def _column(index: int) -> tuple[int, ...]:
    """The BITS direction numbers of one dimension (index 0 is van der Corput's)."""
    if index == 0:
        return tuple(1 << (BITS - 1 - j) for j in range(BITS))
    polynomial, *m = JOE_KUO[index - 1] if index <= len(JOE_KUO) else _generated(index - len(JOE_KUO) - 1)
    s = polynomial.bit_length() - 1
    for j in range(s, BITS):
        # m_j = 2 a_1 m_{j-1} ^ 4 a_2 m_{j-2} ^ ... ^ 2^s m_{j-s} ^ m_{j-s}
        number = m[j - s] ^ (m[j - s] << s)
        for k in range(1, s):
            if polynomial >> (s - k) & 1:
                number ^= m[j - k] << k
        m.append(number)
    return tuple(m[j] << (BITS - 1 - j) for j in range(BITS))


@cache
def _generated(index: int) -> tuple[int, ...]:
    """(polynomial, m_1, ..., m_s) of the `index`-th dimension after the table."""
    polynomial = (JOE_KUO[-1] if index == 0 else _generated(index - 1))[0] + 2
    while not is_primitive(polynomial):
        polynomial += 2
    degree = polynomial.bit_length() - 1
    rng = np.random.Generator(np.random.PCG64(polynomial))
    return (polynomial, *(2 * int(rng.integers(1 << i)) + 1 for i in range(degree)))


def is_primitive(polynomial: int) -> bool:
    """Whether a polynomial over GF(2), given by its coefficients as bits, is primitive: x has order 2^s - 1."""
    degree = polynomial.bit_length() - 1
    if degree < 1 or not polynomial & 1:
        return False
    order = (1 << degree) - 1
    if _power_of_x(order, polynomial) != 1:
        return False
    return all(_power_of_x(order // prime, polynomial) != 1 for prime in prime_factors(order) if prime < order)


def _power_of_x(exponent: int, polynomial: int) -> int:
    """x ** exponent modulo the polynomial, over GF(2)."""
    degree = polynomial.bit_length() - 1
    result = 1
    for bit in bin(exponent)[2:]:
        result = _product(result, result, polynomial, degree)
        if bit == "1":
            result <<= 1
            if result >> degree:
                result ^= polynomial
    return result


def _product(a: int, b: int, polynomial: int, degree: int) -> int:
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        if a >> degree:
            a ^= polynomial
        b >>= 1
    return result


def prime_factors(number: int) -> list[int]:
    """The distinct primes that divide `number`, ascending."""
    primes, divisor = [], 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            primes.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return [*primes, number] if number > 1 else primes


def scrambled(directions: Bits, rng: np.random.Generator, kind: Scramble = "linear") -> tuple[Bits, Bits]:
    """Direction numbers and digital shift (dimension,) of a randomised sequence.

    linear: a random lower-triangular bit matrix per dimension, then a random shift: every point is uniform, and the
    equidistribution of the net stays (Matousek's cheap form of Owen's scrambling). shift: only that. none: neither.
    """
    dimension = directions.shape[1]
    if kind == "none":
        return directions, np.zeros(dimension, dtype=np.uint64)
    shift = np.asarray(rng.integers(1 << BITS, size=dimension, dtype=np.uint64))
    if kind == "shift":
        return directions, shift
    # digit r (bit BITS-1-r) of the result = parity of row r of the matrix (ones on its diagonal) AND the digits
    place = np.array([1 << (BITS - 1 - r) for r in range(BITS)], dtype=np.uint64)
    rows = rng.integers(1 << BITS, size=(BITS, dimension), dtype=np.uint64)
    higher = np.array([((1 << r) - 1) << (BITS - r) for r in range(BITS)], dtype=np.uint64)
    rows = (rows & higher[:, None]) | place[:, None]
    mixed = np.zeros_like(directions)
    for r in range(BITS):
        mixed |= _parity(directions & rows[r]) << np.uint64(BITS - 1 - r)
    return mixed, shift


def _parity(bits: Bits) -> Bits:
    for step in (32, 16, 8, 4, 2, 1):
        bits = bits ^ (bits >> np.uint64(step))
    return bits & np.uint64(1)


def sobol_points(directions: Bits, shift: Bits, start: int, count: int) -> Floats:
    """(count, dimension) points start .. start + count - 1 of the sequence, in [0, 1)."""
    if start + count > 1 << BITS:
        raise ValueError(f"a Sobol sequence has 2**{BITS} points, asked up to {start + count}")
    dimension = directions.shape[1]
    if count <= 0:
        return np.empty((0, dimension))
    gray = start ^ (start >> 1)
    first = shift.copy()
    for j in range(gray.bit_length()):
        if gray >> j & 1:
            first ^= directions[j]
    index = np.arange(start + 1, start + count, dtype=np.int64)
    # between point i - 1 and point i the Gray code flips the bit where i has its lowest one
    flipped = np.frexp((index & -index).astype(np.float64))[1] - 1
    steps = np.empty((count, dimension), dtype=np.uint64)
    steps[0] = first
    steps[1:] = directions[flipped]
    return np.bitwise_xor.accumulate(steps, axis=0) * 2.0**-BITS


# --- Latin hypercubes -------------------------------------------------------------------------------------------------


def latin_hypercube(count: int, dimension: int, rng: np.random.Generator, centred: bool = False) -> Floats:
    """(count, dimension) points with exactly one in each of `count` equal slices of every axis."""
    if count <= 0:
        return np.empty((0, dimension))
    ranks = rng.permuted(np.broadcast_to(np.arange(count)[:, None], (count, dimension)), axis=0)
    inside = 0.5 if centred else rng.random((count, dimension))
    return np.asarray((ranks + inside) / count, dtype=np.float64)


def spread_out(points: Floats, rng: np.random.Generator, rounds: int = 0) -> Floats:
    """(n, D) a Latin hypercube whose points lie further apart: coordinates are swapped while that helps.

    Morris & Mitchell's criterion phi_p (doi:10.1016/0378-3758(94)00035-T), p = 10: swaps of two points' coordinates in
    one column that lower sum(1 / distance^p) are kept, so the strata stay what they were. `rounds`: swaps tried
    (0: 20 n, at most 4000).
    """
    n, dimension = points.shape
    if n < 3 or dimension < 2:
        return points.copy()
    best = points.copy()
    # squared distances to the power -5 are 1 / distance^10
    pull = _inverse_powers(((best[:, None] - best[None]) ** 2).sum(axis=2))
    rounds = rounds or min(20 * n, 4000)
    for turn in range(rounds):
        # every other swap moves the point that is crowded most
        i = int(pull.sum(axis=1).argmax()) if turn % 2 == 0 else int(rng.integers(n))
        j = (i + 1 + int(rng.integers(n - 1))) % n
        column = int(rng.integers(dimension))
        pair = best[[i, j]]
        pair[:, column] = pair[::-1, column]
        fresh = _inverse_powers(((pair[:, None] - best[None]) ** 2).sum(axis=2))
        fresh[0, i] = fresh[1, j] = fresh[0, j] = fresh[1, i] = 0.0
        others = pull[i].sum() + pull[j].sum() - 2 * pull[i, j]
        if fresh.sum() < others:  # the distance between i and j themselves is the same after a swap
            between = pull[i, j]
            pull[[i, j]] = fresh
            pull[:, [i, j]] = fresh.T
            pull[i, j] = pull[j, i] = between
            best[[i, j]] = pair
    return best


def _inverse_powers(squared: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        inverse = np.minimum(squared**-5.0, 1e60)
    inverse[squared == 0] = 0.0  # a point and itself; equal points cannot be drawn apart by this sum
    return np.asarray(inverse, dtype=np.float64)


# --- lattices and measures --------------------------------------------------------------------------------------------


def coprime_stride(total: int, near: int) -> int:
    """The number nearest to `near` (between 1 and total) that shares no divisor with `total`: stepping by it modulo
    `total` visits every index exactly once.
    """
    if total <= 2:
        return 1
    middle = min(max(near, 1), total - 1)
    for distance in range(total):
        for candidate in (middle + distance, middle - distance):
            if 0 < candidate < total and math.gcd(candidate, total) == 1:
                return candidate
    return 1


def centred_discrepancy(points: Floats) -> float:
    """Hickernell's centred L2 discrepancy of (n, D) points (doi:10.1090/S0025-5718-98-00894-1); 0 is perfectly even."""
    n, dimension = points.shape
    off = np.abs(points - 0.5)
    single = np.prod(1 + 0.5 * off - 0.5 * off**2, axis=1).sum()
    pairs = 0.0
    for i in range(n):
        gap = np.abs(points[i] - points)
        pairs += float(np.prod(1 + 0.5 * off[i] + 0.5 * off - 0.5 * gap, axis=1).sum())
    return float(np.sqrt(max((13 / 12) ** dimension - 2 / n * single + pairs / n**2, 0.0)))
