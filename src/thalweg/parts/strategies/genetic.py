"""Genetic algorithm with operators for every type of parameter.

D. E. Goldberg, "Genetic Algorithms in Search, Optimization and Machine Learning" (1989); the operators and their
sources are in `_operators`. Self-adaptation: H.-G. Beyer, H.-P. Schwefel (2002), doi:10.1023/A:1015059928466.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from ...core.batch import Answers, Floats, Ints, Mask
from ...core.errors import StrategyError
from ...core.parameter import CONTINUOUS
from ...core.strategy import Abilities
from ...numerics.quasi_random import latin_hypercube
from ._generational import PART, Generational, merits
from ._operators import (
    Columns,
    flip,
    mutated_all,
    mutated_entries,
    order_crossover,
    redraw,
    sbx_all,
    sbx_entries,
    swap_keys,
    two_point_crossover,
    uniform_crossover,
)
from ._seen import Seen, row_hashes

Crossover = Literal["sbx", "uniform", "two_point"]
Survival = Literal["generational", "best"]

PRESETS: dict[str, dict[str, Any]] = {
    "deap": {
        "population": 50, "generations": 50, "crossover": "two_point", "crossover_prob": 0.7, "mutation_prob": 0.3,
        "gene_mutation_prob": 0.4, "tournament": 3, "elite_size": 2, "survival": "generational",
    },
    "token_sim": {
        "population": 50, "generations": 100, "crossover": "uniform", "crossover_prob": 0.8, "mutation_prob": 0.1,
        "tournament": 3, "elite_size": 2, "survival": "generational",
    },
}  # fmt: skip
"""Named sets of options; options given beside a preset win."""

_DEFAULTS: dict[str, Any] = {
    "population": 0, "generations": 100, "crossover": "sbx", "crossover_prob": 0.9, "mutation_prob": 1.0,
    "gene_mutation_prob": None, "tournament": 3, "elite_size": 2, "eta": (10.0, 60.0), "eta_crossover": 10.0,
    "self_adaptive": False, "survival": "best", "quorum": None,
}  # fmt: skip


@final
class Genetic(Generational):
    """Tournament selection, crossover, mutation, elitism.

    population: rows (default: 1.5 sqrt(budget), 20 to 100).  generations: the eta schedule's horizon without a budget.
    crossover: "sbx" (numbers; labels are swapped), "uniform" or "two_point", done with chance `crossover_prob`.
    mutation_prob: chance that a child is mutated; gene_mutation_prob: share of its columns then (default 1 / D).
    tournament: entrants.  elite_size: the best members that always stay.
    survival: "best" (the best of parents and children live on) or "generational" (children replace all but elites).
    eta: index of polynomial mutation at the start and the end of the budget, larger = smaller moves.
    eta_crossover: index of SBX.  self_adaptive: instead of eta each member carries its own mutation step, inherited.
    quorum: share of a generation that must be back before the next one may begin; None: who asks for more, because
        workers are idle, gets children of those known by then (with "generational" survival None means 1: children
        replace everybody, so all of them are awaited).
    preset: "deap" or "token_sim", see PRESETS.

    A child that equals a member keeps its value and is not evaluated again; further copies are mutated.

    Raises:
        StrategyError: an unknown option, preset, crossover or survival, or a number outside its range.
    """

    abilities: ClassVar[Abilities] = Abilities(learns_foreign=True)

    def __init__(self, preset: str | None = None, **options: Any) -> None:
        if preset is not None and preset not in PRESETS:
            raise StrategyError(f"genetic: preset is one of {', '.join(PRESETS)}; got {preset!r}")
        unknown = sorted(set(options) - set(_DEFAULTS))
        if unknown:
            raise StrategyError(f"genetic: no option {', '.join(unknown)}; there are {', '.join(_DEFAULTS)}")
        self.options = _checked({**_DEFAULTS, **(PRESETS[preset] if preset else {}), **options})
        share = self.options["quorum"]
        self.quorum = 1.0 if share is None and self.options["survival"] == "generational" else share

    @classmethod
    def deap(cls, **options: Any) -> Genetic:
        """With the options of the "deap" preset."""
        return cls("deap", **options)

    @classmethod
    def token_sim(cls, **options: Any) -> Genetic:
        """With the options of the "token_sim" preset."""
        return cls("token_sim", **options)

    def begin(self) -> None:
        """Sort the columns by type and set up an empty population."""
        super().begin()
        space = self.problem.space
        self.seen = Seen.of(self.problem)
        columns = Columns.of(space)
        self._numbers, self._ordered, self._labels = columns.metric, columns.ordered, columns.unordered
        self._span = _neighbours(columns.ordered)
        self._widths: Floats = 1.0 / np.asarray(space.levels)[columns.ordered]
        self._masks, self._orders = columns.masks, list(columns.orders)
        self._metric = np.isin(np.arange(self.dimension), columns.metric)
        self._plain = bool((space.kinds == CONTINUOUS).all())
        wanted = int(self.options["population"])
        self.size = wanted or min(max(round(1.5 * math.sqrt(self.budget or 4500)), 20), 100)
        self.told = 0
        self._pop: Floats = np.empty((0, self.dimension))
        self._merit: Floats = np.empty(0)
        self._steps: Floats = np.empty(0)
        self._carried: Ints = np.empty(0, dtype=np.int64)
        self._child_steps: Floats = np.empty(0)

    @property
    def progress(self) -> float:
        """Share of the horizon that is told."""
        return min(self.told / (self.budget or self.size * int(self.options["generations"])), 1.0)

    @property
    def done(self) -> bool:
        """Whether every point of a finite space was proposed."""
        return self.seen.exhausted and self._given >= len(self._brood)

    @property
    def why(self) -> str:
        """What is going on."""
        if self.done:
            return f"all {self.seen.count} points of the space were proposed"
        return f"generation {self.generation}, population {self.size}"

    # --- generations ----------------------------------------------------------------------------------------------

    def brood(self) -> Floats:
        """The first population, or the children that differ from their parents."""
        if len(self.guests):
            self._welcome()
        self.divides = not self.seen.on
        if self.generation == 0 or len(self._pop) < 2:
            return self._random_rows(max(self.size - len(self._pop), 2))
        if self._collapsed():
            self.divides = False
            elite = np.argsort(self._merit, kind="stable")[: max(int(self.options["elite_size"]), 1)]
            self._pop, self._merit, self._steps = self._pop[elite], self._merit[elite], self._steps[elite]
            return self._random_rows(self.size - len(elite))
        simple = self._plain and not self.problem.space.constrained and not self.options["self_adaptive"]
        if simple and self.options["crossover"] == "sbx" and self.options["survival"] == "best":
            return self._real_children()
        return self._children()

    def _random_rows(self, count: int) -> Floats:
        space = self.problem.space
        points = space.snap(latin_hypercube(count, self.dimension, self.rng))
        points, kept = self.seen.fresh(points, space, self.rng)
        self._child_steps = np.full(count, 0.2)[kept]
        self._carried = np.arange(len(self._pop))
        return points

    def _count(self) -> int:
        """Children of a brood: for who cannot wait for answers not many more than are asked for."""
        return min(max(self.wanted, self.size // PART), self.size) if self.speculates and self.divides else self.size

    def _real_children(self) -> Floats:
        """What `_children` does, where every column is a real number: in place, entry by entry, without the copies."""
        opt, rng, pop, d = self.options, self.rng, self._pop, self.dimension
        count = self._count()
        pairs = -(-count // 2)
        source = tournament(self._merit, 2 * pairs, int(opt["tournament"]), rng)
        twice = (source[:pairs] == source[pairs:]).nonzero()[0] + pairs
        source[twice] = (source[twice] + 1) % len(pop)
        parents = pop.take(source, axis=0)
        children = parents.copy()
        flat, half = children.reshape(-1), pairs * d
        crossed = rng.random((pairs, 1)) < opt["crossover_prob"]
        here = (crossed & (rng.random((pairs, d)) < 0.5)).reshape(-1).nonzero()[0]
        there = here + half
        flat[here], flat[there] = sbx_entries(flat.take(here), flat.take(there), rng, opt["eta_crossover"])
        # parents live on: a child that crossover left alone is mutated in any case
        chosen = self._genes(rng.random(2 * pairs) < opt["mutation_prob"])
        self._ensure(chosen, _equal_rows(children, parents))
        self._mutate_entries(flat, chosen.reshape(-1).nonzero()[0])
        again = _equal_rows(children, parents)
        if len(again):  # the move that was drawn led nowhere
            self._mutate_entries(flat, again * d + (rng.random(len(again)) * d).astype(np.intp))
            new = (children != parents).any(axis=1)
            children, source = children[new], source[new]
        self._carried = np.empty(0, dtype=np.int64)
        points = children[:count]
        self._child_steps = self._steps.take(source[: len(points)])
        return points if len(points) else self._random_rows(self.size)

    def _mutate_entries(self, flat: Floats, entries: Ints) -> None:
        low, high = self.options["eta"]
        eta = low + (high - low) * self.progress
        flat[entries] = mutated_entries(flat.take(entries), self.rng, eta)

    def _children(self) -> Floats:
        opt, rng, pop, space = self.options, self.rng, self._pop, self.problem.space
        stays = opt["survival"] == "best"
        count = self._count() if stays else max(self.size - int(opt["elite_size"]), 1)
        pairs = -(-count // 2)
        source = tournament(self._merit, 2 * pairs, int(opt["tournament"]), rng)
        twice = (source[:pairs] == source[pairs:]).nonzero()[0] + pairs
        source[twice] = (source[twice] + 1) % len(pop)
        parents = pop.take(source, axis=0)
        first, second = parents[:pairs], parents[pairs:]
        source, parents = source[:count], parents[:count]
        crossed = rng.random(pairs) < opt["crossover_prob"]
        children = np.concatenate(self._cross(first, second, crossed))[:count]
        steps = self._varied(self._steps.take(source))
        chosen = self._genes(rng.random(count) < opt["mutation_prob"])
        if stays:  # parents live on: a child that crossover left alone is mutated in any case
            self._ensure(chosen, (children == parents).all(axis=1).nonzero()[0])
        children = self._settled(self._mutate(children, chosen, steps))
        exact = self._plain and opt["crossover"] == "sbx"  # real numbers meet nobody but their parent by chance
        hashes = None if exact else row_hashes(np.concatenate([pop, children]))
        origin = _by_parent(children, parents, source, len(pop)) if hashes is None else _firsts(hashes)[len(pop) :]
        again = origin != len(pop) + np.arange(count)
        if not stays:  # one copy of a member lives on with the member's value
            same = (origin < len(pop)).nonzero()[0]
            again[same[np.unique(origin[same], return_index=True)[1]]] = False
        at = again.nonzero()[0]
        if len(at):
            forced = self._genes(np.ones(len(at), dtype=np.bool_))
            self._ensure(forced, np.arange(len(at)))
            changed = self._settled(self._mutate(children[at], forced, steps[at]))
            children[at] = changed
            if hashes is None:
                origin = _by_parent(children, parents, source, len(pop))
            else:
                hashes[len(pop) + at] = row_hashes(changed)
                origin = _firsts(hashes)[len(pop) :]
        new = origin == len(pop) + np.arange(count)
        if new.all():
            self._carried = np.empty(0, dtype=np.int64)
        else:
            known = np.zeros(len(pop), dtype=np.bool_)  # np.unique would load numpy.ma, which takes 30 ms
            known[origin[origin < len(pop)]] = True
            self._carried = known.nonzero()[0]
            children, steps = children[new], steps[new]
        points, kept = self.seen.fresh(children, space, rng)
        self._child_steps = steps[kept]
        return points if len(points) or self.seen.exhausted else self._random_rows(count)

    def _settled(self, rows: Floats) -> Floats:
        """Rows as they will be evaluated, so that a change that is no change is seen."""
        space = self.problem.space
        return rows if self._plain and not space.constrained else space.snap(space.repair(rows, self.rng))

    def _cross(self, first: Floats, second: Floats, crossed: Mask) -> tuple[Floats, Floats]:
        """Both children of each pair (n, D); those that are not `crossed` (n,) stay as they are."""
        kind, rng, numbers = self.options["crossover"], self.rng, self._numbers
        if kind == "two_point":
            one, two = two_point_crossover(first, second, rng)
        elif kind == "uniform" or numbers.size < self.dimension:
            one, two = uniform_crossover(first, second, rng)
        else:
            if not self._plain:
                rng.random(first.shape)  # the draws of the labels, of which there are none
            one, two = first.copy(), second.copy()
        if kind == "sbx" and numbers.size:
            # numbers: half of the entries are crossed, and only those are computed
            crossing = rng.random(first.shape) < 0.5
            if numbers.size < self.dimension:
                one[:, numbers], two[:, numbers] = first[:, numbers], second[:, numbers]
                crossing &= self._metric
            taken = crossing.ravel().nonzero()[0]
            a, b = first.ravel().take(taken), second.ravel().take(taken)
            one.ravel()[taken], two.ravel()[taken] = sbx_all(a, b, rng, self.options["eta_crossover"])
        for block in self._orders:
            one[:, block], two[:, block] = order_crossover(first[:, block], second[:, block], rng)
        return np.where(crossed[:, None], one, first), np.where(crossed[:, None], two, second)

    def _varied(self, steps: Floats) -> Floats:
        """Log-normal variation of the members' own steps."""
        if not self.options["self_adaptive"]:
            return steps
        tau = 1.0 / math.sqrt(2.0 * max(self.dimension, 1))
        return np.clip(steps * np.exp(tau * self.rng.standard_normal(len(steps))), 1e-9, 0.5)

    def _genes(self, which: Mask) -> Mask:
        """(n, D) the columns to mutate in the rows `which` (n,)."""
        share = self.options["gene_mutation_prob"]
        chosen = self.rng.random((len(which), self.dimension)) < (
            1.0 / max(self.dimension, 1) if share is None else share
        )
        return chosen & which[:, None]

    def _ensure(self, chosen: Mask, rows: Ints) -> None:
        """Choose one more column in each of these rows, in place."""
        if self.dimension:
            chosen[rows, (self.rng.random(len(rows)) * self.dimension).astype(np.int64)] = True

    def _mutate(self, rows: Floats, chosen: Mask, steps: Floats) -> Floats:
        """New rows with the `chosen` genes changed, each by its type's operator."""
        rng, levels = self.rng, self.problem.space.levels
        result = rows.copy()
        flat = result.reshape(-1)
        numeric = chosen if self._numbers.size == self.dimension else chosen & self._metric
        numbers = numeric.ravel().nonzero()[0]
        old = flat.take(numbers)
        if self.options["self_adaptive"]:
            spread = steps.take(numbers // self.dimension)
            moved = np.abs(old + spread * rng.standard_normal(len(old)))
            flat[numbers] = np.clip(1.0 - np.abs(1.0 - moved), 0.0, 1.0)
        else:
            low, high = self.options["eta"]
            eta = low + (high - low) * self.progress
            flat[numbers] = mutated_all(old, rng, eta)
        if self._plain:
            return result
        if self._ordered.size:  # a move below one step would be rounded away
            at = slice(*self._span) if self._span else self._ordered  # neighbours: views are faster
            result[:, at] = _whole_steps(rows[:, at], result[:, at], chosen[:, at], self._widths)
        if self._labels.size:
            at = self._labels
            result[:, at] = redraw(result[:, at], levels[at], rng, chosen[:, at])
        if self._masks.size:
            result[:, self._masks] = flip(result[:, self._masks], chosen[:, self._masks])
        for block in self._orders:
            hit = chosen[:, block].any(axis=1, keepdims=True)
            result[:, block] = np.where(hit, swap_keys(result[:, block], rng), result[:, block])
        return result

    def evolve(self, answers: Answers, slots: Ints | slice) -> None:
        """Form the next population."""
        merit = merits(answers)
        self.told += len(merit)
        steps = self._child_steps[slots]
        if len(self._pop) and self.options["survival"] == "generational":
            elite = np.argsort(self._merit, kind="stable")[: int(self.options["elite_size"])]
            stay: Ints | slice = np.unique(np.concatenate([elite, self._carried]))
        else:
            stay = slice(None)
        self._join(stay, answers, merit, steps)

    def cut(self, slots: Ints) -> None:
        """Fewer children."""
        self._child_steps = self._child_steps[slots]

    def notes(self, slots: Ints) -> Floats:
        """(k, 1) steps."""
        return self._child_steps[slots][:, None]

    def late(self, answers: Answers, notes: Floats) -> None:
        """Whoever is good enough joins, whenever it comes."""
        if self.options["survival"] == "generational":
            self.absorb(answers)
            return
        self.told += len(answers)
        self._join(slice(None), answers, merits(answers), notes[:, 0])

    def _join(self, stay: Ints | slice, answers: Answers, merit: Floats, steps: Floats) -> None:
        """Members that stay, and these: the best of them."""
        pop = np.concatenate([self._pop[stay], answers.points])
        merit = np.concatenate([self._merit[stay], merit])
        steps = np.concatenate([self._steps[stay], steps])
        if len(pop) > self.size:
            keep = merit.argsort(kind="stable")[: self.size]
            pop, merit, steps = pop.take(keep, axis=0), merit.take(keep), steps.take(keep)
        self._pop, self._merit, self._steps = pop, merit, steps

    def _welcome(self) -> None:
        """Foreign answers join where they are better than the worst member."""
        guests = self.take_guests()
        self.seen.add(guests.points)
        if len(self._pop):
            guests = guests.rows(~(guests.points[:, None] == self._pop[None]).all(axis=2).any(axis=1))
        pop = np.concatenate([self._pop, guests.points])
        merit = np.concatenate([self._merit, guests.merit()])
        steps = np.concatenate([self._steps, np.full(len(guests), 0.1)])
        # at most half of a first population: the rest is drawn anew
        room = self.size if len(self._pop) else max(self.size // 2, 1)
        keep = np.argsort(merit, kind="stable")[:room]
        self._pop, self._merit, self._steps = pop[keep], merit[keep], steps[keep]

    def _collapsed(self) -> bool:
        """Whether the population is one point, for all that matters."""
        return self.generation % 8 == 0 and not self.seen.on and bool(np.ptp(self._pop, axis=0).max() < 1e-10)


def tournament(merit: Floats, rounds: int, entrants: int, rng: np.random.Generator) -> Ints:
    """(rounds,) winners, each the best of `entrants` members drawn with replacement."""
    drawn = (rng.random((entrants, rounds)) * len(merit)).astype(np.int64)
    return np.asarray(drawn[merit[drawn].argmin(axis=0), np.arange(rounds)])


def _by_parent(children: Floats, parents: Floats, source: Ints, size: int) -> Ints:
    """(n,) for each child its parent's place `source` (n,) if it is equal to it, else size + its own number."""
    return np.where((children == parents).all(axis=1), source, size + np.arange(len(children)))


def _firsts(hashes: NDArray[np.uint64]) -> Ints:
    """(n,) for each row the first one that is equal to it; hashes: (n,)."""
    ordered = np.sort(hashes)
    starts = np.ones(len(hashes), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    if starts.all():
        return np.arange(len(hashes))
    order = hashes.argsort(kind="stable")
    firsts = np.empty(len(hashes), dtype=np.int64)
    firsts[order] = order[starts][starts.cumsum() - 1]
    return firsts


def _neighbours(columns: Ints) -> list[int]:
    """[first, last + 1] where columns (k,) are neighbours, else []."""
    if not columns.size or (np.diff(columns) != 1).any():
        return []
    return [int(columns[0]), int(columns[-1]) + 1]


def _equal_rows(rows: Floats, others: Floats) -> Ints:
    """The rows (k,) at which both arrays (n, D) are the same."""
    return np.asarray((rows == others).all(axis=1).nonzero()[0])


def _whole_steps(rows: Floats, moved: Floats, chosen: Mask, width: Floats) -> Floats:
    """`moved`, but `chosen` entries lie at least one step of `width` (d,) away from `rows`, inside [0, 1]."""
    move = moved - rows
    stepped = rows + np.copysign(width, move)
    stepped = np.where(stepped > 1.0, rows - width, np.where(stepped < 0.0, rows + width, stepped))
    return np.where(chosen & (np.abs(move) < width), stepped, moved)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options, or an error that names the one that is wrong."""
    if options["crossover"] not in get_args(Crossover):
        raise StrategyError(f"genetic: crossover is one of {get_args(Crossover)}, got {options['crossover']!r}")
    if options["survival"] not in get_args(Survival):
        raise StrategyError(f"genetic: survival is one of {get_args(Survival)}, got {options['survival']!r}")
    ranges = {
        "crossover_prob": (0, 1), "mutation_prob": (0, 1), "gene_mutation_prob": (0, 1), "tournament": (1, 1000),
        "elite_size": (0, 10**6), "eta_crossover": (0, 1e6), "generations": (1, 10**9), "quorum": (1e-9, 1),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        if options[name] is not None and not low <= options[name] <= high:
            raise StrategyError(f"genetic: {name} lies in [{low}, {high}], got {options[name]!r}")
    eta = options["eta"]
    options["eta"] = (float(eta), float(eta)) if isinstance(eta, (int, float)) else tuple(map(float, eta))
    if len(options["eta"]) != 2 or min(options["eta"]) < 0:
        raise StrategyError(f"genetic: eta is a number >= 0 or (start, end), got {eta!r}")
    size = options["population"]
    if size and (size < 4 or options["elite_size"] >= size):
        raise StrategyError(f"genetic: population is at least 4 and above elite_size, got {size}")
    return options
