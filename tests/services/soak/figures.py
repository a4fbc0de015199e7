"""What processes take while they work, and whether that grows."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from e2e.gateway_process import ADMIN_KEY
from prometheus_client.parser import text_string_to_metric_families

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20


@attrs.frozen(kw_only=True)
class Figures:
    """Of one process, or of several together: resident memory in MiB, open files, threads."""

    memory: float
    files: int
    threads: int

    @classmethod
    def of(cls, pids: Sequence[int]) -> Figures:
        """Those of these processes, added up."""
        memory = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids) / _MIB
        files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        threads = sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids)
        return cls(memory=memory, files=files, threads=threads)


def gauges(url: str) -> Mapping[str, float]:
    """What the gateway tells Prometheus of itself without labels."""
    request = urllib.request.Request(f"{url}/metrics", headers={"authorization": f"Bearer {ADMIN_KEY}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much ``y`` grows with each ``x``: the line with the least squares through the points."""
    count = len(points)
    middle_x, middle_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
