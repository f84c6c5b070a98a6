"""Document 003: flags, calls, and the commands that are shown."""

import inspect
import os

import numpy as np
import pytest
from extracting import block_with, command_lines, execute, rewritten, run

from thalweg.compat.marketsim import (
    backtest_test3_inline,
    benchmark_realistic_strategy,
    optimization_utils,
    parallel_backtest_runner,
    profile_optimization_bottleneck,
    test_scipy_optimizers,
)
from thalweg.compat.marketsim._problem import FEE, days_of, profit_of, series
from thalweg.compat.marketsim.optimization_utils import (
    optimize_always_on_multipliers,
    optimize_batch_entry_exit,
    optimize_entry_exit_multipliers,
    run_bounded_optimizer,
)
from thalweg.core.errors import ProblemError

USE_DIRECT = "MARKETSIM_USE_DIRECT_OPTIMIZER"
FAST = "MARKETSIM_FAST_SIMULATE"
SCRIPTS = [line for line in command_lines("003") if not line.startswith("export")]
MADE = "ignore::thalweg.compat.marketsim.backtest_test3_inline.MadePrices"


@pytest.mark.parametrize("word", ["1", "true", "yes", "on", "0", "no", "", None])
def test_the_flag_means_what_the_documented_line_says(word, monkeypatch):
    monkeypatch.delenv(USE_DIRECT, raising=False)
    if word is not None:
        monkeypatch.setenv(USE_DIRECT, word)
    names = run(block_with("003", "_USE_DIRECT"), {"os": os})
    assert names["_USE_DIRECT"] == optimization_utils._USE_DIRECT
    assert callable(names["direct"]) and callable(names["differential_evolution"])


def test_the_exported_flags_of_the_document(monkeypatch):
    """Every `export` line does what its comment says, without a reload."""
    seen = set()
    for line in command_lines("003"):
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=")
            monkeypatch.setenv(name, value)
            seen.add((name, value))
            if name == USE_DIRECT:
                assert optimization_utils._USE_DIRECT is (value == "1")
            else:
                assert len(rows_of(backtest_test3_inline.backtest_forecasts("synthetic:A", 50))) == 35
    assert seen == {(USE_DIRECT, "0"), (USE_DIRECT, "1"), (FAST, "1")}


def test_the_documented_function_has_the_same_head():
    names = run(block_with("003", "def backtest_forecasts"), {"os": os})
    shown = inspect.signature(names["backtest_forecasts"]).parameters
    ours = inspect.signature(backtest_test3_inline.backtest_forecasts).parameters
    assert list(ours)[: len(shown)] == list(shown)
    assert all(ours[name].default == shown[name].default for name in shown)


def test_both_functions_are_reached_with_direct_off(monkeypatch):
    data = series(1)
    exact = optimize_entry_exit_multipliers(*data, trading_fee=FEE)
    monkeypatch.setenv(USE_DIRECT, "0")
    searched = optimize_entry_exit_multipliers(*data, trading_fee=FEE)
    assert 0.9 * exact[2] <= searched[2] < exact[2]
    close, _, high, high_pred, low, low_pred = data
    ones = np.ones_like(close)
    always = optimize_always_on_multipliers(close, ones, ones, high, high_pred, low, low_pred, trading_fee=FEE)
    monkeypatch.delenv(USE_DIRECT)
    best = optimize_always_on_multipliers(close, ones, ones, high, high_pred, low, low_pred, trading_fee=FEE)
    assert 0.9 * best[2] <= always[2] <= best[2] + 1e-9


def test_what_is_returned_is_what_the_multipliers_earn():
    data = series(2)
    for eod in (False, True):
        h, low, profit = optimize_entry_exit_multipliers(*data, close_at_eod=eod, trading_fee=FEE)
        again = profit_of(days_of(data, eod))(np.array([[h, low]]))[0]
        assert profit == pytest.approx(again, abs=1e-12)
        assert all(type(item) is float for item in (h, low, profit))


