"""What an examination finds: a line for people, and what to do about it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "note", "problem"]


class Finding(NamedTuple):
    """level: "ok", "note" (worth knowing) or "problem" (something will go wrong, or has).  topic: what was looked at.
    cure: what to do; empty where nothing needs to be done."""

    level: Level
    topic: str
    text: str
    cure: str = ""
