"""The docs are true: their code runs, their links lead somewhere, nothing public or by name is missing from them."""

import importlib
import importlib.machinery
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import blocks, commands

ROOT = Path(__file__).parents[2]
WRITTEN = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = [path for path in WRITTEN if "reference" not in path.parts]
PAGES = [path for path in WRITTEN if any(block.language in ("python", "console") for block in blocks(path))]
MARKS = {"", "needs", "not run", "raises", "file"}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a text to compress, where the commands of the docs are at home."""
    (tmp_path / "corpus.txt").write_bytes((ROOT / "LICENSE").read_bytes() * 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return tmp_path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path, desk):
    names = {"__name__": "__docs__"}
    for block in blocks(path):
        assert block.mark in MARKS, f"{path.name}:{block.line}: unknown mark {block.mark!r}"
        if block.mark == "not run" or (block.mark == "needs" and not shutil.which(block.note)):
            continue
        if block.mark == "file":
            (desk / block.note).write_text(block.body)
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.body, str(path), "exec")
            if block.mark == "raises":
                with pytest.raises(Exception) as caught:
                    exec(code, names)
                assert type(caught.value).__name__ == block.note
            else:
                exec(code, names)
        elif block.language == "console":
            for command in commands(block):
                run(command)


def run(command):
    """A thalweg command; exit code 3 says that nothing beat the presets, which is no error."""
    words = [sys.executable, "-m", "thalweg.cli.main", *shlex.split(command)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode in (0, 3), f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_no_page_mentions_a_machine_or_its_making():
    told = re.compile(r"(?<![\w.])/(?:work|root|home|tmp)/|\bTODO\b|\bFIXME\b", re.IGNORECASE)
    found = []
    for path in [*WRITTEN, *(ROOT / "docs" / "reference").glob("*.md")]:
        for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if told.search(line):
                found.append(f"{path.relative_to(ROOT)}:{i}: {line}")
    assert found == []


def test_every_public_name_is_in_the_reference_and_documented():
    import thalweg

    shown = (ROOT / "docs" / "reference" / "thalweg.md").read_text(encoding="utf-8")
    assert list(thalweg.__all__) == sorted(thalweg.__all__)
    assert [name for name in thalweg.__all__ if f"| `{name}` |" not in shown] == []
    assert [name for name in thalweg.__all__ if not (getattr(thalweg, name).__doc__ or "").strip()] == []


TABLES = [
    ("thalweg.parts.strategies", "STRATEGIES", "docs/how-to/choose-a-strategy.md"),
    ("thalweg.parts.evaluators", "EVALUATORS", "docs/how-to/parallel.md"),
    ("thalweg.parts.stores", "STORES", "docs/how-to/resume.md"),
    ("thalweg.parts.stopping", "STOP_RULES", "docs/how-to/parallel.md"),
    ("thalweg.cli.main", "COMMANDS", "docs/how-to/commands.md"),
]


@pytest.mark.parametrize(("module", "table", "page"), TABLES)
def test_every_part_in_a_table_is_in_the_docs(module, table, page):
    names = getattr(importlib.import_module(module), table)
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [name for name in names if not re.search(rf"`(thalweg )?{re.escape(name)}[` :]", text)] == []


def docs_script():
    path = str(ROOT / "scripts" / "docs")
    loader = importlib.machinery.SourceFileLoader("scripts_docs", path)
    spec = importlib.util.spec_from_loader("scripts_docs", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date():
    made = docs_script().pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")}
    stale = sorted(name for name in {*made, *there} if made.get(name) != there.get(name))
    assert stale == [], "run scripts/docs"


def test_the_reference_shows_what_is_written(tmp_path, monkeypatch):
    docs = docs_script()
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "a.py").write_text(
        '"""A module with *stars*.\n\n    a tree\n"""\n\nLIMIT = 3\n"""How many."""\n\n\n'
        'def f(x: "int", *, y: str = ",") -> int:\n    """Does it.\n\n    Raises:\n        OSError: x < 0.\n    """\n'
        "def _hidden() -> None: ...\n"
    )
    monkeypatch.setattr(docs, "PACKAGE", tmp_path)
    page = docs.pages()["core.a.md"]
    assert page == (
        "# thalweg.core.a\n\nA module with \\*stars\\*.\n\n    a tree\n\n## `LIMIT`\n\n```python\nLIMIT = 3\n```\n\n"
        "How many.\n\n## `f`\n\n```python\nf(x: 'int', *, y: str = ',') -> int\n```\n\nDoes it.\n\n**Raises**\n\n"
        "- OSError: x \\< 0.\n"
    )
    assert "[`thalweg.core.a`](core.a.md): A module with \\*stars\\*." in docs.pages()["index.md"]
