"""Other gateways, as they are published, each in a folder of its own.

They run as fast as their makers let them: no key check beyond what they insist on, no log, no database, one account.
One that cannot be installed or started here is left out, and the report says why.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from bench.machine import Cores
from bench.modes import MODEL
from bench.targets import KEYS, Target, Upstream
from services.private_servers import LOOPBACK
from typing_extensions import override

_INSTALL_SECONDS = 900
_CLIENT_KEY = "sk-client-of-the-benchmark"


class InstallError(Exception):
    """A peer cannot be had; the text is the end of what the installer said."""


class Peer(Target):
    """A gateway that others wrote. ``packages`` are what is installed, with their versions."""

    packages: ClassVar[tuple[str, ...]]

    def __init__(self, root: Path, upstream: Upstream, cores: Cores, installed: Path) -> None:
        super().__init__(root, upstream, cores)
        self.folder = installed / self.name

    @classmethod
    def version(cls) -> str:
        """Of the gateway itself."""
        return re.split("==|@", cls.packages[0])[-1]

    @override
    def prepare(self) -> None:
        """Install it, unless that was done before. Raises :class:`InstallError`."""
        mark = self.folder / "installed.json"
        wanted = json.dumps(self.packages)
        if not mark.exists() or mark.read_text() != wanted:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self.install()
            mark.write_text(wanted)
        self.configure()

    def install(self) -> None:
        """Into a virtual environment of its own, from where pip gets its packages."""
        _run(sys.executable, "-m", "venv", str(self.folder))
        _run(str(self.program("python")), "-m", "pip", "install", "--quiet", *self.packages)

    def configure(self) -> None:
        """Write what it reads at its start."""

    def program(self, name: str) -> Path:
        """A command that came with it."""
        return self.folder / "bin" / name

    @override
    def environment(self, program: Path) -> dict[str, str]:
        variables = super().environment(program)
        return {**variables, "PATH": f"{self.folder / 'bin'}{os.pathsep}{variables.get('PATH', '')}"}


class Ferrogw(Peer):
    """Ferro AI Gateway: Go, in a wheel."""

    name = "ferrogw"
    title = "ferrogw (Go)"
    packages = ("ferrogw==1.5.10",)

    @override
    def configure(self) -> None:
        (self.root / "config.yaml").write_text("strategy: {mode: single}\ntargets: [{virtual_key: openai}]\n")

    @override
    def command(self, port: int) -> Sequence[str]:
        self._port = port
        return [str(self.program("ferrogw")), "serve"]

    @override
    def variables(self) -> dict[str, str]:
        return {
            "GATEWAY_CONFIG": str(self.root / "config.yaml"),
            "OPENAI_API_KEY": KEYS[0],
            "OPENAI_BASE_URL": self.base_url,
            "MASTER_KEY": "fgw_0123456789abcdef0123456789abcdef",
            "ALLOW_UNAUTHENTICATED_PROXY": "true",
            "RATE_LIMIT_RPS": "0",
            "LOG_LEVEL": "error",
            "PORT": str(self._port),
        }


class Rolter(Peer):
    """rolter: Rust, in a wheel."""

    name = "rolter"
    title = "rolter (Rust)"
    packages = ("rolter==0.1.0",)

    @override
    def command(self, port: int) -> Sequence[str]:
        configuration = self.root / "rolter.toml"
        configuration.write_text(
            f'[server]\nhost = "{LOOPBACK}"\nport = {port}\n'
            f'[[providers.readonly]]\nname = "vendor"\nkind = "openai_compatible"\n'
            f'api_base = "http://{LOOPBACK}:{self.upstream.port}"\napi_key_env = "VENDOR_KEY"\n'
            f'[[routes]]\nmodel = "{MODEL}"\nstrategy = "round_robin"\n'
            f'[[routes.targets]]\nprovider = "vendor"\nmodel = "{MODEL}"\n'
            f'[[virtual_keys]]\nkey = "{_CLIENT_KEY}"\nname = "bench"\nmodels = []\n'
            # By default it asks for the heads of eight answers at a time.
            "[queue]\nenabled = true\ncapacity = 2048\nworkers = 1024\n"
        )
        return [str(self.program("rolter")), "gateway", "--config", str(configuration)]

    @override
    def variables(self) -> dict[str, str]:
        return {"VENDOR_KEY": KEYS[0], "RUST_LOG": "error", "ROLTER_TELEMETRY_ENABLED": "false"}


class Portkey(Peer):
    """Portkey's gateway, on node."""

    name = "portkey"
    title = "Portkey (node)"
    packages = ("@portkey-ai/gateway@1.15.2",)
    overrides: ClassVar[Mapping[str, str]] = {"@hono/node-server": "1.13.5", "hono": "4.9.7"}
    """Later versions of what it stands on break its streams: "TypeError: immutable"."""

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        vendor = {"x-portkey-provider": "openai", "x-portkey-custom-host": self.base_url}
        return {"authorization": f"Bearer {KEYS[0]}", **vendor}

    @override
    def install(self) -> None:
        (self.folder / "package.json").write_text(json.dumps({"private": True, "overrides": self.overrides}))
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--prefix", str(self.folder)]
        certificates = os.environ.get("NODE_EXTRA_CA_CERTS", os.environ.get("SSL_CERT_FILE", ""))
        _run("npm", "install", *options, *self.packages, NODE_EXTRA_CA_CERTS=certificates)

    @override
    def command(self, port: int) -> Sequence[str]:
        script = self.folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        return [shutil.which("node") or "node", str(script), f"--port={port}", "--headless"]

    @override
    def variables(self) -> dict[str, str]:
        return {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": f"{LOOPBACK},localhost"}


class LiteLLM(Peer):
    """LiteLLM's proxy."""

    name = "litellm"
    title = "LiteLLM (Python)"
    packages = ("litellm[proxy]==1.106.2",)
    start_seconds = 180.0

    @override
    def configure(self) -> None:
        parameters = {"model": f"openai/{MODEL}", "api_base": self.base_url, "api_key": KEYS[0]}
        models = [{"model_name": MODEL, "litellm_params": parameters}]
        # Of an Anthropic client it would make a request to OpenAI's other API, which the upstream does not have.
        settings = {"use_chat_completions_url_for_anthropic_messages": True}
        configuration = {"model_list": models, "litellm_settings": settings}
        (self.root / "config.yaml").write_text(json.dumps(configuration))

    @override
    def command(self, port: int) -> Sequence[str]:
        options = ["--config", str(self.root / "config.yaml"), "--host", LOOPBACK, "--port", str(port)]
        return [str(self.program("litellm")), *options, "--num_workers", "1"]

    @override
    def variables(self) -> dict[str, str]:
        return {
            "LITELLM_LOG": "ERROR",
            "LITELLM_TELEMETRY": "False",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }


PEERS: tuple[type[Peer], ...] = (Ferrogw, Rolter, Portkey, LiteLLM)


def _run(*command: str, **variables: str) -> None:
    environment = {**os.environ, **{name: value for name, value in variables.items() if value}}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise InstallError((done.stdout + done.stderr)[-2000:])
