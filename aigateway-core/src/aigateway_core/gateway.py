"""THE REQUEST PATH: from the bytes of a request to the bytes of its answer, top to bottom.

::

    decode ─▶ route ─▶ account ─▶ way out ─▶ credential ─▶ call ─▶ encode ─▶ record

:meth:`Gateway.answer` is the whole of it, whatever the operation: they differ in what is exchanged. What goes wrong
before the commit point (the first real content of an answer) may be tried again on another account; after it, never:
it is told in-band, in the client's dialect.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from aigateway_core.accounts import AccountSelector, Terms
from aigateway_core.affinity import conversation
from aigateway_core.answers import Answer, StreamAnswer, is_a_mistake, without_secrets, without_trace
from aigateway_core.credentials import Credentials
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.egress import Egress, WayOut
from aigateway_core.errors import (
    ErrorKind,
    ForbiddenError,
    GatewayError,
    NoAccountError,
    NotFoundError,
    UnsupportedFeatureError,
    UpstreamError,
)
from aigateway_core.exchange import Exchange, Stream, Whole
from aigateway_core.jsontext import loads_object
from aigateway_core.key_limits import Exits, KeyLimits, Tell
from aigateway_core.model import JsonObject
from aigateway_core.operations import Asked, exchange_for
from aigateway_core.patience import wait
from aigateway_core.recording import Call, PendingAttempt, Recorder
from aigateway_core.records import Account, Caller, Operation
from aigateway_core.restraint import Restraint
from aigateway_core.routing import Route, Router, keep_names, permitted
from aigateway_core.upstream import Limits, Upstream, WholeLimits

log = logging.getLogger(__name__)


@attrs.frozen(eq=False)
class Incoming:
    """A request to a client endpoint, its caller known and its body not yet read.

    ``dialect`` is that of the ``operation``: the one for chat, or a variant that reads and writes its bodies.
    ``exits`` gives the stack that is closed when the request is over, whatever its end: what an answer holds open is
    registered there.
    ``header`` gives a header by its name in lower case; ``said_by_url`` are fields that the URL says instead of the
    body; ``account`` is the one account to ask, if the caller has named one. ``tell`` adds headers to the answer, be it
    an error.
    """

    dialect: Dialect
    caller: Caller
    request_id: str
    body: Awaitable[bytes]
    exits: Exits
    header: Callable[[str], str | None] = lambda _: None
    said_by_url: Mapping[str, Any] = attrs.field(factory=dict)
    account: str | None = None
    operation: Operation = "chat"
    tell: Tell = lambda _: None


class Gateway:
    """The request path. Holds the steps; each is a module of its own."""

    def __init__(
        self,
        *,
        router: Router,
        selector: AccountSelector,
        egress: Egress,
        credentials: Credentials,
        recorder: Recorder,
        key_limits: KeyLimits,
        limits: Limits,
        max_attempts: int,
        patience: float,
        restraint: Restraint,
        learn: Callable[[str, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.router = router
        self._selector = selector
        self._egress = egress
        self._credentials = credentials
        self._recorder = recorder
        self._key_limits = key_limits
        self._limits = limits
        self._whole_limits = WholeLimits(**attrs.asdict(limits))
        self._max_attempts = max_attempts
        self._patience = patience
        self._restraint = restraint
        self._learn = learn

    async def answer(self, incoming: Incoming) -> Answer:
        """Answer a request. Raises :class:`GatewayError`; whatever happens, one record of it is kept."""
        call = Call(
            self._recorder,
            request_id=incoming.request_id,
            operation=incoming.operation,
            dialect=incoming.dialect.name,
            client_key_id=incoming.caller.id,
        )
        try:
            content = await incoming.body
            if incoming.caller.is_limited:
                await self._key_limits.enter(incoming.caller, incoming.exits, incoming.tell)
            body = loads_object(content)
            if incoming.said_by_url:
                body |= incoming.said_by_url
            asked = incoming.dialect.peek(body)
            call.model, call.streamed = asked.model, asked.stream
            routes = permitted(incoming.caller, asked.model, self.router.routes(asked.model))
            call.route = routes[0]
            terms = _terms(incoming, body)
            talk = terms.conversation.key if terms.conversation else incoming.caller.id
            spelling = None if incoming.said_by_url else content
            question = Asked(incoming.operation, incoming.dialect, body, asked.model, incoming.header, talk, spelling)
            answer = await self._answer(routes, terms, question, call)
        except GatewayError as error:
            keep_names(incoming.caller, error)
            call.end(error, status=incoming.dialect.encode_error(error, call.request_id).status)
            without_trace(error)
            raise
        except BaseException as error:
            call.end(error, status=500)
            raise
        if isinstance(answer, Stream):
            call.answered()
            streamed = StreamAnswer(answer, call, incoming.dialect)
            exits = incoming.exits()
            held = exits.pop_all() if incoming.caller.is_limited else None
            exits.push_async_exit(streamed.let_go)
            if held is not None:
                # The client has its answer while the upstream may still be listened to: its key has its place again.
                exits.push_async_exit(held)
            return streamed
        call.usage, call.finish_reason = answer.outcome.usage, answer.outcome.finish_reason
        call.end()
        return answer

    async def _answer(self, routes: Sequence[Route], terms: Terms, asked: Asked, call: Call) -> Whole | Stream:
        """The answer of the first route that gives one, or what can be said without any."""
        failures: list[GatewayError] = []
        exchange: Exchange | None = None
        for route in routes:
            try:
                exchange = exchange_for(asked, route)
                if (known := exchange.unasked()) is not None:
                    return known
                if terms.named is None:
                    self._restraint.enter(route, probes=not exchange.is_helper)
                answer = await self._ask(route, terms, exchange, call)
            except _ONE_ROUTES_OWN as failure:
                failures.append(without_trace(failure))
                if isinstance(failure, UpstreamError) and self._is_final(failure):
                    break
            else:
                if self._restraint.breakers and not exchange.is_helper:
                    self._restraint.answered(route)
                return answer
        error = _most_telling(failures)
        known = exchange.unasked(error) if exchange and isinstance(error, UpstreamError | NoAccountError) else None
        if known is not None:
            call.native = False
            return known
        raise error

    async def _ask(self, route: Route, terms: Terms, exchange: Exchange, call: Call) -> Whole | Stream:
        """Try one account after the other until one answers, or the failure is not one that another could mend."""
        tried: set[str] = set()
        attempts = 0
        patience = 0.0 if terms.named else self._patience
        failure: UpstreamError | None = None
        while failure is None or attempts < self._max_attempts:
            try:
                seen = self._selector.snapshot.value
                account = await self._selector.select(route, tried, terms)
            except NoAccountError:
                if waited := await wait(self._selector.rest(route, terms), patience):
                    patience -= waited
                    tried.clear()
                    continue
                if failure is None:
                    raise
                break
            tried.add(account.id)
            try:
                way_out = await self._egress.way_out(account)
            except UpstreamError as error:
                # It cannot even leave the house: nothing was tried, which costs no attempt.
                self._selector.set_aside(account, error.retry_after, seen)
                failure = failure or without_trace(error)
                continue
            attempts += 1
            try:
                return await self._attempt(route, account, way_out, exchange, call)
            except UpstreamError as error:
                if not exchange.is_helper:
                    self._selector.punish(route, account, error, seen)
                if self._is_final(error):
                    if not exchange.is_helper:
                        self._restraint.failed(route, error)
                    raise
                if _is_worth_waiting(error, terms) and (waited := await wait(error.retry_after or 0.0, patience)):
                    patience -= waited
                    tried.discard(account.id)
                exchange.turn_to_another_account()
                # That one account's credential is bad tells a client less than what the others said.
                failure = without_trace(error) if failure is None or error.kind not in _ONE_ACCOUNTS_OWN else failure
                if attempts < self._max_attempts and not await self._restraint.again(route, error, attempts):
                    break
        if not exchange.is_helper:
            self._restraint.failed(route, failure)
        if failure.scope in {"model", "quota_group", "account", "outbound_proxy"}:
            # The client waits for the first account that is free again, not for the one that happened to be the last.
            failure.retry_after = self._selector.rest(route, terms) or None
        raise failure

    def _is_final(self, error: UpstreamError) -> bool:
        """Whether nobody else is to be asked after this."""
        return not error.retryable or self._restraint.forbids(error)

    async def _attempt(
        self, route: Route, account: Account, way_out: WayOut, exchange: Exchange, call: Call
    ) -> Whole | Stream:
        """One account's answer; it is asked again while there is something to be mended. Each try is written down."""
        call.route, call.native = route, exchange.is_native
        while True:
            attempt = PendingAttempt(call, account, way_out.proxy_id)
            upstream: Upstream | None = None
            try:
                credential = await self._credentials.get(route.provider, account)
                call.secrets = credential.secrets  # the list itself: a renewal within the call adds to it
                upstream = Upstream(
                    way_out.transport,
                    credential.auth,
                    limits=self._limits if call.streamed else self._whole_limits,
                    classify=route.provider.classify,
                    secrets=credential.secrets,
                    proxied=way_out.proxied,
                    account_id=account.id,
                    metadata=account.metadata,
                    learn=self._learn,
                )
                if not call.streamed:
                    answer: Whole | Stream = await exchange.complete(upstream)
                else:
                    answer = await exchange.open(upstream)
            except GatewayError as error:
                without_secrets(error, call)
                attempt.failed(error)
                if upstream is not None and upstream.dispatched:
                    self._egress.judge(way_out, error)
                if not self._is_mended(exchange, error):
                    raise
            except BaseException as error:
                if not is_a_mistake(error):
                    attempt.abandoned(dispatched=upstream is not None and upstream.dispatched)
                    raise
                name = route.provider.id
                log.exception("the provider %s failed (request %s)", name, call.request_id)
                failure = UpstreamError(ErrorKind.INTERNAL, f"the provider {name!r} failed inside the gateway")
                attempt.failed(failure)
                raise failure from error
            else:
                attempt.end()
                if way_out.proxy_id is not None and upstream.dispatched:
                    self._egress.judge(way_out, None)
                return answer

    def _is_mended(self, exchange: Exchange, error: GatewayError) -> bool:
        """Whether the same account may be asked once more after this, since something was left out."""
        return isinstance(error, UpstreamError) and not self._restraint.forbids(error) and exchange.mend(error)


