"""A Ray cluster without Ray: its actors are `Host`s of this process, its nodes can be killed."""

import asyncio
import threading

from thalweg.core.errors import EvaluatorError
from thalweg.parts.evaluators._ray_fleet import Cluster, Lost
from thalweg.parts.evaluators._ray_host import Host
from thalweg.parts.evaluators._ray_request import Node, Request


def node(ident, alive=True, **total):
    return Node(ident, f"10.0.0.{ident}", f"host{ident}", alive, {"CPU": 1.0, **total})


class Actor:
    def __init__(self):
        self.host = self.node = None
        self.calls = []
        self.placed = asyncio.Event()
        self.gone = None

    def end(self, lost):
        self.gone = self.gone or lost
        self.placed.set()
        if self.host is not None:
            self.host._drop()
            self.host._supervisor.close()
            self.host = None
        for call in self.calls:
            call.cancel()


class PretendCluster(Cluster):
    """machines: its nodes now.  fatal: calls of `run` that lose their actor (0, 1, ...) and whether with its node."""

    def __init__(self, machines=(), request=None, fatal=None):
        self.machines = {item.ident: item for item in machines}
        self.request = request or Request()
        self.fatal = dict(fatal or {})
        self.actors = []
        self.started = self.runs = 0
        self.closed = False
        self.sizes = []

    def connect(self, address, request, workers):
        self.request = request

    def close(self):
        self.closed = True

    def host(self, *arguments):
        self.arguments = arguments

    def nodes(self):
        return list(self.machines.values())

    def start(self):
        self.started += 1
        actor = Actor()
        self.actors.append(actor)
        self.place()
        return actor

    def place(self):
        """Give actors that wait a place where there is one."""
        for actor in self.actors:
            if actor.gone is None and actor.node is None:
                for machine in self.machines.values():
                    held = sum(other.node == machine.ident and other.gone is None for other in self.actors)
                    if machine.alive and held < self.request.fits(machine.total):
                        actor.node = machine.ident
                        actor.host = Host(*self.arguments, lambda ident=machine.ident: ident)
                        actor.placed.set()
                        break

    def join(self, machine):
        self.machines[machine.ident] = machine
        self.place()

    def lose(self, ident):
        """A node dies, with all on it."""
        self.machines[ident].alive = False
        for actor in self.actors:
            if actor.node == ident and actor.gone is None:
                actor.end(Lost(True, f"its node {ident} has died"))

    def kill(self, actor):
        actor.end(Lost(False, "killed"))
        self.place()

    def wait(self, actor, method, seconds):
        if actor.host is None:
            return None
        told = []
        thread = threading.Thread(target=lambda: told.append(asyncio.run(getattr(actor.host, method)())))
        thread.start()
        thread.join()
        return told[0]

    def call(self, actor, method, *arguments):
        task = asyncio.ensure_future(self._call(actor, method, arguments))
        actor.calls.append(task)
        return task

    async def _call(self, actor, method, arguments):
        try:
            await actor.placed.wait()
            if actor.gone is None and method == "run":
                self.runs += 1
                if self.runs - 1 in self.fatal:
                    self._strike(actor, self.fatal[self.runs - 1])
            if actor.gone is not None:
                raise actor.gone
            given = await getattr(actor.host, method)(*arguments)
        except asyncio.CancelledError:
            if actor.gone is not None and not asyncio.current_task().cancelling() > 1:
                raise actor.gone from None
            raise
        except (Lost, EvaluatorError):
            raise
        return given

    def _strike(self, actor, with_node):
        actor.calls.remove(asyncio.current_task())
        if with_node:
            self.lose(actor.node)
        else:
            actor.end(Lost(False, "its process has died"))
        self.place()
