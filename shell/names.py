"""The grammar of `.internal` and `.flycast` names, and what a misspelt one probably meant.

Rules: the table below (FLY_FACTS §4). A Machine ID has 14 hexadecimal digits, a region three letters; the
name of an app has lower-case letters, digits and dashes. Names match whatever their case.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from shell.answers import RecordType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_APP = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LABEL = r"[a-z0-9_-]{1,63}"
_FORMS = (  # the first that fits counts: `vms` could be a region
    (rf"vms\.{_APP}\.internal", RecordType.TXT, "the started Machines"),
    (rf"all\.vms\.{_APP}\.internal", RecordType.TXT, "the deployed Machines"),
    (rf"regions\.{_APP}\.internal", RecordType.TXT, "the regions with started Machines"),
    (rf"all\.regions\.{_APP}\.internal", RecordType.TXT, "the regions deployed to"),
    (r"_apps\.internal", RecordType.TXT, "the organisation's apps"),
    (r"_peer\.internal", RecordType.TXT, "the organisation's WireGuard peers"),
    (r"(?:all\.)?_instances\.internal", RecordType.TXT, "the organisation's Machines"),
    (rf"{_APP}\.flycast", RecordType.AAAA, "through Fly Proxy: wakes the app"),
    (rf"(?:global\.)?{_APP}\.internal", RecordType.AAAA, "all started Machines"),
    (rf"[a-z]{{3}}\.{_APP}\.internal", RecordType.AAAA, "the started Machines of a region"),
    (rf"[0-9a-f]{{14}}\.vm\.{_APP}\.internal", RecordType.AAAA, "one Machine"),
    (rf"{_LABEL}\.process\.{_APP}\.internal", RecordType.AAAA, "a process group"),
    (rf"top[0-9]+\.nearest\.of\.{_APP}\.internal", RecordType.AAAA, "the closest Machines"),
    (rf"{_LABEL}\.{_LABEL}\.kv\._metadata\.{_APP}\.internal", RecordType.AAAA, "Machines with that metadata"),
    (rf"{_LABEL}\._peer\.internal", RecordType.AAAA, "a WireGuard peer"),
    (r"_api\.internal", RecordType.AAAA, "the Machines API"),
)
_ENDS = ("internal", "flycast")
_KEYWORDS = "vms vm all regions global process nearest of kv _metadata _apps _peer _instances _api".split()  # noqa: SIM905 - reads better than a column


def is_app_name(text: str) -> bool:
    """Tell whether `text` can be the name of an app."""
    return re.fullmatch(_APP, text) is not None


def meaning_of(name: str) -> tuple[RecordType, str]:
    """Return the type that has a name's answer and what it stands for; "" when it fits no form."""
    folded = name.lower().rstrip(".")
    forms = ((kind, meaning) for pattern, kind, meaning in _FORMS if re.fullmatch(pattern, folded))
    return next(forms, (RecordType.AAAA, ""))


def first_names(app_name: str) -> tuple[str, ...]:
    """Return the names to ask for before anything is known of an app."""
    lists = (f"{kind}.{app_name}.internal" for kind in ("global", "vms", "all.vms", "regions", "all.regions"))
    return (f"{app_name}.flycast", f"{app_name}.internal", *lists, "_apps.internal")


def further_names(app_name: str, regions: Iterable[str], machine_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the names to ask for once regions and Machines are known; misfits are left out."""
    of_regions = (f"{region}.{app_name}.internal" for region in regions)
    of_machines = (f"{machine_id}.vm.{app_name}.internal" for machine_id in machine_ids)
    return tuple(name for name in (*of_regions, *of_machines) if meaning_of(name)[1])


def remark_on(name: str) -> str:
    """Say why a name fits no form and what was probably meant; "" when it fits."""
    if meaning_of(name)[1]:
        return ""
    folded = name.lower().rstrip(".")
    for meant in _nearby(folded):
        if meaning_of(meant)[1]:
            return f"{name} is no name of the private network; did you mean {meant}?"
    if folded.endswith(tuple(f".{end}" for end in _ENDS)):
        return f"{name} fits no form of .internal or .flycast names"
    return f"{name} is outside .internal and .flycast: the nameserver can only pass it on"


def _nearby(name: str) -> Iterator[str]:
    """Yield likely corrections: the last word, then one keyword, then a name of the other end."""
    *labels, end = name.split(".")
    end = next(iter(get_close_matches(end, _ENDS, n=1)), end)
    yield ".".join([*labels, end])
    for n, label in enumerate(labels):
        for word in get_close_matches(label, _KEYWORDS):
            yield ".".join([*labels[:n], word, *labels[n + 1 :], end])
    if labels and end == "flycast":
        yield ".".join([labels[-1], end])
