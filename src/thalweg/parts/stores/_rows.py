"""Trials as rows and back: JSON text with a CRC-32 each, encoded by row, decoded in bulk.

A crc starts from the row's place (study, number, status), so text in the wrong row is found as well as changed text.
JSON has no NaN and no infinities, and SQLite turns NaN into NULL: they are the strings "nan", "inf" and "-inf" in
`values`; in components, log lines and snapshots they take the form of `thalweg.core.plain`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any
from zlib import crc32

import msgspec

from ...core import plain
from ...core.batch import Status
from ...core.errors import StoreError
from ...core.store import Entry, Finishing, Opening, digest
from ...core.stored import StoredTrial

Row = tuple[int, int, bytes, int, bytes | None, int | None, int, int | None]
"""number, status, opening, its crc, result, its crc, attempt, owner: as the queries give it."""

Point = tuple[bytes, bytes]
"""digest and text of a trial that is about to be opened."""

Ended = tuple[int, int, str, int, int]
"""number, status, text, its crc, attempt of an ended trial."""

_FINAL = int(Status.DONE)
_RELEASED = int(Status.ABANDONED)
_dumps = msgspec.json.Encoder().encode
_BLOCK = 512


def place(study: int, number: int, status: int = 0) -> int:
    """Where a row's crc starts."""
    return (study * 0x9E3779B1 + number * 8 + status) & 0xFFFFFFFF


def crc_of(*parts: object) -> int:
    """The crc of a row that is not a trial."""
    return crc32("\n".join(map(str, parts)).encode())


def to_json(value: Any, what: str) -> str:
    """Plain data as JSON text, losing nothing.

    Raises:
        StoreError: it is not plain data.
    """
    try:
        return _dumps(plain.encode(value)).decode()
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{what} cannot be stored: {error}") from error


def from_json(text: str) -> Any:
    """What `to_json` was given."""
    return plain.decode(msgspec.json.decode(text))


def state_crc(owner: int | None, attempt: int) -> int:
    """The crc of who works on an open trial, and how often it was begun."""
    return crc32(f"{owner}\n{attempt}".encode())


def released_crc(study: int, number: int) -> int:
    """The crc of what is left of a released trial."""
    return place(study, number, _RELEASED)


def retracted_crc(study: int, number: int, result: bytes) -> int:
    """The crc of a result that does not count any more."""
    return crc32(result, place(study, number, _RELEASED))


def log_crc(study: int, sequence: int, kind: str, moment: float, body: str, by: int) -> int:
    """The crc of a line of the log."""
    text = f"{study}\n{sequence}\n{kind}\n{moment}\n{body}"
    return crc32((f"{text}\n{by}" if by else text).encode())


def entry_of(study: int, row: Sequence[Any]) -> Entry | None:
    """A line of the log from (sequence, kind, time, body, by, crc), texts as bytes; None: it is damaged."""
    sequence, kind, moment, body, by, crc = row
    kind, body = text_of(kind), text_of(body)
    if kind is None or body is None or log_crc(study, sequence, kind, moment, body, by) != crc:
        return None
    return Entry(kind, from_json(body), moment, sequence, by)


def snapshot_of(study: int, by: int, row: Sequence[Any]) -> tuple[dict[str, Any], int] | None:
    """A snapshot and its log position from (sequence, body, crc), the text as bytes; None: it is damaged."""
    sequence, body, crc = row
    text = text_of(body)
    if text is None or snapshot_crc(study, by, sequence, text) != crc:
        return None
    return from_json(text), sequence


def text_of(given: object) -> str | None:
    """Bytes of a text column as text; None: they are none (any more)."""
    try:
        return given.decode() if isinstance(given, bytes) else None
    except UnicodeDecodeError:
        return None


def spec_line(name: str, spec: str, fingerprint: str, revision: int) -> str:
    """The body of line 0 of a study's log: what its own row says. `respec` writes the later ones."""
    head = to_json({"name": name, "fingerprint": fingerprint, "revision": revision}, f"study {name!r}")
    return f'{head[:-1]},"spec":{spec}}}'


def specs_of(body: str) -> tuple[str, str, str, int]:
    """(name, spec as text, fingerprint, revision) that line 0 or a line "respec" (which has no name) leads to.

    Raises:
        ValueError: it is neither.
    """
    line = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    try:
        now = msgspec.json.decode(line["now"], type=dict[str, msgspec.Raw]) if "now" in line else line
        name = msgspec.json.decode(line["name"], type=str) if "name" in line else ""
        revision = msgspec.json.decode(line["revision"], type=int) + ("now" in line)
        return name, bytes(now["spec"]).decode(), msgspec.json.decode(now["fingerprint"], type=str), revision
    except KeyError as error:
        raise ValueError(f"no {error}") from None


