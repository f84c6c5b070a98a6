"""Pictures are files of the asked kind, made without pyplot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from thalweg.apps.token_economy.plots import Series, draw_outcome, draw_simulation
from thalweg.apps.token_economy.search import Search
from thalweg.apps.token_economy.simulator import Simulator
from thalweg.core.errors import ProblemError

pytest.importorskip("matplotlib")


def test_a_simulation(tmp_path: Path) -> None:
    simulator = Simulator(paths=20, days=30)
    path = draw_simulation(simulator, {"consensus": "dpos", "block_reward": 2.0}, tmp_path / "deep" / "a.png")
    assert path.read_bytes()[:4] == b"\x89PNG"
    svg = draw_simulation(simulator, {}, tmp_path / "a.svg").read_text()
    assert "<svg" in svg
    assert "matplotlib.pyplot" not in sys.modules
    with pytest.raises(ProblemError, match=r"\.png"):
        draw_simulation(simulator, {}, tmp_path / "a.bmp")


def test_the_series_is_that_of_the_first_configuration() -> None:
    series = Series()
    found = Simulator(paths=5, days=20).evaluate({"block_reward": [1.0, 9.0]}, watch=series)
    assert len(series.days["price"]) == 20
    assert (series.days["price"][-1] == found.paths["final_price"][0]).all()


@pytest.mark.parametrize("pareto", [False, True])
def test_a_search(tmp_path: Path, pareto: bool) -> None:
    consensus = "any" if pareto else "pos"
    search = Search(consensus, iterations=12, initial_points=12, pareto=pareto, paths=20, days=30, strategy="nsga2")
    assert draw_outcome(search.run(), tmp_path / "a.pdf").read_bytes()[:4] == b"%PDF"
