"""Tiers: a marker names what a test needs of the machine, and what is missing skips or, with REQUIRE, fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_LAB_TOOLS = ("curl", "dig", "nslookup", "ping", "nc", "ss", "getent", "setpriv", "unshare")


@cache
def _missing_for_lab() -> str:
    doctor = [sys.executable, "-m", "lab", "doctor"]
    done = subprocess.run(doctor, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return f"`flycast-lab doctor` says: {' '.join(done.stdout.split()) or done.stderr}"
    tools = [tool for tool in _LAB_TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(tools)}" if tools else ""


@cache
def _missing_for_browser() -> str:
    return "" if shutil.which("chromium") else "not installed: chromium"


@cache
def _missing_for_strangers() -> str:
    programs = [program for program in ("nginx", "node") if shutil.which(program) is None]
    return f"not installed: {', '.join(programs)}" if programs else ""


@cache
def _missing_for_wireguard() -> str:
    doctor = [sys.executable, "-m", "lab", "doctor"]
    done = subprocess.run(doctor, capture_output=True, text=True, timeout=60, check=False)
    said = next((line for line in done.stdout.splitlines() if "--laptop" in line), done.stderr)
    return _missing_for_lab() or ("" if "a WireGuard tunnel can be had" in said else said.strip())


@cache
def _missing_for_image() -> str:
    tools = [tool for tool in ("buildah", "debootstrap", "newuidmap") if shutil.which(tool) is None]
    if tools:
        return f"not installed: {', '.join(tools)}"
    return _missing_for_lab() or ("" if os.geteuid() == 0 else "debootstrap needs root")


TIERS: dict[str, Callable[[], str]] = {
    "lab": _missing_for_lab,
    "browser": _missing_for_browser,
    "strangers": _missing_for_strangers,
    "wireguard": _missing_for_wireguard,
    "image": _missing_for_image,
}


def pytest_configure() -> None:
    """Refuse a tier that does not exist, so that a typing error cannot pass for a green run."""
    unknown = _required() - TIERS.keys()
    if unknown:
        raise pytest.UsageError(f"REQUIRE: expected some of {', '.join(TIERS)}, got {', '.join(sorted(unknown))}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tier is missing here, or fail it when the tier is required."""
    for tier, look in TIERS.items():
        if item.get_closest_marker(tier) and (missing := look()):
            if tier in _required():
                pytest.fail(f"tier {tier!r} is required but {missing}", pytrace=False)
            pytest.skip(f"tier {tier!r}: {missing}")


def _required() -> set[str]:
    return {tier for tier in os.environ.get("REQUIRE", "").split(",") if tier}
