"""`thalweg token-economy`, through click."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runner import runner
from click.testing import Result

from thalweg.cli.main import group

QUICK = ["--paths", "50", "--days", "60"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*args: str) -> Result:
    return runner().invoke(group, ["token-economy", *args], prog_name="thalweg")


@pytest.mark.parametrize("kind", ["pow", "pos", "dpos", "poa"])
def test_every_kind_is_optimised(kind: str) -> None:
    done = call("optimize", "--consensus", kind, "--iterations", "12", "--initial-points", "4", *QUICK)
    assert done.exit_code == 0, done.output
    wanted = [f"Consensus type: {kind}", "Best Parameters:", "Best Objective Value:", "block_reward"]
    for words in [
        *wanted,
        "measured again on fresh noise, 400 paths",
        "12 evaluations (4 initial)",
        "predicts no token",
    ]:
        assert words in done.output


def test_a_stored_search_is_reported_the_same() -> None:
    options = ["--consensus", "pos", "--iterations", "8", "--initial-points", "3", "--store", "t.db", *QUICK]
    first = call("optimize", *options, "--json", "--plot", "a.png")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert told["evaluations"] == 8
    assert told["best"]["objectives"]["score"]["fresh"] > 0.5
    assert Path("a.png").stat().st_size > 10_000
    again = json.loads(call("report", "--store", "t.db", "--json").stdout)
    assert {**again, "performance": 0, "stop_reason": 0} == {**told, "performance": 0, "stop_reason": 0}
    assert "Best Parameters:" in call("report", told["study"], "--store", "t.db", "--plot", "b.svg").output
    assert Path("b.svg").is_file()


def test_a_front() -> None:
    done = call("optimize", "--pareto", "--consensus", "any", "--preset", "consensus", "--iterations", "20", *QUICK)
    assert done.exit_code == 0, done.output
    assert "Pareto front:" in done.output
    assert "the first of the front" in done.output
    assert "the best" not in done.output


def test_simulate() -> None:
    done = call("simulate", "--consensus", "pos", "-p", "block_reward=2", "-p", "staking_apy=0.08", *QUICK)
    assert done.exit_code == 0, done.output
    assert "annual_volatility" in done.output
    told = json.loads(call("simulate", "--json", "--plot", "c.png", *QUICK).stdout)
    assert told["metrics"]["energy"]["mean"] > 0
    assert told["performance"]["path_days_per_cpu_second"] > 0
    assert Path("c.png").is_file()
    alone = call("simulate", "--json", "--paths", "1", "--days", "5")
    assert json.loads(alone.stdout)["metrics"]["volume"]["error"] is None
    assert "NaN" not in alone.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["simulate", "-p", "block_rewards=2"], "did you mean block_reward"),
        (["simulate", "-p", "block_reward"], "NAME=NUMBER"),
        (["simulate", "-p", "block_reward=two"], "a number is expected"),
        (["simulate", "-p", "initial_supply=nan"], "a number is expected"),
        (["simulate", "--consensus", "pow", "-p", "staking_apy=0.1"], "only pos and dpos have it"),
        (["simulate", "--plot", "a.bmp", *QUICK], ".png"),
        (["optimize", "--plot", "a.bmp", "--iterations", "100000"], ".png"),  # before anything is computed
        (["optimize", "--iterations", "3", "--initial-points", "5"], "part of iterations"),
        (["optimize", "--weight", "profit=1"], "weights"),
        (["optimize", "--consensus", "pox"], "pow"),
        (["report", "--store", "none.db"], "there is no store"),
    ],
)
def test_mistakes_are_messages(args: list[str], said: str) -> None:
    done = call(*args)
    printed = done.stdout + done.stderr
    assert done.exit_code == 2, printed
    assert said in printed
    assert "Traceback" not in printed
    assert not Path("none.db").exists()


def test_a_search_shorter_than_the_usual_beginning():
    done = call("optimize", "--iterations", "3", *QUICK)
    assert done.exit_code == 0 and "3 evaluations (3 initial)" in done.output
