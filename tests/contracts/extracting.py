"""The code blocks and command lines of the documents, with nothing but the import prefix rewritten."""

import ast
import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

DOCUMENTS = Path(__file__).parent / "documents"
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PREFIXES = [
    (r"\btoken_sim\.optimization\b", "thalweg.compat.token_sim.optimization"),
    (r"\bmtaio\.(?=\w)", "thalweg.compat.mtaio."),
    (r"\bfrom (?=backtest_test3_inline\b)", "from thalweg.compat.marketsim."),
]
SCRIPT = re.compile(r"\bpython (\w+)\.py\b")
ASSIGNMENT = re.compile(r"^[A-Z_]+=\S*$")


def text(number):
    return (DOCUMENTS / f"{number}.txt").read_text(encoding="utf-8")


def blocks(number, language):
    return [body for kind, body in BLOCK.findall(text(number)) if kind == language]


def rewritten(code):
    for old, new in PREFIXES:
        code = re.sub(old, new, code)
    return SCRIPT.sub(r"python -m thalweg.compat.marketsim.\1", code)


def block_with(number, needle, language="python"):
    """The one block of a document that holds `needle`, rewritten."""
    (found,) = [body for body in blocks(number, language) if needle in body]
    return rewritten(found)


def run(code, names):
    """Execute a block, which may await at its top level; names it defines are added."""
    made = compile(code, "<document>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    given = eval(made, names)
    if asyncio.iscoroutine(given):
        asyncio.run(given)
    return names


def command_lines(number):
    """The commands of the shell blocks, comments dropped."""
    lines = [line.split("  #")[0].strip() for body in blocks(number, "bash") for line in body.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def execute(line, more=(), cwd=None):
    """A `[NAME=value ...] python ...` line, rewritten, with further arguments; gives the finished process."""
    words = shlex.split(rewritten(line))
    set_here = dict(word.split("=", 1) for word in words if ASSIGNMENT.match(word))
    words = [word for word in words if not ASSIGNMENT.match(word)]
    assert words[0] == "python", line
    environment = os.environ | set_here | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words[1:], *more], capture_output=True, text=True, env=environment, cwd=cwd, timeout=300
    )
