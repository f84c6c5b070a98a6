"""Parts by name: found, or refused with near names; never replaced."""

import collections

import pytest

from thalweg.core.errors import StrategyError
from thalweg.core.registry import resolve

TABLE = {"ordered": "collections:OrderedDict", "deque": "collections:deque"}


def test_a_name_gives_its_object():
    assert resolve(TABLE, "ordered", "strategy", StrategyError) is collections.OrderedDict


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("order", r"unknown strategy 'order'; did you mean 'ordered'\? Known: deque, ordered"),
        ("zzz", r"unknown strategy 'zzz'\. Known: deque, ordered"),
        (None, r"unknown strategy None\. Known"),
        (["deque"], r"unknown strategy \['deque'\].*Known"),
    ],
)
def test_other_names_raise(name, message):
    with pytest.raises(StrategyError, match=message):
        resolve(TABLE, name, "strategy", StrategyError)
