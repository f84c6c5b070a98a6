"""Pictures of a run: PNG, SVG or PDF. The only file that imports matplotlib (extra "plots"), and only when called.

Figures are made by themselves, without pyplot: no window, no global state, nothing to close.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.batch import Floats, Ints, Status
from ..core.errors import MissingExtra, ProblemError
from .data import Column, RunData
from .reduce import best_so_far, effect, effects, thin, wants_log, window
from .text import clip, count, number

INK, MUTED, FAINT, ACCENT, BEST, BAD = "#1f2933", "#616e7c", "#d5dbe1", "#2b6cb0", "#dd6b20", "#c53030"
SUFFIXES = (".png", ".svg", ".pdf")
LINES = 300
"""The most lines of a parallel coordinates plot."""
PANELS = 12
"""The most parameters shown one by one; those that explain most of the value come first."""
FARTHEST = 1e306
"""What lies beyond is drawn there: ranges of larger numbers, such as `sys.float_info.max` for what must not be, are
infinite."""
_TICKS = 1e100
"""matplotlib looks for ticks a few steps beyond the ends of a logarithmic axis; up to here there are such numbers."""
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "IPAGothic", "Noto Sans")


def plot(data: RunData, path: str | Path | None = None, kind: str = "overview") -> Any:
    """Draw a run into a file; its suffix (.png, .svg, .pdf) decides the format. Gives the path; no path: the figure.

    kind: "overview", "convergence" (values and best so far), "parallel" (parallel coordinates), "slices" (the value
    against each parameter) or "pareto" (two objectives or more, pairwise).

    Raises:
        ProblemError: an unknown kind or suffix, or a kind that does not suit the run.
        MissingExtra: matplotlib is not installed.
    """
    if path is None:
        return figure(data, kind)
    checked(path)
    return save(figure(data, kind), path)


def checked(path: str | Path) -> Path:
    """`path`, if its suffix is a format that can be written. Raises ProblemError where it is not."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ProblemError(f"plot: the file must end in {', '.join(SUFFIXES)}; got {path.name!r}")
    return path


def save(made: Any, path: str | Path) -> Path:
    """Write a `Figure`; the suffix decides the format. Gives the path."""
    path = checked(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)  # a box stands for it
        made.savefig(path, format=path.suffix.lower()[1:], dpi=140)
    return path


