"""Bars from files, names and arrays; what is wrong with them is said."""

import numpy as np
import pytest

from thalweg.apps.market_backtest.bars import Bars
from thalweg.apps.market_backtest.data import SAMPLES, load_bars, name_of
from thalweg.core.errors import MissingExtra, ProblemError

CSV = "Date,Open,High,Low,Close,Adj Close\n2020-01-03,20,22,18,21,10.5\n2020-01-02,10,12,9,11,5.5\n"


def test_a_file(tmp_path):
    file = tmp_path / "coin.csv"
    file.write_text(CSV)
    bars = load_bars(str(file))
    assert bars.symbol == "coin" and bars.times == ("2020-01-02", "2020-01-03")
    assert bars.close.tolist() == [5.5, 10.5] and bars.high.tolist() == [6.0, 11.0]  # scaled by adjusted / close
    file.write_text(CSV.replace(",Adj Close", "").replace(",10.5", "").replace(",5.5", ""))
    assert load_bars(str(file)).close.tolist() == [11, 21]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,open,high,low\n", "columns open, high, low and close"),
        (CSV.replace("21,", "x,"), "no number"),
        (CSV.replace("18,21", "18,31"), "hold the others \\(1 such bars\\)"),
        (CSV.replace("10,12,9,11", "10,12,-9,11"), "low of bar 0"),
    ],
)
def test_files_that_are_wrong(tmp_path, text, message):
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(ProblemError, match=message):
        load_bars(str(file))


def test_made_prices_are_the_same_every_time():
    one, two = load_bars("synthetic:ETHUSD:300"), load_bars("synthetic:ETHUSD:300")
    assert len(one) == 300 and one.digest() == two.digest() != load_bars("synthetic:BTCUSD:300").digest()
    assert one.symbol == name_of("synthetic:ETHUSD:300") == "synthetic-ETHUSD"
    assert len(load_bars("synthetic:x")) == 1500


@pytest.mark.parametrize("symbol", ["ETHUSD", "no.csv", "synthetic:", "synthetic:a:b"])
def test_no_name_stands_for_another(symbol):
    with pytest.raises(ProblemError):
        load_bars(symbol)


@pytest.mark.parametrize("symbol", SAMPLES)
def test_samples(symbol):
    pytest.importorskip("bokeh_sampledata.stocks")
    bars = load_bars(symbol)
    assert len(bars) == {"GOOG": 2148, "FB": 196}.get(symbol, 3270) and bars.times[-1] == "2013-03-01"
    assert np.abs(np.diff(np.log(bars.close))).max() < 0.8  # splits are no jumps


def test_without_the_package(monkeypatch):
    import importlib

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"thalweg\[market\]"):
        load_bars("AAPL")


def test_rounding_is_mended_and_more_is_refused():
    bars = Bars.of([10, 10], [10.9999, 11], [10, 9], [11, 10])
    assert bars.high[0] == 11
    with pytest.raises(ProblemError, match="adjusted"):
        Bars.of([10, 10], [10.5, 11], [10, 9], [11, 10])
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 3


@pytest.mark.parametrize(
    ("columns", "how"),
    [
        (([1], [1], [1], [1]), {}),
        (([1, 1], [1, 1], [1, 1], [1, 1, 1]), {}),
        (([1, np.nan], [1, 1], [1, 1], [1, 1]), {}),
        (([1, 1],) * 4, {"times": ["a"]}),
        (([1, 1],) * 4, {"periods": 0}),
    ],
)
def test_arrays_that_are_wrong(columns, how):
    with pytest.raises(ProblemError):
        Bars.of(*columns, **how)
