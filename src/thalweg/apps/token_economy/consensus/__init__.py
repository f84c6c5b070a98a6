"""Kinds of consensus: one kind, one file. The table is the only list; `Simulator(kinds=...)` adds others."""

from __future__ import annotations

from ._base import Consensus
from .authority import Authority
from .delegates import Delegates
from .stake import Stake
from .work import Work

CONSENSUS: dict[str, Consensus] = {"pow": Work(), "pos": Stake(), "dpos": Delegates(), "poa": Authority()}
"""name -> the kind."""

__all__ = ["CONSENSUS", "Consensus"]
