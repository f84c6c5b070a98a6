"""Templates: what is given is what the program gets, argument by argument."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.apps.programs.template import Template, parse_element, render_value
from thalweg.core.errors import CommandError

TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)))


@settings(max_examples=1000, deadline=None)
@given(
    before=TEXT,
    after=TEXT,
    value=st.one_of(TEXT, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()),
)
def test_every_value_arrives_as_it_is_in_its_own_argument(before: str, after: str, value: object) -> None:
    literal = [part.replace("{", "{{").replace("}", "}}") for part in (before, after)]
    template = Template(["program", "--", "first", f"{literal[0]}{{x}}{literal[1]}", "last"])
    argv = template.argv({"x": value})
    shown = (
        ("true" if value else "false") if isinstance(value, bool) else value if isinstance(value, str) else repr(value)
    )
    expected = before + shown + after
    gone = isinstance(value, bool) and not expected
    assert argv == ("program", "--", "first", *(() if gone else (expected,)), "last")


@settings(max_examples=25, deadline=None)
@given(values=st.lists(TEXT, min_size=1, max_size=40))
def test_a_real_program_gets_exactly_these_arguments(values: list[str]) -> None:
    names = [f"p{i}" for i in range(len(values))]
    echo = "import sys, json; print(json.dumps([a.encode('utf-8', 'surrogateescape').hex() for a in sys.argv[2:]]))"
    template = Template(
        [sys.executable, "-S", "-I", "-X", "utf8", "-c", echo.replace("{", "{{"), "--", *(f"{{{n}}}" for n in names)]
    )
    done = subprocess.run(template.argv(dict(zip(names, values, strict=True))), capture_output=True, check=True)
    assert [bytes.fromhex(item).decode() for item in json.loads(done.stdout)] == values


@settings(max_examples=300)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_equal(value: float) -> None:
    assert float(render_value(value, "", "x")) == value
    assert render_value(np.float64(value), "", "x") == repr(value)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (3, "", "3"),
        (np.int64(3), "", "3"),
        (3, "04d", "0003"),
        (0.1, "", "0.1"),
        (0.123456, ".2f", "0.12"),
        (True, "", "true"),
        (False, "", "false"),
        (True, "yes|no", "yes"),
        (False, "yes|no", "no"),
        (True, "--fast", "--fast"),
        (False, "--fast", ""),
        (True, "d", "1"),
        (["b", "a"], "", "b,a"),
        (["b", "a"], "+", "b+a"),
        (np.array([1.5, 2.0]), ":", "1.5:2.0"),
        ("word", "", "word"),
    ],
)
def test_values_are_written_sensibly(value: object, form: str, text: str) -> None:
    assert render_value(value, form, "x") == text


def test_arguments_of_inactive_parameters_vanish() -> None:
    template = Template("7zz a {out} -m0={method} -mo={order} -mlc={lc}:lp={lp} in.txt")
    values = {"out": "o", "method": "ppmd", "order": 6}
    assert template.argv(values) == ("7zz", "a", "o", "-m0=ppmd", "-mo=6", "in.txt")


def test_an_inactive_parameter_beside_an_active_one_is_named() -> None:
    with pytest.raises(CommandError, match=r"mentions the inactive lc beside active .*\{\?...\{lc\}\}"):
        Template("p -m{method}:lc={lc}").argv({"method": "x"})


def test_segments_vanish_as_a_whole() -> None:
    template = Template(["p", "x4ci1{?,{a}}{?m{b},{c}}", "{?--mf {mf} now}", "{?--quick {fast:--really}}"])
    assert template.argv({"a": 1, "b": 2, "c": 3, "mf": "bt4", "fast": True}) == (
        *("p", "x4ci1,1m2,3", "--mf", "bt4", "now", "--quick", "--really"),
    )
    assert template.argv({"a": 1, "b": 2, "fast": False}) == ("p", "x4ci1,1")
    nested = Template(["p", "{?a{a}{?b{b}}}"])
    assert nested.argv({"a": 1, "b": 2}) == ("p", "a1b2")
    assert nested.argv({"a": 1}) == ("p", "a1")
    assert nested.argv({}) == ("p",)


def test_booleans_that_say_nothing_leave_no_argument() -> None:
    assert Template("p {fast:--fast} {a:-a}{b:-b} x{fast:y}").argv({"fast": False, "a": False, "b": False}) == (
        "p",
        "x",
    )


def test_texts_like_options_are_refused_where_they_would_be_read_as_such() -> None:
    evil = {"x": "--output=/etc/passwd"}
    with pytest.raises(CommandError, match=r"begins with '-'.*--x=\{x\}"):
        Template("p {x}").argv(evil)
    assert Template("p --name={x}").argv(evil) == ("p", "--name=--output=/etc/passwd")
    assert Template("p -- {x}").argv(evil) == ("p", "--", "--output=/etc/passwd")
    assert Template("p {x:-}").argv(evil) == ("p", "--output=/etc/passwd")
    assert Template("p {x}").argv({"x": -0.5}) == ("p", "-0.5")
    for hidden in (["-rf", "a"], ("--output", "b")):  # subsets and permutations are joined to one text
        with pytest.raises(CommandError, match="begins with '-'"):
            Template("p {x}").argv({"x": hidden})
    assert Template("p {x}").argv({"x": [-1, 2]}) == ("p", "-1,2")
    for nested in ("p {?{x}}", "p {?{x}}{y}", "p {?{?{x}}}{y}"):
        with pytest.raises(CommandError, match="x = '--output=/etc/passwd' begins with '-'"):
            Template(nested).argv({**evil, "y": "z"})
    assert Template("p {?--a={x}}{y}").argv({**evil, "y": "z"}) == ("p", "--a=--output=/etc/passwdz")


@given(
    st.lists(TEXT, min_size=1, max_size=6), st.lists(st.sampled_from(["{a}", "{?{a}}", "{b}", "{?{b}{a}}"]), min_size=1)
)
def test_no_text_ever_becomes_an_option(texts: list[str], elements: list[str]) -> None:
    values = {"a": f"-{texts[0]}", "b": texts}
    try:
        argv = Template(["p", *elements]).argv(values)
    except CommandError:
        return
    assert not [item for item in argv if item.startswith("-")]


@pytest.mark.parametrize(
    ("text", "why", "at"),
    [
        ("a{b", "has no partner", 1),
        ("ab}", "has no partner", 2),
        ("ab{}", "needs a name", 2),
        ("ab{?x}", "mentions no placeholder", 5),
        ("ab{?{x}", "not closed", 2),
    ],
)
def test_broken_templates_show_the_place(text: str, why: str, at: int) -> None:
    with pytest.raises(CommandError, match=why) as caught:
        parse_element(text)
    assert str(caught.value).splitlines()[-1] == "  " + " " * at + "^"


def test_unknown_placeholders_name_near_ones() -> None:
    with pytest.raises(CommandError, match=r"unknown placeholder \{levle\}; did you mean \{level\}\?"):
        Template("zpaq -m{levle}").check(["level", "out"])
    Template("zpaq -m{level} {{print}}").check(["level"])


def test_literal_braces() -> None:
    assert Template(["awk", "{{print $1}}", "{out}"]).argv({"out": "x"}) == ("awk", "{print $1}", "x")


def test_redirections() -> None:
    template = Template("xz -c < {instance} > {out}.xz")
    assert template.argv({"instance": "i", "out": "o"}) == ("xz", "-c")
    assert [str(item) for item in template.files({"instance": "i", "out": "o"})] == ["i", "o.xz"]
    with pytest.raises(CommandError, match="file is expected"):
        Template("xz -c >")
    with pytest.raises(CommandError, match="twice"):
        Template("xz > a > b")


@pytest.mark.parametrize("text", ["a | b", "a && b", "a 2>&1", "a ; b"])
def test_shell_syntax_is_refused_in_strings(text: str) -> None:
    with pytest.raises(CommandError, match="there is no shell"):
        Template(text)


@pytest.mark.parametrize("given", ["", [], "a 'b", 3, [1]])
def test_what_is_no_command(given: object) -> None:
    with pytest.raises(CommandError):
        Template(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["two\nlines", "a b", "$(false)", "`false`", ";false", "*", "~", "'", '"', "\\", "é", ""]
)
def test_nothing_in_a_value_means_anything_to_anybody(value: str) -> None:
    for element, expected in (("{x}", value), ("-o{x}", f"-o{value}"), ("a{x}b", f"a{value}b")):
        argv = Template(["printf", "<%s>", element]).argv({"x": value})
        done = subprocess.run(argv, capture_output=True, check=True)
        assert done.stdout.decode() == f"<{expected}>"


def test_nul_is_refused() -> None:
    with pytest.raises(CommandError, match="NUL"):
        Template("p -x{x}").argv({"x": "a\0b"})
    with pytest.raises(CommandError, match="cannot be written"):
        Template("p {x:.3f}").argv({"x": "word"})
