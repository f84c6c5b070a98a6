"""The parameter grammar: what it gives, what it refuses and where."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thalweg.apps.programs.params import build_space, parse_param, read_preset
from thalweg.core.choices import Boolean, Choice, Fixed, Permutation, Subset
from thalweg.core.errors import SpaceError
from thalweg.core.parameter import Float, Integer

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
WORD = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True) | st.sampled_from(["inf", "nan", "infinity"])
NUMBER = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: x + 0.0)


def spec(text: str) -> dict[str, object]:
    return parse_param(text)[1].spec()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("order:int[2,64]", Integer(2, 64)),
        ("tlen:int[1,999]:log", Integer(1, 999, log=True)),
        ("n:int[0,100]:step=5:default=10", Integer(0, 100, step=5, default=10)),
        ("lr:float[1e-4,1e-1]:log:digits=3", Float(1e-4, 1e-1, log=True, digits=3)),
        ("x:float[0,1]:step=0.1", Float(0, 1, step=0.1)),
        ("x:real[ -1.5 , +2 ] :precision=2", Float(-1.5, 2, precision=2)),
        ("v:float[0,1]:size=3", Float(0, 1, size=3)),
        ("mf:cat[hc3,hc4,bt2]", Choice(["hc3", "hc4", "bt2"])),
        ("mf:cat['a,b', \"c]d\", '']", Choice(["a,b", "c]d", ""])),
        ("k:cat[1,2.5,'3']", Choice([1, 2.5, "3"])),
        ("level:ordinal[low,mid,high]", Choice(["low", "mid", "high"], ordered=True)),
        ("flag:bool", Boolean()),
        ("p:perm[a,b,c]", Permutation(["a", "b", "c"])),
        ("s:subset[a,b,c]:min=1:max=2", Subset(["a", "b", "c"], min=1, max=2)),
        ("f:fixed[3]", Fixed(3)),
    ],
)
def test_every_kind(text: str, same: object) -> None:
    name, parameter, condition = parse_param(text)
    assert name == text.partition(":")[0]
    assert parameter.spec() == same.spec()  # type: ignore[attr-defined]
    assert type(parameter) is type(same)
    assert condition is None


@settings(max_examples=200)
@given(NAMES, st.integers(-(2**40), 2**40), st.integers(0, 2**30))
def test_integers_come_back(name: str, low: int, width: int) -> None:
    assert spec(f"{name}:int[{low},{low + width}]") == Integer(low, low + width).spec()


@settings(max_examples=200)
@given(NAMES, NUMBER, NUMBER)
def test_floats_come_back_exactly(name: str, a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    assert spec(f"{name}:float[{low!r},{high!r}]") == Float(low, high).spec()


@settings(max_examples=200)
@given(st.lists(st.text(st.characters(blacklist_categories=("Cs",))), min_size=1, max_size=6, unique=True))
@example([" if ", 'a " if b'])
def test_quoted_options_come_back_exactly(options: list[str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    parameter = parse_param(f"x:cat[{','.join(map(quoted, options))}]")[1]
    assert isinstance(parameter, Choice)
    assert parameter.options == options


@settings(max_examples=200)
@given(st.lists(WORD, min_size=1, max_size=6, unique=True))
def test_bare_words_come_back(words: list[str]) -> None:
    parameter = parse_param(f"x:cat[{', '.join(words)}]")[1]
    assert isinstance(parameter, Choice)
    assert parameter.options == words


@settings(max_examples=300)
@given(st.text(max_size=40))
def test_any_text_gives_a_parameter_or_our_own_error(text: str) -> None:
    with contextlib.suppress(SpaceError):
        assert parse_param(text)[0].isidentifier()


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("order", 5, "':' and a kind"),
        ("order:itn[1,2]", 6, "did you mean 'int'"),
        ("order:int[1,2", 12, "not closed"),
        ("x:float[0,1]:stp=3", 13, "did you mean 'step'"),
        ("x:float[0,1] log", 12, "an option such as"),
        ("m:cat[a,,b]", 8, "a value is expected"),
        ("1x:int[1,2]", 0, "a name"),
        ("x:int[1,2]:log=3", 15, "no value"),
        ("x:int[1,2]:step", 15, "needs a value"),
        ("x:int[5,1]", 2, "swapped"),
        ("x:int[1]", 2, "takes"),
        ("x:cat", 2, "takes"),
        ("x:bool[1]", 2, "takes nothing"),
    ],
)
def test_errors_show_the_place(text: str, at: int, why: str) -> None:
    with pytest.raises(SpaceError, match=why) as caught:
        parse_param(text)
    lines = str(caught.value).splitlines()
    assert lines[-2] == f"  {text}"
    assert lines[-1] == "  " + " " * at + "^"


def test_conditions_and_constraints_with_bare_words() -> None:
    space = build_space(
        ["method:cat[ppmd,lzma2,x-y]", "pb:int[0,4] if method==lzma2", "lc:int[0,4] if method in [lzma2, x-y]",
         "o:int[2,9] if method == 'ppmd'"],
        ["lc + pb <= 4"],
    )  # fmt: skip
    points = space.sample(300, np.random.default_rng(0))
    rows = space.to_params(*space.resolve(points)[1:])
    for row in rows:
        assert ("pb" in row) == (row["method"] == "lzma2")
        assert ("lc" in row) == (row["method"] != "ppmd")
        assert ("o" in row) == (row["method"] == "ppmd")
        assert row.get("lc", 0) + row.get("pb", 0) <= 4
    assert {row["method"] for row in rows} == {"ppmd", "lzma2", "x-y"}


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("methd==lzma2", "did you mean method"),
        ("method==lzma", "did you mean lzma2"),
        ("method=", "not an expression"),
        ("'a'=='a'", "mentions no parameter"),
    ],
)
def test_wrong_conditions(condition: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        build_space(["method:cat[ppmd,lzma2]", f"pb:int[0,4] if {condition}"])


def test_a_difference_is_no_word() -> None:
    space = build_space(["a:int[0,9]", "b:int[0,9]"], ["a-b<=2"])
    rows = space.to_params(space.decode(space.sample(200, np.random.default_rng(0))))
    assert max(row["a"] - row["b"] for row in rows) == 2


def test_names_come_once_and_something_is_needed() -> None:
    with pytest.raises(SpaceError, match="twice"):
        build_space(["a:int[0,9]", "a:int[0,8]"])
    with pytest.raises(SpaceError, match="nothing to tune"):
        build_space([])


def test_presets_are_read_by_the_parameters_types() -> None:
    space = build_space(
        ["order:int[2,64]", "x:float[0,1]", "flag:bool", "m:cat[1,two]", "p:perm[a,b,c]", "s:subset[a,b]", "f:fixed[7]",
         "d:int[0,9]:default=4", "pb:int[0,4] if m==two"]
    )  # fmt: skip
    point = read_preset(space, "order=6 x=.5 flag=yes m=1 p=b,a,c s=b")
    assert point == {
        **{"order": 6, "x": 0.5, "flag": True, "m": 1, "p": ["b", "a", "c"], "s": ["b"], "f": 7, "d": 4},
    }
    assert (
        read_preset(space, {"order": 6, "x": 0.5, "flag": False, "m": "two", "p": "a,b,c", "s": "", "pb": 3})["pb"] == 3
    )


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("order=6", "'flag' is missing"),
        ("ordre=6 flag=1", "did you mean order"),
        ("order=99 flag=1", "outside"),
        ("order=6.5 flag=1", "whole"),
        ("order=six flag=1", "number is expected"),
        ("order=6 flag=perhaps", "true or false"),
        ("order", "name=value"),
    ],
)
def test_wrong_presets(preset: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        read_preset(build_space(["order:int[2,64]", "flag:bool"]), preset)
