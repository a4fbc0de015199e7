"""What is measured: servers that answer a client's request, each on a port of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import yaml
from bench.machine import Cores
from bench.modes import Mode
from services.private_servers import LOOPBACK, MariaDB, PrivateServer, Redis, running
from services.provide import provide
from typing_extensions import override

KEYS = tuple(f"sk-upstream-{number}-of-three" for number in (1, 2, 3))
"""The keys that the upstream takes."""

_FIRST = Mode("whole", "native", "small", 1)
_PATIENCE = 10.0


class Upstream(PrivateServer):
    """``native/upstream.c``."""

    def __init__(self, root: Path, programs: Path) -> None:
        super().__init__(root)
        self._program = programs / "upstream"

    @override
    def command(self, port: int) -> Sequence[str]:
        return [str(self._program), str(port)]

    @override
    def answers(self, port: int) -> bool:
        try:
            return self._get(port, "/counts") is not None
        except OSError:
            return False

    def script(self, *, chunks: int, interval_ms: int) -> None:
        """How streams look from now on."""
        self._get(self.port, f"/script?chunks={chunks}&interval={interval_ms}")

    def counts(self) -> dict[str, Any]:
        """What it was asked so far."""
        counts: dict[str, Any] = self._get(self.port, "/counts")
        return counts

    def _get(self, port: int, path: str) -> Any:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=2) as response:
            return json.load(response)


class Target(PrivateServer):
    """A server between client and upstream. It is there once a real request is answered."""

    name: ClassVar[str]
    title: ClassVar[str]
    translates: ClassVar[bool] = True
    """Whether there is any use in asking it for another dialect than the upstream's."""

    def __init__(self, root: Path, upstream: Upstream, cores: Cores) -> None:
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(root)
        self.upstream = upstream
        self._cores = cores

    @property
    def base_url(self) -> str:
        """Where the upstream is."""
        return f"http://{LOOPBACK}:{self.upstream.port}/v1"

    @property
    def process(self) -> int | None:
        """The process that is measured, if there is any."""
        return self.pid

    @property
    def headers(self) -> Mapping[str, str]:
        """What a client has to send."""
        return {"authorization": "Bearer sk-client-of-the-benchmark"}

    def prepare(self) -> None:
        """What has to be done once before it can be started."""

    def requests(self, mode: Mode) -> list[bytes]:
        """What a client sends."""
        return mode.requests(self.port, self.headers)

    def refusal(self, mode: Mode, port: int | None = None) -> str | None:
        """Why it cannot do this, found by asking it once; None if it can."""
        if mode.wording == "translated" and not self.translates:
            return "does not translate"
        connection = http.client.HTTPConnection(LOOPBACK, port or self.port, timeout=_PATIENCE)
        try:
            connection.request("POST", mode.path, mode.body, {"content-type": "application/json", **self.headers})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
        if answer.status != 200:
            return f"{answer.status} {text[:300]}"
        return _lacks(mode, text)

    @override
    def answers(self, port: int) -> bool:
        return self.refusal(_FIRST, port) is None

    @override
    def environment(self, program: Path) -> dict[str, str]:
        # No proxy of the machine's, and Python keeps what it has compiled, as it does where nobody tells it not to.
        kept = {
            name: value
            for name, value in super().environment(program).items()
            if "proxy" not in name.lower() and not name.startswith("PYTHON")
        }
        return {**kept, "HOME": str(self.root), **self.variables()}

    def variables(self) -> dict[str, str]:
        """Further environment variables."""
        return {}

    @override
    def stop(self) -> None:
        try:
            super().stop()
        except subprocess.TimeoutExpired:
            self.kill()

    @override
    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # the group that it was started in, with its children
        super().kill()

    @override
    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        with self._cores.for_the_measured():
            return super()._spawn(port)


def _lacks(mode: Mode, text: str) -> str | None:
    """What an answer lacks to be the one that was asked for."""
    if not mode.streamed:
        words = ["quick brown fox", '"message"' if mode.wording == "translated" else '"chat.completion"']
    else:
        words = ["tok", "message_stop" if mode.wording == "translated" else "[DONE]"]
    missing = [word for word in words if word not in text]
    return f"the answer has no {' and no '.join(missing)}: {text[:200]}" if missing else None


class Direct(Target):
    """No gateway: what the client and the upstream take themselves."""

    name = "direct"
    title = "no gateway"
    translates = False

    @property
    @override
    def process(self) -> None:
        return None

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {KEYS[0]}"}

    @override
    def start(self) -> None:
        self.port = self.upstream.port

    @override
    def stop(self) -> None:
        """There is nothing to stop."""

    @override
    def command(self, port: int) -> Sequence[str]:
        return []


