"""Jobs in stores: a study remembers the settings it was made from, so it can go on, or be shown, by its name alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...core.errors import ProblemError, StoreMismatch
from ...core.store import Entry, Store

if TYPE_CHECKING:
    from .job import TuningJob
    from .outcome import Outcome

KIND = "job"
"""The kind of log entry that holds settings."""


def remember(store: Store, job: TuningJob) -> None:
    """Note `job`'s settings in its study's log, unless the last note says the same."""
    study = store.open(job.study_name).id
    body = {"settings": job.settings, "folder": os.getcwd()}
    notes = store.entries(study, kinds=[KIND])
    if not notes or notes[-1].body != body:
        store.log(study, [Entry(KIND, body)])


def settings_of(store: Store, name: str) -> tuple[dict[str, Any], str]:
    """(settings, the folder it ran in) of the stored job `name`.

    Raises:
        StoreError: there is no such study.  ProblemError: it was not made by a tuning job.
    """
    notes = store.entries(store.open(name).id, kinds=[KIND])
    if not notes:
        raise ProblemError(
            f"study {name!r} does not come from a tuning job, so it does not know its objective; "
            "go on with it from Python: thalweg.load(store, name).run(objective, ...)"
        )
    return dict(notes[-1].body["settings"]), str(notes[-1].body["folder"])


def job_named(address: str, name: str, changes: Mapping[str, Any] | None = None) -> TuningJob:
    """The stored job `name`, with some settings changed (the budget, the number of jobs).

    Raises:
        StoreError, ProblemError: see `settings_of`; or it ran in another folder.
        StoreMismatch: its program or its files have changed, so new results would not compare with the old ones.
    """
    from ...parts.stores import open_store
    from .job import TuningJob, address_of

    with_store = open_store(address_of(address), new=False)
    try:
        settings, folder = settings_of(with_store, name)
    finally:
        with_store.close()
    if os.path.realpath(folder) != os.path.realpath(os.getcwd()):
        raise ProblemError(f"study {name!r} ran in {folder}, and its files are found from there: cd there first")
    fixed = "name" in settings
    job = TuningJob.of({**settings, **(changes or {}), "store": address})
    if not fixed and job.study_name != name:
        raise StoreMismatch(
            f"the program or an input file of study {name!r} has changed since; new results would not compare with the "
            "old ones. Start a new study: the same `thalweg tune` command does"
        )
    return job


def outcome_named(address: str, name: str) -> Outcome:
    """What the stored job `name` has come to; nothing is run. Raises as `job_named`."""
    from ...engine.load import load
    from ...parts.stores import open_store
    from .job import address_of
    from .outcome import judge

    job = job_named(address, name)
    store = open_store(address_of(address), new=False)
    try:
        result = load(store, name).result
        result.stop_reason = result.stop_reason or "as stored"
        return judge(job, result)
    finally:
        store.close()
