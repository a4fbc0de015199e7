"""The start screen: one tidy page that says where the gateway listens, what it has, and what to type next."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs
from rich.console import Console
from rich.text import Text

from aigateway_core import __version__
from aigateway_core.logs import escape
from aigateway_core.secret import Secret

log = logging.getLogger(__name__)

_LABEL_WIDTH = 11
_SHOWN_MODELS = 6


@attrs.frozen(kw_only=True)
class ShownProvider:
    """A provider on the screen; ``is_free`` when a call needs no credential, so that nobody is charged for it.

    ``logs_in`` when its accounts come from a login.
    """

    id: str
    title: str = ""
    models: Sequence[str] = ()
    has_account: bool = False
    logs_in: bool = False
    is_free: bool = False
    risk: str | None = None
    advice: str | None = None


@attrs.frozen(kw_only=True)
class Facts:
    """What the screen tells.

    ``admin_key`` is there when it was made just now and shall be shown, ``admin_key_file`` when it was written there.
    """

    host: str
    port: int
    providers: Sequence[ShownProvider]
    plugins: Sequence[str]
    waiting: Sequence[str] = ()
    database: str = ""
    config: Path | None = None
    clients_need_a_key: bool = False
    is_local: bool = True
    is_open: bool = False
    workers: int = 1
    admin_key: Secret | None = None
    admin_key_file: Path | None = None

    @property
    def url(self) -> str:
        """Where to reach the gateway from this machine."""
        host = {"0.0.0.0": "localhost", "::": "localhost"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class Page:
    """The screen of one start. The admin key is on it only when ``facts`` has it."""

    def __init__(self, facts: Facts, console: Console) -> None:
        self._facts = facts
        self._console = console
        self._is_shown = False

    def show(self) -> None:
        """Print it. Where nobody can read it, on a full disk or a closed pipe, the gateway serves all the same.

        Raises :class:`OSError` when the admin key is on it, which nobody would ever see.
        """
        self._is_shown = True
        try:
            self._print()
            self._console.file.flush()
        except OSError as error:
            if self._facts.admin_key is not None:
                raise
            log.warning("the screen cannot be shown: %s", error.strerror)
            # What is left in its buffer would make the end of the process fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._console.file.fileno())

    def _print(self) -> None:
        facts, console = self._facts, self._console
        console.print(Text.assemble(("aigateway", "bold"), f" {__version__} listens on ", (facts.url, "bold cyan")))
        console.print()
        for label, lines in _rows(facts):
            for number, line in enumerate(lines):
                shown = label if number == 0 else ""
                text = Text.assemble("  ", (f"{shown:<{_LABEL_WIDTH}}", "dim"), escape(line))
                console.print(text, soft_wrap=True)
        console.print()
        console.print(Text.assemble(("Next: ", "bold"), escape(_next(facts))), soft_wrap=True)

    def show_unseen_key(self) -> None:
        """The gateway did not come as far as its screen: an admin key that was made all the same must not be lost."""
        if self._facts.admin_key is not None and not self._is_shown:
            self._console.print(f"The new admin key, shown this once: {self._facts.admin_key.reveal()}", soft_wrap=True)


def _rows(facts: Facts) -> list[tuple[str, list[str]]]:
    rows = [
        ("plugins", list(facts.plugins)),
        ("providers", [_provider(provider) for provider in facts.providers] or ["none yet"]),
        ("waiting", list(facts.waiting)),
        ("models", [_models(facts)]),
        ("database", [facts.database]),
        ("workers", [str(facts.workers)] if facts.workers > 1 else []),
        ("settings", [str(facts.config) if facts.config else "no file, defaults"]),
        ("clients", [_clients(facts)]),
        ("admin key", _admin_key(facts)),
        ("note", [f"{each.id}: {note}" for each in facts.providers for note in (each.risk, each.advice) if note]),
    ]
    return [(label, lines) for label, lines in rows if lines]


def _provider(provider: ShownProvider) -> str:
    title = f"  ({provider.title})" if provider.title else ""
    return f"{provider.id}{title}{'' if provider.has_account else '  has no account yet'}"


def _ready(facts: Facts) -> list[str]:
    """Models that can be asked now; those that nobody is charged for come first."""
    usable = [provider for provider in facts.providers if provider.has_account]
    return [model for provider in sorted(usable, key=lambda each: not each.is_free) for model in provider.models]


def _models(facts: Facts) -> str:
    ready = _ready(facts)
    if not ready:
        return "none ready"
    rest = len(ready) - _SHOWN_MODELS
    return ", ".join(ready[:_SHOWN_MODELS]) + (f" and {rest} more" if rest > 0 else "")


def _clients(facts: Facts) -> str:
    if facts.clients_need_a_key:
        return "need a key"
    if not facts.is_local:
        return "need no key, FROM ANYWHERE"
    others = (
        "nor does whoever comes through a proxy on it"
        if facts.is_open
        else "behind a front server set server.client_auth: required"
    )
    return f"need no key on this machine; {others}"


def _admin_key(facts: Facts) -> list[str]:
    if facts.admin_key is not None:
        return [facts.admin_key.reveal(), "shown this once: keep it (it opens /api/v1)"]
    if facts.admin_key_file is not None:
        return [f"in {facts.admin_key_file}, which only you can read: keep it and delete the file"]
    return []


def _next(facts: Facts) -> str:
    ready = _ready(facts)
    if ready:
        return _curl(facts, ready[0])
    if usable := [provider for provider in facts.providers if provider.has_account]:
        return _curl(facts, f"{usable[0].id}/MODEL")
    if facts.providers:
        first = facts.providers[0]
        return f"aigateway-core {'login' if first.logs_in else 'accounts add'} {first.id}"
    return "pip install a provider, for example aigateway-openai, and start again"


def _curl(facts: Facts, model: str) -> str:
    question = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    body = shlex.quote(json.dumps(question, separators=(",", ":")))
    key = " -H 'Authorization: Bearer YOUR_CLIENT_KEY'" if facts.clients_need_a_key else ""
    said = " -H 'Content-Type: application/json'"
    return f"curl -s {facts.url.removeprefix('http://')}/v1/chat/completions{key}{said} -d {body}"
