"""The rungs that connections answer, and what stands behind an app that Fly Proxy does not reach.

Rules (docs/fly.md, "Binding", "Proxy" and "Sleep and wake")
- Fly Proxy dials the Machine's IPv4 address, 6PN callers its IPv6 address: what one reaches and the other does
  not is bound to one family only.
- 502, 503 and an accepted connection that closes empty mean that Fly Proxy reached no Machine. Why, a direct
  look over 6PN tells; only an app that fails directly, too, fails by itself.
- A 301 to https is force_https.
- A request that stalls, and in smaller packets is answered, meets a black hole on the way back (RFC 2923 §2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.doctor.faults import Fault
from shell.doctor.finding import Finding, Question, failed, ok, skipped
from shell.doctor.probes import Reached, Tried
from shell.doctor.service_view import FLYCAST

if TYPE_CHECKING:
    from shell.doctor.service_view import ServiceView

PORT, HTTP, WAY_IN = "port open", "HTTP answer", "way in"
SIX_PN, HELLO = "direct 6PN port", "hello"
GREETING = b"hello\n"
_REDIRECTS = range(300, 400)
_SERVER_ERROR = 500
_UNREACHED_STATUSES = {502, 503, 504}
_UNREACHED = {Reached.EMPTY, Reached.RESET, Reached.STALLED}
_NO_WAY = {Reached.SILENT, Reached.NO_ROUTE}


@dataclass(frozen=True, slots=True)
class Behind:
    """What was seen behind Fly Proxy after it failed.

    `asleep` are the deployed Machines when none is started; `direct` a request over 6PN and `view` what it says;
    `open_port` another port that takes connections; `again` a second request through Flycast; `largest_bytes` the
    largest packets in which it is answered when in larger ones it is not.
    """

    asleep: tuple[str, ...] = ()
    direct: Tried | None = None
    view: ServiceView | None = None
    open_port: int = 0
    again: Tried | None = None
    largest_bytes: int = 0


def judge_port(question: Question, tried: Tried) -> Finding:
    """Judge by a connection to the Flycast address whether a service has the port."""
    if tried.reached.was_accepted:
        return ok(PORT, tried.did, str(tried))
    fault = Fault.NO_SERVICE if tried.reached is Reached.REFUSED else Fault.NO_ROUTE
    return failed(PORT, tried.did, str(tried), fault, question.app_name, port=question.port)


def reaches_no_machine(tried: Tried) -> bool:
    """Tell whether an answer through Flycast may mean that Fly Proxy reached no Machine."""
    return tried.reached in _UNREACHED or tried.status in _UNREACHED_STATUSES


def judge_http(question: Question, tried: Tried, behind: Behind) -> Finding:
    """Judge a request through Flycast; `behind` counts when it reached no Machine."""
    did, got, app_name = tried.did, str(tried), question.app_name
    if reaches_no_machine(tried):
        fault = Fault.MTU_TOO_LARGE if behind.largest_bytes else _fault_behind(question, behind)
        what = {
            Fault.NO_AUTOSTART: _ids(behind.asleep),
            Fault.WRONG_INTERNAL_PORT: _found_port(question, behind),
            Fault.MTU_TOO_LARGE: str(behind.largest_bytes),
        }
        if behind.direct:
            did, got = f"{did}; {behind.direct.did}", f"{got}; directly: {behind.direct}"
        if behind.largest_bytes:
            did, got = (
                f"{did}, then in small packets",
                f"{got}; in packets of up to {behind.largest_bytes} bytes it comes",
            )
        return failed(HTTP, did, got, fault, app_name, port=question.internal_port, what=what.get(fault, ""))
    own = _fault_of_its_own(tried)
    if own:
        return failed(HTTP, did, got, own, app_name, port=question.port)
    return ok(HTTP, did, got)


def judge_way_in(question: Question, tried: Tried, view: ServiceView | None) -> Finding:
    """Judge what the service says of this caller."""
    if view is None:
        return skipped(WAY_IN, tried.did, f"{tried}: no /api/status that tells, as the blueprint's service has")
    if view.ingress != FLYCAST:
        return failed(WAY_IN, tried.did, view.ingress, Fault.WAY_IN, question.app_name, what=view.ingress)
    return ok(WAY_IN, tried.did, f"the service sees {view.ingress}")


def judge_six_pn(question: Question, tried: Tried | None) -> Finding:
    """Judge a connection over 6PN to a Machine that Fly Proxy reaches; None when all are asleep."""
    if tried is None:
        return skipped(SIX_PN, "", "no Machine is started")
    if tried.reached.was_accepted:
        return ok(SIX_PN, tried.did, str(tried))
    fault = Fault.NOT_REACHED if tried.reached in _NO_WAY else Fault.IPV4_ONLY
    return failed(SIX_PN, tried.did, str(tried), fault, question.app_name, port=question.internal_port)


def judge_hello(question: Question, flycast: Tried, direct: Tried | None, view: ServiceView | None) -> Finding:
    """Judge the hello port over Flycast and, where a Machine is started, over 6PN."""
    ways = [tried for tried in (flycast, direct) if tried]
    did = "; ".join(tried.did for tried in ways)
    got = "; ".join(f"{way} {tried}" for way, tried in zip(("Flycast", "6PN"), ways, strict=False))
    fault = _fault_of_hello(flycast, direct, bound_for_proxy=_is_bound_for_proxy(question.hello_port, view))
    if fault:
        return failed(HELLO, did, got, fault, question.app_name, port=question.hello_port)
    return ok(HELLO, did, got)


def _fault_of_its_own(tried: Tried) -> Fault | None:
    if tried.status in _REDIRECTS and tried.location.lower().startswith("https:"):
        return Fault.FORCE_HTTPS
    if tried.reached is Reached.GARBLED:
        return Fault.NO_HTTP
    if not tried.reached.was_accepted:
        return Fault.NO_ROUTE
    return Fault.APP_FAILED if tried.status >= _SERVER_ERROR else None


def _fault_behind(question: Question, behind: Behind) -> Fault:
    if behind.again and not reaches_no_machine(behind.again):
        return Fault.SLOW_START
    if behind.asleep:
        return Fault.NO_AUTOSTART
    direct = behind.direct
    if direct is None or direct.reached in _NO_WAY:
        return Fault.NOT_REACHED
    if direct.reached is Reached.REFUSED:
        return Fault.WRONG_INTERNAL_PORT if behind.open_port else Fault.NOT_LISTENING
    if direct.reached is not Reached.ANSWERED or direct.status >= _SERVER_ERROR:
        return Fault.APP_FAILED
    bound_for_proxy = _is_bound_for_proxy(question.internal_port, behind.view)
    return Fault.WRONG_INTERNAL_PORT if bound_for_proxy else Fault.IPV6_ONLY


def _is_bound_for_proxy(port: int, view: ServiceView | None) -> bool:
    return view is not None and port in view.ports_for_proxy


def _ids(asleep: tuple[str, ...]) -> str:
    """Write Machine IDs for a command that a person may copy: what is none is left out."""
    return " ".join(machine_id for machine_id in asleep if machine_id.isascii() and machine_id.isalnum()) or "ID"


def _found_port(question: Question, behind: Behind) -> str:
    return str(behind.open_port or question.internal_port)


def _fault_of_hello(flycast: Tried, direct: Tried | None, *, bound_for_proxy: bool) -> Fault | None:
    if not flycast.reached.was_accepted:
        return Fault.HELLO_NO_SERVICE if flycast.reached is Reached.REFUSED else Fault.NO_ROUTE
    if flycast.reached in _UNREACHED and (direct is None or not direct.reached.was_accepted):
        return Fault.HELLO_CLOSED
    if flycast.reached in _UNREACHED and direct and direct.said == GREETING:
        return Fault.HELLO_UNMATCHED if bound_for_proxy else Fault.IPV6_ONLY
    if any(tried.reached.was_accepted and tried.said != GREETING for tried in (flycast, direct) if tried):
        return Fault.HELLO_OTHER
    if direct and not direct.reached.was_accepted:
        return Fault.NOT_REACHED if direct.reached in _NO_WAY else Fault.IPV4_ONLY
    return None
