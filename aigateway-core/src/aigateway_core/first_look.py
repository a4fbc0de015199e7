"""What a start sees before it serves: whether clients need a key, who has accounts; and the first admin key."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from aigateway_core.access import clients_need_a_key
from aigateway_core.assembly import Assembly
from aigateway_core.errors import ConfigurationError
from aigateway_core.secret import Secret
from aigateway_core.settings import Settings
from aigateway_core.storage import SYSTEM, Storage
from aigateway_core.stores import open_storage


@attrs.frozen(kw_only=True)
class FirstLook:
    """What the start finds: the admin key if it was made just now, whether clients need a key, who has accounts.

    ``ready`` are the ids of the providers that have an account to spend. ``is_blind`` when the database is away.
    """

    admin_key: Secret | None
    clients_need_a_key: bool
    ready: frozenset[str]
    is_blind: bool = False


def _nowhere(key: Secret) -> None:
    """Keep it nowhere: whoever looks shows it."""


async def first_look(assembly: Assembly, keep: Callable[[Secret], None] = _nowhere) -> FirstLook:
    """Make ready what the server needs: tables, a row for each provider, an admin key.

    ``keep`` is given an admin key that is new before it counts: where it raises, none was made.

    Raises what :func:`open_storage` raises, and :class:`ConfigurationError` when anybody could call: no key then.
    """
    async with await open_storage(assembly.settings) as storage:
        await storage.providers.upsert_installed(*(entry.id for entry in assembly.providers))
        return await look(assembly, storage, _refuse_open_door, keep)


async def look(
    assembly: Assembly,
    storage: Storage,
    check: Callable[[Settings, bool], None] = lambda *_: None,
    keep: Callable[[Secret], None] = _nowhere,
) -> FirstLook:
    """See what is stored, and make an admin key if there is none; ``check`` is told first whether clients have keys."""
    settings, rows = assembly.settings, await storage.load_snapshot()
    has_client_keys = settings.keys.client is not None or rows.client_keys_exist
    check(settings, has_client_keys)
    made = None if settings.keys.admin else await storage.keys.create_first("admin", "first start", SYSTEM, keep)
    stored = (
        row.provider_id for row in rows.accounts if row.is_active and row.problem is None and row.status == "active"
    )
    return _seen(assembly, made[1] if made else None, stored, has_client_keys=has_client_keys)


def blind_look(assembly: Assembly) -> FirstLook:
    """What can be said while the database is away."""
    return attrs.evolve(
        _seen(assembly, None, (), has_client_keys=assembly.settings.keys.client is not None), is_blind=True
    )


def _seen(assembly: Assembly, key: Secret | None, stored: Iterable[str], *, has_client_keys: bool) -> FirstLook:
    server = assembly.settings.server
    return FirstLook(
        admin_key=key,
        clients_need_a_key=clients_need_a_key(server.client_auth, local=server.is_local, has_keys=has_client_keys),
        ready=frozenset({*stored, *(account.provider_id for account in assembly.accounts)}),
    )


def _refuse_open_door(settings: Settings, has_client_keys: bool) -> None:
    server = settings.server
    if server.client_auth == "open" or server.is_local or has_client_keys:
        return
    reason = (
        "server.trusted_proxies: other machines come in through these proxies"
        if server.is_loopback
        else f"server.host: {server.host} can be reached from other machines"
    )
    raise ConfigurationError(
        f"{reason}, and there is no client key; "
        "set AIGATEWAY_CLIENT_KEY, or say server.client_auth: open if everybody may spend your accounts"
    )
