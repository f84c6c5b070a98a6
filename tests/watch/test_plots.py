import os
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from thalweg.core.batch import Status
from thalweg.core.errors import MissingExtra, ProblemError
from thalweg.watch.data import Column, RunData
from thalweg.watch.plots import KINDS, figure, plot

MAGIC = {".png": b"\x89PNG\r\n\x1a\n", ".pdf": b"%PDF-", ".svg": b"<?xml"}


@pytest.mark.parametrize("suffix", MAGIC)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_format(kind, suffix, making, tmp_path):
    path = plot(making(80, objectives=2), tmp_path / "deep" / f"run{suffix}", kind)
    content = path.read_bytes()
    assert content.startswith(MAGIC[suffix])
    assert len(content) > 4000
    if suffix == ".pdf":
        assert content.rstrip().endswith(b"%%EOF")


def texts(made):
    import matplotlib.text

    made.canvas.draw()
    return [item.get_text() for item in made.findobj(matplotlib.text.Text) if item.get_text()]


def series(axes):
    """Every drawn point of the axes, (k, 2)."""
    drawn = [np.column_stack(line.get_data()) for line in axes.lines]
    return np.concatenate([*drawn, *(item.get_offsets() for item in axes.collections)])


def test_convergence_shows_best_values_and_failures(making):
    data = making(100)
    made = figure(data, "convergence")
    shown = texts(made)
    best = data.values[data.best(), 0]
    assert any(text.startswith("best ") and float(text[5:]) == pytest.approx(best, rel=1e-4) for text in shown)
    assert f"{data.count(Status.FAILED)} failed" in shown and f"{data.count(Status.TIMEOUT)} timed out" in shown
    (step,) = [line for line in made.axes[0].lines if line.get_drawstyle() == "steps-post"]
    heights = step.get_ydata()
    assert np.all(np.diff(heights) <= 0) and heights[-1] == best
    points = made.axes[0].collections[0].get_offsets()
    assert len(points) == data.ok.sum()


def test_maximised_values_rise(making):
    made = figure(making(100, goal="maximize"), "convergence")
    (step,) = [line for line in made.axes[0].lines if line.get_drawstyle() == "steps-post"]
    assert np.all(np.diff(step.get_ydata()) >= 0)


def test_outliers_are_marked_at_the_edge(making):
    data = making(100)
    data.values[11] = 1e9
    axes = figure(data, "convergence").axes[0]
    top = axes.get_ylim()[1]
    assert top < 100
    assert any(line.get_marker() == "^" and list(line.get_data()[0]) == [12] for line in axes.lines)


def test_wide_ranges_get_a_log_scale(making):
    data = making(100)
    data.values = 10.0**data.values
    assert figure(data, "convergence").axes[0].get_yscale() == "log"
    assert figure(making(100), "convergence").axes[0].get_yscale() == "linear"


def test_slices_have_the_parameters_own_scale(making):
    data = making(200)
    panels = {axes.get_xlabel(): axes for axes in figure(data, "slices").axes}
    assert set(panels) == {"rate", "depth", "kind", "slope"}
    assert panels["rate"].get_xscale() == "log" and panels["depth"].get_xscale() == "linear"
    assert [tick.get_text() for tick in panels["kind"].get_xticklabels()] == ["ridge", "lasso", "elastic net"]
    active = data.ok & np.isfinite(data.columns[3].values)
    assert len(panels["slope"].collections[0].get_offsets()) == active.sum() < data.ok.sum()


@pytest.mark.parametrize(("low", "high"), [(2.0, 64.0), (3e-4, 0.2), (1e-9, 1e6), (5.0, 7.0)])
def test_labels_of_a_logarithmic_scale_do_not_overlap(low, high, making):
    data = making(200)
    rate = data.columns[0]
    rate.values[:] = np.geomspace(low, high, len(rate.values))
    rate.low, rate.high = low, high
    made = figure(data, "overview")  # the smallest panels
    made.canvas.draw()
    (axes,) = [axes for axes in made.axes if axes.get_xlabel() == "rate" and axes.get_xscale() == "log"]
    labels = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True)]
    boxes = sorted(
        (box.x0, box.x1)
        for label in labels
        if label.get_text() and label.get_visible()
        for box in [label.get_window_extent()]
        if axes.bbox.x0 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1
    )
    assert boxes
    assert all(end < start for (_, end), (start, _) in pairwise(boxes))


