"""A stand-in for flyctl: it notes each call, keeps the state of a small Fly in a file, and does no more.

What it does is what flyctl's source of August 2026 does (docs/fly.md, "flyctl" and "WireGuard"):

- a command takes the flags below and refuses others;
- `launch` makes up another name when the one it is given is taken, also by you, and writes fly.toml anew, without
  comments and with single quotes;
- a first deploy of an app without addresses gives it public ones, with --flycast a private one, and does so before it
  starts anything;
- `wireguard create` makes the peer first and then a new file, mode 0600.

`FLYCTL_STATE` names the file: {"apps": {name: [address type]}, "taken": [name], "deploy": ok|fails|exposes, "broken":
[command], "calls": [{argv, stdin, here}]}.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

FLAGS = {
    "launch": "--copy-config --yes --flycast --ha --no-github-workflow --no-deploy --name --org --region",
    "deploy": "--flycast --ha -a --remote-only --strategy",
    "ips list": "--json -a",
    "ips allocate-v6": "--private -a",
    "secrets import": "--stage -a",
    "status": "--json -a",
    "logs": "-a --no-tail",
    "machine run": "--shell --build-target --org --command --region",
    "wireguard create": "",
    "apps destroy": "--yes",
}
ADDRESSES = {
    "private_v6": "fdaa:0:18:0:1::2",
    "v6": "2a09:8280:1::37:7312:0",
    "shared_v4": "66.241.124.113",
}
PEER = """
[Interface]
PrivateKey = not-a-key
Address = fdaa:0:18:a7b:d5d9:0:a:2/120
DNS = fdaa:0:18::3
"""


def main(argv: list[str]) -> int:
    """Note the call, then play it."""
    path = Path(os.environ["FLYCTL_STATE"])
    state: dict[str, Any] = json.loads(path.read_text())
    command = next((name for name in FLAGS if argv[: len(name.split())] == name.split()), "")
    stdin = sys.stdin.read() if command == "secrets import" else ""
    state["calls"].append({"argv": argv, "stdin": stdin, "here": sorted(os.listdir())})  # noqa: PTH208 - one line of JSON
    try:
        return play(state, command, argv)
    finally:
        path.write_text(json.dumps(state))


def play(state: dict[str, Any], command: str, argv: list[str]) -> int:
    """Do what flyctl would do to `state`; return its exit status."""
    unknown = [flag.partition("=")[0] for flag in argv if flag.startswith("-")]
    unknown = [flag for flag in unknown if flag not in FLAGS.get(command, "").split()]
    if not command or unknown:
        return failed(f"unknown command or flag: {command or argv} {unknown}")
    if command in state["broken"]:
        return failed("the API did not answer")
    if "-a" in argv and argv[argv.index("-a") + 1] not in state["apps"]:
        return failed(f"Could not find App {argv[argv.index('-a') + 1]!r}")
    addresses = state["apps"][argv[argv.index("-a") + 1]] if "-a" in argv else []
    if command == "launch":
        launch(state, argv[argv.index("--name") + 1])
    elif command == "deploy":
        return deploy(state["deploy"], addresses, "--flycast" in argv)
    elif command == "ips allocate-v6":
        addresses.append("private_v6" if "--private" in argv else "v6")
    elif command == "ips list":
        listed = [{"Address": ADDRESSES[kind], "Type": kind, "Region": "global"} for kind in addresses]
        print(json.dumps(listed) if "--json" in argv else "\n".join(item["Address"] for item in listed))
    elif command == "status":
        print(json.dumps({"Organization": {"Slug": "acme"}}))
    elif command == "wireguard create":
        with open(argv[5], "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(PEER)
    return 0


def failed(why: str) -> int:
    """Say why, as flyctl does."""
    print(f"Error: {why}", file=sys.stderr)
    return 1


def launch(state: dict[str, Any], name: str) -> None:
    """Create the app under a name that is free, and write fly.toml in flyctl's own way."""
    if name in state["apps"] or name in state["taken"]:
        name += "-quiet-moon-4711"
    state["apps"][name] = []
    internal_port = tomllib.loads(Path("fly.toml").read_text())["http_service"]["internal_port"]
    Path("fly.toml").write_text(
        f"# fly.toml by flyctl\n\napp = '{name}'\n\n[http_service]\n  internal_port = {internal_port}\n"
    )


def deploy(how: str, addresses: list[str], flycast: bool) -> int:
    """Hand out addresses as a deploy does, then run nothing."""
    if not addresses:
        addresses += ["private_v6"] if flycast else ["v6", "shared_v4"]
    if how == "exposes":
        addresses += ["v6", "shared_v4"]
    return failed("smoke checks failed") if how == "fails" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
