"""Columns read from a file: without an object per trial, and with the same eyes for damage as rows."""

import random
import sqlite3
import tracemalloc
import warnings
from zlib import crc32

import numpy as np
import pytest

from thalweg.core.choices import Boolean, Choice, Permutation
from thalweg.core.parameter import Float, Integer
from thalweg.core.space import Space
from thalweg.core.stored_columns import Wanted, columns_of
from thalweg.parts.stores import _columns
from thalweg.parts.stores._rows import place, trials_of
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_base import finishing_of, opening_of, plain, same_columns

FLOATS = Space({name: Float(-5.0, 5.0) for name in "abcde"})
NUMBERS = Space(
    {"a": Float(1e-3, 1.0, log=True), "b": Integer(-3, 10**9), "c": Float(0.0, 1.0, step=0.1), "2 d": (0, 1)}
)
MIXED = Space(
    {"a": Float(0.0, 1.0, size=3), "b": Boolean(), "c": Choice(["x", 1.5]), "d": Permutation([*"abcd"]), "e": (1, 9)}
)


def fill(path, space, count=600, **columns):
    store = SQLiteStore(path, durability="fast")
    study = store.create("study", {}, "f").id
    store.open_trials(study, opening_of(count, 1, space), None)
    result = finishing_of(range(count), **columns)
    result.started = np.linspace(1.7e9, 1.8e9, count)
    store.append(study, result)
    return store, study


@pytest.mark.parametrize("space", [FLOATS, NUMBERS, MIXED], ids=["floats", "numbers", "mixed"])
def test_usual_trials_are_never_objects(tmp_path, monkeypatch, space):
    store, study = fill(tmp_path / "x.db", space)
    kept = same_columns(store, study, Wanted(space, 1))
    assert kept.reals.tobytes() == opening_of(600, 1, space).reals.tobytes()
    monkeypatch.setattr(_columns, "trials_of", lambda *_: pytest.fail("a row was read on its own"))
    assert len(store.columns(study, Wanted(space, 1))[0]) == 600
    store.close()


def test_named_results_and_failures_are_never_objects_either(tmp_path, monkeypatch):
    items = [{"time": 0.5 * i, "ok": True, "note": "x" * (i % 3)} if i % 5 else None for i in range(600)]
    more = {"components": items, "errors": {3: "KeyError: 'x'"}, "worker": "pid 7", "violations": np.arange(600.0)}
    store, study = fill(tmp_path / "x.db", FLOATS, **more)
    same_columns(store, study, Wanted(FLOATS, 1))
    monkeypatch.setattr(_columns, "trials_of", lambda *_: pytest.fail("a row was read on its own"))
    rare = store.columns(study, Wanted(FLOATS, 1))[0].rare
    assert [rare.components.get(i) for i in range(600)] == items
    assert dict(rare.errors) == {3: "KeyError: 'x'"} and len(rare.workers) == 600
    store.close()


def test_bytes_and_objects_per_trial(tmp_path):
    count = 3000
    store, study = fill(tmp_path / "x.db", FLOATS, count)
    store.columns(study, Wanted(FLOATS, 1))
    tracemalloc.start()
    try:
        held, _ = store.columns(study, Wanted(FLOATS, 1))
        now, most = tracemalloc.get_traced_memory()
        blocks = sum(item.count for item in tracemalloc.take_snapshot().statistics("filename"))
    finally:
        tracemalloc.stop()
    assert len(held) == count and now / count < 130, "the columns have 91 bytes of each"
    assert most / count < 900, "what a block needs meanwhile, and nothing for each trial"
    assert blocks / count < 0.2
    store.close()


def both(store, study, wanted):
    """What columns and rows give, with what they warn of."""
    told = []
    for read in (lambda: store.columns(study, wanted)[0], lambda: columns_of(store.since(study)[0], wanted)):
        store._books._warned.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = plain(read())
        told.append((found, sorted(str(item.message) for item in caught)))
    return told


