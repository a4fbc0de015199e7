"""The tables as Pony sees them. They are made by the migrations; a test compares the two."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
from pony.orm import LongStr, Optional, PrimaryKey, Required


@attrs.frozen(eq=False)
class Entities:
    """The entity classes of one database; Pony has no types, so that they have none either."""

    provider: Any
    account: Any
    login: Any
    proxy: Any
    binding: Any
    key: Any
    mapping: Any
    audit: Any
    fact: Any


def define_entities(db: Any) -> Entities:
    """The entities, bound to ``db``.

    Text is never stripped (Pony's default would change labels), JSON is text that only we read (Pony's own JSON type
    asks MariaDB for a cast that it does not have), and long text comes with its row rather than by a query of its own.
    """

    def identifier(width: int) -> Any:
        return PrimaryKey(str, width, autostrip=False)

    def text(width: int) -> Any:
        return Required(str, width, autostrip=False)

    def text_or_empty(width: int) -> Any:
        return Optional(str, width, autostrip=False)

    def text_or_none(width: int) -> Any:
        return Optional(str, width, autostrip=False, nullable=True)

    def long_text() -> Any:
        return Required(LongStr, autostrip=False, lazy=False)

    def long_text_or_none() -> Any:
        return Optional(LongStr, autostrip=False, lazy=False, nullable=True)

    def count() -> Any:
        return Required(int, size=64, default=0)

    def time() -> Any:
        return Required(datetime, 6)

    def time_or_none() -> Any:
        return Optional(datetime, 6)

    class Provider(db.Entity):  # type: ignore[misc]
        _table_ = "providers"
        id = identifier(64)
        name = text_or_empty(255)
        base_url = text_or_none(2048)
        auth_type = text_or_none(16)
        auth_strategy = text_or_none(64)
        supported_models = long_text()
        is_active = Required(bool)
        config = long_text()
        created_at = time()
        updated_at = time()

    class Account(db.Entity):  # type: ignore[misc]
        _table_ = "accounts"
        id = identifier(36)
        provider_id = text(64)
        label = text_or_empty(255)
        auth_data = long_text()
        metadata = long_text()
        is_active = Required(bool)
        proxy_url = long_text_or_none()
        egress = text(8)
        expires_at = time_or_none()
        last_used_at = time_or_none()
        usage_count = count()
        created_at = time()
        updated_at = time()
        status = Required(str, 16, autostrip=False, default="active")
        status_reason = text_or_none(255)
        status_until = time_or_none()
        status_remedy = long_text_or_none()
        auth_generation = Required(int, size=64, default=0)
        refresh_attempt = text_or_none(32)
        refresh_until = time_or_none()

    class Login(db.Entity):  # type: ignore[misc]
        _table_ = "oauth_logins"
        id = identifier(64)
        provider_id = text(64)
        data = long_text()
        expires_at = time()

    class Proxy(db.Entity):  # type: ignore[misc]
        _table_ = "proxy_pool"
        id = PrimaryKey(int, size=64, auto=True)
        url = long_text()
        fingerprint = text(64)
        protocol = text(8)
        is_active = Required(bool)
        health_status = text(16)
        max_accounts = count()
        priority = count()
        weight = count()
        consecutive_failures = count()
        max_failures = Optional(int, size=64)
        success_rate = Optional(float)
        avg_latency_ms = Optional(int, size=64)
        last_checked_at = time_or_none()
        last_used_at = time_or_none()
        usage_count = count()
        created_at = time()
        updated_at = time()

    class Binding(db.Entity):  # type: ignore[misc]
        _table_ = "proxy_bindings"
        account_id = identifier(64)
        proxy_id = Required(int, size=64)
        bound_at = time()
        reserved_until = time_or_none()

    class Key(db.Entity):  # type: ignore[misc]
        _table_ = "api_keys"
        id = identifier(16)
        name = text_or_empty(255)
        role = text(16)
        hash = text(255)
        created_at = time()
        last_used_at = time_or_none()
        revoked_at = time_or_none()
        expires_at = time_or_none()
        providers = long_text_or_none()
        models = long_text_or_none()
        accounts = long_text_or_none()
        requests_per_minute = Optional(int, size=64)
        concurrency = Optional(int, size=64)
        updated_at = time_or_none()

    class Mapping(db.Entity):  # type: ignore[misc]
        _table_ = "model_mappings"
        alias = identifier(255)
        targets = long_text()
        description = text_or_empty(1000)
        is_active = Required(bool)
        created_at = time()
        updated_at = time()

    class Audit(db.Entity):  # type: ignore[misc]
        _table_ = "audit_log"
        id = PrimaryKey(int, size=64, auto=True)
        created_at = time()
        actor = text(64)
        action = text(64)
        entity = text(64)
        entity_id = text(64)
        detail = long_text()
        request_id = text_or_none(128)

    class Fact(db.Entity):  # type: ignore[misc]
        _table_ = "storage_facts"
        name = identifier(32)
        value = text_or_empty(255)

    return Entities(
        provider=Provider,
        account=Account,
        login=Login,
        proxy=Proxy,
        binding=Binding,
        key=Key,
        mapping=Mapping,
        audit=Audit,
        fact=Fact,
    )
