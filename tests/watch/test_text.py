import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.watch import text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("größe 深さ", "größe 深さ"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_clean(given_text, shown):
    assert text.clean(given_text) == shown


@given(st.text(), st.integers(1, 40))
def test_clip_keeps_to_its_width_and_is_printable(given_text, limit):
    clipped = text.clip(given_text, limit)
    assert text.width(clipped) <= limit
    assert not any(ord(char) < 32 or ord(char) == 127 for char in clipped)
    clipped.encode("utf-8")


def test_clip_keeps_both_ends():
    assert text.clip("learning_rate_of_the_first_layer", 16) == "learning_r…layer"
    assert text.clip("短い", 4) == "短い"
    assert text.width("深さ") == 4


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "inf"),
        (3.0, "3"),
        (0.1 + 0.2, "0.3"),
        (1234567.0, "1.23457e+06"),
        (-2.5e-9, "-2.5e-09"),
        (True, "True"),
        (10**20, "1e+20"),
        ("lzma", "lzma"),
        ([0.1 + 0.2, 1, "a"], "[0.3, 1, a]"),
    ],
)
def test_number(value, shown):
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (4.2e-8, "42 ns"),
        (0.018, "18 ms"),
        (0.9999, "1 s"),
        (3.2, "3.2 s"),
        (250, "4 min 10 s"),
        (7500, "2 h 05 min"),
        (273600, "3 d 04 h"),
        (math.nan, "-"),
    ],
)
def test_seconds(value, shown):
    assert text.seconds(value) == shown


def test_align_measures_wide_characters():
    lines = text.align([["深さ", "1"], ["ab", "22"]], ["name", "n"], right=[1]).split("\n")
    assert lines == ["name   n", "----  --", "深さ   1", "ab    22"]
    assert text.align([]) == ""
