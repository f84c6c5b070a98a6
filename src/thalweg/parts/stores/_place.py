"""Where a store's file may be: checked before any work, so that trouble is named before the first evaluation."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...core.errors import StoreError

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "coda", "ceph", "glusterfs", "lustre", "gpfs"}
)
"""File systems whose locks or shared memory do not hold between machines: WAL files break there."""


def check_place(given: str | os.PathLike[str]) -> Path:
    """The real path of a store's file, made (empty, mode 0600) if it was not there.

    Raises:
        StoreError: the folder is missing or not writable, the path is no regular file, or the file system is remote.
    """
    text = os.fspath(given)
    if not text or text == ":memory:" or "\0" in text:
        raise StoreError(f"a path of a file expected, got {text!r}; for a store without a file say 'memory'")
    path = Path(os.path.realpath(Path(text).expanduser()))
    folder = path.parent
    if os.path.isdir(path):  # (pathlib raises where it may not look)
        raise StoreError(f"{path} is a directory; give the path of a file in it, such as {path / 'tune.db'}")
    if not os.path.isdir(folder):
        raise StoreError(f"{path}: the folder {folder} is not there; make it first: mkdir -p {folder}")
    kind = file_system(folder)
    if kind in _REMOTE or kind.partition(".")[0] == "fuse":
        raise StoreError(
            f"{path} is on a network file system ({kind}), where SQLite's locks do not hold and files get damaged; "
            f"keep the store on a local disk"
        )
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        _sync(folder)  # SQLite does that for its WAL; of the file itself it thinks that it was there
    except FileExistsError:
        # Never opened here: closing any descriptor of a file drops every POSIX lock this process has on it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise StoreError(f"{path} is no regular file; give the path of one") from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise StoreError(f"{path} is not writable by this user; chown it, or use another path") from None
    except OSError as error:
        raise StoreError(
            f"{path} cannot be made: {error.strerror}; is the folder writable, is there space left?"
        ) from error
    return path


def _sync(folder: Path) -> None:
    """A power cut does not take the names away that were made in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_gate(path: Path) -> int:
    """A descriptor of the side file on which writers queue.

    Raises:
        StoreError: it cannot be made.
    """
    gate = f"{path}-lock"
    try:
        return os.open(gate, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(
            f"{gate} (writers queue on it) cannot be opened: {error.strerror}; is the folder writable?"
        ) from error


def file_system(folder: Path, mounts: str = "/proc/self/mounts") -> str:
    """The type of the file system that holds `folder` ("ext4", "nfs4" ...), or "" where that is not known."""
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, found = -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        inside = point == "/" or folder == Path(point) or Path(point) in folder.parents
        if inside and len(point) >= best:  # the last of equals is mounted over the others
            best, found = len(point), fields[2]
    return found
