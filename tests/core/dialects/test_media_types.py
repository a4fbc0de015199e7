"""Media types that clients spell in their own way reach every vendor as they are registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from core.dialects.four import TONGUES

from aigateway_core.jsontext import dumps

DATA = "/9j/4AAQSkZJRg=="


def spelt(kind: str) -> Mapping[str, Any]:
    """A request with a picture of this media type, as each dialect writes it."""
    url = f"data:{kind};base64,{DATA}"
    source = {"type": "base64", "media_type": kind, "data": DATA}
    return {
        "openai-chat": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]},
        "openai-responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]},
        "anthropic": {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]},
        "gemini": {"contents": [{"parts": [{"inlineData": {"mimeType": kind, "data": DATA}}]}]},
    }


@pytest.mark.parametrize("kind", ["image/jpg", "image/JPG", "image/jpeg"])
@pytest.mark.parametrize("vendor", TONGUES)
@pytest.mark.parametrize("client", TONGUES)
def test_a_picture_of_jpg_is_one_of_jpeg(client: str, vendor: str, kind: str) -> None:
    request = TONGUES[client].dialect.decode_request({"model": "m", "max_tokens": 9, **spelt(kind)[client]})
    written = dumps(TONGUES[vendor].dialect.encode_request(request)).decode()
    assert "image/jpeg" in written
    assert DATA in written
    assert "jpg" not in written.lower()
