"""The token simulator against radCAD on the same model, and what its searches take.

    python benchmarks/token_economy.py [--repetitions 5] [--write]

radCAD 0.14 runs one path as dictionaries of numbers through policies and state updates; it is given the proof-of-work
model of thalweg.apps.token_economy, formula by formula, with the same noise. It must end at the same state (1e-9).
"""

from __future__ import annotations

import argparse
import math
import time

import _timing  # isort: skip  (before NumPy: it pins BLAS threads)
import numpy as np

from thalweg.apps.token_economy import kernel
from thalweg.apps.token_economy.consensus import CONSENSUS
from thalweg.apps.token_economy.parameters import space_of, table_of
from thalweg.apps.token_economy.search import Search
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.apps.token_economy.state import Config, Scene
from thalweg.apps.token_economy.world import YEAR, World

DAYS = 365
LARGE, ELEMENTS = (16, 1000), (16, 256)
BARS = {"default": 400.0, "best": 100.0}


# --- the model for radCAD ---------------------------------------------------------------------------------------------


def pay(params, substep, history, state):
    w, c, z = params["world"], params["config"], params["noise"]
    u = state["adoption"]
    u += (1 - u) * (w.innovation / YEAR + u * (w.imitation / YEAR + w.adoption_noise * z[state["timestep"]][1]))
    u = min(max(u, 1e-6), 1.0)
    wanted = u * w.users * w.spending
    served = min(wanted, c["capacity_usd"])
    return {
        "adoption": u,
        "wanted": wanted,
        "fundamental": served * w.holding_days / (state["liquid"] + state["pool_tokens"]),
    }


def produce(params, substep, history, state):
    w, c = params["world"], params["config"]
    fees = min(c["fee"] * state["wanted"] / state["price"], 0.01 * state["liquid"])
    burned = min(c["burn_share"] * fees, 0.001 * state["supply"])
    blocks = c["blocks"] * min(max(state["hash_rate"] / state["difficulty"], 0.25), 4.0)
    issued = c["reward"] * blocks
    revenue = (issued + fees - burned) * state["price"]
    cost = state["hash_rate"] * w.cost_per_th()
    profit = revenue / (cost * c["hurdle"]) - 1
    gap = state["hash_rate"] - state["difficulty"]
    return {
        "supply": state["supply"] + issued - burned,
        "liquid": state["liquid"] + issued - burned,
        "sold": min(cost, revenue),
        "difficulty": state["difficulty"] + gap * min(blocks / c["adjust_blocks"], 1.0),
        "hash_rate": max(state["hash_rate"] * math.exp(c["eta"] * min(max(profit, -1.0), 1.0)), 1e-6),
    }


def trade(params, substep, history, state):
    w, c, z = params["world"], params["config"], params["noise"]
    usd, fee = state["pool_usd"], c["trading_fee"]
    gap = min(max(math.log(state["fundamental"] / state["price"]), -3.0), 3.0)
    gap -= min(max(gap, -fee), fee)
    flow = w.tracking * gap * usd + c["noise"] * z[state["timestep"] - 1][0] * math.sqrt(usd) - state["sold"]
    least = -usd * 0.5 * state["liquid"] / (state["pool_tokens"] + 0.5 * state["liquid"])
    flow = max(min(flow, 0.3 * usd), least, -0.3 * usd)
    usd += flow - fee * max(flow, 0.0)
    tokens = params["product"] / usd
    return {
        "pool_usd": usd,
        "pool_tokens": tokens,
        "liquid": state["liquid"] + state["pool_tokens"] - tokens,
        "price": usd / tokens,
    }


def _take(name):
    return lambda params, substep, history, state, signal: (name, signal[name])


BLOCKS = [
    {"policies": {"pay": pay}, "variables": {n: _take(n) for n in ("adoption", "wanted", "fundamental")}},
    {
        "policies": {"produce": produce},
        "variables": {n: _take(n) for n in ("supply", "liquid", "sold", "difficulty", "hash_rate")},
    },
    {"policies": {"trade": trade}, "variables": {n: _take(n) for n in ("pool_usd", "pool_tokens", "liquid", "price")}},
]


