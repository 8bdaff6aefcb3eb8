"""The command a Dockerfile's last stage runs: ENTRYPOINT and CMD, exec form or shell form."""

from __future__ import annotations

import json
import re

MOST_BYTES = 1024 * 1024  # of a file that is read as a Dockerfile
_CONTINUED = re.compile(r"\\[ \t]*\n")
_INSTRUCTION = re.compile(r"(FROM|CMD|ENTRYPOINT)\s+(.*)", re.IGNORECASE)


def image_command(dockerfile: str) -> tuple[str, ...]:
    """Return ENTRYPOINT followed by CMD of the last stage, empty when there is neither."""
    found: dict[str, tuple[str, ...]] = {}
    text = "\n".join(line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    for line in _CONTINUED.sub(" ", text).split("\n"):
        instruction = _INSTRUCTION.fullmatch(line.strip())
        if instruction is None:
            continue
        name, value = instruction[1].upper(), instruction[2]
        if name == "FROM":
            found.clear()
        else:
            found[name] = _words(value)
    return found.get("ENTRYPOINT", ()) + found.get("CMD", ())


def _words(value: str) -> tuple[str, ...]:
    try:
        words = json.loads(value)
    except (ValueError, RecursionError):
        words = None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(words)
    return ("/bin/sh", "-c", value)
