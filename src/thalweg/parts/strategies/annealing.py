"""Simulated annealing in several chains, with scale-free temperatures and reheating.

S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, Science 220 (1983) 671-680, doi:10.1126/science.220.4598.671. Continuous
moves are Cauchy distributed, mostly local, now and then far: H. Szu, R. Hartley, Fast simulated annealing, Phys. Lett.
A 122 (1987) 157-162, doi:10.1016/0375-9601(87)90796-1. Their width per column adapts so that about 44 % of moves are
accepted, and so falls with the temperature (A. Corana et al., ACM TOMS 13 (1987), doi:10.1145/29380.29864).
Temperatures are relative: a rise is measured in units of the typical rise that was seen, so no option depends on the
objective's scale.

Each chain has one move under way, so `chains` rows can be evaluated at once; who asks for more, because workers are
idle, gets second moves from where the chains are, each judged by where its chain is when it is told. A chain that has
not improved the best for long goes on from the best or another chain's point, hot again (go with the winners: D.
Aldous, U. Vazirani, FOCS 1994).

Moves by type: continuous columns Cauchy steps folded at the faces; ordered discrete columns whole cells; unordered
choices another option; orders swap, reverse or move items, mostly in the way that led to better points so far; subsets
one item in or out. Where there are orders, one chain is the rule, and it begins less hot: after 250 to 5000 moves it
is ahead of four chains on round trips, flow shops, linear orderings and assignments of 20 to 100 items.
"""

from __future__ import annotations

import math

import numpy as np

from ...core.batch import Answers, Floats, Ints, Mask
from ...core.errors import StrategyError
from ...core.strategy import Abilities, Strategy
from ._operators import Columns, flip, redraw, step
from ._orders import MOVES, Credit
from ._seen import Seen

_HOT, _COLD = 1.0, 1e-3  # relative temperatures of a cycle's ends
_WARM = 0.05  # where there are orders
_CHAINS = 4
_EXCHANGED = 0.4  # of the moves in subsets: one item in and one out
_LEAST = 1e-9  # of a continuous column: the smallest width of a move