def start(world: World, noise: np.ndarray) -> tuple[dict, dict]:
    """(initial state, parameters) of the default configuration."""
    from thalweg.apps.token_economy.step import begin

    config = Config.of(table_of({})[1], True, world)
    state = begin(CONSENSUS["pow"], config, world, 1)
    first = {
        name: float(getattr(state, name)[0, 0])
        for name in ("supply", "liquid", "pool_tokens", "pool_usd", "price", "adoption")
    }
    first |= {name: float(state.own[name][0, 0]) for name in ("hash_rate", "difficulty")}
    first |= {"wanted": 0.0, "fundamental": 0.0, "sold": 0.0}
    numbers = {name: float(getattr(config, name)[0, 0]) for name in Config.__slots__}
    return first, {
        "world": [world],
        "config": [numbers],
        "noise": [noise.tolist()],
        "product": [float(state.product[0, 0])],
    }


def radcad(options: dict, days: int, noise: np.ndarray) -> tuple[dict, float]:
    """(last state, path-days per CPU second)."""
    from radcad import Backend, Engine, Model, Simulation

    first, params = start(World(), noise)
    model = Model(initial_state=first, state_update_blocks=BLOCKS, params=params)
    simulation = Simulation(model=model, timesteps=days, runs=1)
    simulation.engine = Engine(backend=Backend.SINGLE_PROCESS, **options)
    before = time.process_time()
    result = simulation.run()
    return result[-1], days / (time.process_time() - before)


def ours(engine: str, rows: int, paths: int, kind: str = "pow") -> float:
    """Path-days per CPU second, metrics and all; the noise is drawn beforehand, as for radCAD."""
    simulator = Simulator(paths, DAYS, engine=engine)
    simulator.noise  # noqa: B018 (drawn now)
    simulator.evaluate({"consensus": [kind] * rows})
    return simulator.evaluate({"consensus": [kind] * rows}).performance()["path_days_per_cpu_second"]


def check_equal() -> float:
    """The largest relative difference of the last state to radCAD's, over three paths."""
    seen = {}

    def keep(at: Scene) -> None:
        seen.update({name: np.array(getattr(at.state, name)[0]) for name in
                     ("supply", "liquid", "pool_usd", "pool_tokens", "price", "adoption")})  # fmt: skip
        seen.update({name: np.array(at.state.own[name][0]) for name in ("hash_rate", "difficulty")})

    simulator = Simulator(3, DAYS, seed=11)
    simulator.evaluate({}, watch=keep)
    worst = 0.0
    for path in range(3):
        last, _ = radcad({}, DAYS, simulator.noise[:, :, path])
        worst = max(worst, *(abs(last[name] / values[path] - 1) for name, values in seen.items()))
    assert worst <= 1e-9, worst
    return worst


# --- tables -----------------------------------------------------------------------------------------------------------


def speeds(repetitions: int) -> tuple[list[str], list[list[str]]]:
    noise = Simulator(1, 200).noise[:, :, 0]
    runs = {
        "radCAD, as it comes": lambda: radcad({}, 200, noise)[1],
        "radCAD, deepcopy=False, drop_substeps=True": lambda: radcad(
            {"deepcopy": False, "drop_substeps": True}, 200, noise
        )[1],
        "thalweg, 16 configurations x 256 paths": lambda: ours("numpy", *ELEMENTS),
        "thalweg, 16 x 1,000": lambda: ours("numpy", *LARGE),
        "thalweg, 1 x 1": lambda: ours("numpy", 1, 1),
    }
    if kernel.COMPILED:
        runs["thalweg, numba, 16 x 256"] = lambda: ours("numba", *ELEMENTS)
        runs["thalweg, numba, 16 x 1,000"] = lambda: ours("numba", *LARGE)
        runs["thalweg, numba, 1 x 1"] = lambda: ours("numba", 1, 1)
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            seen[name].append(run())
    speed = {name: _timing.median(values) for name, values in seen.items()}
    plain, best = list(speed.values())[:2]
    header = ["", "million path-days per CPU-second", "times radCAD", "times radCAD's best"]
    rows = [
        [name, f"{value / 1e6:.3f}", _timing.figure(value / plain), _timing.figure(value / best)]
        for name, value in speed.items()
    ]
    return header, rows


def kinds(repetitions: int) -> tuple[list[str], list[list[str]]]:
    rows = [
        [kind, f"{_timing.median([ours('numpy', *LARGE, kind) for _ in range(repetitions)]) / 1e6:.1f}"]
        for kind in CONSENSUS
    ]
    return ["kind, 16 x 1,000", "million path-days per CPU-second"], rows


