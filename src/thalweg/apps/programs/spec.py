"""A tuning job as plain settings: from a TOML file, from the command line, or both; one list of names and meanings.

command = "7zz a {out}.7z {instance} -m0={method} -mo={order}"     # or a list of argv elements
minimize = { bytes = "size({out}.7z)", cpu = "cpu" }
constraints = ["lc + lp <= 4", "rss <= 200e6"]                     # between parameters, or of measured results
instances = ["corpus/*.txt"]
budget = "200"                                                     # evaluations, a time ("10m"), or both ("200,10m")

[params]
order = "int[2,32]"
pb = "int[0,4] if method == lzma2"

[presets]
default = "order=6 method=ppmd"
best = { order = 32, method = "ppmd" }
"""

from __future__ import annotations

import difflib
import glob
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import ProblemError

KEYS: dict[str, tuple[type, ...]] = {
    "command": (str, list, tuple),
    "params": (dict, list, tuple),
    "minimize": (dict, list, tuple, str),
    "maximize": (dict, list, tuple, str),
    "report": (dict, list, tuple, str),
    "constraints": (list, tuple, str),
    "presets": (dict, list, tuple, str),
    "verify": (str, list),
    "original": (str,),
    "prepare": (str, list),
    "cleanup": (str, list),
    "instances": (list, tuple, str),
    "over": (str,),
    "repeats": (int,),
    "environment": (dict,),
    "limits": (dict, list, tuple, str),
    "empty": (bool,),
    "budget": (str, int, list, tuple),
    "eval_timeout": (str, int, float),
    "jobs": (int,),
    "store": (str,),
    "name": (str,),
    "strategy": (str,),
    "seed": (int,),
    "output": (str,),
}
"""The settings a job may have, and the types their values may be."""

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def load(path: str | Path) -> dict[str, Any]:
    """Settings from a TOML file.

    Raises:
        ProblemError: the file cannot be read, is not TOML, or has an unknown setting; the message says where.
    """
    try:
        with Path(path).open("rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        raise ProblemError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProblemError(f"{path}: not TOML: {error}") from None
    return check(settings, str(path))


def check(settings: Mapping[str, Any], where: str = "settings") -> dict[str, Any]:
    """`settings`, if every one of them exists and has a sensible type."""
    for key, value in settings.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(KEYS)}"
            raise ProblemError(f"{where}: there is no setting {key!r}; {hint}")
        if not isinstance(value, KEYS[key]) or (isinstance(value, bool) and bool not in KEYS[key]):
            wanted = " or ".join(kind.__name__ for kind in KEYS[key])
            raise ProblemError(f"{where}: {key} must be {wanted}, got {value!r:.80}")
    return dict(settings)


def named(given: Any, what: str) -> dict[str, str]:
    """{name: expression} from a table, or from "name=expression" texts.

    "cpu" alone is cpu=cpu; anything longer without a name is called "value".
    """
    if isinstance(given, Mapping):
        return {str(name): str(text) for name, text in given.items()}
    result: dict[str, str] = {}
    for text in [given] if isinstance(given, str) else given or ():
        match = re.match(r"\s*([A-Za-z_]\w*)\s*=(?!=)\s*(.+)$", text, re.DOTALL)
        alone = text.strip() if text.strip().isidentifier() else "value"
        name, expression = match.groups() if match else (alone, text)
        if name in result:
            raise ProblemError(f"{what}: {name!r} comes twice; write name=expression")
        result[name] = expression
    return result


def params_of(given: Any) -> list[str]:
    """'name:kind[...]' texts from such a list, or from a table {name: 'kind[...]'}."""
    if isinstance(given, Mapping):
        return [f"{name}:{text}" for name, text in given.items()]
    return [str(item) for item in given or ()]


def presets_of(given: Any) -> dict[str, Any]:
    """{name: point} from a table, or from texts 'order=6 mem=16' or 'name: order=6 mem=16'."""
    if isinstance(given, Mapping):
        return dict(given)
    result: dict[str, Any] = {}
    for text in [given] if isinstance(given, str) else given or ():
        match = re.match(r"\s*([\w.+-]+)\s*:\s+(.*)$", text, re.DOTALL)
        if match:
            name, body = match.groups()
        else:
            name, body = ("default" if "default" not in result else f"default{len(result) + 1}"), text
        if name in result:
            raise ProblemError(f"preset {name!r} comes twice")
        result[name] = body
    return result


def instances_of(given: Any) -> list[str]:
    """Files from patterns such as 'corpus/*.txt', sorted within each pattern.

    Raises:
        ProblemError: a pattern that matches nothing.
    """
    found: list[str] = []
    for pattern in [given] if isinstance(given, str) else given or ():
        if Path(pattern).exists():
            matches = [pattern]
        else:
            matches = sorted(item for item in glob.glob(pattern, recursive=True) if Path(item).is_file())
        if not matches:
            raise ProblemError(f"instances: no file matches {pattern!r} (the current directory is {Path.cwd()})")
        found += [item for item in matches if item not in found]
    return found


def budget_of(given: Any) -> tuple[int | None, float | None]:
    """(evaluations, seconds) from 200, "200", "10m", "200,10m" or a list of these.

    Raises:
        ProblemError: none of these.
    """
    evaluations: int | None = None
    limit_s: float | None = None
    parts = [given] if isinstance(given, (str, int)) else given
    for part in [piece for item in parts for piece in str(item).replace(",", " ").split()]:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]*)", part)
        if match is None or (match.group(2) and match.group(2) not in _UNITS):
            raise ProblemError(
                f"budget: a number of evaluations (200) or a time (90s, 10m, 2h) is expected, got {part!r}"
            )
        if match.group(2):
            limit_s = float(match.group(1)) * _UNITS[match.group(2)]
        elif "." in part or int(part) < 1:
            raise ProblemError(f"budget: a whole number of evaluations >= 1 is expected, got {part!r}")
        else:
            evaluations = int(part)
    if evaluations is None and limit_s is None:
        raise ProblemError("budget: give evaluations (200), a time (10m), or both")
    return evaluations, limit_s


def eval_timeout_of(given: str | float | None) -> float | str | None:
    """Seconds, or "auto", or None, from what people write ("30", "30s", "2m", "auto")."""
    if given is None or given == "auto":
        return given
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]*)", str(given))
    if match is None or (match.group(2) or "s") not in _UNITS or float(match.group(1)) <= 0:
        raise ProblemError(f"timeout: 'auto' or seconds (30, 2m) are expected, got {given!r}")
    return float(match.group(1)) * _UNITS[match.group(2) or "s"]


def limits_table(given: Any) -> dict[str, Any]:
    """{name: amount} from a table, or from "name=amount" texts.

    Raises:
        ProblemError: a text without an amount, or a name that comes twice.
    """
    if isinstance(given, Mapping):
        return dict(given)
    result: dict[str, Any] = {}
    for text in [given] if isinstance(given, str) else given or ():
        name, sign, amount = str(text).partition("=")
        if not sign or name.strip() in result:
            raise ProblemError(f"limits: name=amount is expected, each name once (memory=2GB), got {text!r:.60}")
        result[name.strip()] = amount.strip()
    return result


def words_of(given: Any) -> Sequence[str]:
    """One text or several, as several."""
    return [given] if isinstance(given, str) else list(given or ())
