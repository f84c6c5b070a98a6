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
    node, host, pid, up_s, busy_s, jobs, rows, running_s (of the row under way), load, cpus and memory_free (bytes)
    of its machine; or name and error where it does not answer.
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
            elif actor["load"] > 2 * actor["cpus"]:
                found.append(f"machine {actor['host']} is overloaded: load {actor['load']:.1f} on {actor['cpus']} CPUs")
        return list(dict.fromkeys(found))

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
        lines = [f"Ray cluster {self.address}: {len(self.living)} of {len(self.nodes)} nodes alive"]
        head = ["node", "host", *_SHOWN, "other", "actors", "busy"]
        rows = [self._row(node) for node in self.living]
        lines += _table([head, *rows])
        lines.append(
            f"{len(self.actors)} thalweg actor(s), {sum(a.get('rows', 0) for a in self.actors)} evaluations so far"
        )
        lines += [f"! {trouble}" for trouble in self.troubles] or ["healthy"]
        return "\n".join(lines)

    def _row(self, node: Node) -> list[str]:
        mine = [actor for actor in self.actors if actor.get("node") == node.ident]
        up = sum(actor["up_s"] for actor in mine)
        busy = f"{100 * sum(actor['busy_s'] for actor in mine) / up:.0f} %" if up else "-"
        other = [name for name in node.total if name not in (*_SHOWN, "object_store_memory") and ":" not in name]
        custom = ", ".join(f"{name} {_used(node, name)}" for name in sorted(other)) or "-"
        return [node.address, node.host, *(_used(node, name) for name in _SHOWN), custom, str(len(mine)), busy]


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
