"""A slow broker that hears one event after the other; the kernel must agree with it to 1e-12.

Written from the kernel's docstring: a bar is turned into the events that are known to follow each other, and orders
react to events. Nothing here is shared with the kernel.
"""

import math
from itertools import pairwise
from statistics import stdev


class Broker:
    def __init__(self, cost):
        self.cash, self.shares, self.cost = 1.0, 0.0, cost
        self.traded = self.trips = 0
        self.log = []

    def worth(self, price):
        return self.cash + self.shares * price

    def trade(self, shares, price, t, why, before):
        self.cash -= shares * price + self.cost * abs(shares) * price
        self.traded += abs(shares) * price / before
        self.shares += shares
        if abs(self.shares) < 1e-300 or why != "entry":
            self.shares = 0.0
            self.trips += 1
        self.log.append((t, why, price, shares))


def simulate(bars, forecast, rule, cost, optimistic=False, window=None):
    """{figure: value} and the log of one rule (a dict as `Rules.dict` gives it)."""
    first, last = window or (1, len(bars))
    broker, curve, held_bars = Broker(cost), [1.0], 0
    entry = None
    for t in range(first, last):
        o, h, lo, c = (float(getattr(bars, name)[t]) for name in ("open", "high", "low", "close"))
        prev, before = float(bars.close[t - 1]), curve[-1]
        sell = prev * math.exp(forecast.high[t] + rule["high_mult"])
        buy = prev * math.exp(forecast.low[t] + rule["low_mult"])
        side = int(forecast.side[t])
        since_open = True  # whether the position is there from the open on
        had = entry is not None
        if entry is None and side and before > 0 and rule["side"] in (0, side):
            limit, goal = (buy, sell) if side > 0 else (sell, buy)
            market = limit == (math.inf if side > 0 else 0.0)
            sensible = market or side * (goal - limit) > 0
            at_open = side * (limit - o) >= 0
            later = (side > 0 and lo <= limit) or (side < 0 and h >= limit)
            if sensible and (at_open or later):
                price = o if at_open else limit
                shares = side * rule["size"] * before / price
                broker.trade(shares, price, t, "entry", before)
                entry = (side, t, price * math.exp(-side * rule["stop"]))
                since_open = at_open
                had = True
        if entry is not None:
            way, began, stop = entry
            goal = sell if way > 0 else buy
            good, bad = (h, lo) if way > 0 else (lo, h)
            exit_ = None
            if since_open and way * (o - stop) <= 0:
                exit_ = ("stop", o)
            elif since_open and way * (o - goal) >= 0:
                exit_ = ("target", o)
            else:
                reach_stop = way * (bad - stop) <= 0
                reach_goal = way * (good - goal) >= 0 and (since_open or optimistic)
                order = [("target", goal, reach_goal), ("stop", stop, reach_stop)]
                for why, price, reached in order if optimistic else order[::-1]:
                    if reached and exit_ is None:
                        exit_ = (why, price)
            if exit_ is None and (t - began + 1 >= rule["hold"] or t == last - 1):
                exit_ = ("time", c)
            if exit_ is not None:
                broker.trade(-broker.shares, exit_[1], t, exit_[0], before)
                entry = None
        now = broker.worth(c)
        if now <= 0:
            if entry is not None:
                broker.trips += 1
            broker.cash = broker.shares = now = 0.0
            entry = None
        held_bars += had
        curve.append(now)
    return figures(curve, broker, held_bars, bars.periods), broker.log


def figures(curve, broker, held_bars, year):
    returns = [b / a - 1 if a > 0 else 0.0 for a, b in pairwise(curve)]
    n = len(returns)
    mean = math.fsum(returns) / n
    spread = stdev(returns) if any(returns) else 0.0
    losses = math.sqrt(math.fsum(r * r for r in returns if r < 0) / n)
    peak, worst = 1.0, 0.0
    for worth in curve:
        peak = max(peak, worth)
        worst = max(worst, 1 - worth / peak)
    total = math.log(curve[-1]) if curve[-1] > 0 else -math.inf
    annual = math.expm1(max(-700.0, min(700.0, total * year / n)))
    return {
        "log_return": total,
        "sharpe": mean / spread * math.sqrt(year) if spread else 0.0,
        "sortino": mean / losses * math.sqrt(year) if losses else 0.0,
        "calmar": annual / worst if worst else 0.0,
        "max_drawdown": worst,
        "turnover": broker.traded * year / n,
        "exposure": held_bars / n,
        "n_trades": broker.trips,
    }