def test_parallel_coordinates_end_with_the_best(making):
    data = making(100)
    axes = figure(data, "parallel").axes[0]
    lines = axes.collections[0].get_segments()
    assert len(lines) == data.ok.sum()
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    by_name = {column.name: column for column in data.columns}
    best = np.nan_to_num([by_name[name].unit()[data.best()] for name in names], nan=-0.14)
    np.testing.assert_allclose(lines[-1][:, 1], best)


def test_pareto_draws_the_front(making):
    data = making(200, objectives=2)
    axes = figure(data, "pareto").axes[0]
    front = data.values[data.front()]
    marked = [line for line in axes.lines if line.get_label().endswith("on the front")]
    np.testing.assert_allclose(np.column_stack(marked[0].get_data()), front)
    assert len(figure(making(100, objectives=3), "pareto").axes) == 3


def test_a_hundred_thousand_trials_are_drawn_as_few_points(making, tmp_path):
    data = making(100_000, objectives=2)
    begun = time.process_time()
    made = figure(data, "overview")
    assert time.process_time() - begun < 20  # about one second; far more means that nothing was thinned
    axes = [item for part in made.subfigs for item in part.axes]
    assert len(axes) == 6
    for item in axes:
        for line in item.lines:
            assert len(line.get_xdata()) <= 2001
        for collection in item.collections:
            assert len(collection.get_offsets()) <= 2000
    assert plot(data, tmp_path / "a.svg", "convergence").stat().st_size < 3_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_are_only_text(kind, making, tmp_path):
    data = making(60, objectives=2)
    data.name = "$\\frac{ \x1b[2J\n"
    data.columns[0].name = "学習率 $x_{"
    data.columns[2].options = ("$a$", "<script>&", "\\$")
    data.objectives = ("$y^", "\x00z")
    for suffix, magic in MAGIC.items():
        content = plot(data, tmp_path / f"a{suffix}", kind).read_bytes()
        assert content.startswith(magic)
        assert suffix != ".svg" or b"<script>" not in content


def test_runs_with_little_in_them(tmp_path):
    empty = RunData(
        np.empty((0, 2)), np.empty(0, dtype=np.int8), np.empty(0), objectives=("a", "b"), goals=("minimize",) * 2
    )
    failed = RunData(
        np.full((3, 2), np.nan),
        np.full(3, Status.FAILED, dtype=np.int8),
        np.zeros(3),
        [Column("x", np.array([1.0, 2, 3]), low=1, high=3)],
        objectives=("a", "b"),
        goals=("minimize",) * 2,
    )
    single = RunData(
        np.array([[1.0, 2]]),
        np.array([2], dtype=np.int8),
        np.zeros(1),
        failed.columns[:0],
        ("a", "b"),
        ("minimize",) * 2,
    )
    one_value = RunData(
        np.ones((5, 2)),
        np.full(5, 2, dtype=np.int8),
        np.zeros(5),
        [Column("x", np.full(5, np.nan))],
        ("a", "b"),
        ("maximize",) * 2,
    )
    for data in (empty, failed, single, one_value):
        for kind in KINDS:
            assert plot(data, tmp_path / "a.png", kind).stat().st_size > 2000


def test_without_a_path_the_figure_comes_back(making):
    assert plot(making(), kind="slices").axes


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_values_at_the_ends_of_what_a_float_can_hold(kind, making, tmp_path):
    most = sys.float_info.max
    for values in ((1e-3, most), (-most, 0.0), (-most, most), (5e-324, 1.0), (1e-300, 1e300)):
        data = making(60, objectives=2)
        data.values[::2], data.values[1::2] = values
        data.columns.append(Column("wide", np.geomspace(1e-300, 1e300, 60), "float", True, 1e-300, 1e300))
        assert plot(data, tmp_path / "run.png", kind=kind).exists()


def test_refusals(making, tmp_path):
    with pytest.raises(ProblemError, match=r"must end in \.png, \.svg, \.pdf; got 'a.jpg'"):
        plot(making(), tmp_path / "a.jpg")
    with pytest.raises(ProblemError, match="unknown kind 'pie'; known: overview"):
        plot(making(), tmp_path / "a.png", "pie")
    with pytest.raises(ProblemError, match="needs two objectives"):
        plot(making(), tmp_path / "a.png", "pareto")


def test_without_matplotlib(making, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'thalweg\[plots\]'"):
        plot(making(), tmp_path / "a.png")


def test_importing_it_loads_no_matplotlib_and_drawing_no_pyplot(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import thalweg.watch.plots, thalweg.watch.explain
assert "matplotlib" not in sys.modules
from conftest import make_run
thalweg.watch.plots.plot(make_run(), {str(tmp_path / "a.png")!r})
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