def test_each_simulation_of_a_batch_has_its_own_pair():
    data = [series(seed, 60 + 10 * (seed % 2)) for seed in range(5)]
    lists = list(zip(*data, strict=True))
    found = optimize_batch_entry_exit(*lists, trading_fee=FEE, batch_size=2)
    assert found == [optimize_entry_exit_multipliers(*row, trading_fee=FEE) for row in data]
    shared, value = run_bounded_optimizer(
        lambda x: -sum(float(profit_of(days_of(row, False))(np.array([x]))[0]) for row in data),
        bounds=((-0.03, 0.03), (-0.03, 0.03)), maxiter=10,
    )  # fmt: skip
    assert len(shared) == 2 and sum(profit for *_, profit in found) >= -value
    with pytest.raises(ProblemError, match="lists of one length"):
        optimize_batch_entry_exit(*lists[:5], lists[5][:2])


def test_symbols_without_prices_are_made_and_that_is_said():
    with pytest.warns(backtest_test3_inline.MadePrices, match="no prices of ETHUSD"):
        rows = rows_of(backtest_test3_inline.backtest_forecasts("ETHUSD", 3))
    assert [row["simulation"] for row in rows] == [0, 1, 2]
    with pytest.raises(ProblemError):
        backtest_test3_inline.backtest_forecasts("nowhere/prices.csv", 3)


@pytest.mark.filterwarnings(MADE)
def test_the_default_is_fifty_simulations():
    assert len(rows_of(backtest_test3_inline.backtest_forecasts("BTCUSD"))) == 50


def test_the_commands_of_the_document_are_these():
    assert [line.split(".py")[0].split()[-1] for line in SCRIPTS if ".py" in line] == [
        "profile_optimization_bottleneck",
        "test_scipy_optimizers",
        "benchmark_realistic_strategy",
        "parallel_backtest_runner",
    ]


def test_the_one_line_command(tmp_path):
    (line,) = [item for item in SCRIPTS if " -c " in item]
    done = execute(line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "made prices (synthetic:ETHUSD)" in done.stderr


def test_the_runner(tmp_path):
    (line,) = [item for item in SCRIPTS if "parallel_backtest_runner" in item]
    done = execute(line, ["--num-simulations", "5"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for symbol in ("ETHUSD", "BTCUSD", "TSLA"):
        assert f"{symbol}: 5 simulations" in done.stdout
        assert len((tmp_path / "backtest_results" / f"{symbol}_backtest.csv").read_text().splitlines()) == 6
    assert "Sequential would take:" in done.stdout and "Speedup:" in done.stdout


def test_one_symbol_that_fails_does_not_stop_the_others(tmp_path, capsys):
    out = tmp_path / "out"
    missing = str(tmp_path / "missing.csv")
    code = parallel_backtest_runner.main(
        ["synthetic:A", missing, "--workers", "2", "--num-simulations", "2", "--output-dir", str(out)]
    )
    told = capsys.readouterr().out
    assert code == 1
    assert "synthetic:A: 2 simulations" in told and f"{missing}: failed: " in told
    assert (out / "missing_backtest.csv").read_text().strip() == ""
    assert len((out / "synthetic-A_backtest.csv").read_text().splitlines()) == 3
    with pytest.raises(ProblemError, match="different ones"):
        parallel_backtest_runner.run_parallel(["A", "A"])


def test_the_comparison_of_optimizers():
    rows = test_scipy_optimizers.compare(problems=1, evaluations=60, searches=("scipy:direct", "de"))
    told = {name: (count, share) for name, count, _, share in rows}
    assert told["exact"] == (0.0, 1.0)
    assert all(0 < count <= 60 and 0.3 < share <= 1 + 1e-9 for name, (count, share) in told.items() if name != "exact")
    assert "of the largest profit" in test_scipy_optimizers.table(rows)


def test_the_realistic_benchmark():
    batched, single, difference = benchmark_realistic_strategy.optimisations(3)
    assert batched > 0 and single > 0 and difference <= 1e-12


def test_the_profile_adds_up():
    found, spans = profile_optimization_bottleneck.profile(False, evaluations=40)
    assert found.evaluations == 40
    assert sum(spans.shares().values()) == pytest.approx(1.0)
    assert 0 < spans.shares()["objective"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in SCRIPTS if " -c " not in line])
def test_the_scripts_as_they_stand(line, tmp_path):
    done = execute(line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_rewritten_module_is_the_face():
    (line,) = [item for item in SCRIPTS if "parallel_backtest_runner" in item]
    assert rewritten(line).startswith("python -m thalweg.compat.marketsim.parallel_backtest_runner ETHUSD")


def rows_of(found):
    return found if isinstance(found, list) else found.to_dict("records")
