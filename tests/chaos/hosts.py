"""Where the simulator's processes run: our own stores, with their locks freed as the death of a process frees them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from thalweg.parts.stores.memory import MemoryStore
from thalweg.parts.stores.sqlite import SQLiteStore
from thalweg.testing.protocol_simulator import Host


class MemoryHost(Host):
    """All processes are threads of one, so to speak: they share the store. kind: the store's class."""

    kind = MemoryStore

    def __init__(self):
        super().__init__()
        self.store = self.kind(lease_s=self.lease, clock=self.clock)

    def connect(self):
        return self.store

    def kill(self, store, member):
        place = self.store._studies[member.study].places[member.ordinal] if member is not None else None
        if place is not None and place.token == member.token:
            place.member = lambda: None  # nobody has it any more


class SQLiteHost(Host):
    """Each process opens the file for itself."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="thalweg-simulated-"))
        self.stores = []

    def connect(self):
        store = SQLiteStore(self.folder / "x.db", durability="fast", lease_s=self.lease, clock=self.clock)
        self.stores.append(store)
        return store

    def kill(self, store, member):
        store._members.locks.drop()  # what the kernel does
        store.close()

    def close(self):
        for store in self.stores:
            store._members.locks.drop()
            store.close()
        shutil.rmtree(self.folder)
