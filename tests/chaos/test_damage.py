"""Damaged files: every flipped bit is found or harmless, and `repair` brings back what can be brought back."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from zlib import crc32

import apsw
import pytest
from stored import answers, fill, verified

from thalweg.core.errors import StoreError
from thalweg.core.store import Entry
from thalweg.parts.stores._rows import place, state_crc, trials_of
from thalweg.parts.stores.repair import repair
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, opening_of

PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sound file, its bytes, and what it answers."""
    path = tmp_path_factory.mktemp("whole") / "x.db"
    fill(path, 200)
    want = answers(path)
    return path.read_bytes(), want


def put(folder, data):
    """The file `folder`/x.db with these bytes, and nothing beside it."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    (folder / "x.db").write_bytes(data)
    return folder / "x.db"


def differences(got, want):
    """(rows that are lost, rows that are wrong), of trials and log. A trial that is open again has lost its result."""
    lost = wrong = 0
    for name, study in want.items():
        for kind in ("trials", "log"):
            there = got.get(name, {}).get(kind, {})
            other = [key for key, value in there.items() if study[kind].get(key) != value]
            again = [key for key in other if key in study[kind] and "status=0" in repr(there[key])]
            lost += sum(key not in there for key in study[kind]) + len(again)
            wrong += len(other) - len(again)
    return lost, wrong


def flip(folder, whole, seed):
    """One bit turned; (it was found, rows that are lost after a repair)."""
    data, want = whole
    place = random.Random(seed).randrange(8 * len(data))
    turned = bytearray(data)
    turned[place // 8] ^= 1 << place % 8
    where = f"bit {place % 8} of byte {place // 8} ({place // 8 % PAGE} of page {place // 8 // PAGE + 1})"
    path = put(folder, turned)
    found = verified(path)
    if not found:
        assert answers(path) == want, f"{where}: it was not found, and the answers are others"
    path = put(folder, turned)
    report = repair(path)
    assert verified(path) == [], where
    lost, wrong = differences(answers(path), want)
    assert wrong == 0, f"{where}: a repaired file tells what nobody wrote"
    assert lost <= report.lost + report.again["trial"], (
        f"{where}: {lost} rows are gone, the report says {report.lines()}"
    )
    return bool(found), lost


def check_flips(folder, whole, seeds):
    rows = sum(len(study["trials"]) + len(study["log"]) for study in whole[1].values())
    done = [flip(folder, whole, seed) for seed in seeds]
    assert sum(found for found, _ in done) > 0.4 * len(done), "hardly any flip was found; does it look at the rows?"
    assert max(lost for _, lost in done) <= 1 + 0.01 * rows, "one bit cost many rows"
    assert sum(lost for _, lost in done) <= 0.05 * len(done), "a single wrong bit can be turned back nearly always"


@pytest.mark.chaos
def test_flipped_bits(tmp_path, whole):
    check_flips(tmp_path / "x", whole, range(20))


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_a_thousand_flipped_bits(tmp_path, whole, part):
    check_flips(tmp_path / "x", whole, range(20 + 98 * part, 20 + 98 * (part + 1)))


@pytest.mark.parametrize("page", [1, 2, 5, 9, 20, -1])
def test_a_zeroed_page_costs_its_own_rows_at_most(tmp_path, whole, page):
    data, want = whole
    page = page if page > 0 else len(data) // PAGE
    path = put(tmp_path / "x", data[: (page - 1) * PAGE] + bytes(PAGE) + data[page * PAGE :])
    report = repair(path)
    got = answers(path)
    names = {f"recovered-{name}" for name in (1, 2)}
    if not names & set(got):  # the page of the studies' own rows takes their names with it
        lost, wrong = differences(got, want)
        assert wrong == 0 and lost <= 60 and lost <= report.lost + report.again["trial"]
    assert sum(len(study["trials"]) for study in got.values()) >= sum(len(s["trials"]) for s in want.values()) - 60
    assert verified(path) == []


@pytest.mark.parametrize("part", [0.25, 0.5, 0.9])
def test_a_truncated_file(tmp_path, whole, part):
    data, want = whole
    path = put(tmp_path / "x", data[: int(part * len(data))])
    assert verified(path), "it must be noticed"
    repair(put(tmp_path / "x", data[: int(part * len(data))]))
    _, wrong = differences(answers(path), want)
    assert wrong == 0 and verified(path) == []
    got = sum(len(study["trials"]) for study in answers(path).values())
    assert got >= (part - 0.3) * sum(len(study["trials"]) for study in want.values())


def test_what_is_in_the_wal_only_is_salvaged(tmp_path):
    """As after a crash: the newest results are in the WAL, and the file's first page is gone."""
    path = tmp_path / "x.db"
    fill(path, 40)
    store = SQLiteStore(path)
    study = store.open("first").id
    opened = store.open_trials(study, opening_of(3, 99), None)
    numbers = list(range(opened.first, opened.first + 3))
    store.append(study, finishing_of(numbers), [Entry("told", {"late": True})])
    folder = tmp_path / "crashed"
    folder.mkdir()
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", folder / f"x.db{ending}")
    store.close()
    want = answers(path)
    crashed = folder / "x.db"
    assert (folder / "x.db-wal").stat().st_size > 0
    with open(crashed, "r+b") as file:
        file.write(bytes(100))
    report = repair(crashed)
    assert answers(crashed) == want and report.lost == 0
    assert Path(f"{report.original}-wal").exists(), "the damaged file keeps its WAL"


