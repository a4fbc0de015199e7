"""What an operator may see and change, as plain JSON values with every secret masked.

The admin API and the command line both speak through this, so that each rule stands in one place. Secrets are
write-only: what is read back says that a field is set, and its last four characters.
"""

from __future__ import annotations

import attrs

from aigateway_core.administration.accounts import AccountAdministration, AccountQuery
from aigateway_core.administration.keys import KeyAdministration
from aigateway_core.administration.mappings import MappingAdministration
from aigateway_core.administration.providers import ProviderAdministration
from aigateway_core.administration.proxies import ProxyAdministration, ProxyQuery
from aigateway_core.administration.statistics import Dimension, Span, StatisticsAdministration
from aigateway_core.checkup import Checkup
from aigateway_core.logins import Logins
from aigateway_core.storage.rows import CallQuery

__all__ = ["AccountQuery", "Administration", "CallQuery", "Dimension", "ProxyQuery", "Span"]


@attrs.frozen(eq=False, kw_only=True)
class Administration:
    """All of it, by noun: :attr:`logins` makes accounts by logging in, :attr:`checkup` looks after one at a time."""

    accounts: AccountAdministration
    providers: ProviderAdministration
    proxies: ProxyAdministration
    statistics: StatisticsAdministration
    keys: KeyAdministration
    mappings: MappingAdministration
    logins: Logins
    checkup: Checkup