_ONE_ACCOUNTS_OWN = frozenset({ErrorKind.CREDENTIAL, ErrorKind.BANNED})
_ONE_ROUTES_OWN = (UpstreamError, NoAccountError, ForbiddenError, NotFoundError, UnsupportedFeatureError)
"""What another provider may not say: it has other accounts, and can do other things."""


def _is_worth_waiting(error: UpstreamError, terms: Terms) -> bool:
    """Whether the account that is busy for a moment knows the conversation: its vendor's prompt cache is there."""
    known = terms.conversation is not None and not terms.conversation.begins
    return known and error.kind is ErrorKind.RATE_LIMIT


def _most_telling(failures: Sequence[GatewayError]) -> GatewayError:
    """What the client hears when no route gave an answer: what an upstream said last, and the shortest wait of all."""
    said = [each for each in failures if isinstance(each, UpstreamError)]
    unready = [each for each in failures if isinstance(each, NoAccountError)]
    told = [*said[-1:], *unready, *failures][0]
    if not isinstance(told, UpstreamError) or told.retryable:
        told.retry_after = min((each.retry_after for each in failures if each.retry_after is not None), default=None)
    return told


def _terms(incoming: Incoming, body: JsonObject) -> Terms:
    caller = incoming.caller
    if incoming.operation != "chat":
        return Terms(allowed=caller.accounts, named=incoming.account, aside=incoming.operation == "count_tokens")
    known = conversation(caller.id, incoming.header, body)
    return Terms(conversation=known, allowed=caller.accounts, named=incoming.account)
