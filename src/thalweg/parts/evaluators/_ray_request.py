"""What one evaluation asks of a Ray cluster, and how many of them a set of nodes can hold. No Ray in here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from ...core.errors import EvaluatorError

_TIGHT = 1e-4
"""Ray counts resources in ten-thousandths."""


@dataclass(slots=True)
class Node:
    """One machine of a cluster.

    total: {resource: amount}; memory in bytes.  free: what no task or actor holds, None where it is not known.
    """

    ident: str
    address: str
    host: str
    alive: bool
    total: dict[str, float]
    free: dict[str, float] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Resources of one evaluator, in Ray's words. memory: bytes.

    Raises:
        EvaluatorError: an amount that cannot be.
    """

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, amount in (("num_cpus", self.num_cpus), ("num_gpus", self.num_gpus)):
            _check(name, amount)
        if self.num_gpus > 1 and self.num_gpus != int(self.num_gpus):
            raise EvaluatorError(f"num_gpus: a part of one GPU or whole GPUs are expected, got {self.num_gpus!r}")
        if self.memory is not None:
            _check("memory (bytes)", self.memory)
        if not isinstance(self.resources, Mapping):
            raise EvaluatorError(f"resources: a dict such as {{'licence': 1}} is expected, got {self.resources!r}")
        for name, amount in self.resources.items():
            if not isinstance(name, str) or name in ("CPU", "GPU", "memory"):
                raise EvaluatorError(
                    f"resources: names of the cluster's own resources are expected, got {name!r}; "
                    "for CPU, GPU and memory there are num_cpus, num_gpus and memory"
                )
            _check(f"resources[{name!r}]", amount)

    @property
    def needs(self) -> dict[str, float]:
        """{resource: amount > 0} as nodes count them."""
        asked = {"CPU": self.num_cpus, "GPU": self.num_gpus, "memory": float(self.memory or 0), **self.resources}
        return {name: float(amount) for name, amount in asked.items() if amount > 0}

    def fits(self, total: Mapping[str, float]) -> float:
        """How many at once a node with `total` can hold (infinite for a request of nothing)."""
        least = math.inf
        for name, amount in self.needs.items():
            least = min(least, math.floor(total.get(name, 0.0) / amount + _TIGHT))
        return least

    def capacity(self, nodes: Sequence[Node]) -> float:
        """How many at once the living nodes can hold when nobody else uses them."""
        return sum(self.fits(node.total) for node in nodes if node.alive)

    def lacking(self, total: Mapping[str, float]) -> list[str]:
        """Which resources keep a node with `total` from holding even one."""
        return [name for name, amount in self.needs.items() if total.get(name, 0.0) + _TIGHT * amount < amount]

    def explain(self, nodes: Sequence[Node], what: str) -> str:
        """A message: what was asked, what there is, what to do."""
        living = [node for node in nodes if node.alive]
        lines = [f"{what}: one evaluation asks for {amounts(self.needs)}."]
        if not living:
            lines.append("The cluster has no living node.")
        for node in living[:8]:
            lacks = ", ".join(self.lacking(node.total)) or "nothing"
            free = "" if node.free is None else f", free now: {amounts(_of(node.free, self.needs, node.total))}"
            lines.append(f"  node {node.address}: has {amounts(_shown(node.total))}{free}; lacks {lacks}")
        if len(living) > 8:
            lines.append(f"  ... and {len(living) - 8} nodes more")
        lines.append(
            "Ask for less (num_cpus=, num_gpus=, memory=, resources=), or start a node that has it: "
            "ray start --address=HOST:PORT --num-gpus=... --resources='{...}'"
        )
        return "\n".join(lines)


def _check(name: str, amount: Any) -> None:
    if isinstance(amount, bool) or not isinstance(amount, Real) or not 0 <= float(amount) < math.inf:
        raise EvaluatorError(f"{name}: a number >= 0 is expected, got {amount!r}")


def amounts(resources: Mapping[str, float]) -> str:
    """ "1 CPU, 2 GiB memory" """
    parts = []
    for name, amount in sorted(resources.items()):
        parts.append(f"{amount / 2**30:.3g} GiB {name}" if "memory" in name else f"{amount:g} {name}")
    return ", ".join(parts) or "nothing"


def _shown(total: Mapping[str, float]) -> dict[str, float]:
    """Without Ray's own markers (node:10.0.0.1, accelerator_type:...)."""
    return {name: amount for name, amount in total.items() if ":" not in name and name != "object_store_memory"}


def _of(free: Mapping[str, float], needs: Mapping[str, float], total: Mapping[str, float]) -> dict[str, float]:
    return {name: free.get(name, 0.0) for name in needs if name in total}
