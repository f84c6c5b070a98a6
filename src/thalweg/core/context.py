"""What an objective may know about the evaluation it is: its optional second argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Report = Callable[[int, int, "float | Mapping[str, float]"], bool]
"""(trial number, step, values) -> whether to stop this evaluation."""


@dataclass(slots=True, eq=False)
class Context:
    """One evaluation, seen from inside.

    number: the trial's number.  seed: differs per trial and replicate, equal on every run with the study's seed.
    fidelity: in the user's unit, None where the problem has none.
    """

    number: int
    seed: int
    fidelity: float | None = None
    should_stop: bool = False
    _report: Report | None = None
    _folder: Path | None = field(default=None, repr=False)

    def report(self, step: int, values: float | Mapping[str, float]) -> bool:
        """Record intermediate `values` at `step`; gives (and keeps in `should_stop`) whether to stop early."""
        if self._report is not None and self._report(self.number, step, values):
            self.should_stop = True
        return self.should_stop

    @property
    def folder(self) -> Path:
        """A fresh folder for this evaluation's files, removed when it ends."""
        if self._folder is None:
            import tempfile  # loading these two takes as long as loading the whole of `core`
            from pathlib import Path

            self._folder = Path(tempfile.mkdtemp(prefix=f"thalweg-{self.number}-"))
        return self._folder

    def clean(self) -> None:
        """Remove the folder, if one was made."""
        if self._folder is not None:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
