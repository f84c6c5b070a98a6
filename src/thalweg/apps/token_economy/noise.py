"""Common random numbers: every configuration of a study sees the same noise, so that differences carry little of it.

Paths come in blocks of 64 with a stream of their own, drawn day by day: the noise of fewer paths or days is a part of
that of more of them (a cheap run is a true preview of an expensive one), and nothing depends on how many
configurations are evaluated together.
"""

from __future__ import annotations

import numpy as np

from ...core.batch import Floats

BLOCK = 64
KINDS = 2
"""Standard normal numbers per path and day: order flow, adoption."""


def standard_noise(seed: int, paths: int, days: int) -> Floats:
    """(days, 2, paths) standard normal numbers of the stream `seed`; read-only."""
    noise = np.empty((days, KINDS, paths))
    for block in range(-(-paths // BLOCK)):
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(block,)))
        first = block * BLOCK
        width = min(BLOCK, paths - first)
        noise[:, :, first : first + width] = stream.standard_normal((days, KINDS, BLOCK))[:, :, :width]
    noise.flags.writeable = False
    return noise
