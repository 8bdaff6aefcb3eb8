"""From the lab's root to a Machine's: ids, keys, limits, capabilities and system calls, given up in that order."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import namespaces as ns
from lab.errors import RefusedError
from lab.linux import call_filter, privileges
from lab.start import rules

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Confinement:
    """What every Machine of a lab is confined by; `call_filter` is empty where the host refuses filters."""

    call_filter: bytes

    @classmethod
    def prepare(cls) -> Confinement:
        """Build the filter once; raise `RefusedError` on an architecture that it is not known for."""
        by_argument = {name: conditions.values() for name, conditions in rules.CALLS_BY_ARGUMENT.items()}
        return cls(call_filter.program([rule.what for rule in rules.CALLS], by_argument))

    def enter(self, users: int | None, limits: Mapping[str, Any]) -> None:
        """Become a Machine's root in the user namespace `users`, which nothing that starts from here can leave.

        Without one, where the host has none to give, this process stays who it is and gives up the rest.
        """
        if users is not None:
            become_root_of(users)
        privileges.hide_memory()
        privileges.leave_keyrings()
        _limit(limits["memory_mb"], alone=users is not None)
        privileges.limit_capabilities(rules.KEPT_CAPABILITIES)
        if self.call_filter:
            call_filter.install(self.call_filter)
        privileges.keep_only(rules.KEPT_CAPABILITIES)


def become_root_of(users: int) -> None:
    """Enter a user namespace, and be its root from here on."""
    ns.setns(users)
    with suppress(PermissionError):  # one group is mapped, and no other can be had
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def refuses_filters() -> str:
    """Return how this host refuses system call filters, else nothing; tried in a process that is thrown away."""
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(RefusedError):
            call_filter.install(Confinement.prepare().call_filter)
            status = 0
        os._exit(status)
    _, status = os.waitpid(child, 0)
    return "prctl(PR_SET_SECCOMP)" if status else ""


def _limit(memory_mb: int, *, alone: bool) -> None:
    """Limit what one process may take, and how many a Machine has; only in a user namespace of its own are they its."""
    wanted = [(resource.RLIMIT_NOFILE, rules.DESCRIPTORS), (resource.RLIMIT_CORE, rules.CORE_BYTES)]
    if alone:
        wanted += [(kind, rules.processes(memory_mb)) for kind in (resource.RLIMIT_NPROC, resource.RLIMIT_SIGPENDING)]
    for kind, most in wanted:
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
