"""``aigateway-core plugins``: what is installed, and what it offers."""

from __future__ import annotations

import attrs
import typer

from aigateway_core import bootstrap
from aigateway_core.cli.options import AsJson, ConfigFile, print_json, print_table
from aigateway_core.settings import load


def plugins(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the plugins that are loaded, and what each of them offers."""
    assembly = bootstrap.assemble(load(config))
    loaded = assembly.plugins.plugins
    if as_json:
        print_json({"plugins": [attrs.asdict(plugin) for plugin in loaded], "waiting": waiting(assembly)})
        return
    rows = [(plugin.name, plugin.distribution, plugin.version, ", ".join(plugin.offers)) for plugin in loaded]
    print_table(("PLUGIN", "DISTRIBUTION", "VERSION", "OFFERS"), rows)
    for name, needs in waiting(assembly).items():
        typer.echo(f"The provider {name} waits for its settings: {', '.join(needs)}")


def waiting(assembly: bootstrap.Assembly) -> dict[str, list[str]]:
    """The providers that are installed and need settings first, with what they need.

    The core's own kinds are not among them: they are there to be used under other names.
    """
    own = {offer for plugin in assembly.plugins.plugins if plugin.is_builtin for offer in plugin.offers}
    needed = assembly.configured.waiting
    return {name: list(needs) for name, needs in needed.items() if f"provider {name}" not in own}
