"""From the apps that a command line names to the plan of a lab: files are read here, and nothing starts."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.dockerfile import MOST_BYTES, image_command
from lab.errors import UsageError
from lab.start import view
from lab.topology import HOME, AppSource, check_organisation, group_commands, plan
from shell.flytoml import FlyTomlError, read
from shell.flytoml.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.image.archive import Image
    from lab.topology import Topology
    from shell.flytoml import FlyToml

_SECRET = re.compile(r"(?!FLY_)[A-Za-z_][A-Za-z0-9_]{0,99}")
_FOR_APP = re.compile(r"([a-z0-9-]+)=(.+)")
_ENVIRONMENT_OF_MACHINES = ("LANG", "LC_ALL", "TZ")


def given_apps(configs: Sequence[Path] | None, others: Sequence[str]) -> list[tuple[Path, str]]:
    """Return the file and the organisation of each app: `--config`, then `--org`, else the fly.toml here."""
    apps = [(path, HOME) for path in configs or ()]
    for text in others:
        organisation, file = _pair("--org", "ORG=FILE", text)
        check_organisation(organisation, "--org")
        apps.append((Path(file), organisation))
    return apps or [(Path("fly.toml"), HOME)]


def flycast_places(texts: Sequence[str]) -> dict[str, str]:
    """Return the organisation that each app of `--flycast-in` is reached from."""
    pairs = [_pair("--flycast-in", "APP=ORG", text) for text in texts]
    places = dict(pairs)
    if len(places) < len(pairs):
        raise UsageError(f"--flycast-in: expected each app once, got {', '.join(texts)[:99]!r}")
    return places


def secrets_from(texts: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return what every Machine gets as a secret; a value is never said in an error."""
    secrets: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not _SECRET.fullmatch(name) or name in secrets:
            expected = "NAME or NAME=VALUE, a variable's name that does not begin with FLY_, each once"
            raise UsageError(f"--secret: expected {expected}, got {name[:99]!r}")
        if not sign and name not in environ:
            raise UsageError(f"--secret: expected a variable {name} here, got none; set it, or give {name}=VALUE")
        secrets[name] = value if sign else environ[name]
    return secrets


def _pair(option: str, shape: str, text: str) -> tuple[str, str]:
    left, _, right = text.partition("=")
    if not left or not right:
        raise UsageError(f"{option}: expected {shape}, got {text[:99]!r}")
    return left, right


def read_topology(
    apps: Sequence[tuple[Path, str]],
    command: str | None,
    scale: str,
    *,
    public: bool,
    flycast_in: Mapping[str, str],
    images: Sequence[str] = (),
    secrets: Mapping[str, str],
) -> Topology:
    """Read every fly.toml and image, and lay out the networks; raise `UsageError` with the file and the place."""
    configs = [(_read(path), organisation) for path, organisation in apps]
    given = _images_of([config.app_name for config, _ in configs], images)
    sources = [
        replace(_source(config, organisation, command, given.get(config.app_name)), secrets=secrets)
        for config, organisation in configs
    ]
    return plan(sources, scale, _machine_environment(), public=public, flycast_in=flycast_in)


def _read(path: Path) -> FlyToml:
    try:
        return read(path)
    except FlyTomlError as error:
        raise UsageError(str(error)) from None


def _images_of(app_names: Sequence[str], texts: Sequence[str]) -> dict[str, Image]:
    """Return the image of each app that `--image` gives one; the same name is read once."""
    if not texts:
        return {}
    from lab.image import archive, storage  # noqa: PLC0415 - only this option needs them

    names: dict[str, str] = {}
    for text in texts:
        given = _FOR_APP.fullmatch(text)
        app, name = given.groups() if given else (app_names[0], text)
        if app not in app_names or app in names or not name or (len(app_names) > 1 and not given):
            expected = f"APP=NAME, once for an app of {', '.join(app_names)}" if len(app_names) > 1 else "one NAME"
            raise UsageError(f"--image: expected {expected}, got {text[:99]!r}")
        names[app] = name
    read_once = {name: archive.read(name, storage.open_archive(name)) for name in dict.fromkeys(names.values())}
    return {app: read_once[name] for app, name in names.items()}


def _source(config: FlyToml, organisation: str, command: str | None, image: Image | None) -> AppSource:
    if image is None:
        built = image_command(_text_of(config.dockerfile)) if command is None and not config.processes else ()
        return _with_view(AppSource(config, group_commands(config, command, built), organisation))
    if command is None and not config.processes and not image.entrypoint + image.command:
        raise UsageError(f"nothing to run: image {image.name} has no ENTRYPOINT and no CMD; give --command CMD")
    cmd = image.command or image.entrypoint
    commands = group_commands(config, command, cmd)
    if image.command or command is not None or config.processes:  # all three take the place of CMD alone
        commands = {group: (*image.entrypoint, *argv) for group, argv in commands.items()}
    return AppSource(config, commands, organisation, image)


def _with_view(source: AppSource) -> AppSource:
    """Add what the app's Machines show of the host, and what they do not although a command names it."""
    config = source.config
    directory = config.path.parent.resolve()
    view.check_directory(directory, str(config.path))
    path = _machine_environment()["PATH"]
    shown = {group: view.installations(argv, path, directory) for group, argv in source.commands.items()}
    hints = dict.fromkeys(
        f"{config.path}: the command leads to {word}, which is not in the Machine; a Machine sees {directory}, the "
        f"system directories and installations in your PATH: move it there, or put its directory into your PATH"
        for group, argv in source.commands.items()
        for word in view.unseen(argv, path, shown[group], directory)
    )
    return replace(source, installations=shown, hints=tuple(hints))


def _text_of(dockerfile: Path | None) -> str:
    if dockerfile is None or not dockerfile.exists():
        return ""
    try:
        return read_regular(dockerfile, MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise UsageError(f"{dockerfile}: the Dockerfile cannot be read: {error.strerror}") from None


def _machine_environment() -> dict[str, str]:
    """Give Machines this Python and the programs beside it, and nothing secret of the caller's."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    kept = {name: os.environ[name] for name in _ENVIRONMENT_OF_MACHINES if name in os.environ}
    return {**kept, "PATH": path}
