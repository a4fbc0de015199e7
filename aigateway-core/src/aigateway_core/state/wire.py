"""How the state is written down in Redis: keys and values. No value holds a secret that is not sealed.

The keys keep the names that users of the gateway know; every command touches one key, so that a Redis Cluster may
spread them as it likes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import attrs
import orjson

from aigateway_core.state import Cooldown, Status


@attrs.frozen
class Keys:
    """The names of all keys, each with the prefix of the settings before it."""

    prefix: str = ""

    def turns(self, provider_id: str, model: str) -> str:
        """The counter of a round-robin."""
        return f"{self.prefix}account:rr:{provider_id}:{model}"

    def token(self, provider_id: str, account_id: str) -> str:
        """A cached token, sealed."""
        return f"{self.prefix}auth:{provider_id}:{account_id}"

    def cooldown(self, account_id: str, reach: str) -> str:
        """Why and until when an account rests, as far as that reaches."""
        return f"{self.prefix}cooldown:{account_id}:{reach}"

    @property
    def cooldowns(self) -> str:
        """Which cooldowns there are, by their ends."""
        return f"{self.prefix}cooldowns"

    def affinity(self, conversation: str, provider_id: str, model: str) -> str:
        """The account of a conversation."""
        return f"{self.prefix}affinity:{provider_id}:{model}:{conversation}"

    def bucket(self, key_id: str) -> str:
        """When the bucket of a client key would be full again."""
        return f"{self.prefix}limit:{key_id}:requests"

    def places(self, key_id: str) -> str:
        """The requests of a client key that are under way, by the ends of their leases."""
        return f"{self.prefix}limit:{key_id}:places"

    def mark(self, name: str) -> str:
        """That something was seen."""
        return f"{self.prefix}mark:{name}"

    def lock(self, name: str) -> str:
        """Who holds a lock, and until when."""
        return f"{self.prefix}lock:{name}"

    def requests(self, proxy_id: int) -> str:
        """What an outbound proxy has carried today."""
        return f"{self.prefix}stats:proxy:{proxy_id}:requests:today"

    def errors(self, proxy_id: int) -> str:
        """What of it has failed."""
        return f"{self.prefix}stats:proxy:{proxy_id}:errors:today"

    @property
    def hints(self) -> str:
        """The channel on which workers tell each other what has changed."""
        return f"{self.prefix}hints"

    @property
    def probe(self) -> str:
        """Written to find out whether Redis takes writes."""
        return f"{self.prefix}probe"


def write_cooldown(cooldown: Cooldown, found: float) -> bytes:
    """A cooldown that was found out at this time, as JSON; one without an end has none."""
    said = attrs.asdict(cooldown) | {"until": cooldown.until if cooldown.passes else None, "found": found}
    return orjson.dumps({name: value for name, value in said.items() if value or name == "until"})


def read_cooldown(value: Any) -> tuple[Cooldown, float] | None:
    """The cooldown that somebody wrote down, and when it was found out by their clock; None for what is none."""
    said = _object(value)
    until, reason, remedy, edition = (said.get(name) for name in ("until", "reason", "remedy", "edition"))
    status: Any = said.get("status")
    if type(reason) is not str or status not in get_args(Status) or not isinstance(until, int | float | None):
        return None
    found = said.get("found")
    until = math.inf if until is None else float(until)
    texts = (remedy if type(remedy) is str else None, edition if type(edition) is str else "")
    return Cooldown(until, reason, status, *texts), float(found) if isinstance(found, int | float) else 0.0


def write_member(account_id: str, reach: str) -> bytes:
    """An account and how far it rests, as one entry of the index."""
    return orjson.dumps([account_id, reach])


def read_member(value: Any) -> tuple[str, str] | None:
    """What :func:`write_member` wrote; None for anything else."""
    pair = _parsed(value)
    return (pair[0], pair[1]) if are_texts(pair, 2) else None


def write_hint(sender: str, **said: Any) -> bytes:
    """A message to all workers."""
    return orjson.dumps({"from": sender, **said})


def read_hint(value: Any) -> dict[str, Any]:
    """What :func:`write_hint` wrote; empty for anything else."""
    return _object(value)


def are_texts(values: Any, number: int) -> bool:
    """Whether this is a list of so many texts."""
    return isinstance(values, Sequence) and len(values) == number and all(type(each) is str for each in values)


def _object(value: Any) -> dict[str, Any]:
    parsed = _parsed(value)
    return parsed if type(parsed) is dict else {}


def _parsed(value: Any) -> Any:
    try:
        return orjson.loads(value)
    except (orjson.JSONDecodeError, TypeError):
        return None
