"""What comes back from an identity provider: by a browser that ends at the callback, or pasted."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

import attrs

from aigateway_core.errors import InvalidRequestError

_SHORTEST_CODE = 10


@attrs.frozen(kw_only=True)
class Answer:
    """What came back from the identity provider."""

    state: str = attrs.field(repr=False)
    code: str = attrs.field(default="", repr=False)
    error: str = ""
    issuer: str | None = None

    @classmethod
    def pasted(cls, text: str, state: str = "") -> Answer:
        """From the address that the browser ended at, or from the code alone where ``state`` is known.

        Raises :class:`InvalidRequestError` for anything else.
        """
        text = text.strip()
        if text.startswith(("http://", "https://")):
            # Not the whole of it: an address that is none is no answer either, but taking it apart may raise.
            query = text.partition("?")[2].partition("#")[0]
            return cls.queried({name: values[0] for name, values in parse_qs(query).items()}, state)
        if len(text) < _SHORTEST_CODE or not text.isascii() or any(map(str.isspace, text)):
            raise InvalidRequestError("paste the whole address that the browser ended at, or the code in it")
        return cls.queried({"code": text}, state)

    @classmethod
    def queried(cls, query: Mapping[str, str], state: str = "") -> Answer:
        """From the parameters of the address. Raises :class:`InvalidRequestError` when they answer no login."""
        answer = cls(
            state=query.get("state", state),
            code=query.get("code", ""),
            error=query.get("error", ""),
            issuer=query.get("iss") or None,
        )
        if not answer.state or not (answer.code or answer.error):
            raise InvalidRequestError("this is not the answer to a login: it has no state, or neither code nor error")
        return answer
