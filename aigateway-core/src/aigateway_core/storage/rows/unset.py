"""What stands in a patch for a field that stays as it is."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Unset(Enum):
    """The type of :data:`UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Stands in a patch for a field that stays as it is; None is a value there."""