def test_a_garbage_wal_is_harmless(tmp_path, whole):
    data, want = whole
    path = put(tmp_path / "x", data)
    Path(f"{path}-wal").write_bytes(random.Random(1).randbytes(50_000))
    assert verified(path) == [] and answers(path) == want
    path = put(tmp_path / "x", data)
    Path(f"{path}-wal").write_bytes(random.Random(1).randbytes(50_000))
    assert repair(path).lost == 0 and answers(path) == want


def test_clear_errors(tmp_path, whole):
    with pytest.raises(StoreError, match="there is no file"):
        repair(tmp_path / "nothing.db")
    with pytest.raises(StoreError, match="directory"):
        repair(tmp_path)
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="is empty"):
        repair(tmp_path / "empty.db")
    (tmp_path / "text.db").write_text("no store at all\n" * 500)
    with pytest.raises(StoreError, match="no row of a store"):
        repair(tmp_path / "text.db")
    assert (tmp_path / "text.db").read_text().startswith("no store"), "it is as it was"
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x')")
    other.close()
    with pytest.raises(StoreError, match="no row of a store"):
        repair(tmp_path / "other.db")
    path = put(tmp_path / "x", b"XXXX" + whole[0][4:])
    with pytest.raises(StoreError, match="thalweg repair"):
        SQLiteStore(path)
    repair(path)
    assert answers(path) == whole[1]


def test_a_store_in_use_is_left_alone(tmp_path, whole):
    path = put(tmp_path / "x", whole[0])
    store = SQLiteStore(path)
    try:
        with pytest.raises(StoreError, match="in use"):
            repair(path)
    finally:
        store.close()
    repair(path)


def test_a_sound_file_is_left_as_it_is(tmp_path, whole):
    path = put(tmp_path / "x", whole[0])
    report = repair(path)
    assert not report.needed and report.original is None and "left as it is" in report.lines()[-1]
    assert path.read_bytes() == whole[0]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["x.db", "x.db-lock"]


def test_a_dry_run_changes_nothing(tmp_path, whole):
    turned = bytearray(whole[0])
    turned[-50] ^= 4
    path = put(tmp_path / "x", turned)
    repair(path, dry_run=True)
    assert path.read_bytes() == turned
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["x.db", "x.db-lock"]


