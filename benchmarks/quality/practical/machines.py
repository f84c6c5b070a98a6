"""Programs of the standard library: compressors on texts and samples made here; bytes out per 100 in."""

from __future__ import annotations

import lzma
from functools import cache
from typing import Any

import numpy as np

from .registry import Made, problem
from .variables import Pick, Whole

SPOKEN = (
    "the of a in to point value search space best line valley lowest join step model budget trial parameter choice "
    "when where which every under between result evaluation noise batch seed strategy surface optimum gradient"
)
WORDS = SPOKEN.split()


@cache
def text(seed: int, size: int) -> bytes:
    """A log of a made-up program: words by a Markov chain, numbers, time stamps."""
    rng = np.random.default_rng(seed)
    follow = rng.integers(0, len(WORDS), (len(WORDS), 5))
    lines: list[str] = []
    word, stamp = 0, 1_600_000_000
    while sum(len(line) for line in lines) < size:
        said = []
        for _ in range(int(rng.integers(4, 12))):
            word = int(follow[word, int(rng.integers(5) * rng.random())])
            said.append(WORDS[word])
        stamp += int(rng.integers(1, 90))
        lines.append(f"{stamp} worker-{int(rng.integers(4))} {' '.join(said)} = {rng.normal():.3f}\n")
    return "".join(lines).encode()[:size]


@cache
def samples(seed: int, size: int) -> bytes:
    """Three interleaved 16-bit signals, as an instrument writes them."""
    rng = np.random.default_rng(seed)
    count = size // 6
    t = np.arange(count)[:, None]
    waves = np.sin(t * rng.uniform(0.01, 0.08, 3)) * rng.uniform(500, 4000, 3) + np.cumsum(
        rng.normal(0, 3, (count, 3)), axis=0
    )
    return (waves + rng.normal(0, 6, (count, 3))).astype("<i2").tobytes()


def data_of(instance: int, size: int) -> bytes:
    """Instances 1 to 3: samples and a log together; from 4 on other seeds, with the log first."""
    parts = [samples(instance, size // 2), text(instance, size // 2)]
    return b"".join(parts if instance <= 3 else parts[::-1])


@problem("lzma", 8)
def tuned_lzma(instance: int) -> Made:
    """LZMA2 with its own knobs, after a delta filter; lp takes at most what lc leaves (lc + lp <= 4)."""
    data = data_of(instance, 9_000)

    def evaluate(p: dict[str, Any]) -> float:
        own = {
            "id": lzma.FILTER_LZMA2,
            "dict_size": 1 << p["dict"],
            "lc": p["lc"],
            "lp": min(p["lp"], 4 - p["lc"]),
            "pb": p["pb"],
            "mode": lzma.MODE_NORMAL,
            "nice_len": p["nice"],
            "mf": p["finder"],
            "depth": p["depth"],
        }
        first = [{"id": lzma.FILTER_DELTA, "dist": p["delta"]}] if p["delta"] else []
        return 100 * len(lzma.compress(data, lzma.FORMAT_RAW, filters=[*first, own])) / len(data)

    finders = (lzma.MF_HC3, lzma.MF_HC4, lzma.MF_BT2, lzma.MF_BT3, lzma.MF_BT4)
    return Made(
        [
            Whole(name="dict", low=12, high=17),
            Whole(name="lc", low=0, high=4),
            Whole(name="lp", low=0, high=4),
            Whole(name="pb", low=0, high=4),
            Whole(name="nice", low=5, high=273, log=True),
            Pick(name="finder", options=finders),
            Whole(name="depth", low=1, high=200, log=True),
            Whole(name="delta", low=0, high=12),
        ],
        evaluate,
    )
