"""`thalweg backtest`: what people type, and what they read."""

import json

import pytest
from cli_runner import runner

from thalweg.cli.backtest import backtest
from thalweg.cli.main import group


def call(*words, code=0):
    done = runner().invoke(group, ["backtest", *words])
    assert done.exit_code == code, done.output
    return done


FEW = ["-b", "12", "--folds", "2", "--min-trades", "5", "--set", "stop=0.05"]


def test_optimize_then_report(tmp_path):
    store = str(tmp_path / "a.db")
    done = call("optimize", "synthetic:a:300", "NOPE", "--store", store, "--output-dir", str(tmp_path), *FEW, code=1)
    assert "out of sample" in done.stdout and "deflated" in done.stdout and "NOPE" in done.stdout
    assert (tmp_path / "synthetic-a_backtest.csv").is_file()
    head, row = done.stdout.splitlines()[-4:-2]  # a long name does not push the figures out of their columns
    assert row.startswith("synthetic:a:300 ") and len(row) == len(head)
    shown = call("report", "synthetic:a:300", "--store", store).stdout
    assert shown.strip() in done.stdout
    (data,) = json.loads(call("report", "--store", store, "--json").stdout).values()
    assert data["settings"]["fixed"] == {"stop": 0.05} and set(data["figures"]) > {"in_sample_sharpe", "overfitting"}
    assert "it has: synthetic-a" in call("report", "AAPL", "--store", store, code=2).stderr


def test_optimize_as_json_with_parameters(tmp_path):
    words = ["optimize", "synthetic:a:300", "--store", str(tmp_path / "a.db"), "--json", "-p", "hold:int[1,3]"]
    done = call(*words, "-p", "side:cat[long,both]", "-b", "6", "--folds", "2", "--min-trades", "0", "--rolling")
    (data,) = json.loads(done.stdout)["reports"].values()
    assert data["settings"]["anchored"] is False and data["settings"]["rule"]["hold"] in (1, 2, 3)


def test_run():
    words = ["run", "synthetic:a:300", "--set", "hold=2", "--set", "side=long"]
    text = call(*words, "--trades").stdout
    assert "sharpe" in text and "nothing here is out of sample" in text and " -> " in text
    data = json.loads(call(*words, "--trades", "--json", "--fee", "0").stdout)
    assert len(data["trades"]) == data["measures"]["n_trades"] > 10
    kind = json.loads(call(*words, "--json", "--fee", "0", "--optimistic").stdout)
    assert kind["fills"] == "optimistic" and kind["measures"]["log_return"] > data["measures"]["log_return"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "NOPE"], "no prices for 'NOPE'"),
        (["run", "synthetic:a", "--set", "foo=3"], "NAME=VALUE"),
        (["run", "synthetic:a", "--fee", "2"], "share"),
        (["run", "synthetic:a", "--set", "hold=soon"], "hold must be a number, got 'soon'"),
        (
            ["optimize", "synthetic:a", "--set", "hold=soon"],
            "hold must be a number, got 'soon'",
        ),  # once, not per symbol
        (["optimize", "synthetic:a", "--forecaster", "x"], "unknown forecaster"),
        (["optimize", "synthetic:a", "-p", "foo:int[1,2]"], "no parameters of a rule"),
        (["report", "--store", "nowhere.db"], "there is no store"),
    ],
)
def test_mistakes_are_messages(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in call(*words, code=2).stderr
    assert list(tmp_path.iterdir()) == []  # and leave nothing behind


def test_help_says_that_the_past_promises_nothing():
    assert "promise nothing" in " ".join(runner().invoke(backtest, ["--help"]).output.split())
