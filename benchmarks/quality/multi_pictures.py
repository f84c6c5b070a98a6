"""Pictures of several objectives: volumes over evaluations, and one front (without pyplot: nothing global changes)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .environments import ROOT
from .multi_problems import MARGIN, PROBLEMS

if TYPE_CHECKING:
    from .multi_page import Runs

IMAGES = ROOT / "docs" / "images"
_COUNTS = 9  # places of a curve
_COLOURS = {
    "tw:bayesian_pareto": "#0b5fa5",
    "tw:nsga2": "#5aa9e6",
    "optuna_tpe": "#d1495b",
    "optuna_nsga2": "#edae49",
    "pymoo_nsga2": "#66a182",
    "pymoo_nsga3": "#8d6a9f",
    "pymoo_moead": "#7a5c3e",
    "random": "#999999",
    "botorch": "#d1495b",
}


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _line(solver: str) -> dict[str, Any]:
    own = solver.startswith("tw:")
    return {"color": _COLOURS.get(solver, "black"), "lw": 2.0 if own else 1.2, "ls": "-" if own else "--"}


def draw(runs: dict[str, Runs], names: list[str], seeds: list[int], tag: str) -> None:
    """All pictures of the page."""
    curves(runs, names, IMAGES / "several-objectives-curves.png")
    fronts(runs, seeds[0], IMAGES / "several-objectives-fronts.png")
    beside_botorch(seeds, tag, IMAGES / "several-objectives-botorch.png")


def curves(runs: dict[str, Runs], names: list[str], path: Path) -> None:
    """For every problem the share of the best volume over evaluations per dimension."""
    from .multi_page import BUDGET, dimension

    columns = 4
    rows = -(-(len(names) + 1) // columns)
    figure = _figure((3.0 * columns, 2.3 * rows))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    multiples = np.geomspace(3, BUDGET, _COUNTS)
    for axes, name in zip(panels, names, strict=False):
        for solver, item in runs.items():
            counts = np.round(multiples * dimension(name)).astype(int)
            shares = [item.share(name, int(count)) for count in counts]
            axes.plot(multiples, shares, label=solver, **_line(solver))
        axes.set_title(f"{name}: {PROBLEMS[name]().objectives} objectives, d = {dimension(name)}", fontsize=9)
        axes.set_xscale("log")
        axes.set_ylim(-0.02, 1.02)
        axes.grid(alpha=0.3)
    lines, labels = panels[0].get_legend_handles_labels()
    for axes in panels[len(names) :]:
        axes.axis("off")
    panels[-1].legend(lines, labels, fontsize=8, loc="center")
    figure.supxlabel("evaluations per dimension")
    figure.supylabel("share of the best volume")
    figure.savefig(path, dpi=100)


def fronts(runs: dict[str, Runs], seed: int, path: Path) -> None:
    """Four bar truss and decision tree: what was found, in shares of the front's range."""
    from thalweg.numerics.dominance import front

    shown = [name for name in ("re21", "tree") if any((name, seed) in item.values for item in runs.values())]
    figure = _figure((5.2 * max(len(shown), 1), 4.2))
    titles = {
        "re21": ("four bar truss (re21)", "volume", "displacement"),
        "tree": ("decision tree (tree)", "error in cross-validation", "size, log2"),
    }
    for axes, name in zip(np.atleast_1d(figure.subplots(1, max(len(shown), 1))), shown, strict=False):
        for solver, marker in (("random", "."), ("pymoo_nsga2", "x"), ("optuna_tpe", "+"), ("tw:bayesian_pareto", "o")):
            values = runs[solver].values.get((name, seed))
            if values is None:
                continue
            on = np.unique(values[front(values)], axis=0)
            on = on[np.argsort(on[:, 0])]
            axes.plot(on[:, 0], on[:, 1], marker, ms=5, label=f"{solver} ({len(on)})", color=_COLOURS[solver],
                      mfc="none")  # fmt: skip
        title, first, second = titles[name]
        axes.set(title=f"{title}: fronts after {len(values)} evaluations", xlabel=first, ylabel=second,
                 xlim=(-0.05, MARGIN), ylim=(-0.05, MARGIN))  # fmt: skip
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def beside_botorch(seeds: list[int], tag: str, path: Path) -> None:
    """Volumes at equal evaluations, as far as BoTorch's time went."""
    from .multi_page import BUDGET, OURS, SHORT, SLOW, TOLD, Runs, dimension

    theirs, ours = Runs.of(SLOW, "", SHORT, seeds), Runs.of(OURS[0], tag, BUDGET, seeds)
    told = Runs.of(TOLD, tag, SHORT, seeds)
    keys = [key for key in theirs.values if key in ours.values]
    if not keys:
        return
    figure = _figure((3.1 * len(keys), 3.0))
    for axes, (name, seed) in zip(np.atleast_1d(figure.subplots(1, len(keys), sharey=True)), keys, strict=True):
        last = len(theirs.values[name, seed])
        counts = np.unique(np.linspace(3, last, 24).astype(int))
        for label, item, style in (
            ("BoTorch", theirs, {"color": "#d1495b", "ls": "--"}),
            ("tw:bayesian_pareto", ours, {"color": "#0b5fa5", "lw": 2.0}),
            ("the same, told the reference", told, {"color": "#5aa9e6", "lw": 1.5}),
        ):
            if (name, seed) in item.values:
                shares = [item.share(name, int(n), seed) for n in counts]
                axes.plot(counts / dimension(name), shares, label=label, **style)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share of the best volume")
    figure.axes[-1].legend(fontsize=7, loc="lower right")
    figure.supxlabel("evaluations per dimension")
    figure.savefig(path, dpi=110)