def snapshot_crc(study: int, by: int, sequence: int, body: str) -> int:
    """The crc of a snapshot."""
    return crc_of(study, sequence, body, by) if by else crc_of(study, sequence, body)


def study_crc(name: str, spec: str, fingerprint: str, created: float, revision: int) -> int:
    """The crc of a study's own row."""
    return crc_of(name, spec, fingerprint, created, *([revision] if revision else ()))


def points_of(opening: Opening) -> list[Point]:
    """The rows of `opening` as they are stored.

    Raises:
        StoreError: a label of a parameter is not JSON-able.
    """
    tickets = opening.tickets.tolist()
    fidelities = opening.fidelities.tolist() if opening.fidelities is not None else None
    replicates = opening.replicates.tolist() if opening.replicates is not None else None
    common: dict[str, Any] = {} if opening.source == "strategy" else {"source": opening.source}
    if opening.by:
        common["by"] = opening.by
    points = []
    for i, params in enumerate(labels_of(opening, len(opening))):
        body: dict[str, Any] = {"params": params, "ticket": tickets[i]}
        fidelity = fidelities[i] if fidelities is not None else None
        replicate = replicates[i] if replicates is not None else 0
        if fidelity is not None:
            body["fidelity"] = fidelity
        if replicate:
            body["replicate"] = replicate
        if common:
            body |= common
        try:
            points.append((digest(params, fidelity, replicate), _dumps(body)))
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(
                f"row {i}: parameters {params!r} are not JSON-able ({error}); give such choices labels"
            ) from error
    return points


def labels_of(opening: Opening, count: int) -> list[dict[str, Any]]:
    """The labels of the first `count` trials."""
    active = opening.active[:count] if opening.active is not None else None
    return opening.space.to_labels(opening.reals[:count], active)


def result_bodies(finishing: Finishing) -> Iterator[dict[str, Any]]:
    """What is stored of each ended trial, by `StoredTrial`'s names; defaults are left out."""
    values = finishing.values.tolist()
    seconds = finishing.seconds.tolist()
    violations = finishing.violations.tolist() if finishing.violations is not None else None
    started = finishing.started.tolist() if finishing.started is not None else None
    attempts = finishing.attempts.tolist() if finishing.attempts is not None else None
    errors, components, worker = finishing.errors, finishing.components, finishing.worker
    for i, row in enumerate(values):
        body: dict[str, Any] = {"values": row}
        if seconds[i] == seconds[i]:
            body["seconds"] = seconds[i]
        if violations is not None and violations[i]:
            body["violation"] = violations[i]
        if components is not None and components[i] is not None:
            body["components"] = components[i]
        if i in errors:
            body["error"] = errors[i]
        if started is not None and started[i] == started[i]:
            body["started_unixtime"] = started[i]
        if attempts is not None and attempts[i] != 1:
            body["attempt"] = attempts[i]
        if worker:
            body["worker"] = worker
        yield body


def result_rows(study: int, finishing: Finishing) -> Iterator[Ended]:
    """(number, status, text, crc, attempt) of each ended trial.

    Raises:
        StoreError: a status is not final, or components are not plain data.
    """
    numbers, statuses = finishing.numbers.tolist(), finishing.statuses.tolist()
    for number, status, body in zip(numbers, statuses, result_bodies(finishing), strict=True):
        check_final(number, status)
        values = body["values"]
        if not math.isfinite(sum(values)):
            body["values"] = [_word(value) for value in values]
        if not math.isfinite(body.get("violation", 0.0)):
            body["violation"] = _word(body["violation"])
        try:
            if "components" in body:
                body["components"] = plain.encode(body["components"])
            if "error" in body:  # output of programs may hold bytes that are no text
                body["error"] = body["error"].encode("utf-8", "replace").decode()
            text = _dumps(body)
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"trial {number}: its components cannot be stored: {error}") from error
        yield number, status, text.decode(), crc32(text, place(study, number, status)), body.get("attempt", 1)


def with_attempt(study: int, row: Ended, attempt: int) -> Ended:
    """The same result, which says nothing of its attempt, as that of the attempt numbered `attempt`."""
    number, status, text, _, _ = row
    text = f'{text[:-1]},"attempt":{attempt}}}'
    return number, status, text, crc32(text.encode(), place(study, number, status)), attempt


def same_result(status: int, stored: bytes, row: Ended) -> bool:
    """Whether a final trial was answered with what it has: equal status (unless it was retracted) and values."""
    one, two = msgspec.json.decode(stored), msgspec.json.decode(row[2])
    if status not in (row[1], _RELEASED):
        return False
    # infinities and NaN are words here, and equal themselves
    return bool(one["values"] == two["values"] and one.get("violation", 0.0) == two.get("violation", 0.0))


