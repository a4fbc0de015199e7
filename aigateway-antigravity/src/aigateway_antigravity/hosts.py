"""Which of Google's hosts a request goes to: the first one, until that cannot answer."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from aigateway_core.plugin import ChatRequest


@attrs.frozen(kw_only=True)
class MovedRequest(ChatRequest):
    """A request that as many hosts as ``passed`` could not answer."""

    passed: int


def host_of(request: ChatRequest, hosts: Sequence[str]) -> str:
    """Where this request goes."""
    return hosts[_passed(request)]


def at_the_next(request: ChatRequest, hosts: Sequence[str]) -> ChatRequest | None:
    """The same request for the next host; None when there is none left."""
    passed = _passed(request) + 1
    if passed >= len(hosts):
        return None
    fields = {field.name: getattr(request, field.name) for field in attrs.fields(ChatRequest)}
    return MovedRequest(**fields, passed=passed)


def _passed(request: ChatRequest) -> int:
    return request.passed if isinstance(request, MovedRequest) else 0
