"""Who lives, by the kernel: a file per member in a folder beside the store, locked for as long as its process lives.

The lock (flock) belongs to an open file: it goes when the process ends, however it ends, and nobody can forget to free
it. Copies of the descriptor would keep it, so none is passed on: not to programs (close-on-exec), and a forked child
closes its copies first of all.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from ...core.errors import StoreError

_folders: weakref.WeakSet[Locks] = weakref.WeakSet()


class Locks:
    """The folder `path` of lock files, each named by the token of a member. Not thread-safe.

    Taking and burying are done inside a write transaction of the store, so no two processes do so at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[int, int] = {}
        _folders.add(self)

    @property
    def held(self) -> list[int]:
        """The tokens whose locks this object holds."""
        return list(self._held)

    def hold(self, token: int) -> None:
        """Lock the file of `token`, until `let_go` or the end of this process.

        Raises:
            StoreError: the file cannot be made or locked.
        """
        name = self.path / str(token)
        try:
            with suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
            held = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(held)
                raise
        except OSError as error:
            raise StoreError(
                f"{name} (its lock says that this process lives) cannot be made: {error.strerror}; is the folder "
                f"writable, is there space left?"
            ) from error
        self._held[token] = held

    def let_go(self, token: int) -> None:
        """Free the lock of `token`, if it is held, and remove its file."""
        held = self._held.pop(token, -1)
        if held >= 0:
            with suppress(OSError):
                (self.path / str(token)).unlink()
            os.close(held)

    def lives(self, token: int) -> bool:
        """Whether some process holds the lock of `token`."""
        if token in self._held:
            return _linked(self._held[token], self.path / str(token))
        try:
            seen = os.open(self.path / str(token), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{self.path / str(token)}: {error.strerror}; is it another user's?") from error
        try:
            fcntl.flock(seen, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not mistake each other for it
        except BlockingIOError:
            return True
        finally:
            os.close(seen)
        return False

    def bury(self, token: int) -> None:
        """Remove the file of a dead member."""
        name = self.path / str(token)
        try:
            seen = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            fcntl.flock(seen, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _linked(seen, name):
                name.unlink()
        except OSError:
            pass  # it lives after all, or somebody looks at it: its file can stay
        finally:
            os.close(seen)

    def sweep(self, present: set[int]) -> None:
        """Bury whoever is not `present`: those that died between leaving and removing their file."""
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.path):
                if entry.name.isdecimal() and int(entry.name) not in present and int(entry.name) not in self._held:
                    self.bury(int(entry.name))

    def close(self) -> None:
        """Free all, and remove the folder if it is empty."""
        for token in self.held:
            self.let_go(token)
        with suppress(OSError):
            self.path.rmdir()

    def drop(self) -> None:
        """Forget the locks without freeing them: they are the parent's (in a forked child), or go with the process."""
        while self._held:
            os.close(self._held.popitem()[1])

    def __del__(self) -> None:
        self.drop()


def _linked(held: int, name: Path) -> bool:
    """Whether the open file is the one that `name` leads to."""
    try:
        there = os.stat(name, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(held), there)


def _in_child() -> None:
    for locks in list(_folders):
        locks.drop()


os.register_at_fork(after_in_child=_in_child)
