"""fly.toml, Dockerfile and the service must agree."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.util import find_spec
from typing import Any

import pytest

from private_svc import config
from private_svc.web import admin
from tests.private_svc.process import ROOT

FLY: dict[str, Any] = tomllib.loads((ROOT / "fly.toml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_drain_fits_into_kill_timeout() -> None:
    leaving_seconds = config.read(FLY["env"]).drain_seconds + admin.CUT_SECONDS + admin.CLEANUP_SECONDS
    assert leaving_seconds + 0.5 <= float(FLY["kill_timeout"].removesuffix("s"))
    assert FLY["kill_signal"] == "SIGINT"


def test_the_ports_are_the_services_own() -> None:
    settings = config.read(FLY["env"])
    assert settings.port == config.read({}).port == FLY["http_service"]["internal_port"]
    (raw,) = FLY["services"]
    assert settings.hello_port == config.read({}).hello_port == raw["internal_port"]
    handlers = ["proxy_proto"] if settings.hello_proxy_protocol else []
    assert raw["ports"] == [{"port": settings.hello_port, "handlers": handlers}]
    assert FLY["metrics"] == [{"port": settings.metrics_port, "path": "/metrics"}]
    assert settings.metrics_port == config.read({}).metrics_port, "what is scraped is what is bound without a setting"
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE) == [f"{settings.port} {settings.hello_port}"]


@pytest.mark.parametrize("entry", [FLY["http_service"], *FLY["services"]])
def test_every_service_sleeps_and_wakes(entry: dict[str, Any]) -> None:
    assert entry["auto_stop_machines"] == "stop"
    assert entry["auto_start_machines"] is True
    assert entry["min_machines_running"] == 0
    assert "processes" not in entry


def test_nothing_redirects_to_https() -> None:
    assert "force_https" not in str(FLY)


def test_launch_does_not_scan_the_dockerfile_nor_choose_the_memory() -> None:
    assert FLY["build"] == {"dockerfile": "Dockerfile"}
    assert [machine["memory"] for machine in FLY["vm"]] == ["256mb"]


def test_the_image_runs_the_service_as_nobody_special() -> None:
    users = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert users
    assert int(users[-1]) > 0
    (command,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(command) == ["python", "-m", "private_svc"]


def test_what_the_image_compiles_for_later_can_be_imported() -> None:
    (said,) = re.findall(r'python -c "import ([^"]*)"', DOCKERFILE)
    missing = [name for name in re.findall(r"[\w.]+", said) if find_spec(name) is None]
    assert missing == []


def test_the_lock_pins_by_hash_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    pins = re.findall(r"^([a-z0-9-]+)==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+", lock, re.MULTILINE)
    assert {"aiohttp", "dnspython"} <= set(pins)
    assert len(pins) == len(re.findall(r"^[a-z0-9-]+==", lock, re.MULTILINE))
