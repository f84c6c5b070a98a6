"""The demonstration: a real compressor, real text, the vendors' own presets, every round trip verified.

The text is the standard library's own source code. The space is conditional: LZMA with every knob of its filter (and
its rule lc + lp <= 4), or PPMd. Objectives are the bytes and the CPU time. What xz and 7-Zip's PPMd use by default is
measured first, in the same run, and what is found is compared with that; nothing is promised beforehand.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from ...core.errors import MissingExtra
from .job import TuningJob

TEXT_BYTES = 350_000
BUDGET = 120
_MODULES = ("argparse", "ast", "calendar", "cmd", "codecs", "configparser", "csv", "datetime", "decimal", "difflib",
            "doctest", "enum", "ftplib", "functools", "heapq", "imaplib", "inspect", "ipaddress", "locale", "mailbox",
            "optparse", "pdb", "pickle", "platform", "random", "shutil", "socket", "statistics", "subprocess",
            "tarfile", "tempfile", "textwrap", "threading", "tokenize", "traceback", "typing", "zipfile")  # fmt: skip

_IF_LZMA, _IF_PPMD = " if method == lzma", " if method == ppmd"
PARAMS = [
    "method:cat[lzma,ppmd]",
    f"dict:int[16,26]{_IF_LZMA}",
    f"lc:int[0,4]{_IF_LZMA}",
    f"lp:int[0,4]{_IF_LZMA}",
    f"pb:int[0,4]{_IF_LZMA}",
    f"mode:cat[fast,normal]{_IF_LZMA}",
    f"mf:cat[hc3,hc4,bt2,bt3,bt4]{_IF_LZMA}",
    f"nice:int[8,273]:log{_IF_LZMA}",
    f"depth:int[0,512]{_IF_LZMA}",
    f"order:int[2,64]:log{_IF_PPMD}",
    f"mem:int[16,27]{_IF_PPMD}",
    f"variant:cat[H,I]{_IF_PPMD}",
]
_DICTS = (18, 20, 21, 22, 22, 23, 23, 24, 25, 26)


def presets() -> dict[str, dict[str, Any]]:
    """What xz -0 to -9 and -6e, -9e set (liblzma, lzma_lzma_preset), and the PPMd of 7-Zip: default and -mx=9."""
    made: dict[str, dict[str, Any]] = {}
    for level in range(10):
        fast = level <= 3
        made[f"xz-{level}"] = {
            **{"method": "lzma", "dict": _DICTS[level], "lc": 3, "lp": 0, "pb": 2},
            "mode": "fast" if fast else "normal",
            "mf": "hc3" if level == 0 else "hc4" if fast else "bt4",
            "nice": (128, 128, 273, 273, 16, 32, 64, 64, 64, 64)[level],
            "depth": (4, 8, 24, 48)[level] if fast else 0,
        }
    for level in (6, 9):
        made[f"xz-{level}e"] = made[f"xz-{level}"] | {"nice": 273, "depth": 512}
    made["ppmd"] = {"method": "ppmd", "order": 6, "mem": 24, "variant": "H"}
    made["ppmd-max"] = {"method": "ppmd", "order": 32, "mem": 27, "variant": "H"}
    return made


def text(limit: int = TEXT_BYTES) -> bytes:
    """The first `limit` bytes of the standard library's modules, in a fixed order."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = [folder / f"{name}.py" for name in _MODULES]
    return b"".join(path.read_bytes() for path in files if path.is_file())[:limit]


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """The job's settings, with the text in `folder` (made if needed).

    Raises:
        MissingExtra: pyppmd is not installed.
    """
    if importlib.util.find_spec("pyppmd") is None:
        raise MissingExtra("pyppmd", "demo", "the demonstration")
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "text.txt"
    data = text()
    if not source.is_file() or source.read_bytes() != data:
        source.write_bytes(data)
    program = str(Path(__file__).with_name("compressor.py"))
    call = [sys.executable, "-I", program, "{method}"]
    flags = [item.partition(":")[0] for item in PARAMS[1:]]
    return {
        "command": [*call, "pack", str(source), "{out}", *(f"--{name}={{{name}}}" for name in flags)],
        "verify": [*call, "unpack", "{out}", "{back}"],
        "original": str(source),
        "params": PARAMS,
        "constraints": ["lc + lp <= 4"],
        "minimize": {"bytes": "size({out})", "cpu": "cpu"},
        "presets": presets(),
        "budget": BUDGET,
        "eval_timeout": 30,
        "jobs": min(2, os.cpu_count() or 1),
        "store": str(folder / "demo.db"),
        "name": "demo",
        "output": "packed",
        **changes,
    }


def job(folder: Path, **changes: Any) -> TuningJob:
    """The demonstration as a job."""
    return TuningJob.of(settings(folder, **changes))