class Nginx(Target):
    """nginx as a relay that knows nothing of what it relays: the limit."""

    name = "nginx"
    title = "nginx, relaying alone"
    translates = False

    @override
    def prepare(self) -> None:
        if shutil.which("nginx", path=_path()) is None:
            raise FileNotFoundError("nginx is not installed")

    @override
    def command(self, port: int) -> Sequence[str]:
        folders = "".join(
            f"{kind}_temp_path {self.root}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = self.root / "nginx.conf"
        configuration.write_text(
            f"daemon off; master_process off; pid {self.root}/pid; error_log {self.root}/log warn;"
            "events { worker_connections 4096; }"
            "http { access_log off; keepalive_requests 100000000; client_max_body_size 20m; client_body_buffer_size 1m;"
            f"proxy_http_version 1.1; {folders}"
            f"upstream vendor {{ server {LOOPBACK}:{self.upstream.port}; keepalive 1024;"
            "keepalive_requests 100000000; }"
            f"server {{ listen {LOOPBACK}:{port}; location / {{ proxy_pass http://vendor; proxy_buffering off;"
            f'proxy_set_header Connection ""; proxy_set_header Authorization "Bearer {KEYS[0]}"; }} }} }}'
        )
        program = shutil.which("nginx", path=_path())
        return [str(program), "-c", str(configuration), "-e", str(self.root / "log")]


class Embedded(Target):
    """This gateway with everything switched on, in the embedded profile: SQLite, and its state in the process.

    A client key that is stored, three accounts in the database, affinity for the requests that name a conversation
    and turns for the others, call records written into the database, and metrics.
    """

    name = "aigateway"
    title = "aigateway, embedded"

    def __init__(self, root: Path, upstream: Upstream, cores: Cores) -> None:
        super().__init__(root, upstream, cores)
        self._admin_key, self._master_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._client_key = ""

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._client_key}"}

    @override
    def prepare(self) -> None:
        """Set up as an operator does it: over the admin API."""
        configuration = {
            "server": {"client_auth": "required"},
            "providers": {"openai": {"base_url": self.base_url}},
            **self.storage(),
        }
        (self.root / "config.yaml").write_text(yaml.safe_dump(configuration))
        first = _Unprepared(self)
        with running(first):
            for number, key in enumerate(self.keys):
                account = {"provider_id": "openai", "label": f"account {number}", "auth_data": {"api_key": key}}
                self._admin(first.port, "/accounts", account)
            self._client_key = self._admin(first.port, "/keys", {"name": "bench"})["key"]

    @property
    def keys(self) -> Sequence[str]:
        """The key of each account."""
        return KEYS

    def storage(self) -> dict[str, Any]:
        """Where the gateway keeps what it knows."""
        return {"database": {"engine": "sqlite", "path": str(self.root / "aigateway.db")}}

    @override
    def command(self, port: int) -> Sequence[str]:
        program = Path(sys.executable).with_name("aigateway-core")
        return [str(program), "server", "--config", str(self.root / "config.yaml"), "--port", str(port)]

    @override
    def variables(self) -> dict[str, str]:
        return {"AIGATEWAY_ADMIN_KEY": self._admin_key, "AIGATEWAY_MASTER_KEY": self._master_key}

    def _admin(self, port: int, path: str, body: Any) -> Any:
        headers = {"authorization": f"Bearer {self._admin_key}", "content-type": "application/json"}
        request = urllib.request.Request(f"http://{LOOPBACK}:{port}/api/v1{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
            return json.load(response)


class _Unprepared(PrivateServer):
    """A gateway that has no account yet: it is there when it says so itself."""

    def __init__(self, target: Embedded) -> None:
        super().__init__(target.root)
        self._target = target

    @override
    def command(self, port: int) -> Sequence[str]:
        return self._target.command(port)

    @override
    def environment(self, program: Path) -> dict[str, str]:
        return self._target.environment(program)

    @override
    def answers(self, port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False


class Production(Embedded):
    """The same in the production profile: MariaDB and Redis, both on the upstream's core."""

    name = "aigateway-production"
    title = "aigateway, MariaDB and Redis"

    def __init__(self, root: Path, upstream: Upstream, cores: Cores, services: ExitStack) -> None:
        super().__init__(root, upstream, cores)
        self._services = services
        self._storage: dict[str, Any] = {}

    @override
    def prepare(self) -> None:
        provide()
        for folder in ("mariadb", "redis"):
            (self.root / folder).mkdir(exist_ok=True)
        database = self._services.enter_context(running(MariaDB(self.root / "mariadb")))
        redis = self._services.enter_context(running(Redis(self.root / "redis")))
        name = self._services.enter_context(database.database())
        server = {"engine": "mysql", "host": database.host, "port": database.port}
        login = {"user": database.user, "password": database.password, "database": name}
        self._storage = {"database": {**server, **login}, "redis": {"enabled": True, "url": redis.url}}
        super().prepare()

    @override
    def storage(self) -> dict[str, Any]:
        return self._storage


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
