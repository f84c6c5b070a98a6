"""What an evaluation may use: how it is written, what is refused, how it is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.core.errors import ProblemError
from thalweg.core.limits import Limits, bytes_of, limits_of


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500000", 500_000),
        ("500M", 500 << 20),
        ("2GB", 2 << 30),
        ("1.5 GiB", 3 << 29),
        (" 1k ", 1024),
        (7, 7),
        (2e9, 2 * 10**9),
    ],
)
def test_amounts_of_bytes(text: Any, amount: int) -> None:
    assert bytes_of(text, "x") == amount
    assert Limits(memory=text).memory == amount


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: amount} for name in ("memory", "file_size", "address_space") for amount in
          (0, -1, "much", "", "5 parsecs", "-2G", True, float("nan"), float("inf"), [1], "9" * 400, 10**400)),
        *({"cpu_s": amount} for amount in (0, -1.0, "60 s", True, float("nan"), float("inf"))),
        *({"processes": amount} for amount in (0, -1, 1.5, "many", True, 10**12)),
        {"open_files": 3},
        {"ram": "2GB"},
    ],
    ids=lambda given: str(given)[:40],
)  # fmt: skip
def test_what_is_no_limit_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProblemError, match=next(iter(wrong))):
        limits_of(wrong)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ProblemError, match="memory='2GB'"):
        limits_of("2GB")


@given(st.text(max_size=40) | st.integers() | st.floats())
def test_anything_is_bytes_or_refused(given_: Any) -> None:
    try:
        amount = bytes_of(given_, "x")
    except ProblemError:
        return
    assert isinstance(amount, int)
    assert amount >= 1


def test_a_table_of_texts_is_what_a_command_line_gives() -> None:
    limits = limits_of({"memory": "2GB", "cpu_s": "1.5", "processes": "64"})
    assert limits == Limits(memory=2 << 30, cpu_s=1.5, processes=64)
    assert limits is not None
    assert limits.given() == {"memory": 2 << 30, "cpu_s": 1.5, "processes": 64}
    assert limits_of(limits) is limits
    assert limits_of(None) is None


def test_only_what_the_kernel_does_not_keep_is_watched() -> None:
    assert not Limits().watched
    assert not Limits(file_size=1, open_files=10, address_space=1).watched
    assert Limits(memory=1).watched
    assert Limits(cpu_s=1).watched
    assert Limits(processes=1).watched


def test_messages_name_the_limit_and_what_was_found() -> None:
    limits = Limits(memory="1.5GB", cpu_s=60, processes=4, file_size="10MB")
    assert limits.reached("memory", 1.75 * (1 << 30)).startswith(
        "LimitReached: memory 1.5 GB: the evaluation had 1.75 GB"
    )
    assert "cpu_s 60 s: the evaluation had 60.25 s" in limits.reached("cpu_s", 60.25)
    assert "processes 4: the evaluation had 9" in limits.reached("processes", 9)
    assert limits.blamed("OSError: [Errno 27] File too large") == "LimitReached: file_size 10 MB"
    assert limits.blamed("killed by SIGXCPU") == "LimitReached: cpu_s 60 s"
    assert limits.blamed("MemoryError") is None, "no limit on addresses, so it is not to blame"
    assert limits.blamed("ValueError: odd") is None
