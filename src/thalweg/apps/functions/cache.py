"""Results of calls, remembered by what the calls were about, within limits of number, age and memory.

Keys are digests of the arguments' values, all of them: every element of an array, the type of a number, nested
containers (dicts and sets in any order). What has no such form (an open file, an object of an unknown class) makes a
call that is not remembered, never one that is mistaken for another.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import fractions
import gc
import hashlib
import inspect
import math
import os
import pathlib
import struct
import sys
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Set
from concurrent.futures import Future
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from ...core.errors import ProblemError

EVERY = 64
"""Results between two looks at the process's memory."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_TEXT = (decimal.Decimal, fractions.Fraction, datetime.date, datetime.time, datetime.timedelta, pathlib.PurePath)


class NoKey(Exception):
    """Arguments that have no canonical form."""


def key_of(item: Any, digits: int | None = None) -> bytes:
    """A digest of a value: equal for equal values of one type, different otherwise.

    digits: floats are rounded to so many significant ones, so that 12.0 and 12.000001 are one (None: not).

    Raises:
        NoKey: a value without a canonical form.
    """
    digest = hashlib.blake2b(digest_size=16)
    _write(item, digest.update, digits)
    return digest.digest()


def call_key(
    signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any], digits: int | None = None
) -> bytes:
    """The same for a call: however its arguments are passed, and with the defaults of those that are not.

    signature: of the function (None: it has none; then it matters how arguments are passed).

    Raises:
        NoKey: an argument without a canonical form.
    """
    if signature is not None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:  # a wrong call; the function itself says so
            return key_of((args, kwargs), digits)
        bound.apply_defaults()
        return key_of(dict(bound.arguments), digits)
    return key_of((args, kwargs), digits)


