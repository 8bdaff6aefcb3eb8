"""What a program reads of `hello --json`: one object on one line.

Times in ms, null where there is none. Fields are only ever added under one `schema_version`.

schema_version, command, ok, app, port, troubles: [text],
  asleep: [{machine_id, region}],
  hellos: [{way, machine_id, region, address, answered, said, end, end_text, connect_ms, first_byte_ms}]

way is flycast or six_pn; end is one of clean, reset, open, empty, cut, silent, unanswered, refused, no_route, failed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shell.hello.ways import Hearing, Hello

SCHEMA_VERSION = 1


def hello_record(hearing: Hearing) -> dict[str, Any]:
    """Return the record of `hello`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "hello",
        "ok": not hearing.troubles,
        "app": hearing.plan.app_name,
        "port": hearing.plan.port,
        "troubles": list(hearing.troubles),
        "asleep": [asdict(machine) for machine in hearing.asleep],
        "hellos": [_hello(hello) for hello in hearing.hellos],
    }


def _hello(hello: Hello) -> dict[str, Any]:
    machine, heard = hello.door.machine, hello.heard
    return {
        "way": hello.door.way.name.lower(),
        "machine_id": machine.machine_id if machine else None,
        "region": machine.region if machine else None,
        "address": hello.door.address,
        "answered": heard.end.answered,
        "said": heard.said if heard.end.answered else None,
        "end": heard.end.name.lower(),
        "end_text": heard.end,
        "connect_ms": None if heard.connect_ms is None else round(heard.connect_ms, 3),
        "first_byte_ms": None if heard.first_byte_ms is None else round(heard.first_byte_ms, 3),
    }
