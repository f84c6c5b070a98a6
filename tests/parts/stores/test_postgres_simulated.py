"""Many processes on one PostgreSQL schema, simulated: whatever can go wrong, at every step."""

from __future__ import annotations

import pytest

from postgres_server import empty
from thalweg.parts.stores import open_store
from thalweg.testing.protocol_simulator import Host, simulate


def host_at(address):
    class PostgresHost(Host):
        """Each process opens the store for itself."""

        def __init__(self):
            super().__init__()
            empty(address)
            self.stores = []

        def connect(self):
            self.stores.append(open_store(address, durability="fast", lease_s=self.lease, clock=self.clock))
            return self.stores[-1]

        def kill(self, store, member):
            # What the server does when a client is gone; there it takes a moment, and none passes here.
            store._members.line.let_go(store._members.line.held)
            store._server.close()

        def close(self):
            for store in self.stores:
                store._members.line.close()
                store.close()

    return PostgresHost


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(6))
def test_the_protocol_holds(postgres_address, seed):
    assert simulate(seed, host_at(postgres_address)).trials >= 0


@pytest.mark.chaos
@pytest.mark.slow
def test_the_protocol_holds_for_long(postgres_address):
    outcomes = [simulate(seed, host_at(postgres_address)) for seed in range(100, 200)]
    assert sum(outcome.deaths for outcome in outcomes) > 100