def blank(purpose: str = "drawing a run") -> Any:
    """An empty matplotlib `Figure` with a canvas of its own. Raises MissingExtra where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "plots", purpose) from error
    made = Figure(layout="constrained", facecolor="white")
    FigureCanvasAgg(made)
    return made


def figure(data: RunData, kind: str = "overview") -> Any:
    """The matplotlib `Figure` of a run, to be changed or saved. Arguments and errors as for `plot`."""
    draw = KINDS.get(kind)
    if draw is None:
        raise ProblemError(f"plot: unknown kind {kind!r}; known: {', '.join(KINDS)}")
    if kind == "pareto" and len(data.objectives) < 2:
        raise ProblemError("plot: 'pareto' needs two objectives or more, this run has one; use 'convergence'")
    made = blank()
    draw(made, replace(data, values=np.clip(data.values, -FARTHEST, FARTHEST)))
    _title(made, data)
    return made


# --- kinds ------------------------------------------------------------------------------------------------------------


def _overview(made: Any, data: RunData) -> None:
    several = len(data.objectives) > 1
    columns = _ranked(data)[:4]
    made.set_size_inches(11, 7.2 if columns else 4)
    top, *rest = made.subfigures(2 if columns else 1, 1, height_ratios=[1.15, 1] if columns else None, squeeze=False)[
        :, 0
    ]
    left, right = top.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_convergence(left, data, 0)
    if several:
        _draw_pareto(right, data, 0, 1)
    else:
        _draw_parallel(right, data, _ranked(data)[:6])
    if rest:
        for column, axes in zip(columns, rest[0].subplots(1, len(columns), squeeze=False)[0], strict=True):
            _draw_slice(axes, data, column, first=column is columns[0])


def _convergence(made: Any, data: RunData) -> None:
    m = len(data.objectives)
    made.set_size_inches(9, 1.2 + 3.3 * m)
    for j, axes in enumerate(made.subplots(m, 1, squeeze=False)[:, 0]):
        _draw_convergence(axes, data, j)


def _parallel(made: Any, data: RunData) -> None:
    columns = _ranked(data)[:PANELS]
    made.set_size_inches(max(6.0, 2.4 + 1.3 * len(columns)), 4.6)
    _draw_parallel(made.subplots(), data, columns)


def _slices(made: Any, data: RunData) -> None:
    columns = _ranked(data)[:PANELS]
    across = min(4, max(1, len(columns)))
    down = max(1, -(-len(columns) // across))
    made.set_size_inches(max(5.0, 2.9 * across), 0.6 + 2.6 * down)
    panels = made.subplots(down, across, squeeze=False).ravel()
    for i, axes in enumerate(panels):
        if i < len(columns):
            _draw_slice(axes, data, columns[i], first=i % across == 0)
        else:
            axes.set_visible(False)


def _pareto(made: Any, data: RunData) -> None:
    m = min(len(data.objectives), 4)
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    across = min(3, len(pairs))
    down = -(-len(pairs) // across)
    made.set_size_inches(6.4 if len(pairs) == 1 else 4.2 * across, 4.8 if len(pairs) == 1 else 3.8 * down)
    for (i, j), axes in zip(pairs, made.subplots(down, across, squeeze=False).ravel(), strict=True):
        _draw_pareto(axes, data, i, j)


KINDS: dict[str, Callable[[Any, RunData], None]] = {
    "overview": _overview,
    "convergence": _convergence,
    "parallel": _parallel,
    "slices": _slices,
    "pareto": _pareto,
}


# --- one pair of axes -------------------------------------------------------------------------------------------------


def _draw_convergence(axes: Any, data: RunData, objective: int) -> None:
    sign = float(data.signs[objective])
    values = np.where(data.ok, data.values[:, objective], np.nan)
    seen = np.flatnonzero(np.isfinite(values))
    _style(axes, f"{_label(data.objectives[objective])} by evaluation", "evaluation", "")
    if not len(seen):
        _empty(axes, "no evaluation gave a value")
        return
    _value_scale(axes, data, objective, "y")
    at = seen[thin(seen.astype(float), values[seen])]
    _dots(axes, at + 1, values[at], axes.get_ylim(), sign)
    rows, best = best_so_far(values * sign)
    keep = thin(rows.astype(float), best)
    # the line goes on to the last evaluation, improved or not
    axes.step(
        np.append(rows[keep], len(data) - 1) + 1,
        np.append(best[keep], best[-1]) * sign,
        where="post",
        color=BEST,
        lw=1.8,
    )
    axes.plot(rows[-1] + 1, best[-1] * sign, "o", color=BEST, ms=6, zorder=5)
    text = f"best {'beyond ' if abs(best[-1]) >= FARTHEST else ''}{number(float(best[-1] * sign))}"
    axes.set_title(text, fontsize=9.5, color=BEST, loc="right", fontweight="bold")
    _mark_failures(axes, data)
    axes.xaxis.set_label_coords(0.0, -0.09)
    axes.xaxis.label.set_horizontalalignment("left")
    axes.set_xlim(0.5 - 0.01 * len(data), len(data) * 1.01 + 0.5)


def _mark_failures(axes: Any, data: RunData) -> None:
    """A row of ticks under the plot for trials without a usable value."""
    kinds = [(Status.FAILED, BAD, "failed"), (Status.TIMEOUT, "#805ad5", "timed out"), (Status.PRUNED, MUTED, "pruned")]
    groups = [(np.flatnonzero(data.statuses == status), color, word) for status, color, word in kinds]
    if data.violations is not None:
        groups.append((np.flatnonzero((data.violations > 0) & (data.statuses == Status.DONE)), "#b7791f", "infeasible"))
    shown = [group for group in groups if len(group[0])]
    for rows, color, word in shown:
        at = rows[thin(rows.astype(float), rows.astype(float), 500)] + 1
        text = f"{count(len(rows))} {word}"
        axes.plot(at, np.full(len(at), 0.015), "|", transform=axes.get_xaxis_transform(), color=color, ms=7, label=text)
    if shown:
        where = {"loc": "upper right", "bbox_to_anchor": (1.0, -0.07)}
        axes.legend(**where, fontsize=8, frameon=False, ncols=len(shown), handletextpad=0.1, labelcolor=MUTED)


def _draw_slice(axes: Any, data: RunData, column: Column, first: bool = True) -> None:
    good = np.flatnonzero(data.ok & np.isfinite(column.values))
    _style(axes, "", _label(column.name, 26), _label(data.objectives[0], 26) if first else "")
    if not len(good):
        _empty(axes, "never active" if not np.isfinite(column.values).any() else "no values")
        return
    _value_scale(axes, data, 0, "y")
    x, y = column.values[good], data.values[good, 0]
    if column.options:
        x = x + np.random.default_rng(0).uniform(-0.24, 0.24, len(x))  # spread: equal choices would hide each other
        _option_ticks(axes, column)
    elif column.log and x.min() > 0:
        _log_scale(axes, "x", float(x.min()), float(x.max()))
    at = thin(np.log(x) if column.log and x.min() > 0 else x, y)
    age = good[at] / max(1, len(data) - 1)
    _dots(axes, x[at], y[at], axes.get_ylim(), float(data.signs[0]), age=age)
    best = data.best()
    if best is not None and np.isfinite(column.values[best]):
        axes.plot(column.values[best], data.values[best, 0], "*", color=BEST, ms=11, mec="white", mew=0.6, zorder=6)
    if not column.options and np.isfinite(column.low) and column.high > column.low:
        _bounds(axes, column)
    if not first:
        axes.tick_params(labelleft=False)


def _draw_parallel(axes: Any, data: RunData, columns: Sequence[Column]) -> None:
    from matplotlib.collections import LineCollection

    sign = float(data.signs[0])
    good = np.flatnonzero(data.ok)
    _style(axes, "parameters (the best trial is orange)", "", "")
    if not len(good) or not columns:
        _empty(axes, "no values" if columns else "no parameters")
        return
    order = good[np.argsort(data.values[good, 0] * sign, kind="stable")]
    # half of the lines are the best trials, the rest are spread evenly over the ranks
    rank = np.arange(len(order))
    rank = (
        rank
        if len(order) <= LINES
        else np.unique(np.append(rank[: LINES // 2], np.linspace(0, len(order) - 1, LINES // 2).astype(int)))
    )
    rows = order[rank][::-1]
    units = np.column_stack([np.nan_to_num(column.unit()[rows], nan=-0.14) for column in columns])
    share = rank[::-1] / max(1, len(order) - 1)  # 0 for the best trial
    colors = _shades(share)
    colors[-1] = _rgba(BEST)
    lines = np.stack([np.broadcast_to(np.arange(len(columns)), units.shape), units], axis=2)
    widths = np.append(np.full(len(rows) - 1, 0.9), 2.4)
    axes.add_collection(LineCollection(list(lines), colors=colors, linewidths=widths))
    axes.set_xlim(-0.35, len(columns) - 0.65)
    axes.set_ylim(-0.2 if (units < 0).any() else -0.04, 1.06)
    for i, column in enumerate(columns):
        axes.axvline(i, color=INK, lw=0.8)
        _axis_labels(axes, i, column, bool((units[:, i] < 0).any()))
    axes.set_xticks(range(len(columns)), [_label(column.name, 14) for column in columns], fontsize=8)
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _axis_labels(axes: Any, i: int, column: Column, has_inactive: bool) -> None:
    box = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.8}
    style: dict[str, Any] = {"fontsize": 7, "color": MUTED, "bbox": box, "zorder": 7, "ha": "left", "va": "center"}
    if column.options:
        last = max(1, len(column.options) - 1)
        some = range(0, len(column.options), -(-len(column.options) // 8))
        marks = [(k / last if len(column.options) > 1 else 0.5, _label(column.options[k], 12)) for k in some]
    else:
        low, high, _ = column.range()
        marks = [(0.0, number(float(low), 3)), (1.0, number(float(high), 3))]
    if has_inactive:
        marks.append((-0.14, "off"))
    for at, text in marks:
        axes.text(i + 0.03, at, text, **style)


def _draw_pareto(axes: Any, data: RunData, i: int, j: int) -> None:
    _style(axes, "", _goal(data, i), _goal(data, j))
    good = data.ok
    if not good.any():
        _empty(axes, "no evaluation gave values")
        return
    front = data.front()
    _value_scale(axes, data, i, "x")
    _value_scale(axes, data, j, "y")
    rest = np.setdiff1d(np.flatnonzero(good), front)
    x, y = data.values[:, i], data.values[:, j]
    at = rest[thin(x[rest], y[rest])] if len(rest) else rest
    inside = _inside(axes, x[at], y[at])
    axes.plot(x[at][inside], y[at][inside], "o", color=ACCENT, alpha=_alpha(len(at)), ms=4, mew=0, label="dominated")
    if data.violations is not None:
        broken = np.flatnonzero((data.violations > 0) & np.isfinite(x) & np.isfinite(y))
        broken = broken[thin(x[broken], y[broken], 500)]
        inside = _inside(axes, x[broken], y[broken])
        axes.plot(x[broken][inside], y[broken][inside], "x", color=MUTED, ms=4, mew=0.8, alpha=0.6, label="infeasible")
    ordered = front[np.argsort(x[front], kind="stable")]
    ordered = ordered[thin(x[ordered], y[ordered])]
    if len(data.objectives) == 2:  # everything behind the stairs is dominated
        where = "post" if data.goals[i] == "minimize" else "pre"
        axes.step(x[ordered], y[ordered], where=where, color=BEST, lw=1.3, alpha=0.8)
    label = f"{count(len(front))} on the front"
    axes.plot(
        x[ordered],
        y[ordered],
        "o",
        color=BEST,
        ms=5,
        mec="white",
        mew=0.6 if len(front) < 80 else 0,
        label=label,
        zorder=5,
    )
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none", labelcolor=MUTED)


# --- shared -----------------------------------------------------------------------------------------------------------


def _ranked(data: RunData) -> list[Column]:
    """Parameters by how much of the first objective they explain; in their own order while that is unknown."""
    values = np.where(data.ok, data.values[:, 0], np.nan)
    shares = effects(data.columns, values, steps=PANELS)
    alone = {column.name: np.nan_to_num(effect(column, values)) for column in data.columns}
    return sorted(data.columns, key=lambda column: (-shares.get(column.name, 0.0), -alone[column.name]))


def _value_scale(axes: Any, data: RunData, objective: int, which: str) -> None:
    """Scale and limits of an objective's axis; far outliers stay outside and are marked at the edge."""
    values = data.values[data.ok, objective]
    if wants_log(values):
        low, high = float(values.min()), float(values.max())
        _log_scale(axes, which, low, high)
        return
    low, high = window(values, float(data.signs[objective]))
    margin = 0.06 * (high - low) or max(abs(high) * 0.05, 0.5)
    axes.set(**{f"{which}lim": (low - margin, high + margin)})