def identities() -> list[str]:
    """Identities over 10,000 random configurations of the whole box."""
    worst = dict.fromkeys(("supply = first + issued - burned", "liquid + staked + unbonding + pool = supply",
                           "tokens x USD = k", "most negative balance"), 0.0)  # fmt: skip

    def watch(at: Scene) -> None:
        s, c = at.state, at.config
        parts = s.liquid + s.staked + s.unbonding + s.pool_tokens
        balances = (s.supply, s.liquid, s.staked, s.unbonding, s.pool_tokens, s.pool_usd, s.price)
        told = (
            np.abs((c.supply0 + s.issued - s.burned) / s.supply - 1).max(),
            np.abs(parts / s.supply - 1).max(),
            np.abs(s.pool_tokens * s.pool_usd / s.product - 1).max(),
            max(0.0, -min(float(item.min()) for item in balances)),
        )
        for name, value in zip(worst, told, strict=True):
            worst[name] = max(worst[name], float(value))

    before = time.process_time()
    for preset in ("consensus", "full"):
        space = space_of(preset, "any")
        points = space.sample(5000, np.random.default_rng(0))
        columns = space.to_columns(*space.resolve(points)[1:])
        summary = Simulator(2, DAYS).evaluate(columns, watch=watch)
        assert all(np.isfinite(values).all() for values in summary.paths.values())
    spent = time.process_time() - before
    return [f"{name}: {value:.1e}" for name, value in worst.items()] + [f"{spent:.1f} CPU-seconds, no NaN, no infinity"]


def searches() -> tuple[list[str], list[list[str]]]:
    rows = []
    for title, settings in (
        ("`optimize --consensus pos --iterations 50 --initial-points 10`",
         {"consensus": "pos", "iterations": 50, "initial_points": 10}),
        ("`optimize --consensus pow --pareto --iterations 200` (4 parameters, 4 scores)",
         {"consensus": "pow", "iterations": 200, "pareto": True}),
        ("`optimize --consensus any --preset consensus --pareto --iterations 200`",
         {"consensus": "any", "preset": "consensus", "iterations": 200, "pareto": True}),
    ):  # fmt: skip
        before = time.process_time()
        outcome = Search(**settings).run()
        searched = time.process_time() - before
        outcome.text()
        rows.append([title, f"{searched:.1f}", f"{time.process_time() - before:.1f}", str(len(outcome.result.front))])
    return ["500 paths x 365 days each", "search and second look, CPU-s", "with the report, CPU-s", "front"], rows


def confirmed(seeds: int) -> str:
    """How often fresh noise confirms the winner of 30 random configurations."""
    inside = strict = 0
    for seed in range(seeds):
        outcome = Search(consensus="pos", iterations=30, initial_points=30, strategy="random", seed=seed, paths=100,
                         days=120).run()  # fmt: skip
        look = outcome.looks[0]["score"]
        inside += look.holds
        strict += abs(look.fresh - look.searched) <= 1.96 * look.searched_error
    return (
        f"Winners of 30 candidates, {seeds} seeds: the fresh value (8 times the paths) lies in the 95 % interval of "
        f"the difference in {inside / seeds:.0%}, in the searched value's own one in {strict / seeds:.0%}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/token-economy.md")
    given = parser.parse_args()
    gap = check_equal()
    header, rows = speeds(given.repetitions)
    wide = rows[2]  # 4,096 elements
    bars = zip(BARS.items(), wide[2:], strict=True)
    told = [
        f"{text} times radCAD {name} ({'reaches' if float(text) >= bar else 'below'} {bar:g})"
        for (name, bar), text in bars
    ]
    text = "\n".join(
        [
            "# The token simulator: speed, identities, searches",
            "",
            f"The proof-of-work model, {DAYS} days, metrics included on thalweg's side only; medians of "
            f"{given.repetitions} interleaved runs. The last states differ from radCAD's by {gap:.1e} at most.",
            "",
            _timing.table(header, rows),
            "",
            f"At 4,096 elements: {'; '.join(told)}.",
            "",
            _timing.table(*kinds(given.repetitions)),
            "",
            "Identities on every day of 10,000 random configurations of all kinds (largest relative error):",
            "",
            *(f"- {line}" for line in identities()),
            "",
            _timing.table(*searches()),
            "",
            confirmed(200),
            "",
            f"Measured on {_timing.where('numpy', 'radcad', 'numba')}. Reproduce with (radCAD in an environment of its "
            "own):",
            "",
            "```",
            "pip install -e '.[fast]' radcad==0.14.0",
            f"python benchmarks/token_economy.py --repetitions {given.repetitions}",
            "```",
        ]
    )
    _timing.publish("token-economy.md", text, given.write)


if __name__ == "__main__":
    main()
