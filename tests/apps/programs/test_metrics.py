"""Metrics: what is read off a run, and what is said when it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from thalweg.apps.programs.metrics import Metric, Run
from thalweg.core.errors import CommandError, ExpressionError
from thalweg.core.program import Finished, Step

STDOUT = 'start 1\nratio: 12.5 % (of 80)\n{"not": "this"}\nPSNR 31.25 dB\nPSNR 33.5 dB\ndone in 7e2 ms'


def a_run(tmp_path: Path, stdout: str = STDOUT, **values: Any) -> Run:
    (tmp_path / "out").write_bytes(b"x" * 1234)
    (tmp_path / "out.7z").write_bytes(b"x" * 77)
    (tmp_path / "score.txt").write_text(" 0.75\n")
    (tmp_path / "metrics.json").write_text('{"a": {"b": [1, {"odd name": 2.5}]}, "text": "4"}')
    done = Finished(Step(("p",)), 3, 2.0, 1.5, 10_000_000, stdout, "warn 9", user_s=1.0, system_s=0.5)
    return Run(done, {"out": str(tmp_path / "out"), "folder": str(tmp_path), "number": 5, "level": 4, **values})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("size({out})", 1234),
        ("size({out}.7z)", 77),
        ("size('{out}.7z') / 7", 11),
        ("size({folder}/score.txt)", 6),
        ("cpu", 1.5),
        ("user + system", 1.5),
        ("wall", 2.0),
        ("rss / 1e6", 10.0),
        ("exit", 3),
        ("exit == 3", 1),
        (r"regex('ratio: ([\d.]+) %', stdout)", 12.5),
        (r"regex('PSNR (\d+\.\d+)', stdout)", 33.5),
        (r"regex('\d+', stderr)", 9),
        ('regex("(\\d+)%?", "5%")', 5),
        ("last_number(stdout)", 700),
        ("first_number(stdout)", 1),
        ("lines(stdout)", 6),
        ("file('{folder}/score.txt')", 0.75),
        ("json('$.a.b[1][\"odd name\"]', file('{folder}/metrics.json'))", 2.5),
        ("json('$.a.b[0]', file('{folder}/metrics.json'))", 1),
        ("json('$.text', file('{folder}/metrics.json'))", 4),
        ("size({out}) / level", 308.5),
        ("log2(max(2, min(8, 16)))", 3),
        ("cpu if exit == 0 else 100", 100),
        ("-cpu ** 2", -2.25),
    ],
)
def test_metrics_are_read(tmp_path: Path, text: str, value: float) -> None:
    assert Metric("m", text).value(a_run(tmp_path), {}) == pytest.approx(value)


def test_metrics_may_mention_metrics_before_them(tmp_path: Path) -> None:
    assert Metric("score", "bytes + 1000 * cpu").value(a_run(tmp_path), {"bytes": 10.0}) == 1510.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size({folder}/nothing)", "No such file"),
        (r"regex('loss (\d+)', stdout)", "is not found in 'start 1"),
        ("regex('(', stdout)", "unterminated|missing"),
        ("json('$.a', stdout)", "not JSON"),
        ("json('$.zzz', file('{folder}/metrics.json'))", "there is no 'zzz' in"),
        ("json('a..b', '{}')", "no path"),
        ("last_number('none')", "no number in 'none'"),
        ("last_number('')", "an empty text"),
        ("cpu / 0", "division"),
        ("stdout", "a number is expected"),
        ("json('$', '[1]')", "a number is expected"),
        ("log(0)", "math domain|expected"),
        ("1e308 * 10", "finite"),
        ("json('$.a', '{\"a\": NaN}')", "finite"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CommandError, match=said) as caught:
        Metric("m", text).value(a_run(tmp_path), {})
    assert "metric m = " in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "size({out}",
        "__import__('os')",
        "open('x')",
        "cpu.real",
        "x[0]",
        "lambda: 1",
        "[c for c in 'ab']",
        "size(a=1)",
    ],
)
def test_what_is_not_in_the_grammar_is_refused_before_any_run(text: str) -> None:
    with pytest.raises(ExpressionError, match="'m'"):
        Metric("m", text)


def test_a_suffix_that_the_program_added_is_found(tmp_path: Path) -> None:
    run = a_run(tmp_path, out=str(tmp_path / "made"))
    with pytest.raises(CommandError):
        Metric("m", "size({out})").value(run, {})
    (tmp_path / "made.zpaq").write_bytes(b"12345")
    assert Metric("m", "size({out})").value(run, {}) == 5
    (tmp_path / "made.log").write_bytes(b"1")
    with pytest.raises(CommandError):  # two candidates: no guess
        Metric("m", "size({out})").value(run, {})


def test_folders_count_all_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"123")
    (tmp_path / "deep" / "b").write_bytes(b"45")
    assert Metric("m", "size({folder}/deep)").value(a_run(tmp_path), {}) == 5
