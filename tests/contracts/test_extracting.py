"""The documents are whole, and nothing but prefixes is rewritten."""

import fnmatch
import re
import tomllib

import pytest
from extracting import DOCUMENTS, ROOT, blocks, command_lines, rewritten, text


@pytest.mark.parametrize(("number", "python", "bash"), [("000", 1, 1), ("001", 15, 0), ("002", 8, 0), ("003", 2, 5)])
def test_every_block_is_found(number, python, bash):
    assert len(blocks(number, "python")) == python
    assert len(blocks(number, "bash")) == bash
    assert text(number).count("```") == 2 * (python + bash)


def test_the_commands():
    assert len(command_lines("000")) == 4
    scripts = [line for line in command_lines("003") if not line.startswith("export")]
    assert len(scripts) == 5
    assert len(command_lines("003")) == 10


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.txt")), ids=lambda path: path.stem)
def test_only_prefixes_are_rewritten(path):
    for language in ("python", "bash"):
        for body in blocks(path.stem, language):
            back = re.sub(r"thalweg\.compat\.marketsim\.(?=backtest_test3)", "", rewritten(body))
            back = re.sub(r"python -m thalweg\.compat\.marketsim\.(\w+)", r"python \1.py", back)
            assert back.replace("thalweg.compat.", "") == body


def test_the_documents_do_not_know_this_package():
    assert all("thalweg" not in text(path.stem) for path in DOCUMENTS.glob("*.txt"))


def test_no_package_has_them():
    """They are other people's: tests are not in the wheel, and the sdist leaves them out."""
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["packages"] == ["src/thalweg"]
    for path in DOCUMENTS.glob("*.txt"):
        name = path.relative_to(ROOT).as_posix()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in targets["sdist"]["exclude"])
    assert (DOCUMENTS / "NOTICE.md").is_file()