def _log_scale(axes: Any, which: str, low: float, high: float) -> None:
    """A logarithmic scale from low to high and a little beyond, without labels that overlap: 1, 2, 5 ... where few
    decades are shown, else the decades.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    # limits first, and no others: matplotlib widens them beyond what a float can hold
    axes.set(**{f"autoscale{which}_on": False, f"{which}lim": _widened(low, high, 0.05)})
    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    axis.set_minor_formatter(NullFormatter())
    if high > _TICKS or low < 1.0 / _TICKS:
        axis.set_minor_locator(NullLocator())
        axis.set_major_locator(FixedLocator(np.exp(np.linspace(math.log(low), math.log(high), 4)[:-1]).tolist()))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 2)))
    elif high < 50 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    """Limits of a logarithmic axis, a share of its length beyond its ends."""
    margin = math.exp(share * (math.log(high) - math.log(low))) if high > low else 1.5
    return max(low / margin, 1.0 / FARTHEST), min(high * margin, FARTHEST)


def _dots(
    axes: Any, x: Ints | Floats, y: Floats, limits: tuple[float, float], sign: float, *, age: Floats | None = None
) -> None:
    """Points; those beyond the limits become triangles at the edge. age: (k,) 0 for early to 1 for late trials."""
    low, high = limits
    inside = (y >= low) & (y <= high)
    colors = _shades(1.0 - age[inside]) if age is not None else [_rgba(ACCENT, _alpha(len(x)))]
    axes.scatter(x[inside], y[inside], s=13, c=colors, linewidths=0, zorder=3)
    outside = ~inside
    if outside.any():
        edge = high if sign > 0 else low
        axes.plot(
            x[outside],
            np.full(int(outside.sum()), edge),
            "^" if sign > 0 else "v",
            color=MUTED,
            ms=4,
            clip_on=False,
            alpha=0.5,
            mew=0,
        )


def _bounds(axes: Any, column: Column) -> None:
    low, high = column.low, column.high
    if column.log and low > 0:
        axes.set_xlim(*_widened(low, high, 0.04))
    else:
        axes.set_xlim(low - 0.04 * (high - low), high + 0.04 * (high - low))


def _option_ticks(axes: Any, column: Column) -> None:
    some = list(range(0, len(column.options), -(-len(column.options) // 12)))
    long = max(len(column.options[k]) for k in some) * len(some) > 34
    axes.set_xticks(
        some,
        [_label(column.options[k], 14) for k in some],
        rotation=35 if long else 0,
        ha="right" if long else "center",
    )
    axes.set_xlim(-0.6, len(column.options) - 0.4)


def _style(axes: Any, title: str, xlabel: str, ylabel: str) -> None:
    family = _family(title + xlabel + ylabel)
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", family=family)
    axes.set_xlabel(xlabel, fontsize=8.5, color=INK, family=family)
    axes.set_ylabel(ylabel, fontsize=8.5, color=INK, family=family)
    axes.tick_params(labelsize=8, colors=MUTED, length=3)
    axes.tick_params(which="minor", colors=FAINT, length=2)
    axes.grid(color=FAINT, lw=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def _title(made: Any, data: RunData) -> None:
    parts = [data.name, data.strategy, f"{count(len(data))} evaluations"]
    text = "  ·  ".join(_label(part, 48) for part in parts if part)
    made.suptitle(text, fontsize=11, color=INK, fontweight="bold", x=0.012, ha="left", family=_family(text))


def _empty(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def _inside(axes: Any, x: Floats, y: Floats) -> Any:
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return (x >= left) & (x <= right) & (y >= low) & (y <= high)


def _goal(data: RunData, objective: int) -> str:
    better = "less" if data.goals[objective] == "minimize" else "more"
    return f"{_label(data.objectives[objective])} ({better} is better)"


def _label(text: str, limit: int = 36) -> str:
    """A name as a label: printable, short, and never taken for a formula."""
    return clip(text, limit).replace("$", r"\$")


def _family(text: str) -> list[str]:
    """Fonts for `text`: the usual one, and installed ones with more letters where it needs them."""
    if re.fullmatch(r"[\u0000-\u058f·…—]*", text):
        return [_FONTS[0]]
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [name for name in _FONTS if name in installed]


def _alpha(points: int) -> float:
    return 0.55 if points <= 300 else 0.35 if points <= 1000 else 0.22


def _rgba(color: str, alpha: float = 1.0) -> tuple[float, float, float, float]:
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, alpha


def _shades(weakness: Floats) -> Floats:
    """(k, 4) colours from the accent (0) to a pale grey (1)."""
    strong, weak = np.array(_rgba(ACCENT, 0.85)), np.array(_rgba("#c3cdd8", 0.45))
    return np.asarray(strong + np.sqrt(weakness)[:, None] * (weak - strong))
