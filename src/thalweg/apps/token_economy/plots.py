"""Pictures of simulations and searches. Figures come from `watch.plots`: made without pyplot, saved by suffix."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.batch import Floats
from ...watch.plots import ACCENT, BEST, FAINT, INK, MUTED, blank, checked, save
from .metrics import SCORES
from .report import CAVEAT
from .simulator import Simulator
from .state import Scene

if TYPE_CHECKING:
    from .outcome import Outcome

BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.3))
"""(low quantile, high quantile, opacity)."""
PATHS = 400
PURPOSE = "drawing a token economy"


class Series:
    """Keeps days of the first configuration for a picture (see `Simulator.evaluate`, watch)."""

    def __init__(self) -> None:
        self.days: dict[str, list[Floats]] = {"price": [], "supply": [], "volume": [], "attack": [], "energy": [],
                                              "adoption": []}  # fmt: skip

    def __call__(self, at: Scene) -> None:
        """Copy one day."""
        state, day = at.state, at.day
        shape = state.price.shape
        for name, values in (("price", state.price), ("supply", state.supply), ("volume", day.volume),
                             ("attack", day.attack), ("energy", day.energy), ("adoption", state.adoption)):  # fmt: skip
            self.days[name].append(np.array(np.broadcast_to(values, shape)[0]))


def draw_simulation(simulator: Simulator, params: dict[str, Any], path: str | Path) -> Path:
    """One configuration over time: bands of quantiles over paths.

    Raises:
        ProblemError: an unknown suffix.  MissingExtra: matplotlib is not installed.
    """
    checked(path)
    made = blank(PURPOSE)
    series = Series()
    shown = simulator.at(paths=min(simulator.paths, PATHS), engine="numpy")
    shown.evaluate({name: [value] for name, value in params.items()}, watch=series)
    titles = {"price": "price (USD)", "supply": "supply (tokens)", "volume": "volume (USD per day)",
              "attack": "cost of an attack (USD)", "energy": "energy (kWh per day)",
              "adoption": "adoption (share of users)"}  # fmt: skip
    made.set_size_inches(11, 5.6)
    for axes, (name, title) in zip(made.subplots(2, 3).ravel(), titles.items(), strict=True):
        _bands(axes, np.stack(series.days[name]), title, log=name == "price")
    told = [f"{name} {value:.4g}" if isinstance(value, (int, float)) else str(value) for name, value in params.items()]
    _signed(made, f"{', '.join(told) or 'defaults'}  ·  {shown.paths} paths: 90 %, 50 % and the median")
    return save(made, path)


def draw_outcome(outcome: Outcome, path: str | Path) -> Path:
    """A search: scores of the best against the defaults on fresh noise, what each parameter does, the trials."""
    checked(path)
    made = blank(PURPOSE)
    made.set_size_inches(12, 4.2)
    left, middle, right = made.subplots(1, 3, width_ratios=[1, 1, 1.1])
    _scores(left, outcome)
    _effects(middle, outcome)
    if outcome.search.pareto:
        _front(right, outcome)
    else:
        _trials(right, outcome)
    search = outcome.search
    _signed(made, f"{search.study_name}  ·  {outcome.result.evaluations} evaluations of {search.paths} paths x "
                  f"{search.days} days")  # fmt: skip
    return save(made, path)


def _bands(axes: Any, values: Floats, title: str, log: bool) -> None:
    """values: (days, paths)."""
    days = np.arange(1, len(values) + 1)
    for low, high, opacity in BANDS:
        bottom, top = np.quantile(values, (low, high), axis=1)
        axes.fill_between(days, bottom, top, color=ACCENT, alpha=opacity, lw=0)
    axes.plot(days, np.median(values, axis=1), color=ACCENT, lw=1.4)
    if log:
        axes.set_yscale("log")
        low, high = np.quantile(values, (0.05, 0.95)).tolist()
        ticks = np.geomspace(low, high, 5)
        axes.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])
        axes.minorticks_off()
    _style(axes, title, "day")


def _scores(axes: Any, outcome: Outcome) -> None:
    """Scores of the best and of the defaults, with 95 % bars."""
    places = np.arange(len(SCORES))
    first = "first of the front" if outcome.search.pareto else "best"
    for row, shift, color, label in ((0, -0.18, BEST, first), (-1, 0.18, MUTED, "defaults")):
        mean = [outcome.summary.mean[name][row] for name in SCORES]
        half = [1.96 * outcome.summary.error[name][row] for name in SCORES]
        axes.barh(places + shift, mean, 0.34, xerr=half, color=color, label=label, error_kw={"lw": 1, "ecolor": INK})
    axes.set_yticks(places, [name.replace("_", " ") for name in SCORES])
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.legend(fontsize=8, frameon=False)
    _style(axes, "scores on fresh noise (1 is best)", "")


def _effects(axes: Any, outcome: Outcome) -> None:
    shown = outcome.effects[:12]
    places = np.arange(len(shown))
    axes.barh(places, [effect.score for effect in shown], 0.6, color=ACCENT)
    axes.set_yticks(places, [effect.parameter.replace("_", " ") + (" (nothing)" if effect.nothing else "")
                             for effect in shown])  # fmt: skip
    axes.invert_yaxis()
    _style(axes, "what a parameter moves over its range", "weighted score")


def _trials(axes: Any, outcome: Outcome) -> None:
    values = np.array([trial.value for trial in outcome.result.trials])
    at = np.arange(1, len(values) + 1)
    first = at <= outcome.search.initial_points
    axes.plot(at[first], values[first], "o", color=MUTED, ms=4, label="initial points")
    axes.plot(at[~first], values[~first], "o", color=ACCENT, ms=4, alpha=0.7, label=outcome.search.strategy_name)
    axes.step(at, np.fmax.accumulate(values), where="post", color=BEST, lw=1.6, label="best so far")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _style(axes, "score by evaluation", "evaluation")


def _front(axes: Any, outcome: Outcome) -> None:
    """Two objectives against each other: those that disagree most among the front."""
    names = list(outcome.search.objectives)
    front = np.array([trial.values for trial in outcome.result.front])
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]

    spread = np.cov(front, rowvar=False) if len(front) > 1 else np.zeros((len(names), len(names)))
    i, j = min(pairs, key=lambda pair: float(spread[pair]))
    every = np.array([trial.values for trial in outcome.result.trials if trial.ok])
    axes.plot(every[:, i], every[:, j], "o", color=FAINT, ms=3.5, label="evaluated")
    kinds = [str(trial.params["consensus"]) for trial in outcome.result.front]
    colors = {"pow": "#c53030", "pos": ACCENT, "dpos": "#2f855a", "poa": BEST}
    for kind in dict.fromkeys(kinds):
        mine = np.array([item == kind for item in kinds])
        axes.plot(front[mine, i], front[mine, j], "o", color=colors.get(kind, INK), ms=5, label=f"front: {kind}")
    axes.legend(fontsize=8, frameon=False)
    _style(axes, f"{names[j].replace('_', ' ')} against {names[i].replace('_', ' ')}", names[i].replace("_", " "))


def _style(axes: Any, title: str, xlabel: str) -> None:
    axes.set_title(title, fontsize=9.5, color=INK, loc="left")
    axes.set_xlabel(xlabel, fontsize=8.5, color=INK)
    axes.tick_params(which="both", labelsize=8, colors=MUTED, length=3)
    axes.grid(color=FAINT, lw=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _signed(made: Any, title: str) -> None:
    made.suptitle(textwrap.fill(title, 150), fontsize=10, color=INK, fontweight="bold", x=0.012, ha="left")
    made.supxlabel(CAVEAT, fontsize=7.5, color=MUTED, x=0.012, ha="left")
