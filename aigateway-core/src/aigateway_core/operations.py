"""What is to be exchanged for a request, by its operation and by what its provider can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import attrs

from aigateway_core.counting import Counter, CountExchange, counted_by
from aigateway_core.dialects.dialect import Dialect, Losses
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError
from aigateway_core.exchange import Exchange, NativeExchange
from aigateway_core.model import ChatRequest, JsonObject
from aigateway_core.records import Operation
from aigateway_core.routing import Route
from aigateway_core.translation import TranslatedExchange


@attrs.frozen(eq=False)
class Asked:
    """A request that was read: ``model`` is the client's name for it, ``header`` gives one of its headers.

    ``conversation`` is what :class:`ChatRequest` says of it; ``content`` is what spells the body, unless the URL said a
    part of it.
    """

    operation: Operation
    dialect: Dialect
    body: JsonObject
    model: str
    header: Callable[[str], str | None]
    conversation: str | None = None
    content: bytes | None = None


def exchange_for(asked: Asked, route: Route) -> Exchange:
    """The exchange that answers it: native where the provider speaks the client's dialect.

    Raises :class:`ClientError` for what cannot be asked for here.
    """
    native = _native(asked, route)
    if asked.operation == "count_tokens":
        counter = native.complete if native else _counter(asked, route)
        return CountExchange(asked.dialect, asked.body, counter, is_native=native is not None)
    if native is not None:
        return native
    if asked.operation == "embeddings":
        raise UnsupportedFeatureError(f"the provider {route.provider.id!r} offers no embeddings", path="model")
    return _translation(asked, route)


def _native(asked: Asked, route: Route) -> NativeExchange | None:
    entry, dialect = route.provider, asked.dialect
    endpoint = entry.native.endpoint(dialect.name, asked.operation, route.model) if entry.native else None
    if endpoint is None:
        return None
    if endpoint.forwarded and (said := _said(asked, endpoint.forwarded)):
        endpoint = attrs.evolve(endpoint, headers={**endpoint.headers, **said})
    return NativeExchange(
        endpoint,
        dialect,
        asked.body,
        route.model,
        client_model=asked.model,
        classify=entry.classify,
        content=asked.content,
    )


def _counter(asked: Asked, route: Route) -> Counter | None:
    """How the provider counts for clients of this dialect, if it counts for this model."""
    counts = route.provider.counts
    if counts is None or not counts.counts_tokens(route.model):
        return None
    return counted_by(counts, asked.dialect, asked.dialect.decode_request(asked.body), route.model)


def _translation(asked: Asked, route: Route) -> Exchange:
    """The request in canonical form. Raises :class:`UnsupportedFeatureError` for what would change the answer."""
    entry = route.provider
    request = asked.dialect.decode_request(asked.body)
    most = _within(request.max_tokens, route.max_output_tokens)
    sent = _changed(request, model=route.model, max_tokens=most, conversation=asked.conversation)
    losses = entry.declares.losses(sent) if entry.declares else Losses()
    if losses.refused:
        names = ", ".join(losses.refused)
        raise UnsupportedFeatureError(f"the provider {entry.id!r} cannot honour: {names}", path=losses.refused[0])
    return TranslatedExchange(entry.provider, asked.dialect, request, sent, losses.dropped, entry.mends)


_FIELDS = tuple(field.name for field in attrs.fields(ChatRequest))
_values = attrgetter(*_FIELDS)


def _changed(request: ChatRequest, **changes: Any) -> ChatRequest:
    """As ``attrs.evolve`` has it, in half the time: it looks at every field of a large class by itself."""
    return ChatRequest(**{**dict(zip(_FIELDS, _values(request), strict=True)), **changes})


def _said(asked: Asked, names: Iterable[str]) -> dict[str, str]:
    """Those of the client's headers that are part of its dialect. Raises :class:`InvalidRequestError`."""
    said = {name: value for name in names if (value := asked.header(name.lower()))}
    for name, value in said.items():
        if not value.isascii():
            raise InvalidRequestError("has characters that cannot be passed on", path=name)
    return said


def _within(asked: int | None, most: int | None) -> int | None:
    """The output limit of a request for a model that answers with ``most`` tokens: above it, vendors answer 400."""
    return asked if asked is None or most is None else min(asked, most)
