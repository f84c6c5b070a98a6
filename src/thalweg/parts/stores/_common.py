"""What every store says and does alike."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence

import numpy as np

from ...core.errors import StoreError
from ...core.store import Entry, Finishing, Opening


def unknown_study(where: str, name: str, names: Sequence[str]) -> StoreError:
    """The error for a study that is not there, with near names or the newest ones."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    elif names:
        hint = f"there are: {', '.join(map(repr, names[-8:]))}"
    else:
        hint = "there are none yet"
    return StoreError(f"{where}: no study is called {name!r}; {hint}")


def never_opened(numbers: Sequence[int]) -> StoreError:
    """The error for results of trials that are not there."""
    return StoreError(
        f"no trial has the number {', '.join(map(str, numbers[:8]))}: never opened, or released; "
        f"append takes numbers that open_trials gave, results from elsewhere go through add"
    )


def check_lengths(opening: Opening, finishing: Finishing) -> None:
    """Raises StoreError unless row i of both can be one trial."""
    if len(opening) != len(finishing):
        raise StoreError(f"add: as many results as points expected, got {len(finishing)} for {len(opening)}")


def renumbered(finishing: Finishing, first: int) -> Finishing:
    """The same results for the consecutive numbers from `first` on."""
    return dataclasses.replace(finishing, numbers=np.arange(first, first + len(finishing), dtype=np.int64))


def stamp(entries: Sequence[Entry], written: Sequence[tuple[float, int]]) -> None:
    """Tell entries the time and sequence they were written with."""
    for entry, (moment, sequence) in zip(entries, written, strict=True):
        entry.time_unixtime, entry.sequence = moment, sequence
