"""What a fuzzer aims at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import strategies as st


@attrs.frozen
class Target:
    """Something that reads what others send: what it is given, and what must hold of it."""

    name: str
    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
