"""What a stats sink is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import attrs

from aigateway_core.records import CallRecord

ConfigT = TypeVar("ConfigT")


class StatsSink(Protocol):
    """Receives what happened, in batches and after the answer has gone out."""

    async def write(self, records: Sequence[CallRecord]) -> None:
        """Keep these records. An exception means that none was kept; the batch is offered again a little later."""

    async def aclose(self) -> None:
        """The gateway stops: everything has been written, let go of what is held."""


@attrs.frozen(kw_only=True)
class StatsSinkSpec(Generic[ConfigT]):
    """A stats sink as a plugin offers it; ``config`` is structured from ``stats.<name>`` in the configuration.

    ``default`` says whether it runs when the configuration does not mention it.
    """

    name: str
    config: type[ConfigT]
    build: Callable[[ConfigT], StatsSink]
    default: bool = False
