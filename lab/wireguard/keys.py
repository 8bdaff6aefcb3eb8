"""Key pairs, made by WireGuard's own tools."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

from lab.errors import LabError

_SECONDS = 10


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 key pair in base64."""

    public: str
    private: str = field(repr=False)


def new_key_pair() -> KeyPair:
    """Return a fresh pair; raise `LabError` when `wg` cannot make one."""
    private = _wg("genkey", "")
    return KeyPair(_wg("pubkey", private), private)


def _wg(verb: str, given: str) -> str:
    try:
        done = subprocess.run(
            ["wg", verb], input=given, capture_output=True, text=True, timeout=_SECONDS, check=True
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(f"expected a key from 'wg {verb}', got: {error}") from None
    return done.stdout.strip()
