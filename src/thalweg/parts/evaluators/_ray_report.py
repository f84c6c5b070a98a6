"""The state of a Ray cluster as data and as text. No Ray in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ._ray_request import Node

NAME = "thalweg"
"""How the names of our actors begin."""
_SHOWN = ("CPU", "GPU", "memory")


@dataclass(slots=True)
class ClusterReport:
    """A cluster as it is now.

    address: of the head.  nodes: all machines, dead ones too.  actors: one dict per evaluator actor of any study: name,
    target (its objective), node, host, pid, up_s, busy_s (with what runs now), jobs, rows (evaluations done), running_s
    (of the row under way, 0 while none is), waiting (jobs behind that one), load, cpus and memory_free (bytes) of its
    machine; or name and starting=True while it has no place yet or its process starts; or name and error where it does
    not answer.
    """

    address: str
    nodes: list[Node]
    actors: list[dict[str, Any]]

    @property
    def living(self) -> list[Node]:
        """The nodes that answer."""
        return [node for node in self.nodes if node.alive]

    @property
    def troubles(self) -> list[str]:
        """What is not as it should be, in words; empty: all is well."""
        found = [
            f"node {_of(node)} is gone{': ' + node.why if node.why else ''}" for node in self.nodes if not node.alive
        ]
        if not self.living:
            found.append("no node is alive")
        for actor in self.actors:
            if "error" in actor:
                found.append(f"actor {actor['name']} does not tell: {actor['error']}")
        for host, mine in _grouped(self._telling, "host").items():
            load, cpus = max(actor["load"] for actor in mine), mine[0]["cpus"]
            if load > 2 * cpus:
                found.append(f"machine {host} is overloaded: load {load:.1f} on {cpus} CPUs")
        return found

    @property
    def _telling(self) -> list[dict[str, Any]]:
        return [actor for actor in self.actors if "error" not in actor and not actor.get("starting")]

    def capability(self, name: str) -> tuple[float, float | None]:
        """(how much of a resource the living nodes have, how much of it is free; None where that is not known)."""
        total = sum(node.total.get(name, 0.0) for node in self.living)
        if any(node.free is None for node in self.living):
            return total, None
        return total, sum((node.free or {}).get(name, 0.0) for node in self.living)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "address": self.address,
            "nodes": [asdict(node) for node in self.nodes],
            "actors": [dict(actor) for actor in self.actors],
            "troubles": self.troubles,
        }

    def text(self) -> str:
        """For people."""
        lines = [f"Ray cluster {self.address}: {len(self.living)} of {len(self.nodes)} nodes alive (used/total)"]
        head = ["node", "", "host", *_SHOWN, "other", "load/CPUs", "RAM free", "actors", "running", "done", "busy"]
        rows = [self._row(node) for node in self.living]
        lines += _table([head, *rows])
        lines += [_study(family, mine) for family, mine in _families(self.actors).items()] or ["no thalweg actors"]
        lines += [f"! {trouble}" for trouble in self.troubles] or ["healthy"]
        return "\n".join(lines)

    def _row(self, node: Node) -> list[str]:
        mine = [actor for actor in self._telling if actor["node"] == node.ident]
        other = [name for name in node.total if name not in (*_SHOWN, "object_store_memory") and ":" not in name]
        custom = ", ".join(f"{name} {_used(node, name)}" for name in sorted(other)) or "-"
        row = [node.address, node.ident[:8], node.host, *(_used(node, name) for name in _SHOWN), custom]
        if not mine:
            return [*row, "-", "-", "0", "0", "0", "-"]
        up, busy = (sum(actor[name] for actor in mine) for name in ("up_s", "busy_s"))
        load = f"{max(actor['load'] for actor in mine):.1f}/{mine[0]['cpus']}"
        free = f"{min(actor['memory_free'] for actor in mine) / 2**30:.1f} GiB"
        running, done = sum(actor["running_s"] > 0 for actor in mine), sum(actor["rows"] for actor in mine)
        return [*row, load, free, str(len(mine)), str(running), str(done), f"{100 * busy / up:.0f} %" if up else "-"]


def _study(family: str, actors: list[dict[str, Any]]) -> str:
    """One line on the actors of one evaluator."""
    telling = [actor for actor in actors if "error" not in actor and not actor.get("starting")]
    names = sorted({actor["target"] for actor in telling})
    running = [actor["running_s"] for actor in telling if actor["running_s"] > 0]
    parts = [f"{sum(actor['rows'] for actor in telling)} evaluations done", f"{len(running)} running"]
    if running:
        parts[-1] += f" (the longest for {max(running):.3g} s)"
    for what, count in (
        ("jobs behind those", sum(actor["waiting"] for actor in telling)),
        ("actors starting or without a place", sum(bool(actor.get("starting")) for actor in actors)),
        ("actors that do not answer", sum("error" in actor for actor in actors)),
    ):
        if count:
            parts.append(f"{what}: {count}")
    return f"{family}{' ' + ', '.join(names) if names else ''}: {'; '.join(parts)}"


def _families(actors: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Actors by the evaluator that started them: thalweg-FAMILY-NUMBER."""
    found: dict[str, list[dict[str, Any]]] = {}
    for actor in actors:
        found.setdefault(actor["name"].rpartition("-")[0], []).append(actor)
    return found


def _grouped(actors: list[dict[str, Any]], key: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for actor in actors:
        found.setdefault(str(actor[key]), []).append(actor)
    return found


def _of(node: Node) -> str:
    return f"{node.address} ({node.ident[:8]})"


def _used(node: Node, name: str) -> str:
    """ "used/total" """
    total = node.total.get(name, 0.0)
    if not total:
        return "-"
    scale, unit = (2**30, " GiB") if name == "memory" else (1, "")
    if node.free is None:
        return f"?/{total / scale:.3g}{unit}"
    return f"{(total - node.free.get(name, 0.0)) / scale:.3g}/{total / scale:.3g}{unit}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
