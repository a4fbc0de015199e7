"""The answer to a request that no app has seen."""

from __future__ import annotations

from aigateway_core.errors import ErrorKind
from aigateway_core.jsontext import dumps
from aigateway_core.server.asgi import Send
from aigateway_core.server.inspection import Refusal

STATUS = {ErrorKind.TOO_LARGE: 413, ErrorKind.REQUEST_TIMEOUT: 408, ErrorKind.UNAVAILABLE: 503}
"""The errors that are answered here; any other one is a 500."""

_CODES = {status: kind for kind, status in STATUS.items()} | {
    404: ErrorKind.NOT_FOUND,
    500: ErrorKind.INTERNAL,
    508: ErrorKind.INTERNAL,
}


async def refuse(send: Send, refusal: Refusal, number: bytes) -> None:
    """Answer, and close the connection."""
    headers, body = spelt(refusal, number)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def spelt(refusal: Refusal, number: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body, in a shape that clients of OpenAI, of Anthropic and of the admin API can read."""
    kind = "invalid_request_error" if refusal.status < 500 else "api_error"
    if refusal.status == 503:
        kind = "overloaded_error"
    request_id = number.decode()
    error = {
        "type": kind,
        "message": refusal.message,
        "param": None,
        "code": _CODES.get(refusal.status, ErrorKind.INVALID_REQUEST),
        "request_id": request_id,
    }
    body = dumps({"type": "error", "error": error, "request_id": request_id})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", number),
    ]
    if refusal.status == 503:
        headers.append((b"retry-after", b"1"))
    return headers, body
