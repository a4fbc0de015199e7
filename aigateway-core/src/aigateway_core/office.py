"""Puts together what an operator sees and changes: for a running gateway, and for the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aigateway_core.addresses import Destinations
from aigateway_core.administration import Administration
from aigateway_core.administration.accounts import AccountAdministration
from aigateway_core.administration.keys import KeyAdministration
from aigateway_core.administration.mappings import MappingAdministration
from aigateway_core.administration.providers import ProviderAdministration
from aigateway_core.administration.proxies import ProxyAdministration
from aigateway_core.administration.statistics import StatisticsAdministration
from aigateway_core.assembly import Assembly
from aigateway_core.checkup import Checkup
from aigateway_core.egress import Egress
from aigateway_core.logins import Logins
from aigateway_core.renewal import Renewals
from aigateway_core.state import State
from aigateway_core.storage import Storage


def office(
    storage: Storage,
    assembly: Assembly,
    egress: Egress,
    destinations: Destinations,
    renewals: Renewals,
    changed: Callable[[], Awaitable[None]] | None = None,
    state: State | None = None,
) -> Administration:
    """What changes this storage. ``changed`` tells running gateways, ``state`` is what they share."""
    pooled = [account.id for account in assembly.accounts if account.egress == "pool"]
    return Administration(
        accounts=AccountAdministration(
            storage.accounts,
            storage.bindings,
            storage.rests,
            assembly.providers,
            assembly.accounts,
            destinations,
            changed,
            state,
        ),
        providers=ProviderAdministration(storage.providers, assembly.providers, changed),
        proxies=ProxyAdministration(storage.proxies, storage.bindings, storage.accounts, pooled, destinations, changed),
        statistics=StatisticsAdministration(storage.calls, storage.statistics, storage.proxies, state),
        keys=KeyAdministration(
            storage.keys,
            storage.accounts,
            [entry.id for entry in assembly.providers],
            [account.id for account in assembly.accounts],
            changed,
        ),
        mappings=MappingAdministration(storage.mappings, assembly.providers, changed),
        logins=Logins(
            storage.logins, storage.accounts, storage.bindings, assembly.providers, egress, destinations, changed
        ),
        checkup=Checkup(storage.accounts, assembly.providers, assembly.accounts, renewals, egress, storage.audit),
    )
