"""A second organisation's app, for labs that have two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_shop(directory: Path) -> Path:
    """Write the fly.toml of an app that needs nothing but a shell; return its path."""
    config = directory / "fly.toml"
    config.write_text(
        'app = "shop"\nprimary_region = "ams"\n'
        '[processes]\napp = "python3 -m http.server --bind :: 8080"\n'
        "[http_service]\ninternal_port = 8080\n"
    )
    return config
