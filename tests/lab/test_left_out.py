from __future__ import annotations

from typing import TYPE_CHECKING

from lab.left_out import left_out
from shell.flytoml import read

if TYPE_CHECKING:
    from pathlib import Path

FLY_TOML = """\
app = "demo"
[[mounts]]
  source = "data"
[[mounts]]
  source = "more"
[deploy]
  strategy = "rolling"
  release_command = "migrate"
[http_service]
  internal_port = 8080
  http_options = { idle_timeout = 600, h2_backend = true }
  [[http_service.checks]]
    path = "/"
[[services]]
  internal_port = 1
[[services]]
  internal_port = 2
  [[services.ports]]
    port = 1
  [[services.ports]]
    port = 2
    handlers = ["http"]
    [services.ports.http_options.response.headers]
      mounts = "a"
  [[services.machine_checks]]
    command = ["true"]
[Env]
  files = "none of Fly's"
[[FILES]]
  guest_path = "/a"
"""


def test_each_key_that_a_lab_does_not_carry_out_is_told_once_and_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(FLY_TOML)
    told = [line.removeprefix(f"{path}:").split(": ") for line in left_out(read(path))]
    assert [(int(line), key) for line, key, *_ in told] == [
        (2, "mounts"),
        (8, "deploy.release_command"),
        (11, "http_service.http_options.idle_timeout"),
        (11, "http_service.http_options.h2_backend"),
        (23, "services[1].ports[1].http_options.response"),
        (25, "services[1].machine_checks"),
        (29, "files"),
    ]
    assert told[0][2:] == ["not in a lab", "no volume is mounted, and what is written there is gone at the next start"]


def test_of_an_ordinary_file_nothing_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text('app = "demo"\n[http_service]\n  internal_port = 8080\n[[restart]]\n  policy = "never"\n')
    assert left_out(read(path)) == ()
