"""Other names for models, as they are stored."""

from __future__ import annotations

from datetime import datetime

import attrs

from aigateway_core.records import Target
from aigateway_core.storage.rows.unset import UNSET, Unset


@attrs.frozen(kw_only=True)
class StoredMapping:
    """A name for a model, and where it leads: to the first of its targets that can answer."""

    alias: str
    targets: tuple[Target, ...]
    description: str
    is_active: bool
    created_at: datetime
    updated_at: datetime


@attrs.frozen(kw_only=True)
class NewMapping:
    """A mapping to be stored."""

    alias: str
    targets: tuple[Target, ...]
    description: str = ""
    is_active: bool = True


@attrs.frozen(kw_only=True)
class MappingPatch:
    """The fields of a mapping to change."""

    targets: tuple[Target, ...] | Unset = UNSET
    description: str | Unset = UNSET
    is_active: bool | Unset = UNSET