def check_final(number: int, status: int) -> None:
    """Raises StoreError if `status` is not final."""
    if not _FINAL <= status <= _RELEASED:
        raise StoreError(
            f"trial {number}: a final status (2 to 6) expected, got {status}; append takes ended trials only"
        )


def _word(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)


@cache
def _decoder() -> Callable[[bytes], list[StoredTrial]]:
    """Decodes many trials at once; "nan" and "inf" are floats to it."""
    return msgspec.json.Decoder(list[StoredTrial], strict=False).decode


def trials_of(study: int, rows: Iterable[Row], damaged: Callable[[int, str], None]) -> list[StoredTrial]:
    """The trials in `rows`, in order; a row whose crc is wrong is told to `damaged(number, what)` and left out.

    Block by block: what a block needs meanwhile stays in the processor's cache, which saves a third of the time.
    """
    trials: list[StoredTrial] = []
    rows = iter(rows)
    while block := list(islice(rows, _BLOCK)):
        trials += _trials_of(study, block, damaged)
    return trials


def _trials_of(study: int, rows: list[Row], damaged: Callable[[int, str], None]) -> list[StoredTrial]:
    if not rows:
        return []
    numbers, statuses, openings, opening_crcs, results, result_crcs, attempts, owners = zip(*rows, strict=True)
    if {*map(type, numbers), *map(type, statuses)} != {int} or {bytes} != {*map(type, openings)} | _types(results):
        return _trials_of(study, _typed_rows(rows, damaged), damaged)
    base = place(study, 0)
    places = [base + 8 * number for number in numbers]
    whole = list(map(crc32, openings, places)) == list(opening_crcs)
    final = None not in results
    if final:
        ends = [start + status for start, status in zip(places, statuses, strict=True)]
        whole = whole and min(statuses) >= _FINAL and list(map(crc32, results, ends)) == list(result_crcs)
        pairs = [one[:-1] + b"," + two[1:] for one, two in zip(openings, results, strict=True)]
    else:
        whole = whole and all(_result_ok(row, base) for row in rows)
        pairs = [one if two is None else one[:-1] + b"," + two[1:] for one, two in zip(openings, results, strict=True)]
    if not whole:
        return _trials_of(study, _sound_rows(rows, base, damaged), damaged)
    text = b"[" + b",".join(pairs) + b"]"
    trials = _decoder()(text)
    for trial, number, status in zip(trials, numbers, statuses, strict=True):
        trial.number, trial.status = number, status
    if not final:
        for trial, status, attempt, owner in zip(trials, statuses, attempts, owners, strict=True):
            if status < _FINAL:  # a final row has no owner, and no crc would tell
                trial.attempt, trial.owner = attempt, owner
            elif not trial.values and trial.attempt == 1:  # released: nothing else says how often it was begun
                trial.attempt = attempt
    if b'"~"' in text:
        for trial in trials:
            if trial.components is not None:
                trial.components = plain.decode(trial.components)
    return trials


def _result_ok(row: Row, base: int) -> bool:
    number, status, _, _, result, crc, attempt, owner = row
    if result is not None:
        return status >= _FINAL and crc32(result, (base + 8 * number + status) & 0xFFFFFFFF) == crc
    if status < _FINAL:
        return crc == state_crc(owner, attempt)
    return status == _RELEASED and crc == (base + 8 * number + status) & 0xFFFFFFFF


def sound(study: int, row: Row) -> bool:
    """Whether both crcs of a row are right."""
    base = place(study, 0)
    return crc32(row[2], (base + 8 * row[0]) & 0xFFFFFFFF) == row[3] and _result_ok(row, base)


def _types(results: Iterable[bytes | None]) -> set[type]:
    """The types of those that are there, {bytes} where none is."""
    return {*map(type, results)} - {type(None)} or {bytes}


def _typed_rows(rows: list[Row], damaged: Callable[[int, str], None]) -> list[Row]:
    """Without rows in which a damaged head makes something else of a number or a text."""
    kept = []
    for row in rows:
        if type(row[0]) is int and type(row[1]) is int and type(row[2]) is bytes and _types(row[4:5]) == {bytes}:
            kept.append(row)
        else:
            damaged(row[0], "row")
    return kept


def _sound_rows(rows: list[Row], base: int, damaged: Callable[[int, str], None]) -> list[Row]:
    kept = []
    for row in rows:
        if crc32(row[2], (base + 8 * row[0]) & 0xFFFFFFFF) != row[3]:
            damaged(row[0], "opening")
        elif not _result_ok(row, base):
            damaged(row[0], "result")
        else:
            kept.append(row)
    return kept
