"""What the request path hands out: an answer that is complete, or one that is still coming, and how one ends badly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeAlias, TypeVar

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.errors import GatewayError, UpstreamError
from aigateway_core.exchange import Stream, Whole
from aigateway_core.recording import Call, is_cancelled
from aigateway_core.secret import scrub

log = logging.getLogger(__name__)


class StreamAnswer:
    """An answer that is still coming: iterate it for bytes.

    An error on the way is already put into the client's dialect.
    """

    def __init__(self, stream: Stream, call: Call, dialect: Dialect) -> None:
        self.headers = stream.headers
        self._stream = stream
        self._call = call
        self._dialect = dialect
        self._chunks = self._run()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def let_go(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """The request is over, with this error or none: end the record of it, and let go of what the stream holds open.

        What has not come to its end by now was not wanted to its end.
        """
        await self._chunks.aclose()
        self._end(error or asyncio.CancelledError())
        await self._stream.close()

    def ending(self, error: GatewayError) -> bytes:
        """The last bytes of this stream, when it ends with an error."""
        number = self._call.request_id
        return self._stream.fail(error, number) or self._dialect.encode_stream_error(error, number)

    async def _run(self) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._stream.chunks:
                yield chunk
            self._end()
        except GatewayError as error:
            without_secrets(without_trace(error), self._call)
            self._end(error)
            yield self.ending(error)
        except BaseException as error:
            if not is_a_mistake(error):
                raise
            log.exception("a stream failed inside the gateway (request %s)", self._call.request_id)
            self._end(GatewayError(type(error).__name__))
            yield self.ending(GatewayError("internal error"))
        finally:
            await self._stream.chunks.aclose()

    def _end(self, error: BaseException | None = None) -> None:
        self._call.usage = self._stream.outcome.usage
        self._call.finish_reason = self._stream.outcome.finish_reason
        self._call.end(error)


Answer: TypeAlias = Whole | StreamAnswer
_Error = TypeVar("_Error", bound=GatewayError)


def without_secrets(error: GatewayError, call: Call) -> None:
    """Take the account's secrets out of what is told: vendors echo them, in answers of status 200 too."""
    error.message = scrub(error.message, call.secrets)
    error.args = (error.message,)
    if isinstance(error, UpstreamError):
        error.code = None if error.code is None else scrub(error.code, call.secrets)
        error.param = None if error.param is None else scrub(error.param, call.secrets)
        error.remedy = None if error.remedy is None else scrub(error.remedy, call.secrets)


def without_trace(error: _Error) -> _Error:
    """The error alone: its traceback leads to all that was read, and back to what keeps the error.

    Such a circle stays until the collector comes, which is rarely.
    """
    return error.with_traceback(None)


def is_a_mistake(error: BaseException) -> bool:
    """Whether somebody's code went wrong, rather than the request being ended from outside.

    A plugin that asks Python to exit is wrong too: whether the gateway runs is its operator's to say.
    """
    if isinstance(error, asyncio.CancelledError):
        return not is_cancelled()
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)
