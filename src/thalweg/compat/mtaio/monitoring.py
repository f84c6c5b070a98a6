"""`ResourceMonitor`: samples, history and thresholds; `SystemStats` and its parts."""

from __future__ import annotations

from ...apps.services.monitor import ResourceMonitor
from ...apps.services.sampling import CpuStats, IoStats, MemoryStats, SystemStats

__all__ = ["CpuStats", "IoStats", "MemoryStats", "ResourceMonitor", "SystemStats"]
