"""Whatever is written as an expression or a metric: a value or an ExpressionError, soon, and no code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thalweg.apps.programs.metrics import Metric
from thalweg.core.errors import ExpressionError
from thalweg.core.expression import DEEPEST, LONGEST, Expression, parse_comparison
from thalweg.core.parameter import Float
from thalweg.core.space import Space

KNOWN: dict[str, Any] = {"x": 2.5, "n": 3, "big": 10**30, "flag": True, "text": "abc", "nan": float("nan")}
COLUMNS: dict[str, Any] = {
    "x": np.array([0.0, -1.5, np.inf]),
    "n": np.array([1, 2, 3]),
    "flag": np.array([True, False, True]),
    "text": np.array(["a", "b", "c"]),
}


def tried(text: str, known: dict[str, Any]) -> Any:
    """Its value, or None where it is refused."""
    try:
        return Expression(text).evaluate(known)
    except ExpressionError:
        return None


def small(value: Any) -> bool:
    """Whether a value is of a size that a text of 4,000 characters may ask for."""
    if isinstance(value, int):
        return value.bit_length() <= 200_000
    if isinstance(value, (str, list)):
        return len(value) <= LONGEST and all(small(item) for item in value if not isinstance(item, str))
    return isinstance(value, (float, np.generic, np.ndarray)) or value is None


WORDS = st.sampled_from(
    [
        *("x", "n", "big", "flag", "text", "nan", "0", "1", "2", "3", "64", "9", "1e308", "0.1", "'a'", "True", "None"),
        *(
            "(",
            ")",
            "[",
            "]",
            ",",
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "**",
            "<",
            "<=",
            "==",
            "!=",
            "in",
            "not",
            "and",
            "or",
        ),
        *(
            "if",
            "else",
            "min",
            "max",
            "abs",
            "round",
            "floor",
            "sqrt",
            "exp",
            "log",
            "len",
            "sum",
            "f'{x}'",
            "...",
            "1j",
        ),
        *(
            ".",
            ":",
            "=",
            "lambda",
            "__class__",
            "import",
            "eval",
            "open",
            "{",
            "}",
            "@",
            ";",
            "\\",
            "#",
            "~",
            "<<",
            "|",
        ),
        *(":=", "await", "yield", "b''", "\0", "\ud800", "é", "𝟙", " ", "\n", "\t"),
    ]
)
LEAVES = st.sampled_from(
    ["x", "n", "big", "flag", "text", "nan", "0", "1", "9", "64", "1e308", "0.5", "'a'", "True", "[]"]
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", "in", "not in", "and", "or"]
    )
    calls = st.sampled_from(["min", "max", "abs", "round", "floor", "ceil", "sqrt", "exp", "log", "log2", "len", "sum"])
    return st.one_of(
        st.tuples(inner, operators, inner).map(lambda item: f"({item[0]} {item[1]} {item[2]})"),
        st.tuples(st.sampled_from(["-", "+", "not "]), inner).map(lambda item: f"({item[0]}{item[1]})"),
        st.tuples(inner, inner, inner).map(lambda item: f"({item[0]} if {item[1]} else {item[2]})"),
        st.lists(inner, max_size=3).map(lambda item: f"[{', '.join(item)}]"),
        st.tuples(calls, st.lists(inner, max_size=3)).map(lambda item: f"{item[0]}({', '.join(item[1])})"),
    )


@given(st.text(max_size=200) | st.lists(WORDS, max_size=30).map(" ".join) | st.lists(WORDS, max_size=30).map("".join))
@example("9**9**9**9")
@example("9" * 3999)
@example("-" * 3999 + "1")
@example("(" * 2000 + "1" + ")" * 1999)
@example("[" * 200 + "]" * 200)
@example("not " * 900 + "x")
@example("x" + "+x" * 1999)
@example("1 if 1 else " * 300 + "1")
@example("'a' * 10**10")
@example("'%9999999999d' % 1")
@example("round(1, -10**9)")
@example("[1] * 10**9")
@example("__import__('os').system('true')")
@example("(lambda: 1)()")
@example("x.__class__")
@example("'{0.__class__}'.format(x)")
@example("[y for y in x]")
@example("'\\N{GREEK SMALL LETTER ALPHA}' + '\\d'")
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_value_or_an_expression_error(text: str) -> None:
    for known in (KNOWN, COLUMNS):
        assert small(tried(text, known))
    for parse in (parse_comparison, lambda text: Metric("m", text)):
        try:
            parse(text)
        except ExpressionError:
            continue


@given(st.recursive(LEAVES, grown, max_leaves=25))
@example("round(0, x)")
@example("round(0, n)")
@settings(max_examples=400, deadline=None)
def test_any_sentence_of_the_grammar_is_a_value_or_an_expression_error(text: str) -> None:
    for known in (KNOWN, COLUMNS):
        assert small(tried(text, known))


@pytest.mark.parametrize(
    "text",
    ["9**9**9", "(2**53)**64", "(9**64)**64", "((9**64)**64)**64", "exp(9**64)", "big**big", "-9**-9**9", "2**-(9**9)"],
)
def test_powers_stay_small(text: str) -> None:
    value = tried(text, KNOWN)
    assert value is None or abs(value) < 1e4000 or isinstance(value, int)
    assert small(value)


@pytest.mark.parametrize("text", ["1" * (LONGEST + 1), "x+" * LONGEST, "", " ", "\n"])
def test_length_is_bounded(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


def test_depth_is_bounded() -> None:
    Expression("+".join(["x"] * (DEEPEST - 1))).evaluate(KNOWN)
    with pytest.raises(ExpressionError, match="deep"):
        Expression("+".join(["x"] * (DEEPEST + 10)))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('false')",
        "open('/etc/passwd')",
        "eval('1')",
        "exec('1')",
        "getattr(x, 'real')",
        "x.real",
        "text[0]",
        "().__class__.__bases__[0].__subclasses__()",
        "(lambda: 1)()",
        "[y for y in text]",
        "f'{x}'",
        "{**x}",
        "{1: 2}",
        "min(*[1, 2])",
        "max(x, key=len)",
        "(y := 3)",
        "min.__self__",
        "min.__call__(1, 2)",
        "(min)((1))(2)",
    ],
)
def test_what_could_reach_code_does_not_even_parse(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)
    with pytest.raises(ExpressionError):
        Metric("m", text)


@pytest.mark.parametrize("text", ["9**9**9", "__import__('os')", "x.real", "[" * 500, "\0", "'a' * 10**10 < 1"])
def test_conditions_and_requirements_use_the_same_grammar(text: str) -> None:
    with pytest.raises((ExpressionError, ValueError)):
        Space({"x": Float(0, 1), "y": Float(0, 1, when=text)}).sample(2, np.random.default_rng(0))
    with pytest.raises((ExpressionError, ValueError)):
        space = Space({"x": Float(0, 1)})
        space.require(text)
        space.sample(2, np.random.default_rng(0))