CHANGES = [
    "UPDATE trial SET opening = replace(opening, '0', '1') WHERE number = 7",
    "UPDATE trial SET result = replace(result, '0.25', '0.26') WHERE number IN (3, 599)",
    "UPDATE trial SET status = 3 WHERE number = 8",
    "UPDATE trial SET status = 1 WHERE number = 8",
    "UPDATE trial SET status = -2 WHERE number = 8",
    "UPDATE trial SET status = 200 WHERE number = 8",
    "UPDATE trial SET number = 9000 WHERE number = 8",
    "UPDATE trial SET opening_crc = opening_crc + 1 WHERE number = 520",
    "UPDATE trial SET result_crc = NULL WHERE number = 520",
    "UPDATE trial SET opening = 12 WHERE number = 520",
    "UPDATE trial SET result = NULL WHERE number = 521",
    "UPDATE trial SET result = 1.5 WHERE number = 521",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "x.db"
    store, _ = fill(path, FLOATS)
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize("change", CHANGES)
def test_damage_is_found_as_rows_find_it(tmp_path, whole, change):
    path = tmp_path / "x.db"
    path.write_bytes(whole)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    assert connection.execute(change).rowcount > 0
    connection.commit()
    connection.close()
    store = SQLiteStore(path)
    columns, rows = both(store, store.open("study").id, Wanted(FLOATS, 1))
    store.close()
    assert columns == rows and columns[1], "and it is found"
    assert 598 <= columns[0]["count"] <= 599


@pytest.mark.parametrize("odd", [None, 2.5, 7.0, "x", b"x", b"", -3, 300, 2**70], ids=repr)
def test_cells_of_other_types_are_found_as_rows_find_them(tmp_path, whole, odd):
    """A damaged head of a row makes anything of a cell."""
    path = tmp_path / "x.db"
    path.write_bytes(whole)
    store = SQLiteStore(path)
    with store._database.reading() as connection:
        rows = connection.execute(store._sql["all_trials"], (1, None, False)).fetchall()
    store.close()
    for cell in range(6):
        changed = list(rows)
        changed[9] = (*rows[9][:cell], odd, *rows[9][cell + 1 :])
        told, heard = [], []
        found = _columns.columns_of(1, changed, Wanted(FLOATS, 1), lambda *what: told.append(what))
        trials = trials_of(1, changed, lambda *what: heard.append(what))
        assert repr(told) == repr(heard) and len(told) == 1
        assert plain(found) == plain(columns_of(trials, Wanted(FLOATS, 1))) and len(found) == 599


def test_no_flipped_bit_of_a_row_is_taken_for_a_result(tmp_path, whole):
    """Bits of the texts themselves, at random: what is left is what was written."""
    path = tmp_path / "x.db"
    store, study = fill(path, FLOATS, 60)
    want, _ = store.columns(study, Wanted(FLOATS, 1))
    store.close()
    data = path.read_bytes()
    starts = [i for i in range(len(data)) if data.startswith(b'{"params"', i)]
    dice, noticed = random.Random(1), 0
    for _ in range(40):
        turned = bytearray(data)
        turned[dice.choice(starts) + dice.randrange(190)] ^= 1 << dice.randrange(8)
        path.write_bytes(turned)
        store = SQLiteStore(path)
        columns, rows = both(store, study, Wanted(FLOATS, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found, _ = store.columns(study, Wanted(FLOATS, 1))
        store.close()
        assert columns == rows
        noticed += bool(columns[1])  # not where the page has a former copy of a row
        assert found.reals.tobytes() == want.reals[found.numbers].tobytes()
        assert found.values.tobytes() == want.values[found.numbers].tobytes()
    assert noticed > 10


def test_texts_with_line_breaks_are_read_too():
    """Nobody writes them; they are JSON all the same."""
    texts = [b'{"params":\n{"x":%f},"ticket":1}' % 0.5, b'{"params":{"x":0.25},"ticket":2}\n\n']
    result = b'{"values":[1.5]}'
    space = Space({"x": Float(0.0, 1.0)})
    rows = [
        (number, 2, text, crc32(text, place(1, number)), result, crc32(result, place(1, number, 2)), 1, None)
        for number, text in enumerate(texts)
    ]
    found = _columns.columns_of(1, rows, Wanted(space, 1), lambda *what: pytest.fail(str(what)))
    assert found.reals.tolist() == [[0.5], [0.25]] and found.tickets.tolist() == [1, 2]