def test_what_is_beyond_repair_is_kept_for_people(tmp_path, whole):
    data, want = whole
    place = 0
    while True:  # the first one that is in use: pages also hold what was there before
        place = data.index(b'"rate":', place) + 7
        path = put(tmp_path / "x", data[:place] + b"9.8765" + data[place + 6 :])
        if verified(path):
            break
    report = repair(path)
    rows = [json.loads(line) for line in report.aside.read_text().splitlines()]
    assert len(report.set_aside) == len(rows) == 1 == report.lost
    assert rows[0]["table"] == "trial" and "9.8765" in rows[0]["opening"]
    assert report.original.read_bytes()[place : place + 6] == b"9.8765"
    assert differences(answers(path), want) == (1, 0)
    assert any(f"{rows[0]['study']}/{rows[0]['number']}" in line for line in report.lines()), "it says which one"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE study SET spec = '{}' WHERE name = 'first'",
        "UPDATE study SET name = 'tsrif' WHERE name = 'first'",
        "UPDATE study SET spec = CAST(x'7bff7d' AS TEXT), revision = 7 WHERE name = 'first'",
        "DELETE FROM study",
    ],
)
@pytest.mark.parametrize("changed", [False, True])
def test_what_a_study_is_stands_in_its_log(tmp_path, whole, statement, changed):
    path = put(tmp_path / "x", whole[0])
    if changed:  # the newest spec counts
        store = SQLiteStore(path)
        for i in range(3):
            store.respec(store.open("first").id, {"space": i, "nan": float("nan"), "big": 2**90}, f"f{i}", i)
        store.close()
    want = answers(path)
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()
    assert verified(path) != []
    report = repair(path)
    assert report.lost == 0 and "'first' (from its log)" in report.lines()[-2] + report.lines()[-3]
    assert answers(path) == want and verified(path) == []


def test_a_study_that_left_nothing_is_named(tmp_path, whole):
    path = put(tmp_path / "x", whole[0])
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM study WHERE id = 1; DELETE FROM log WHERE study = 1 AND sequence = 0")
    connection.execute("UPDATE log SET kind = 'moved' WHERE study = 2 AND sequence = 0")
    connection.close()
    repair(path)
    assert verified(path) == [] and sorted(answers(path)) == ["recovered-1", "second"]
    import thalweg as tw

    with pytest.raises(StoreError, match=r"'recovered-1' lacks strategy, space.*trials are there"):
        tw.load(f"sqlite:///{path}", "recovered-1")


def test_a_repaired_store_goes_on(tmp_path, whole):
    """Numbers, tokens and the budget go on where they were, and what was open can be claimed."""
    data, want = whole
    path = put(tmp_path / "x", b"\0" * PAGE + data[PAGE:])
    repair(path)
    store = SQLiteStore(path)
    study = store.open("first").id
    before = max(want["first"]["trials"])
    assert store.standing(study).used == want["first"]["standing"][0]
    member = store.join(study)
    assert member.token > 2 and member.former > 0
    assert len(store.claim(member, 50)) == 10
    assert store.open_trials(study, opening_of(1, 77), None, (), member).first > before
    store.close()
    assert verified(path) == []


def test_a_file_of_the_first_schema_is_repaired_too(tmp_path):
    """What is open in it may be claimed after it was brought up to date, as without the damage."""
    data = (Path(__file__).parents[1] / "parts" / "stores" / "data" / "version1.db").read_bytes()
    want = answers(put(tmp_path / "x", data))
    path = put(tmp_path / "y", bytes(16) + data[16:])
    report = repair(path)
    assert report.lost == 0 and answers(path) == want and verified(path) == []


def test_a_row_without_a_number_is_left_out():
    """A flipped bit in a row's head makes a NULL of a number, or of a text: the other rows stay."""
    point = b'{"params":{"x":1},"ticket":0}'
    sound = (4, 0, point, crc32(point, place(1, 4)), None, state_crc(7, 1), 1, 7)
    told = []
    for column in (0, 1, 2):
        wrong = tuple(None if i == column else value for i, value in enumerate(sound))
        assert [trial.number for trial in trials_of(1, [wrong, sound], lambda *what: told.append(what))] == [4]
    assert len(told) == 3
