"""A lab with a hostile app in it: how to ask that app and its victims, and what came of the attack."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.e2e.running import DEADLINE_SECONDS, LAB
from tests.hostile.apps import PORT, pids_of
from tests.hostile.program.attempts import signature
from tests.hostile.program.table import STOP_MACHINES, TABLE

if TYPE_CHECKING:
    from tests.e2e.running import RunningLab
    from tests.hostile.planting import Plants

_ATTACK_SECONDS = 400


class Siege:
    """A lab that is up, and what is wrong with it so far."""

    def __init__(self, lab: RunningLab, plants: Plants) -> None:
        """Take a lab that has just come up."""
        self.lab = lab
        self.plants = plants
        self.python = os.path.realpath(sys.executable)  # where it is in the image as well
        self.problems: list[str] = []
        self.machines = {machine["app"]: machine for machine in lab.status()["machines"]}
        self.flycast = {app["name"]: app["flycast_ip"] for app in lab.status()["apps"]}
        self.started = {name: self.facts(name)["started"] for name in ("victim", "stranger")}

    def require(self, so: bool, problem: str) -> None:
        """Note the problem unless it is so."""
        if not so:
            self.problems.append(problem)

    def ask(self, path: str, body: dict[str, Any], seconds: float = DEADLINE_SECONDS) -> str:
        """Have the hostile app do something; return what it answers."""
        url = f"http://hostile.internal:{PORT}{path}"
        done = self.lab.on(
            "shell", "curl", "-sS", "--data-binary", "@-", url, stdin=json.dumps(body), seconds=seconds
        )  # fmt: skip
        self.require(done.returncode == 0, f"POST {path}: curl ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def facts(self, name: str) -> dict[str, Any]:
        """Return what a victim knows: who asks, signals, datagrams, since when it runs."""
        shell = "shell" if name == "victim" else "shell.other"
        url = f"http://{name}.flycast/"
        said = self.lab.on(shell, "curl", "-sS", "--max-time", "20", url)
        if said.returncode:
            raise AssertionError(f"{url} does not answer: {said.stderr}{self.lab.tail()}")
        known: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
        return known

    def targets(self) -> dict[str, Any]:
        """Return what a hostile app could learn or guess of this lab."""

        def of(name: str) -> dict[str, str]:
            machine = self.machines[name]
            hosts = self.lab.on(machine["id"], "cat", "/etc/hosts").stdout
            found = re.search(r"^(172\.19\.\S+)\s+fly-global-services$", hosts, re.MULTILINE)
            if found is None:
                raise AssertionError(f"/etc/hosts of {name} has no IPv4 address: {hosts}")
            known = {"id": machine["id"], "app": name, "ipv6": machine["private_ip"], "ipv4": found[1]}
            return known | {"flycast": self.flycast[name]}

        machines = {name: of(name) for name in ("victim", "stranger")}
        prefixes = {name: ":".join(machine["private_ip"].split(":")[:3]) for name, machine in self.machines.items()}
        nameservers = ["fdaa::3", *sorted({f"{prefix}::3" for prefix in prefixes.values()})]
        gateways = [
            re.sub(r"\d+$", lambda last: str(int(last[0]) - 1), machine["ipv4"]) for machine in machines.values()
        ]
        return {
            **self.plants.targets(),
            "conditions": self.plants.conditions(),
            "machines": machines,
            "port": PORT,
            "nameservers": nameservers,
            "proxies": [self.flycast["victim"]],
            "lab_addresses": [*nameservers, *gateways, "172.16.0.2", self.flycast["hostile"], self.flycast["victim"]],
            "host_addresses": _host_addresses(),
            "forged_source": machines["stranger"]["ipv6"],
            "doors": [f"flycast-lab/{os.geteuid()}/{self.lab.process.pid}"],
            "pids": [
                pid
                for name in ("victim", "stranger")
                for pid in pids_of(str(self.plants.directory / name / "victim.py"))
            ],
            "directories": ["/tmp", "/dev/shm", "/run", "/var/tmp", "/root", "/home", "/dev", "."],
        }

    def attack(self) -> dict[str, dict[str, str]]:
        """Have every attempt made; return what came of each, by what was seen outside too."""
        host_name = socket.gethostname()
        results = self._attempts([attempt.name for attempt in TABLE if attempt is not STOP_MACHINES])
        facts = {name: self.facts(name) for name in self.started}
        heard = self.plants.heard() + socket.gethostname()
        if any(known["signals"] for known in facts.values()):
            heard += signature("signals")
        heard += " ".join(text for known in facts.values() for _, text in known["datagrams"])
        for name, result in results.items():
            if result["outcome"] != "open" and signature(name) in heard:
                result |= {"outcome": "open", "why": "what it wrote arrived outside the Machine"}
        if socket.gethostname() != host_name:
            socket.sethostname(host_name)
        results |= self._attempts([STOP_MACHINES.name])
        for name, started in self.started.items():
            self.require(self.facts(name)["started"] == started, f"the Machine of {name} was stopped meanwhile")
        return results

    def _attempts(self, names: list[str]) -> dict[str, dict[str, str]]:
        answer = self.ask("/attempts", {**self.targets(), "only": names}, _ATTACK_SECONDS)
        results = {result.pop("name"): result for result in map(json.loads, answer.splitlines())}
        lost = {"outcome": "broken", "why": "the Machine did not live to tell"}
        return {name: results.get(name, lost) for name in names}

    def change(self, verb: str, machine: str) -> None:
        """Have a Machine started, stopped or suspended; after a start, wait for its port."""
        command = [*LAB, "machine", verb, machine, "--lab", str(self.lab.process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        self.require(done.returncode == 0, f"machine {verb}: {done.stdout}{done.stderr}")
        if verb == "start":
            self.lab.shell(f"timeout 20 sh -c 'until nc -z hostile.internal {PORT}; do sleep 0.05; done'")


def _host_addresses() -> list[str]:
    shown = subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    return [
        address for address in re.findall(r"inet6? (\S+)/", shown) if not address.startswith(("127.", "::1", "fe80"))
    ]
