"""Client by provider: what the run showed, as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import attrs


@attrs.define
class Results:
    """How the tests of each client with each provider ended; ``reasons`` tell why something was not tried."""

    counts: dict[tuple[str, str], Counter[str]] = attrs.field(factory=lambda: defaultdict(Counter))
    reasons: dict[str, str] = attrs.field(factory=dict)

    def add(self, client: str, provider: str, outcome: str) -> None:
        """One test has ended with ``passed``, ``failed`` or ``skipped``."""
        self.counts[client, provider][outcome] += 1

    def lines(self) -> list[str]:
        """The table, and below it the reasons."""
        clients = list(dict.fromkeys(client for client, _ in self.counts))
        providers = list(dict.fromkeys(provider for _, provider in self.counts))
        rows = [["client", *providers]]
        rows += [[client, *(_cell(self.counts.get((client, one), {})) for one in providers)] for client in clients]
        reasons = [f"{client}: {reason}" for client, reason in self.reasons.items()]
        return [*_aligned(rows), *reasons]


def _cell(counts: Mapping[str, int]) -> str:
    if counts.get("failed"):
        return f"FAILED {counts['failed']} of {sum(counts.values())}"
    if counts.get("passed"):
        return f"ok {counts['passed']}"
    return "not run" if counts else "-"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first, *others = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [first, "  ".join("-" * width for width in widths), *others]