class Annealing(Strategy):
    """Simulated annealing for any space; at home where moves between neighbours mean something (orders, integers).

    chains: chains side by side, each with one move under way, or more where there are more workers; None: 4, or 1
        where there are orders.
    cycle: accepted-or-not moves per chain from hot to cold; None: the budget's share of a chain, at most 50 per column.
    """

    abilities = Abilities(learns_foreign=True)

    def __init__(self, *, chains: int | None = None, cycle: int | None = None) -> None:
        if chains is not None and chains < 1:
            raise StrategyError(f"chains: at least one is expected, got {chains!r}")
        if cycle is not None and cycle < 2:
            raise StrategyError(f"cycle: at least two moves from hot to cold are expected, got {cycle!r}")
        self.wanted_chains, self.cycle = chains, cycle

    def begin(self) -> None:
        """Chains begin at random points (the first in the middle) unless foreign points are known by then."""
        self._sort_columns()
        self.chains = int(self.wanted_chains or (1 if self.orders or len(self.masks) else _CHAINS))
        self.hot = _WARM if self.orders else _HOT
        k, d = self.chains, self.dimension
        space = self.problem.space
        wanted = 50 * max(d, 1)
        share = wanted if self.budget is None else max(int(0.9 * self.budget / k), 10)
        self.moves = self.cycle or max(min(wanted, share), 10)
        self.points = space.sample(k, self.rng)
        self.merits = np.full(k, np.inf)
        self.trials = self.points.copy()
        self.tickets = np.full(k, -1)
        self.ages = np.zeros(k, dtype=np.int64)  # moves since the chain was heated
        self.started = np.zeros(k, dtype=np.bool_)
        self.widths = np.full(d, 0.25)
        self.touched = np.zeros((k, d), dtype=np.bool_)
        self.rise = 0.0  # the typical rise of a move
        self.rises = 0
        self.best, self.best_point = math.inf, np.full(d, 0.5)
        self.since = np.zeros(k, dtype=np.int64)  # moves of a chain since the best improved
        self.guests = np.empty((0, d))
        self.guest_merits = np.empty(0)
        self.seen = Seen.of(self.problem)
        self.reheated = 0
        # second moves: tickets, chains and the columns they touched
        self.extra: Ints = np.empty(0, dtype=np.int64)
        self.extra_rows: Ints = np.empty(0, dtype=np.int64)
        self.extra_touched: Mask = np.empty((0, d), dtype=np.bool_)
        # of orders: the kind of each chain's move, of second moves, and how well each kind did
        self.kinds: Ints = np.full(k, -1)
        self.extra_kinds: Ints = np.empty(0, dtype=np.int64)
        self.credit = Credit.fresh()

    def _sort_columns(self) -> None:
        columns = Columns.of(self.problem.space)
        levels = columns.levels
        self.metric = columns.metric[np.isinf(levels[columns.metric])]
        self.ordered = columns.ordered[levels[columns.ordered] > 1]
        self.unordered = columns.unordered[levels[columns.unordered] > 1]
        self.orders = [item for item in columns.orders if len(item) > 1]
        self.masks = columns.masks
        self.levels = levels
        # what a move may change: single columns, and every order as one
        self.genes = np.concatenate([self.metric, self.ordered, self.unordered, self.masks]).astype(np.int64)

    @property
    def stride(self) -> int:
        """Chains that wait for a move."""
        return max(int((self.tickets < 0).sum()), 1)

    @property
    def all_out(self) -> bool:
        """Every chain has a move under way."""
        return not bool((self.tickets < 0).any())

    @property
    def speculates(self) -> bool:
        """Further moves are second ones, judged by where their chains are when they are told."""
        return self.all_out

    @property
    def done(self) -> bool:
        """Whether a finite space has no new point."""
        return self.seen.exhausted

    @property
    def why(self) -> str:
        """Why it is done, or how hot it is."""
        if self.seen.exhausted:
            return "every point of the space was proposed"
        return f"temperature {float(self._heat().mean()):.2g}, reheated {self.reheated} times"

    # --- moves ----------------------------------------------------------------------------------------------------

    def propose(self, n: int) -> Floats:
        """A move of every chain that waits for one; where none does, second ones."""
        idle = np.flatnonzero(self.tickets < 0)[:n]
        if not len(idle):
            return self._second(n)
        fresh = ~self.started[idle]
        if fresh.any():
            self._place(idle[fresh])
        moving = idle[~fresh]
        if len(moving):
            self.trials[moving] = self._moved(moving)
        if self.seen.on:
            points, kept = self.seen.fresh(self.trials[idle], self.problem.space, self.rng)
            idle = idle[kept]
            self.trials[idle] = points
        self.started[idle] = True
        self.tickets[idle] = self.next_ticket + np.arange(len(idle))
        return self.trials[idle]

    def _second(self, n: int) -> Floats:
        """Moves of the chains with the fewest under way, which have moves under way already."""
        count = np.bincount(self.extra_rows, minlength=self.chains)
        rows = np.argsort(count, kind="stable")[:n]
        touched, kinds = self.touched[rows].copy(), self.kinds[rows].copy()
        known = np.isfinite(self.merits[rows])
        points = self._moved(rows)
        self.touched[rows], touched = touched, self.touched[rows].copy()
        self.kinds[rows], kinds = kinds, self.kinds[rows].copy()
        if not known.all():  # nothing is known of where these chains are: another place is as good
            points[~known] = self.problem.space.sample(int((~known).sum()), self.rng)
        points, kept = self.seen.fresh(points, self.problem.space, self.rng)
        self.extra = np.append(self.extra, self.next_ticket + np.arange(len(points)))
        self.extra_rows = np.append(self.extra_rows, rows[kept])
        self.extra_touched = np.concatenate([self.extra_touched, touched[kept]])
        self.extra_kinds = np.append(self.extra_kinds, kinds[kept])
        return points

    def _place(self, rows: Ints) -> None:
        """First points: the best foreign ones, then random ones."""
        known = np.argsort(self.guest_merits, kind="stable")[: len(rows)]
        self.trials[rows] = self.points[rows]
        self.trials[rows[: len(known)]] = self.guests[known]
        self.guests, self.guest_merits = np.delete(self.guests, known, 0), np.delete(self.guest_merits, known)

    def _heat(self) -> Floats:
        """(chains,) relative temperatures, falling geometrically over a cycle."""
        share = np.minimum(self.ages / self.moves, 1.0)
        return np.asarray(self.hot * (_COLD / self.hot) ** share)

    def _moved(self, rows: Ints) -> Floats:
        """(k, D) a neighbour of each chain's point: one column mostly, more while hot."""
        rng, points = self.rng, self.points[rows].copy()
        k, heat = len(rows), self._heat()[rows]
        count = len(self.genes) + len(self.orders)
        if count == 0:
            return points
        # one change for sure, others with a chance that falls with the temperature
        chosen = rng.random((k, count)) < (0.3 * heat / max(count - 1, 1) * min(count, 4))[:, None]
        chosen[np.arange(k), rng.integers(count, size=k)] = True
        hit = np.zeros(points.shape, dtype=np.bool_)
        hit[:, self.genes] = chosen[:, : len(self.genes)]
        self.touched[rows] = hit
        self._move_columns(points, hit, heat)
        self.kinds[rows] = -1
        for i, columns in enumerate(self.orders):
            which = np.flatnonzero(chosen[:, len(self.genes) + i])
            if len(which):
                kind = self.credit.choose(rng)
                points[np.ix_(which, columns)] = MOVES[kind](points[np.ix_(which, columns)], rng)
                self.kinds[rows[which]] = kind
        return points

    def _move_columns(self, points: Floats, hit: Mask, heat: Floats) -> None:
        rng = self.rng
        if len(self.metric):
            now = points[:, self.metric]
            steps = rng.standard_cauchy(now.shape) * self.widths[self.metric]
            moved = np.abs(np.remainder(now + steps + 1.0, 2.0) - 1.0)  # folded at the faces
            points[:, self.metric] = np.where(hit[:, self.metric], moved, now)
        if len(self.ordered):
            levels = self.levels[self.ordered]
            mean = 1.0 + 0.25 * levels * np.sqrt(heat)[:, None] * self.widths[self.ordered]
            points[:, self.ordered] = step(points[:, self.ordered], levels, rng, hit[:, self.ordered], mean)
        if len(self.unordered):
            levels = self.levels[self.unordered]
            points[:, self.unordered] = redraw(points[:, self.unordered], levels, rng, hit[:, self.unordered])
        if len(self.masks):
            points[:, self.masks] = flip(points[:, self.masks], self._exchanged(points, hit)[:, self.masks])

    def _exchanged(self, points: Floats, hit: Mask) -> Mask:
        """(k, D) `hit`, and in some rows where one item goes in or out another one that goes the other way."""
        hit, masks = hit.copy(), self.masks
        for row in np.flatnonzero(hit[:, masks].any(axis=1) & (self.rng.random(len(hit)) < _EXCHANGED)):
            inside = points[row, masks] > 0.5
            others = np.flatnonzero(inside != inside[hit[row, masks].argmax()])
            if len(others):
                hit[row, masks[others[self.rng.integers(len(others))]]] = True
        return hit

    # --- acceptance -----------------------------------------------------------------------------------------------

    def learn(self, answers: Answers) -> None:
        """Metropolis: a better point is taken, a worse one with chance exp(-rise / (temperature * typical rise))."""
        merits = answers.merit().tolist()
        chain_of = {ticket: row for row, ticket in enumerate(self.tickets.tolist()) if ticket >= 0}
        for ticket, i in sorted(zip(answers.tickets.tolist(), range(len(merits)), strict=True)):
            row = chain_of.get(ticket)
            if row is not None:
                self.tickets[row] = -1
                self._judge(row, self.touched[row], answers.points[i], merits[i], int(self.kinds[row]))
                continue
            at = int(np.searchsorted(self.extra, ticket))
            row, touched = int(self.extra_rows[at]), self.extra_touched[at]
            self.extra, self.extra_rows = np.delete(self.extra, at), np.delete(self.extra_rows, at)
            self.extra_touched = np.delete(self.extra_touched, at, axis=0)
            kind, self.extra_kinds = int(self.extra_kinds[at]), np.delete(self.extra_kinds, at)
            if self.started[row]:
                self._judge(row, touched, answers.points[i], merits[i], kind)
            elif merits[i] < self.best:  # the chain begins anew elsewhere
                self.best, self.best_point = merits[i], answers.points[i].copy()

    def _judge(self, row: int, touched: Mask, point: Floats, merit: float, kind: int) -> None:
        self.since[row] += 1
        age = int(self.ages[row]) + 1
        self.ages[row] = age
        old = float(self.merits[row])
        rise = merit - old
        if 0 < rise < 1e200:  # not from or to a violating point
            self.rises += 1
            self.rise += (rise - self.rise) / min(self.rises, 50)
        accepted = merit <= old
        if not accepted and merit < math.inf:
            heat = self.hot * (_COLD / self.hot) ** min(age / self.moves, 1.0)
            accepted = self.rng.random() < math.exp(-min(rise / max(heat * self.rise, 1e-300), 700.0))
        if kind >= 0 and old < math.inf:
            self.credit.hear(kind, merit < old)
        if accepted:
            self.points[row], self.merits[row] = point, merit
        self._adapt(touched, accepted)
        if merit < self.best:
            self.best, self.best_point = merit, point.copy()
            self.since[:] = 0
        if age >= self.moves and self.since[row] >= min(self.moves, 10 * self.dimension + 10):
            self._reheat(row)

    def _adapt(self, touched: Mask, accepted: bool) -> None:
        """Widths grow after acceptance and shrink after refusal; still at 44 % accepted."""
        columns = touched.nonzero()[0].tolist()
        factor = (1.25 if accepted else 1.25 ** (-0.44 / 0.56)) ** (1 / max(len(columns), 1))
        widths = self.widths
        for j in columns:  # mostly one: an array call takes longer
            widths[j] = min(max(float(widths[j]) * factor, _LEAST), 0.5)

    def _reheat(self, row: int) -> None:
        """A chain that has cooled without gain goes on elsewhere: at the best point, another chain's, or a new one."""
        self.reheated += 1
        self.ages[row] = self.moves // 2 if self.reheated % 2 else 0
        self.since[row] = 0
        draw = self.rng.random()
        if draw < 0.5:
            self.points[row], self.merits[row] = self.best_point, self.best
        elif draw < 0.75:
            other = int(self.rng.integers(self.chains))
            self.points[row], self.merits[row] = self.points[other], self.merits[other]
        else:
            self.points[row] = self.problem.space.sample(1, self.rng)[0]
            self.merits[row] = math.inf
            self.started[row] = False
        self.widths = np.maximum(self.widths, 0.05)

    def absorb(self, answers: Answers) -> None:
        """Foreign points begin chains; later a better one takes the place of the worst chain's point."""
        self.seen.add(self.problem.space.snap(answers.points))
        for point, merit in zip(answers.points, answers.merit().tolist(), strict=True):
            if merit < self.best:
                self.best, self.best_point = merit, point.copy()
            if not self.started.all():
                if merit < math.inf:
                    self.guests = np.concatenate([self.guests, point[None]])[-64:]
                    self.guest_merits = np.append(self.guest_merits, merit)[-64:]
                continue
            worst = int(np.argmax(self.merits))
            if merit < self.merits[worst]:
                self.points[worst], self.merits[worst] = point, merit
