"""What the service takes from headers and small bodies: tokens, the mode of a sleep, names, addresses, media types."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from private_svc.ingress import Classifier, Here, Ingress
from private_svc.web.actions import Mode, _mode
from private_svc.web.admin_token import _token
from private_svc.web.negotiate import negotiate
from private_svc.web.origin import is_cross_site, is_our_name
from tests.fuzz.target import Broken, kind, pure

if TYPE_CHECKING:
    from collections.abc import Hashable

_WHO = Classifier(Here(()))
_STRANGER = re.compile(r"[a-z0-9.-]*\.example\.?(:[0-9]*)?", re.IGNORECASE)


def _check(data: bytes) -> Hashable:
    text = data.decode("utf-8", "surrogateescape")
    sites = is_cross_site({"Origin": text, "Host": "shop.flycast"}), is_cross_site({"Sec-Fetch-Site": text})
    if not sites[0] and "shop.flycast" not in re.sub(r"[\t\r\n]", "", text.lower()):
        raise Broken(f"the Origin {text!r} counts as our own")
    ours = is_our_name(text, ())
    if ours and _STRANGER.fullmatch(text):
        raise Broken(f"the name {text!r} counts as our own")
    caller = _WHO.behind(_WHO.of_peer("172.16.0.1", lambda: ("172.19.0.2",)), (text,))
    if caller.ingress is not Ingress.UNKNOWN:
        raise Broken(f"a header made {caller.ingress} of a stranger")
    return _asked(data), _token({"Authorization": text}) is None, sites, ours, negotiate(text)


def _asked(data: bytes) -> Hashable:
    try:
        mode = _mode(data)
    except ValueError as error:
        if len(str(error)) > 200:  # it goes to the caller
            raise Broken(f"an error of {len(str(error))} characters") from error
        return kind(error)
    if data.strip():
        found = None
        with suppress(ValueError):
            found = json.loads(data)
        if found not in ({"mode": mode}, {}) or (found == {} and mode is not Mode.STOP):
            raise Broken(f"{data!r} asks for {mode}")
    return mode


TARGET = pure("callers", _check, 1500)
