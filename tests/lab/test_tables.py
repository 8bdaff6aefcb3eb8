"""The tables of `status`: what is worth a column."""

from __future__ import annotations

from typing import Any

from lab.tables import machine_lines, status_lines

MACHINE: dict[str, Any] = {
    "id": "148e01", "app": "shop", "organisation": "personal", "process_group": "app", "region": "ams",
    "state": "started", "load": 0, "checks": "", "starts": 1, "private_ip": "fdaa:0:18:a7b:1::2",
}  # fmt: skip
APP = {"name": "shop", "organisation": "personal", "flycast_ip": "fdaa:0:18:0:1::2", "flycast_in": "personal"}


def test_what_is_the_same_everywhere_as_it_usually_is_has_no_column() -> None:
    assert status_lines({"apps": [APP], "machines": [MACHINE]}) == [
        "APP   FLYCAST ADDRESS",
        "shop  fdaa:0:18:0:1::2",
        "",
        "MACHINE  APP   REGION  STATE    LOAD  STARTS  6PN ADDRESS",
        "148e01   shop  ams     started  0     1       fdaa:0:18:a7b:1::2",
    ]


def test_a_second_organisation_or_group_gives_every_row_a_column() -> None:
    other = {**MACHINE, "organisation": "other", "process_group": "worker", "state": "stopped"}
    lines = machine_lines({"machines": [MACHINE, other]})
    assert lines[0].split()[:4] == ["MACHINE", "APP", "ORG", "GROUP"]
    assert [line.split()[2:4] for line in lines[1:]] == [["personal", "app"], ["other", "worker"]]
