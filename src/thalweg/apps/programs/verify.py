"""Round trips: what came back must be what went in, byte for byte."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import CommandError
from .metrics import existing

_BLOCK = 1 << 20


def compare(original: Path, back: Path) -> None:
    """Raise CommandError where the file `back` (or the one file in the folder `back`) differs from `original`."""
    back = existing(back)
    if back.is_dir():
        files = [item for item in back.rglob("*") if item.is_file()]
        if len(files) != 1:
            raise CommandError(f"verify: one file is expected in {{back}}, got {len(files)}")
        back = files[0]
    if not back.exists():
        raise CommandError("verify: the command ended well but wrote no {back}")
    sizes = (original.stat().st_size, back.stat().st_size)
    if sizes[0] != sizes[1]:
        raise CommandError(f"verify: the round trip lost data: {sizes[1]} bytes came back of {sizes[0]}")
    with original.open("rb") as first, back.open("rb") as second:
        at = 0
        while block := first.read(_BLOCK):
            other = second.read(_BLOCK)
            if block != other:
                at += next(i for i, (a, b) in enumerate(zip(block, other, strict=False)) if a != b)
                raise CommandError(f"verify: the round trip changed the data, first at byte {at}")
            at += len(block)
