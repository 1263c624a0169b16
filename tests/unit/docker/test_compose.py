"""docker-compose.yml: valid, closed where it must be closed, and in step with the images and settings."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import resources
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from app.settings import Settings
from tests.unit.docker.reading import ROOT, read_compose, read_dockerfile

ADAPTERS = "/var/lib/bedside/adapters"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read_compose()


def services_of(compose: dict[str, Any], profile: str) -> set[str]:
    return {name for name, service in compose["services"].items() if profile in service.get("profiles", [profile])}


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Target -> (source, mode)."""
    found = {}
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        found[target] = (source, mode[0] if mode else "rw")
    return found


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
    rules = json.loads(schema)
    validator = jsonschema.validators.validator_for(rules)(rules)
    assert [error.message for error in validator.iter_errors(compose)] == []
    broken = {**compose, "services": {"api": {"imagee": "x"}}}
    assert list(validator.iter_errors(broken)), "the schema must be one that refuses something"


def test_docker_compose_reads_it() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("docker compose is not installed; the schema check above stands in")
    for profile in ("cpu", "gpu", "training"):
        command = [docker, "compose", "--profile", profile, "config", "--quiet"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_profiles(compose: dict[str, Any]) -> None:
    assert services_of(compose, "cpu") == {"api", "engine-cpu", "database"}
    assert services_of(compose, "gpu") == {"api", "engine-gpu", "database"}
    assert services_of(compose, "training") == {"training-cpu", "training-gpu"}
    assert all("profiles" in service for service in compose["services"].values()), "a service without one always starts"


def test_every_name_that_is_used_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("networks", [])) <= set(compose["networks"]), name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        for source, _ in mounts(service).values():
            assert source.startswith(("./", "/")) or source in compose["volumes"], (name, source)
        for profile in service["profiles"]:
            assert set(service.get("depends_on", {})) <= services_of(compose, profile), name


@pytest.mark.parametrize("name", ["engine-cpu", "engine-gpu"])
def test_nothing_but_the_api_reaches_the_engine(compose: dict[str, Any], name: str) -> None:
    engine = compose["services"][name]
    assert "ports" not in engine
    assert "network_mode" not in engine
    assert list(engine["networks"]) == ["engine"]
    assert engine["networks"]["engine"]["aliases"] == ["engine"]
    assert compose["networks"]["engine"]["internal"] is True
    profile = engine["profiles"][0]
    others = [
        n for n in services_of(compose, profile) if n != name and "engine" in compose["services"][n].get("networks", [])
    ]
    assert others == ["api"]
    assert "secrets" not in engine
    assert "env_file" not in engine


def test_only_the_api_is_published_and_only_to_this_machine(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8080:8080"]}
    assert compose["services"]["database"]["networks"] == ["data"]
    assert compose["networks"]["data"]["internal"] is True


@pytest.mark.parametrize("name", ["engine-cpu", "engine-gpu"])
def test_the_engine_finds_adapters_where_the_api_registers_them(compose: dict[str, Any], name: str) -> None:
    api, engine = compose["services"]["api"], compose["services"][name]
    assert mounts(api)[ADAPTERS] == ("adapters", "rw")
    assert mounts(engine)[ADAPTERS] == ("adapters", "ro")
    assert f"{api['environment']['BEDSIDE_STATE']}/adapters" == ADAPTERS
    for target in ("/models",):
        assert mounts(api)[target] == mounts(engine)[target]
    for key in ("BEDSIDE_BASE_MODEL", "BEDSIDE_MAX_LORA_RANK"):
        assert api["environment"][key] == engine["environment"][key]


def test_another_base_model_reaches_api_and_engine() -> None:
    services = read_compose({"BEDSIDE_BASE_MODEL": "/models/big", "BEDSIDE_MAX_LORA_RANK": "128"})["services"]
    for name in ("api", "engine-cpu", "engine-gpu"):
        assert services[name]["environment"]["BEDSIDE_BASE_MODEL"] == "/models/big"
        assert services[name]["environment"]["BEDSIDE_MAX_LORA_RANK"] == "128"


def test_production_reaches_the_api(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from the shell, which ``env_file`` does not read: with a development service cookies would not be secure."""
    given = {"BEDSIDE_ENVIRONMENT": "production", "BEDSIDE_DEMO_ACCOUNTS": "false"}
    for key, value in (given | read_compose(given)["services"]["api"]["environment"]).items():
        monkeypatch.setenv(key, str(value))
    with pytest.raises(ValidationError, match="BEDSIDE_PUBLIC_URL"):
        Settings(_env_file=None)
    given |= {"BEDSIDE_PUBLIC_URL": "https://chat.example.org"}
    api = read_compose(given)["services"]["api"]["environment"]
    assert (api["BEDSIDE_ENVIRONMENT"], api["BEDSIDE_PUBLIC_URL"]) == ("production", "https://chat.example.org")


def test_containers_are_hardened(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "pid", "ipc"} & set(service), name
        user, group = (int(part) for part in service["user"].split(":"))
        assert user > 0, name
        assert group > 0, name


def test_what_serves_has_a_healthcheck_and_time_to_drain(compose: dict[str, Any]) -> None:
    for profile in ("cpu", "gpu"):
        for name in services_of(compose, profile):
            service = compose["services"][name]
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["restart"] == "unless-stopped", name
            assert service["stop_grace_period"] in ("45s", "1m"), name


def test_secrets_are_files_and_no_password_stands_in_the_file(compose: dict[str, Any]) -> None:
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or "KEY" in key or "DATABASE_URL" in key:
                assert value.startswith("/run/secrets/"), (name, key)
                assert value.removeprefix("/run/secrets/") in service["secrets"], (name, key)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/secrets/", "/.env"} <= set(ignored)


def test_training_has_no_network(compose: dict[str, Any]) -> None:
    for name in services_of(compose, "training"):
        assert compose["services"][name]["network_mode"] == "none"
        assert "secrets" not in compose["services"][name]


def test_settings_of_the_api_are_settings(compose: dict[str, Any]) -> None:
    known = {f"BEDSIDE_{field.upper()}" for field in Settings.model_fields} | {"BEDSIDE_DATABASE_URL_FILE"}
    assert set(compose["services"]["api"]["environment"]) <= known


def test_settings_of_the_api_are_accepted(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in compose["services"]["api"]["environment"].items():
        monkeypatch.setenv(key, str(value))
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.engine == "external"
    assert settings.engine_url == "http://engine:8000"
    assert str(settings.text_key_file) == "/run/secrets/text_key"
    assert settings.port == int(compose["services"]["api"]["ports"][0].rsplit(":", 1)[1])


def test_writable_folders_belong_to_the_user(compose: dict[str, Any]) -> None:
    """A new named volume takes owner and mode from the image's folder; without one it would belong to root."""
    for name, service in compose["services"].items():
        if "build" not in service:
            continue
        final = read_dockerfile(ROOT / service["build"]["dockerfile"])[-1]
        made = " ".join(words for words in final.all("RUN") if "install -d -o 10001 -g 10001" in words).split()
        for target, (source, _) in mounts(service).items():
            if source in compose["volumes"]:
                assert target in made, f"{name}: the image does not make {target}"
