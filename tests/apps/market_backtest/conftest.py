"""Markets for the tests of this folder."""

import pytest

from thalweg.apps.market_backtest.synthetic import CALM_AND_WILD, synthetic


@pytest.fixture(scope="session")
def market():
    return synthetic(400, 1, regimes=CALM_AND_WILD, gap=0.3, steps=20)


@pytest.fixture(scope="session")
def bars(market):
    return market.bars
