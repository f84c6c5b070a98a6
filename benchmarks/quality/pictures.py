"""Curves: the share of targets reached over evaluations per dimension (without pyplot: nothing global changes)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .loading import Class
from .score import reached

SHOWN = 8
"""Rivals drawn, the best by their last AUC; all of ours are drawn."""


def curves(group: Class, title: str, path: Path) -> None:
    """Draw the class into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    multiples = np.geomspace(0.5, group.budget, 60)
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rivals = sorted(group.rivals, key=lambda name: -float(group.areas(name, group.budget).mean()))[:SHOWN]
    random = [solver for solver in group.runs if solver.startswith("random")]
    for solver in [*group.ours, *rivals, *random]:
        runs = [(key[0].dimension, group.runs[solver][key].trace) for key in group.keys]
        shares = [np.mean([reached(trace, m * d, group.targets) for d, trace in runs]) for m in multiples]
        own = solver.startswith("tw:")
        axes.plot(multiples, shares, label=solver, lw=2.2 if own else 1.0, ls="-" if own else "--")
    axes.set_xscale("log")
    axes.set_xlabel("evaluations per dimension")
    axes.set_ylabel("share of targets reached")
    axes.set_title(f"{title}: {len(group.keys)} runs a solver")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncol=2, loc="upper left")
    figure.savefig(path, dpi=110)
