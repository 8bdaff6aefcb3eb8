"""What goes wrong between the proxy and a Machine, with Fly's codes and texts.

Codes and texts: FLY_FACTS section 5 for PC01, PM05 and PR03; the others from Fly's page of error codes and
from log lines in public issues. A Machine that exits before it listens has no code of its own there.
"""

from __future__ import annotations

from typing import ClassVar

from lab.errors import LabError


class ProxyError(LabError):
    """The proxy could not do what a client asked for; the message is the line for the log."""


class CandidateError(ProxyError):
    """One Machine could not take the request; another candidate may.

    `tries` is how often one request lets the same Machine fail so.
    """

    tries: ClassVar[int] = 1


class MachineNotStartedError(CandidateError):
    """Starting the Machine failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f'[PM01] machines API returned an error: "{reason}"')


class MachineExitedError(CandidateError):
    """The Machine's process ended while a request waited for it."""

    tries = 2

    def __init__(self, address: str, port: int) -> None:
        super().__init__(
            f"machine exited before it answered on {address}:{port}. its own log says why the process ended"
        )


class UnreachableError(CandidateError):
    """Nothing accepted a connection on the internal port within all attempts."""

    def __init__(self, attempts: int, waited_seconds: float) -> None:
        waited = f"{waited_seconds:.2f}s"
        super().__init__(f"[PM05] failed to connect to machine: gave up after {attempts} attempts (in {waited})")


class NoCandidateError(ProxyError):
    """No Machine is left to try."""

    def __init__(self, last_error: str) -> None:
        super().__init__(
            f"[PR03] could not find a good candidate within 40 attempts at load balancing. last error: {last_error}"
        )


def refused(port: int) -> str:
    """Return the line for a connection a started Machine refused."""
    return (
        f"[PC01] instance refused connection. is your app listening on 0.0.0.0:{port}? "
        "make sure it is not only listening on 127.0.0.1"
    )


def no_route(service_port: int, hint: str) -> str:
    """Return the line for a port with no Machine that may serve it."""
    return f"[PR01] no known healthy instances found for route tcp/{service_port}. ({hint})"


def incomplete(reason: str) -> str:
    """Return the line for a request the Machine did not finish."""
    return f"[PU02] could not complete HTTP request to instance: {reason}"
