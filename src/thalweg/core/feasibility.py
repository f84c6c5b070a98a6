"""Requirements between parameters: checking them, finding points that satisfy them, repairing those that do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .batch import Floats, Mask
from .branches import branches_of
from .errors import ExpressionError, InfeasibleSpace, SpaceError
from .expression import Expression

if TYPE_CHECKING:
    from .space import Space

DRAWS = 2**18
"""Points drawn before a space is called infeasible; a quarter where functions must be called for each of them."""
POOL = 256
_BLOCK = 4096


@dataclass(frozen=True)
class Requirement:
    """A condition that every evaluated point satisfies. text: as written; functions are named "<like this>"."""

    text: str
    expression: Expression | None
    function: Callable[[Any], Any] | None

    def holds(self, space: Space, reals: Floats, active: Mask | None) -> Mask:
        """(n,) whether each row satisfies it; a row in which a name it uses is inactive does."""
        if self.expression is not None:
            if active is None:
                active = space.active(reals)
            used = np.ones(len(reals), dtype=np.bool_)
            if active is not None:
                used &= active[:, [space.names.index(name) for name in self.expression.names]].all(axis=1)
            try:
                return space.conditions.truth(self.expression, reals, used) | ~used
            except ExpressionError as error:
                raise SpaceError(f"requirement {self.text!r}: {error}") from None
        assert self.function is not None  # one of the two is always there
        try:
            return np.array([bool(self.function(item)) for item in space.to_params(reals, active)], dtype=np.bool_)
        except Exception as error:
            raise SpaceError(f"requirement {self.text} raised {type(error).__name__}: {error}") from error


def requirement(condition: str | Callable[[Any], Any], names: Sequence[str]) -> Requirement:
    """A requirement from an expression or a function.

    Raises:
        SpaceError: neither of them, or an unknown name.
    """
    if isinstance(condition, str):
        try:
            expression = Expression(condition)
            expression.require_names(names, "the requirement")
        except ExpressionError as error:
            raise SpaceError(str(error)) from None
        return Requirement(condition, expression, None)
    if callable(condition):
        return Requirement(f"<{getattr(condition, '__qualname__', type(condition).__name__)}>", None, condition)
    raise SpaceError(f"require: expected an expression or a function of the parameters, got {condition!r:.60}")


def _check(space: Space, points: Floats) -> tuple[Floats, Mask]:
    snapped, reals, active = space.resolve(points)
    return snapped, space.feasible(reals, active)


def redraw(space: Space, points: Floats, rng: np.random.Generator) -> Floats:
    """`points` with every infeasible row replaced by a feasible random one."""
    points, good = _check(space, points)
    missing = np.flatnonzero(~good)
    if not missing.size:
        return points
    points = points.copy()
    points[missing] = _draw(space, len(missing), rng)
    return points


def _draw(space: Space, n: int, rng: np.random.Generator) -> Floats:
    """n feasible points by rejection; when they are rare, the rest comes from repairs towards those that were found."""
    found: list[Floats] = []
    have = drawn = 0
    while have < n and drawn < _effort(space):
        points, good = _check(space, rng.random((_BLOCK, space.dimension)))
        found.append(points[good])
        have += int(good.sum())
        drawn += _BLOCK
    if have >= n:
        return np.concatenate(found)[:n]
    if not have:
        found = [_search(space)]
    anchors = np.concatenate(found)
    rest = _towards(space, rng.random((n, space.dimension)), anchors[rng.integers(len(anchors), size=n)])
    return np.concatenate([anchors, rest])[:n]


def _effort(space: Space) -> int:
    return DRAWS if all(item.function is None for item in space.requirements) else DRAWS // 4


def _search(space: Space) -> Floats:
    """Some feasible cells of a small finite space.

    Raises:
        InfeasibleSpace: there are none, or none were found.
    """
    raw = space.raw_size
    if raw is not None and raw <= 4 * _effort(space):
        for start in range(0, raw, 65536):
            points, good = _check(space, space.cells(start, min(start + 65536, raw)))
            if good.any():
                return points[good]
        proof = f"all {raw} combinations were checked"
    else:
        proof = f"{_effort(space)} random points were tried"
    raise InfeasibleSpace(
        f"no point satisfies {' and '.join(item.text for item in space.requirements)}: {proof}. An equality between "
        "real numbers is never met by chance: compute one parameter from the others instead; else check the bounds"
    )


def pool(space: Space) -> Floats:
    """(POOL, D) feasible points, from a stream of their own: when they are drawn must not shift anybody's numbers."""
    return _draw(space, POOL, np.random.default_rng(0x7A17E9))


