"""`thalweg doctor`, `thalweg repair`, `thalweg list`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from thalweg.cli.doctor import doctor
from thalweg.cli.list import list_studies
from thalweg.cli.main import group
from thalweg.cli.repair import repair
from thalweg.core.store import Entry
from thalweg.parts.stores import health
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.store_suite import finishing_of, make_space, opening_of

SPACE = make_space()


@pytest.fixture
def file(tmp_path):
    """A store whose study has 6 ended, 2 queued trials, and 3 of a member that died."""
    path = tmp_path / "a.db"
    store = SQLiteStore(path, durability="fast")
    study = store.create("demo", {"space": "some"}, "f").id
    store.set_budget(study, 20)
    member = store.join(study, "somebody pid 1 postgresql://ada:s3cret@host/db")
    store.open_trials(study, opening_of(9, 0, SPACE), None, [Entry("asked", {})], member)
    store.append(study, finishing_of(range(6)), (), member)
    store.open_trials(study, opening_of(2, 1, SPACE), None)
    store._members.locks.drop()  # as the death of its process frees them
    store.close()
    return path


def asked(command, *arguments):
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.output


def test_a_sound_store(file):
    code, text = asked(doctor, file)
    assert code == 0 and "no problem" in text
    assert "study demo: 6 ended (0 failed), 5 open (2 queued), 11 of 20 used" in text
    assert "3 trials of members that died" in text and "member 0" in text and "dead" in text
    assert "s3cret" not in text and "***" in text
    assert "every row is as it was written" in text and "not in use" in text


def test_json_is_for_programs(file):
    code, text = asked(doctor, file, "--json")
    found = json.loads(text)
    assert code == 0 and {finding["level"] for finding in found} <= {"ok", "note", "problem"}
    assert {"python", "sqlite", "schema", "study demo"} <= {finding["topic"] for finding in found}
    assert "s3cret" not in text


def test_without_a_store():
    code, text = asked(doctor)
    assert code in (0, 1) and "sqlite: SQLite 3." in text and "cores" in text


def test_damage_is_a_problem_with_a_cure(file):
    data = bytearray(file.read_bytes())
    turned = 0
    while turned >= 0:  # in every row, and where rows were before
        turned = data.find(b'"depth":', turned + 1)
        if turned > 0:
            data[turned + 8] ^= 2
    file.write_bytes(data)
    code, text = asked(doctor, file, "-q")
    assert code == 1 and "damage: study 'demo': trial" in text and f"thalweg repair {file}" in text
    code, text = asked(repair, file, "--dry-run")
    assert "one wrong bit turned back" in text and "nothing was changed" in text and file.read_bytes() == data
    code, text = asked(repair, file)
    assert code == 0 and "damaged-1" in text
    assert asked(doctor, file)[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.db", None, "there is no file"),
        ("empty.db", b"", "is empty"),
        ("text.db", b"hello, world\n" * 100, "does not begin as an SQLite file"),
        ("other.db", b"SQLite format 3\0" + bytes(5000), "not marked as a store"),
    ],
)
def test_what_is_no_store(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    code, text = asked(doctor, path)
    assert code == 1 and words in text
    done = CliRunner().invoke(group, ["repair", str(path)])
    assert done.exit_code == 2 and "thalweg: " in done.output
    assert content is None or path.read_bytes() == content


def test_a_directory(tmp_path):
    assert asked(doctor, tmp_path)[0] == 1


def test_a_server_that_is_not_there_is_a_problem_and_keeps_its_password():
    code, text = asked(doctor, "-q", "postgresql://ada:s3cret@127.0.0.1:1/none?connect_timeout=1")
    assert code == 1 and "s3cret" not in text


def test_studies_are_listed_with_their_standing(file):
    code, text = asked(list_studies, file)
    lines = [line.split() for line in text.splitlines()]
    assert code == 0 and lines == [
        ["study", "ended", "open", "lost", "budget", "members"],
        ["demo", "6", "5", "3", "11/20", "0"],
    ]
    code, text = asked(list_studies, file, "--json")
    row = json.loads(text)[0]
    assert (row["name"], row["ended"], row["lost"], row["used"], row["budget"]) == ("demo", 6, 3, 11, 20)


def test_who_lives_is_counted(file):
    store = SQLiteStore(file)
    try:
        member = store.join(store.open("demo").id)
        assert json.loads(asked(list_studies, file, "--json")[1])[0]["members"] == 1
        store.leave(member)
        assert json.loads(asked(list_studies, file, "--json")[1])[0]["members"] == 0
    finally:
        store.close()


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6.23", False), ("3.7.0", True), ("3.40.1", True), ("3.44.5", True), ("3.44.6", False), ("3.50.6", True),
        ("3.50.7", False), ("3.51.2", True), ("3.51.3", False), ("3.54.1", False),
    ],
)  # fmt: skip
def test_versions_that_damage_files(version, affected):
    assert health.has_reset_bug(version) == affected


def test_an_old_library_is_a_problem(monkeypatch):
    import apsw

    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    assert health.sqlite_library().level == "problem" and "apsw" in health.sqlite_library().cure


def test_all_commands_take_the_address_of_a_server(postgres_address):
    import thalweg as tw
    from thalweg.cli.export import export
    from thalweg.cli.show import show

    with tw.Study({"x": (-5.0, 5.0)}, store=postgres_address, name="far", strategy="random", seed=0) as study:
        study.run(lambda params: params["x"] ** 2, max_evals=12)
    code, text = asked(list_studies, postgres_address)
    assert code == 0 and text.splitlines()[1].split()[:4] == ["far", "12", "0", "0"]
    code, text = asked(doctor, postgres_address)
    assert "study far: 12 ended" in text and "every row is as it was written" in text
    assert asked(repair, postgres_address) == (0, "nothing to repair\n")
    assert asked(show, "far", "--store", postgres_address)[0] == 0
    code, text = asked(export, "far", "--store", postgres_address)
    assert code == 0 and len(text.splitlines()) == 13
