"""What goes wrong between the proxy and a Machine, with Fly's codes and texts.

Codes and texts: docs/fly.md, "Proxy" and "Metrics and logs". PR04 is PR03 with nothing to add. A Machine that exits
before it listens has no code of its own there. Fly's status for a PA code is not documented; 502 is what users report
for PA02.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lab.errors import LabError

if TYPE_CHECKING:
    from shell.flytoml import Concurrency


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


class RequestFaultError(ProxyError):
    """An HTTP request cannot be carried out; `status` is what its client gets."""

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


class NoCandidateError(RequestFaultError):
    """No Machine is left to try; `last_error` is empty when none could be tried."""

    def __init__(self, last_error: str) -> None:
        found_none = "could not find a good candidate within 40 attempts at load balancing"
        super().__init__(
            f"[PR03] {found_none}. last error: {last_error}" if last_error else f"[PR04] {found_none}", 503
        )


class MachineFaultError(RequestFaultError):
    """The Machine did not answer as HTTP asks."""

    def __init__(self, reason: str, status: int = 502) -> None:
        super().__init__(f"[PU02] could not complete HTTP request to instance: {reason}", status)


class BodyTooLongToRepeatError(RequestFaultError):
    """More of a request's body was passed on than the proxy keeps."""

    def __init__(self) -> None:
        super().__init__(
            "[PA01] cannot retry/replay request because request body has been read past what we're willing to buffer"
        )


class TooManyReplaysError(RequestFaultError):
    """Machines sent a request on to one another without end."""

    def __init__(self) -> None:
        super().__init__("[PA02] 'fly-replay' response header was returned too many times, stopping there")


class BadReplayError(RequestFaultError):
    """A `fly-replay` that cannot be read; `reason` says what was expected and what came."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"[PA03] could not parse 'fly-replay' response header returned by app: {reason}")


class UnknownReplayAppError(RequestFaultError):
    """A `fly-replay` to an app that the network has not."""

    def __init__(self, source_app: str, target_app: str) -> None:
        super().__init__(
            f"[PA04] app '{source_app}' used 'fly-replay' response header to target app '{target_app[:63]}', "
            "which we cannot find"
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


def hard_limit_reached(limits: Concurrency) -> str:
    """Return the line for a request that has to wait for room."""
    return f"Instance reached hard limit of {limits.hard_limit} concurrent {limits.type}"
