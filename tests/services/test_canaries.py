"""One run in which a gateway does everything, with recognisable secrets of every kind; afterwards none shows anywhere.

Looked through are every byte of every response, the log at its loudest, what the command line says, every key and value
in Redis, every cell of every table, and every file that was written. Answers of models are the clients' own, so prompts
and answers may show there, and nowhere else; a key that is made is shown once.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess
from outbound_proxies import HttpProxy
from services.canaries import EchoingVendor, found_in, leaks
from services.private_servers import MariaDB, Redis

from aigateway_core.testing import FakeIdentityProvider

pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(240)]

MASTER_KEY = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
PROMPT, ANSWER = "prompt-canary-Zx81mQ0rTy", "answer-canary-Uw37pLk2Bn"
KEYS = {f"API key {n}": f"sk-canary-{n}-Rk5vQm8sYt2wNx7c" for n in range(4)}
PROXY_PASSWORD = "proxy-canary/Hy6gTf+5d&Rs"
CLIENT_SECRET = "client-secret-canary-Ln4bVc3xZa"
REFUSED_KEY = "gwcli_canary01_" + "Qw3eRt5yUi7oPa9sDf1gHj2kLz4xCv6bNm8QwErTyUi"
DATABASE = "test_canaries"
READ = ["accounts", "proxies", "proxies/assignments", "proxies/plan", "providers", "model-mappings", "keys"]
READ += ["stats/logs?limit=100", "stats/summary", "stats/timeseries"]
SAID = ["accounts list", "proxies list", "keys list", "providers list", "mappings list", "logs", "stats", "db status"]


def test_the_search_finds_a_word_however_it_is_spelled() -> None:
    for before in ("", "a", "ab", "abc"):
        told = f"{before}{PROMPT} and more"
        assert found_in(told.encode(), [PROMPT]) == [PROMPT]
        assert found_in(base64.b64encode(told.encode()), [PROMPT]) == [PROMPT]
        assert found_in(base64.urlsafe_b64encode(told.encode()), [PROMPT]) == [PROMPT]
        assert found_in(told.encode().hex().encode(), [PROMPT]) == [PROMPT]
        assert found_in(told[::-1].encode(), [PROMPT]) == [PROMPT]
        assert found_in(f"?a={quote(f'{before}a/b+c={PROMPT}', safe='')}".encode(), [f"a/b+c={PROMPT}"])
    assert found_in(b"something else", [PROMPT]) == []


class Run:
    """The gateway of one run, and all that it has said and written, by where it did."""

    def __init__(self, process: GatewayProcess, http: httpx.AsyncClient) -> None:
        self.process = process
        self.answers: dict[str, bytes] = {}
        self.seen: dict[str, bytes] = {}
        self._http = http

    async def admin(self, method: str, path: str, body: Any = None, *, shown_once: bool = False) -> Any:
        response = await self._http.request(
            method, f"{self.process.url}/api/v1/{path}", json=body, headers={"authorization": f"Bearer {ADMIN_KEY}"}
        )
        if not shown_once:
            self._keep(self.seen, f"{method} {path}", response)
        return response.json() if response.content else None

    async def look(self, path: str) -> None:
        self._keep(self.seen, path, await self._http.get(f"{self.process.url}{path}"))

    async def ask(self, model: str, key: str = CLIENT_KEY, **more: Any) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
        headers = {"authorization": f"Bearer {key}"}
        response = await self._http.post(f"{self.process.url}/v1/chat/completions", json=body, headers=headers)
        self._keep(self.answers, f"answer {model}", response)
        return response.status_code

    def command(self, words: str) -> None:
        self.seen[f"command {words}"] = self.process.command(*words.split()).encode()

    def command_line(self) -> None:
        """What other users of the machine see of the process."""
        self.seen["command line"] = Path(f"/proc/{self.process.pid}/cmdline").read_bytes()
        limits = Path(f"/proc/{self.process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 ", limits), "a crash would leave an image of the memory"

    def files(self, moment: str) -> None:
        """What is on disk now, but for the configuration, which the test has written."""
        for path in self.process.folder.parent.rglob("*"):
            if path.is_file() and path.name != "config.yaml":
                self.seen[f"{moment}: {path.name}"] = path.name.encode() + path.read_bytes()

    def _keep(self, places: dict[str, bytes], place: str, response: httpx.Response) -> None:
        told = b"\n".join(name + b": " + value for name, value in response.headers.raw)
        places[f"{len(places)} {place} ({response.status_code})"] = told + b"\n\n" + response.content


def in_redis(server: Redis) -> bytes:
    with redis.Redis(host=server.host, port=server.port) as client:
        found = []
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            value: Any = {
                b"string": client.get,
                b"hash": client.hgetall,
                b"set": client.smembers,
                b"list": lambda name: client.lrange(name, 0, -1),
                b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
            }[kind](key)
            found.append((key, value))
        assert found, "nothing is in Redis: the search would prove nothing"
        return repr(found).encode()


def in_tables(server: MariaDB) -> dict[str, bytes]:
    tables = [str(row[0]) for row in server.execute("SHOW TABLES", database=DATABASE)]
    assert {"accounts", "audit_log", "request_logs", "proxy_pool", "api_keys"} <= set(tables)
    return {
        f"table {name}": repr(server.execute(f"SELECT * FROM `{name}`", database=DATABASE)).encode() for name in tables
    }


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def test_s_14_no_secret_shows_anywhere_after_a_gateway_has_done_everything(
    own_mariadb: MariaDB, own_redis: Redis, tmp_path: Path
) -> None:
    own_mariadb.execute(f"CREATE DATABASE {DATABASE}")
    with (
        EchoingVendor(ANSWER) as vendor,
        FakeIdentityProvider(client_secret=CLIENT_SECRET) as idp,
    ):
        async with HttpProxy("user", PROXY_PASSWORD) as proxy, httpx.AsyncClient(timeout=40, trust_env=False) as http:
            process = GatewayProcess(
                _config(vendor, idp, own_mariadb, own_redis, tmp_path),
                tmp_path / "gateway",
                environment={"AIGATEWAY_MASTER_KEY": MASTER_KEY},
            )
            await asyncio.to_thread(process.start)
            run = Run(process, http)
            try:
                made_key = await _work(run, proxy, idp)
                run.seen |= {"Redis": in_redis(own_redis), **in_tables(own_mariadb)}
                await _outage(run, idp, own_mariadb, tmp_path)
                await _failures(run)
                for path in READ:
                    await run.admin("GET", path)
                for path in ("/metrics", "/docs", "/openapi.json", "/ready", "/health"):
                    await run.look(path)
                for words in SAID:
                    await asyncio.to_thread(run.command, words)
                for words in ("accounts list --json", "proxies list --json", "logs --json", "config check"):
                    await asyncio.to_thread(run.command, words)
                run.seen |= {"Redis at the end": in_redis(own_redis)}
                run.command_line()
            finally:
                assert await asyncio.to_thread(process.stop) == 0, process.output[-3000:]
        run.seen |= {f"{name} at the end": cells for name, cells in in_tables(own_mariadb).items()}
        run.files("at the end")
        assert len(vendor.shown) >= 10
        assert proxy.asked
        tokens = {f"token {n}": each for n, each in enumerate(sorted(idp.secrets)) if not each.startswith("http")}
    secrets = {
        **KEYS,
        **tokens,
        "made client key": made_key,
        "refused client key": REFUSED_KEY,
        "client key": CLIENT_KEY,
        "admin key": ADMIN_KEY,
        "master key": MASTER_KEY.rstrip("="),
        "proxy password": PROXY_PASSWORD,
        "client secret": CLIENT_SECRET,
        "password of the database": own_mariadb.password,
    }
    assert leaks({**run.seen, **run.answers}, secrets) == []
    assert leaks(run.seen, {"prompt": PROMPT, "answer": ANSWER}) == []
    # And what may show there does, so that the search looks at what it should.
    assert any(ANSWER.encode() in answer for answer in run.answers.values())
    assert "Traceback" not in process.output


def _config(
    vendor: EchoingVendor, idp: FakeIdentityProvider, mariadb: MariaDB, redis_server: Redis, folder: Path
) -> dict[str, Any]:
    models = ["says", *(f"refuses-{status}" for status in (400, 401, 403, 429, 500))]
    acme = {"kind": "openai-compatible", "base_url": f"{vendor.url}/v1", "models": models}
    club = {**acme, "models": ["says-in-the-club"], "auth_strategy": "oauth", "auth_options": idp.auth_options}
    return {
        "database": {
            "engine": "mysql",
            "host": mariadb.host,
            "port": mariadb.port,
            "user": mariadb.user,
            "password": mariadb.password,
            "database": DATABASE,
        },
        "redis": {"enabled": True, "url": redis_server.url},
        "recording": {"flush_interval": 0.02, "spool_folder": str(folder / "spool")},
        "providers": {"acme": {**acme, "api_key": KEYS["API key 3"]}, "club": club},
        "plugins": {"allowed": []},
        "security": {"allow_private_hosts": ["127.0.0.1"]},
        "log": {"level": "debug", "format": "json"},
    }


async def _work(run: Run, proxy: HttpProxy, idp: FakeIdentityProvider) -> str:
    """Everything that goes well; returns the client key that was made."""
    await run.admin("POST", "proxies", {"url": proxy.url, "max_accounts": 0})
    for name in ("API key 0", "API key 1"):
        account = {"provider_id": "acme", "label": name, "auth_data": {"api_key": KEYS[name]}}
        made = await run.admin("POST", "accounts", account)
    await run.admin("PUT", f"accounts/{made['id']}", {"auth_data": json.dumps({"api_key": KEYS["API key 2"]})})
    # Mistakes with a secret in the wrong place.
    for wrong in ({"api_kye": KEYS["API key 0"]}, KEYS["API key 0"], {"api_key": [KEYS["API key 0"]]}):
        await run.admin("POST", "accounts", {"provider_id": "acme", "auth_data": wrong})
    await run.admin("POST", "proxies", {"url": proxy.url.replace("http:", "htp:")})
    await run.admin("POST", "proxies", {"url": proxy.url, "pasword": PROXY_PASSWORD})
    begun = await run.admin("POST", "oauth/club/start", {}, shown_once=True)
    await run.admin("POST", "oauth/club/complete", {"url": idp.consent(begun["url"])})
    await run.admin("POST", "model-mappings", {"alias": "other", "targets": [{"provider": "acme", "model": "says"}]})
    made_key = (await run.admin("POST", "keys", {"name": "team"}, shown_once=True))["key"]
    async with asyncio.timeout(15):
        while await run.ask("says", str(made_key)) != 200:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.2)
    for more in ({}, {"stream": True}, {"user": "somebody"}):
        assert await run.ask("says", **more) == 200
        assert await run.ask("says-in-the-club", **more) == 200
    idp.revoke_access()
    assert await run.ask("says", REFUSED_KEY) == 401
    for account in (await run.admin("GET", "accounts"))["data"]:
        await run.admin("GET", f"accounts/{account['id']}")
        await run.admin("POST", f"accounts/{account['id']}/test")
    return str(made_key)


async def _outage(run: Run, idp: FakeIdentityProvider, mariadb: MariaDB, folder: Path) -> None:
    """The database goes away while a token is renewed: the token and what is called meanwhile go to disk."""
    (club,) = (each for each in (await run.admin("GET", "accounts"))["data"] if each["provider_id"] == "club")
    before, idp.gate = idp.refreshes, threading.Event()
    renewing = asyncio.create_task(run.admin("POST", f"accounts/{club['id']}/refresh"))
    await until(lambda: idp.refreshes > before)
    await asyncio.to_thread(mariadb.kill)
    gate, idp.gate = idp.gate, None
    gate.set()
    await renewing
    for _ in range(3):
        assert await run.ask("says") == 200
    spool = folder / "spool"
    await until(lambda: {path.suffix for path in spool.rglob("*") if path.is_file()} >= {".token", ".spool"})
    await asyncio.sleep(0.5)
    run.files("in the outage")
    await asyncio.to_thread(mariadb.start)
    await until(lambda: not list(spool.rglob("*.token")))
    async with asyncio.timeout(30):
        while await run.ask("says-in-the-club") != 200:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.2)


async def _failures(run: Run) -> None:
    """A vendor that repeats the credential in every refusal, until no account is left."""
    for status in (400, 500, 429, 403, 401):
        for stream in (False, True):
            assert await run.ask(f"refuses-{status}", stream=stream) != 200
    await run.ask("no-such-model")
    accounts = (await run.admin("GET", "accounts"))["data"]
    stored = next(each["id"] for each in accounts if not each["id"].startswith("config:"))
    await run.admin("DELETE", f"accounts/{stored}")