def repair(space: Space, points: Floats, rng: np.random.Generator) -> Floats:
    """Feasible points near `points` (n, D); feasible rows stay as they are."""
    snapped, good = _check(space, points)
    if good.all():
        return points
    bad = np.flatnonzero(~good)
    start = snapped[bad]
    distance = ((start[:, None, :] - space.pool[None, :, :]) ** 2).sum(axis=2)
    near = np.argsort(distance, axis=1)[:, :4]  # one of the nearest few, so that repairs do not all meet in one place
    anchors = space.pool[near[np.arange(len(bad)), rng.integers(near.shape[1], size=len(bad))]]
    result = points.copy()
    result[bad] = _towards(space, start, anchors)
    return result


def _towards(space: Space, start: Floats, anchors: Floats) -> Floats:
    """The feasible points nearest to `start` found by bisection on the segments to the feasible `anchors`."""
    best = anchors.copy()
    low = np.zeros(len(start))
    high = np.ones(len(start))
    for _ in range(12):
        middle = (low + high) / 2
        points, good = _check(space, start + middle[:, None] * (anchors - start))
        best[good] = points[good]
        high = np.where(good, middle, high)
        low = np.where(good, low, middle)
    return best


def count(space: Space, limit: int) -> int | None:
    """How many different feasible points there are, exactly; None: not finite, or too many to count.

    Only the parameters that conditions and requirements mention are enumerated; the others multiply.
    """
    if space.raw_size is None:
        return None
    involved: set[str] = set()
    for number, condition in space.conditions.ordered:
        involved |= {*condition.names}
        if any(item.expression is None or space.names[number] in item.expression.names for item in space.requirements):
            involved.add(space.names[number])
    for item in space.requirements:
        involved |= set(item.expression.names if item.expression is not None else space.names)
    counts = {name: int(parameter.count or 1) for name, parameter in space.parameters.items()}
    total = math.prod(counts[name] for name in involved)
    if total > limit:
        laid_out = branches_of(space, involved, limit)
        return None if laid_out is None else laid_out.feasible()
    return _count_enumerated(space, [name for name in space.names if name in involved], counts, total)


def _count_enumerated(space: Space, involved: list[str], counts: dict[str, int], total: int) -> int:
    blocks = dict(space.blocks)
    free = [(i, counts[name]) for i, name in enumerate(space.names) if name not in involved]
    columns = [j for name in involved for j in range(blocks[name].start, blocks[name].stop)]
    seen: set[bytes] = set()
    result = 0
    for start in range(0, total, 65536):
        index = np.arange(start, min(start + 65536, total))
        points = np.full((len(index), space.dimension), 0.5)
        reals = space.layout.resolve(points)[1]
        for name in involved:
            reals[:, blocks[name]] = space.parameters[name].cells(index % counts[name])
            index = index // counts[name]
        _, reals, active = space.resolve(space.layout.encode(reals))
        good = space.feasible(reals, active)
        raw = np.ascontiguousarray(reals[:, columns])
        for row in np.flatnonzero(good).tolist():
            key = raw[row].tobytes()
            if key not in seen:
                seen.add(key)
                result += math.prod(n for i, n in free if active is None or active[row, i])
    return result