def _write(item: Any, put: Callable[[bytes], object], digits: int | None) -> None:
    item = item.item() if isinstance(item, np.generic) and item.dtype.kind in "biufcUS" else item
    if isinstance(item, enum.Enum):
        _tagged(put, "enum", f"{_name(type(item))}.{item.name}".encode())
    elif isinstance(item, float) and type(item) is float:
        _tagged(put, "float", struct.pack("<d", _rounded(item, digits)))
    elif type(item) in _PLAIN or isinstance(item, (*_TEXT, uuid.UUID)):
        _tagged(put, _name(type(item)), item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogatepass"))
    elif isinstance(item, (np.ndarray, np.generic)):
        _write_array(np.asarray(item), put, digits)
    elif isinstance(item, range):
        _tagged(put, "range", f"{item.start},{item.stop},{item.step}".encode())
    elif isinstance(item, (list, tuple)):
        _tagged(put, _name(type(item)), str(len(item)).encode())
        for part in item:
            _write(part, put, digits)
    elif isinstance(item, Mapping):
        _write_unordered(
            ((key_of(key, digits), key_of(value, digits)) for key, value in item.items()), _name(dict), put
        )
    elif isinstance(item, Set):
        _write_unordered(((key_of(part, digits),) for part in item), "set", put)
    elif is_dataclass(item) and not isinstance(item, type):
        _tagged(put, "dataclass", _name(type(item)).encode())
        _write({field.name: getattr(item, field.name) for field in fields(item)}, put, digits)
    elif type(item).__module__.split(".")[0] == "pandas" and hasattr(item, "to_numpy"):
        _write_pandas(item, put, digits)
    elif (inspect.isroutine(item) or isinstance(item, type)) and _importable(item):
        _tagged(put, "import", _name(item).encode())
    else:
        raise NoKey(f"a {type(item).__qualname__}")


def _tagged(put: Callable[[bytes], object], tag: str, data: bytes) -> None:
    put(f"{tag}:{len(data)}:".encode())
    put(data)


def _write_unordered(parts: Any, tag: str, put: Callable[[bytes], object]) -> None:
    rows = sorted(b"".join(part) for part in parts)
    _tagged(put, tag, b"".join(rows))


def _write_array(item: Any, put: Callable[[bytes], object], digits: int | None) -> None:
    _tagged(put, "array", f"{item.dtype.str}{item.dtype.descr if item.dtype.names else ''}{item.shape}".encode())
    if item.dtype.hasobject:
        for part in item.ravel().tolist():
            _write(part, put, digits)
        return
    if digits is not None and item.dtype.kind == "f":
        item = np.array([_rounded(part, digits) for part in item.ravel().tolist()])
    put(np.ascontiguousarray(item).tobytes())


def _write_pandas(item: Any, put: Callable[[bytes], object], digits: int | None) -> None:
    _tagged(put, "pandas", type(item).__name__.encode())
    if hasattr(item, "columns"):
        _write([list(item.columns), item.index.to_numpy()], put, digits)
        for i in range(len(item.columns)):
            _write_array(item.iloc[:, i].to_numpy(), put, digits)
        return
    index = item.index.to_numpy() if hasattr(item, "index") and not callable(item.index) else None
    _write([getattr(item, "name", None), index], put, digits)
    _write_array(item.to_numpy(), put, digits)


def _rounded(item: float, digits: int | None) -> float:
    if math.isnan(item):
        return float("nan")  # any of them
    return item if digits is None else float(f"{item:.{digits - 1}e}")


def _name(item: Any) -> str:
    return f"{getattr(item, '__module__', '')}.{getattr(item, '__qualname__', '')}"


def _importable(item: Any) -> bool:
    found: Any = sys.modules.get(getattr(item, "__module__", "") or "")
    for part in getattr(item, "__qualname__", "<").split("."):
        found = getattr(found, part, None)
    return found is item


@dataclass(slots=True)
class _Entry:
    value: Any
    error: BaseException | None
    born: float
    size: int


class ResultCache:
    """Results by key. Whoever asks for a key that somebody else is at, waits for that.

    max_entries: the least recently used go first (None: any number).  max_bytes: of what is kept, as estimated.
    ttl: seconds a result is good for.  memory_limit: bytes this process may occupy; above, the older half goes.
    cache_errors: what a call raised is remembered, too.  copy: mutable results are copied going in and out, so that
    nobody changes what others get.  clock: gives seconds.

    Raises:
        ProblemError: limits that cannot be.
    """

    def __init__(
        self,
        max_entries: int | None = 10_000,
        max_bytes: int | None = None,
        ttl: float | None = None,
        memory_limit: int | None = None,
        *,
        cache_errors: bool = False,
        copy: bool = True,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] | None = None,
    ) -> None:
        for name, item in (("max_entries", max_entries), ("max_bytes", max_bytes), ("ttl", ttl)):
            if item is not None and not item > 0:
                raise ProblemError(f"{name}: a number > 0, or None, is expected, got {item!r}")
        self.max_entries, self.max_bytes, self.ttl, self.memory_limit = max_entries, max_bytes, ttl, memory_limit
        self.cache_errors, self.copies = cache_errors, copy
        self.hits = self.misses = self.evictions = self.skipped = 0
        """skipped: calls without a key."""
        self.bytes = 0
        self._clock, self._memory = clock, memory or resident_bytes
        self._entries: OrderedDict[Any, _Entry] = OrderedDict()
        self._flying: dict[Any, Future[None]] = {}
        self._lock = threading.RLock()
        self._since = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def hit_ratio(self) -> float:
        """Hits of all calls; 0 without any."""
        calls = self.hits + self.misses + self.skipped
        return self.hits / calls if calls else 0.0

    def call(self, key: Any, compute: Callable[[], Any]) -> tuple[Any, bool]:
        """(the result, whether it was remembered). A call that fails while others wait for it is theirs to repeat."""
        while True:
            with self._lock:
                entry = self._found(key)
                if entry is not None:
                    self.hits += 1
                    break
                flight = self._flying.get(key)
                if flight is None:
                    mine: Future[None] = Future()
                    self._flying[key] = mine
                    self.misses += 1
            if flight is None:
                return self._computed(key, compute, mine), False
            flight.result()
        if entry.error is not None:
            raise entry.error
        return self._copy(entry.value), True

    def _computed(self, key: Any, compute: Callable[[], Any], mine: Future[None]) -> Any:
        try:
            value = compute()
        except Exception as error:
            if self.cache_errors:
                self._keep(key, _Entry(None, error, self._clock(), sys.getsizeof(error)))
            raise
        else:
            self._keep(key, _Entry(self._copy(value), None, self._clock(), size_of(value)))
            return value
        finally:
            with self._lock:
                self._flying.pop(key, None)
            mine.set_result(None)

    def _found(self, key: Any) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and self.ttl is not None and self._clock() - entry.born >= self.ttl:
            self._drop(key)
            return None
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def _keep(self, key: Any, entry: _Entry) -> None:
        with self._lock:
            if key in self._entries:
                self._drop(key)
            self._entries[key] = entry
            self.bytes += entry.size
            while (self.max_entries is not None and len(self) > self.max_entries) or (
                self.max_bytes is not None and self.bytes > self.max_bytes and len(self)
            ):
                self._drop(next(iter(self._entries)))
            self._since += 1
            if self.memory_limit is not None and self._since >= EVERY:
                self._since = 0
                self._make_room(self.memory_limit)

    def _make_room(self, limit: int) -> None:
        if self._memory() <= limit:
            return
        for key in list(self._entries)[: (len(self) + 1) // 2]:
            self._drop(key)
        gc.collect()

    def _drop(self, key: Any) -> None:
        self.bytes -= self._entries.pop(key).size
        self.evictions += 1

    def _copy(self, value: Any) -> Any:
        return copy.deepcopy(value) if self.copies and type(value) not in _PLAIN else value

    def clear(self) -> None:
        """Forget the results; the counts stay."""
        with self._lock:
            self._entries.clear()
            self.bytes = 0

    def reset_counts(self) -> None:
        """Begin to count anew; the results stay."""
        self.hits = self.misses = self.evictions = self.skipped = 0


def size_of(item: Any, depth: int = 6) -> int:
    """Bytes that a value occupies, estimated: arrays and frames exactly, containers by their items."""
    if isinstance(item, np.ndarray):
        return int(item.nbytes) + 112
    usage = getattr(item, "memory_usage", None)
    if callable(usage) and type(item).__module__.startswith("pandas"):
        return int(np.sum(usage(deep=True)))
    size = sys.getsizeof(item, 64)
    if depth and isinstance(item, Mapping):
        return size + sum(size_of(key, depth - 1) + size_of(value, depth - 1) for key, value in item.items())
    if depth and isinstance(item, (list, tuple, Set)):
        return size + sum(size_of(part, depth - 1) for part in item)
    return size


def resident_bytes() -> int:
    """What this process occupies."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
