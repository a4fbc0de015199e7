"""Calling the methods of Cloud Code that are about accounts, not about answers."""

from __future__ import annotations

from aigateway_antigravity.config import AntigravityConfig, address
from aigateway_antigravity.errors import classify
from aigateway_core.plugin import ErrorKind, JsonObject, Upstream, UpstreamError, loads_upstream


async def ask(config: AntigravityConfig, upstream: Upstream, method: str, body: JsonObject) -> JsonObject:
    """The answer of the first host that can give one.

    Raises :class:`UpstreamError`: a refusal at once, and the first host's failure when none of them can answer.
    """
    # A login hands out a way to the identity provider, whose refusals mean something else.
    way = upstream.judged(classify)
    failure: UpstreamError | None = None
    for base_url in config.discovery_urls:
        try:
            answer = await way.post(address(base_url, method), json=body, headers=config.headers)
            return loads_upstream(answer.content)
        except UpstreamError as error:
            if not _is_the_hosts(error):
                raise
            failure = failure or error
    raise failure or UpstreamError(ErrorKind.UNAVAILABLE, "no host is configured to ask")


def _is_the_hosts(error: UpstreamError) -> bool:
    """Whether another host may answer what this one could not."""
    if error.status is None:
        return error.scope != "outbound_proxy"
    return error.status >= 500 or error.status == 404
