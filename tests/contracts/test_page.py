"""The page of documented interfaces names what is there, and leaves no documented name out."""

import importlib
import re

import pytest
from extracting import ROOT, blocks, text

PAGE = (ROOT / "docs" / "reference" / "documented-interfaces.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(thalweg(?:\.\w+)+)`", PAGE)) - {"thalweg.compat.marketsim.NAME"})


def resolved(name):
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "thalweg.functions"])  # that one is a logger
def test_every_name_is_there(name):
    assert resolved(name) is not None


def test_every_imported_name_is_on_the_page():
    missing = []
    for number in ("000", "001", "003"):
        for body in blocks(number, "python"):
            for line in re.findall(r"^from (?:token_sim|mtaio)\S* import (.+)$", body, re.MULTILINE):
                missing += [name for name in re.findall(r"\w+", line) if f"`{name}" not in PAGE and name not in PAGE]
    assert missing == []


def test_every_headline_of_the_advice_is_on_the_page():
    numbers = re.findall(r"^### .*?(\d)\. ", text("002"), re.MULTILINE)
    assert [number for number in numbers if f"| {number}. " not in PAGE] == []
    assert len(numbers) == 8


def test_every_file_of_the_backtest_is_on_the_page():
    scripts = set(re.findall(r"`(?:src/)?(\w+)\.py`", text("003")))
    assert scripts == {
        "optimization_utils", "backtest_test3_inline", "profile_optimization_bottleneck", "test_scipy_optimizers",
        "benchmark_realistic_strategy",
    }  # fmt: skip
    assert [name for name in scripts if f"marketsim.{name}" not in PAGE] == []
