"""The examples of a deployment: what refers to something finds it, and the gateway takes the configuration in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from aigateway_core.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / "docker-compose.yml").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def cluster() -> dict[str, dict[str, Any]]:
    """The objects, by kind."""
    objects = list(yaml.safe_load_all((EXAMPLES / "kubernetes" / "gateway.yaml").read_text("utf-8")))
    assert len({each["kind"] for each in objects}) == len(objects)
    return {each["kind"]: each for each in objects}


def taken(text: str, tmp_path: Path, secrets: str) -> Settings:
    """What the gateway makes of a configuration; the files of its secrets lie in the folder ``secrets`` there."""
    for name in ("database", "database-password", "redis-password"):
        (tmp_path / name).write_text("a-secret\n", "utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(text.replace(secrets, f"{tmp_path}/"), "utf-8")
    return load(path, {})


def gateways(compose: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (service for service in compose["services"].values() if "build" in service)


def test_compose_has_two_gateways_with_one_database_and_one_redis(compose: dict[str, Any]) -> None:
    assert len(list(gateways(compose))) == 2
    assert set(compose["services"]) == {"gateway-1", "gateway-2", "mariadb", "redis"}
    ports = [port for service in gateways(compose) for port in service["ports"]]
    assert ports == ["127.0.0.1:8088:8088", "127.0.0.1:8089:8088"]


def test_compose_refers_to_nothing_that_is_not_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert {each["source"] for each in service.get("configs", [])} <= set(compose["configs"])
        assert {each.partition(":")[0] for each in service.get("volumes", [])} <= set(compose["volumes"])
        assert "healthcheck" in service
        for needed in service.get("depends_on", {}):
            assert "healthcheck" in compose["services"][needed]
    for service in gateways(compose):
        assert (EXAMPLES / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
        assert service["environment"]["AIGATEWAY_CONFIG"] in [each["target"] for each in service["configs"]]


def test_compose_holds_no_secret(compose: dict[str, Any]) -> None:
    for service in gateways(compose):
        for name in ("AIGATEWAY_MASTER_KEY", "AIGATEWAY_ADMIN_KEY", "AIGATEWAY_CLIENT_KEY"):
            assert service["environment"][name].startswith(f"${{{name}:?")


def test_the_gateway_takes_the_configuration_of_compose(compose: dict[str, Any], tmp_path: Path) -> None:
    settings = taken(compose["configs"]["aigateway"]["content"], tmp_path, "/run/secrets/")
    assert (settings.database.engine, settings.database.host) == ("mysql", "mariadb")
    assert (settings.redis.enabled, settings.redis.host, settings.redis.port) == (True, "redis", 6379)
    database = compose["services"]["mariadb"]["environment"]
    assert (database["MARIADB_DATABASE"], database["MARIADB_USER"]) == (
        settings.database.database,
        settings.database.user,
    )


def test_the_image_is_made_of_what_is_in_the_repository() -> None:
    lines = (EXAMPLES / "Dockerfile").read_text("utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert (ROOT / line.split()[1]).exists(), line
    assert "USER 10001" in lines
    assert lines[-1] == 'CMD ["aigateway-core", "server", "--host", "0.0.0.0"]'


def test_the_cluster_has_what_it_needs(cluster: dict[str, dict[str, Any]]) -> None:
    assert set(cluster) == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    spec = cluster["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    for selector in (
        spec["selector"]["matchLabels"],
        cluster["Service"]["spec"]["selector"],
        cluster["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    (container,) = spec["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8088}
    assert cluster["Service"]["spec"]["ports"][0]["targetPort"] in ports
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/health",
        "liveness": "/health",
        "readiness": "/ready",
    }
    assert {probe["port"] for probe in probes.values()} <= set(ports)
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_cluster_has_its_secrets_by_reference_alone(cluster: dict[str, dict[str, Any]]) -> None:
    (container,) = cluster["Deployment"]["spec"]["template"]["spec"]["containers"]
    keys = {each["name"]: each for each in container["env"] if each["name"].endswith("_KEY")}
    assert set(keys) == {"AIGATEWAY_MASTER_KEY", "AIGATEWAY_ADMIN_KEY", "AIGATEWAY_CLIENT_KEY"}
    assert all(
        "value" not in each and each["valueFrom"]["secretKeyRef"]["name"] == "aigateway" for each in keys.values()
    )


def test_the_gateway_takes_the_configuration_of_the_cluster(cluster: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    settings = taken(cluster["ConfigMap"]["data"]["config.yaml"], tmp_path, "/run/secrets/aigateway/")
    assert settings.redis.enabled
    assert not settings.server.is_loopback
    pod = cluster["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > settings.server.drain_timeout + 15
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert {"name": mounts[str(settings.recording.spool_folder)], "emptyDir": {}} in pod["volumes"]
