"""What makes a study the same study: its specification, its seed, the fingerprint of what results depend on."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ProblemError, StoreMismatch
from ..core.problem import Problem
from ..core.strategy import Strategy
from ..core.target import Target
from ..parts.strategies._text import written
from .race import read_repeats

if TYPE_CHECKING:
    from .session import Session

FORMAT = 1


def make_seed(given: int | None) -> int:
    """The seed, or a drawn one (63 bits).

    Raises:
        ProblemError: not a whole number.
    """
    if given is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> 1
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 0:
        raise ProblemError(f"seed: a whole number >= 0 is expected, got {given!r}")
    return int(given)


def study_spec(
    problem: Problem,
    strategy: Strategy,
    seed: int,
    repeats: Any,
    aggregate: str,
    ordered: bool | int,
    confirm: float = 0.0,
) -> dict[str, Any]:
    """Plain data from which the study can be opened again."""
    low, high = read_repeats(repeats)
    return {
        "format": FORMAT,
        "space": problem.space.spec(),
        "objectives": [[item.name, item.goal] for item in problem.objectives],
        "constraints": [item.text for item in problem.constraints],
        "noisy": problem.noisy,
        "version": problem.version,
        "strategy": written(strategy),
        "seed": seed,
        "repeats": low if low == high else [low, high],
        "confirm": confirm,
        "aggregate": aggregate,
        "ordered": ordered,
    }


def fingerprint(problem: Problem) -> str:
    """A digest of what results depend on; "" where the user named no version (then nothing is shared)."""
    if problem.version is None:
        return ""
    from hashlib import blake2b

    import msgspec

    return blake2b(msgspec.json.encode(problem.fingerprint(), order="sorted"), digest_size=16).hexdigest()


def reconcile(name: str, stored: dict[str, Any], made: dict[str, Any], seed: int | None, confirm: Any) -> None:
    """Raise StoreMismatch unless the stored study `name` is the one described. seed, confirm: None: any will do."""
    names = ["space", "objectives", "constraints", "repeats", "aggregate"]
    names += ["seed"] if seed is not None else []
    names += ["confirm"] if confirm is not None else []
    different = [item for item in names if stored.get(item) != made.get(item)]
    if different:
        what = "; ".join(_difference(item, stored.get(item), made.get(item)) for item in different)
        change = (
            f"; or change the stored one: load(store, {name!r}).change_space(space)" if "space" in different else ""
        )
        raise StoreMismatch(
            f"study {name!r} is in the store already, and differs in its {' and '.join(different)}: {what}. "
            f"Use another name= or another store{change}"
        )


def _difference(item: str, stored: Any, made: Any) -> str:
    """What differs, in words; of a space only those parameters that do."""
    if item != "space" or stored is None:
        return f"{item}: stored {stored!r:.200}, given {made!r:.200}"
    kept, given = dict(stored["parameters"]), dict(made["parameters"])
    names = [name for name in {**kept, **given} if kept.get(name) != given.get(name)]
    told = [f"{name!r}: stored {_shown(kept.get(name))}, given {_shown(given.get(name))}" for name in names[:6]]
    for key in sorted({*stored, *made} - {"parameters"}):
        if stored.get(key) != made.get(key):
            told.append(f"{key}: stored {stored.get(key)!r:.200}, given {made.get(key)!r:.200}")
    return "; ".join(told) or "the order of parameters"


def _shown(spec: Any) -> str:
    if spec is None:
        return "nothing"
    options = ", ".join(f"{key}={value!r:.80}" for key, value in spec.items() if key != "type")
    return f"{spec.get('type')}({options})"


def note_code(session: Session, name: str, target: Target) -> None:
    """Keep what is run in the study `name`, and say so when it is not what its earlier results came from."""
    if not target.digest:
        return
    known = session.store.entries(session.study, 0, ("target",))
    if known and known[-1].body["digest"] == target.digest:
        return
    if known and session.history.n:
        text = (
            f"the objective {target.name} is not the one that earlier results of study {name!r} came from "
            f"({known[-1].body['name']}, other code or inputs); they stay in one study. "
            "Use another name= to keep them apart"
        )
        session.emit("warning", text=text)
        warnings.warn(text, stacklevel=5)
    session.log("target", name=target.name, digest=target.digest)
