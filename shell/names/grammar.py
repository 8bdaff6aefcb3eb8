"""The grammar of `.internal` and `.flycast` names, and what a misspelt one probably meant.

Rules: the table below (docs/fly.md, "DNS"). A Machine ID has 14 hexadecimal digits, a region three letters; the
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
_MACHINE_ID_DIGITS = 14
_ENDS = ("internal", "flycast")
_KEYWORDS = "vms vm all regions global process nearest of kv _metadata _apps _peer _instances _api".split()  # noqa: SIM905 - reads better than a column
_PREFIX = rf"(?:https?://)?((?:{_LABEL}\.)+)"
_MISTAKES = (  # what people write, and what they mean; only what is of the grammar is proposed
    (rf"{_PREFIX}(internal|flycast)\.?(?::[0-9]*)?(?:/.*)?", r"\1\2"),
    (rf"{_PREFIX}flycast\.internal", r"\1flycast"),
    (rf"{_PREFIX}fly\.dev(?:/.*)?", r"\1flycast"),
    (rf"((?:all\.)?(?:vms|regions)|global)\.({_APP})", r"\1.\2.internal"),
    (rf"all[_-]?(vms|regions)\.({_APP})\.internal", r"all.\1.\2.internal"),
    (rf"(vms|regions)\.all\.({_APP})\.internal", r"all.\1.\2.internal"),
    (rf"({_APP})\.vms?\.internal", r"vms.\1.internal"),
    (rf"({_APP})\.(regions|global)\.internal", r"\2.\1.internal"),
    (rf"([0-9a-f]{{14}})\.({_APP})\.(?:internal|flycast)", r"\1.vm.\2.internal"),
    (rf"vms?\.([0-9a-f]{{14}})\.({_APP})\.internal", r"\1.vm.\2.internal"),
    (rf"top([0-9]+)\.(?:nearest\.|of\.)?({_APP})\.internal", r"top\1.nearest.of.\2.internal"),
    (rf"(?:top\.)?nearest\.(?:of\.)?({_APP})\.internal", r"top1.nearest.of.\1.internal"),
    (rf"({_LABEL}\.{_LABEL})\.(?:kv\.)?_?metadata\.({_APP})\.internal", r"\1.kv._metadata.\2.internal"),
    (rf"(.+)\.(vms?|all\.vms|regions|all\.regions|global|process)\.({_APP})\.flycast", r"\1.\2.\3.internal"),
    (rf"(vms|all\.vms|regions|all\.regions|global)\.({_APP})\.flycast", r"\1.\2.internal"),
)
_UNKNOWN_PREFIX = rf"({_LABEL})\.({_APP})\.internal"


def is_app_name(text: str) -> bool:
    """Tell whether `text` can be the name of an app."""
    return re.fullmatch(_APP, text) is not None


def meaning_of(name: str) -> tuple[RecordType, str]:
    """Return the type that has a name's answer and what it stands for; "" when it fits no form."""
    folded = name.lower().rstrip(".")
    forms = ((kind, meaning) for pattern, kind, meaning in _FORMS if re.fullmatch(pattern, folded))
    return next(forms, (RecordType.AAAA, ""))


APPS = "_apps.internal"
ORGANISATION_NAMES = (
    APPS,
    "_instances.internal",
    "all._instances.internal",
    "_peer.internal",
    "_api.internal",
)


def first_names(app_name: str) -> tuple[str, ...]:
    """Return the names to ask for before anything is known of an app.

    DNS lists no process groups: `app` is the one that every app without `[processes]` has.
    """
    own = ("global", "vms", "all.vms", "regions", "all.regions", "top1.nearest.of", "app.process")
    return (f"{app_name}.flycast", f"{app_name}.internal", *(f"{kind}.{app_name}.internal" for kind in own))


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
    machine = re.fullmatch(rf"([0-9a-z]+)\.vm\.{_APP}\.internal", folded)
    if machine:
        return (
            f"{name} fits no form: expected a Machine ID of {_MACHINE_ID_DIGITS} hexadecimal digits before .vm,"
            f" got {machine[1]} ({len(machine[1])} characters)"
        )
    if folded.endswith(tuple(f".{end}" for end in _ENDS)):
        return f"{name} fits no form of .internal or .flycast names"
    return f"{name} is outside .internal and .flycast: the nameserver can only pass it on"


def _nearby(name: str) -> Iterator[str]:
    """Yield likely corrections: a known mistake, the last word, one keyword, one label less, a process group."""
    for pattern, meant in _MISTAKES:
        if re.fullmatch(pattern, name):
            yield re.sub(pattern, meant, name)
    *labels, end = name.split(".")
    end = next(iter(get_close_matches(end, _ENDS, n=1)), end)
    yield ".".join([*labels, end])
    for n, label in enumerate(labels):
        for word in get_close_matches(label, _KEYWORDS):
            yield ".".join([*labels[:n], word, *labels[n + 1 :], end])
    if labels and end == "flycast":
        yield ".".join([labels[-1], end])
    if re.fullmatch(_UNKNOWN_PREFIX, name):
        yield re.sub(_UNKNOWN_PREFIX, r"\1.process.\2.internal", name)
    yield ".".join([*labels[1:], end])
