"""What `fly launch` and the platform make of it.

Rules (docs/fly.md, "Addresses", "fly.toml", "flyctl" and "Sleep and wake")
- The name of an app is a DNS label: small letters, digits and dashes.
- Without a `[build]` strategy, launch scans the Dockerfile, and its first EXPOSE replaces `internal_port`.
- Without `[[vm]]`, launch adds one with 1 GB.
- A deploy refuses a size that is no preset; Fly has had no GPUs since August 2026.
- Fly has closed regions; a region that this table does not know may be newer.
- With `persist_rootfs` a stop does not reset the root file system.
- `[[vm]]` with `size` makes `fly console` fail; with `cpu_kind`, `cpus` and `memory` it works.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shell.check.finding import Edit, error, warning
from shell.names.grammar import is_app_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml.table import Table

_STRATEGIES = ("builder", "buildpacks", "builtin", "compose", "dockerfile", "image")
_EXPOSE = re.compile(r"^[ \t]*EXPOSE[ \t]+([^\s#]+)", re.MULTILINE | re.IGNORECASE)

_VMS = ("vm", "compute", "computes")
_SHARED_SIZES = tuple(f"shared-cpu-{cpus}x" for cpus in (1, 2, 4, 6, 8))
_PERFORMANCE_SIZE = re.compile(r"performance-[1-9][0-9]?x")
_GPU_SIZES = ("a10", "a100-40gb", "a100-80gb", "l40s")
_CLOSED_REGIONS = re.compile("atl|bog|bos|den|eze|gdl|gig|hkg|mad|mia|otp|phx|qro|scl|sea|waw|yul", re.IGNORECASE)
_PERSISTING = ("restart", "always")
_READ_NOWHERE = (("", "machine_config"), ("experimental", "machine_config"), ("", "container"), ("build", "compose"))

APP_NAME = error(
    "app-name",
    "Fly knows no such app, and no .internal or .flycast name can be made of it.",
    "Write the name that `fly apps list` shows: small letters, digits and dashes.",
)
BUILD_STRATEGY = warning(
    "build-strategy",
    "`fly launch` scans the Dockerfile and puts its first EXPOSE in place of internal_port.",
    'Write dockerfile = "Dockerfile" into [build].',
)
NO_VM = warning(
    "no-vm",
    "`fly launch` adds a [[vm]] with 1 GB of memory, four times what a small service needs.",
    'Add a [[vm]] with cpu_kind = "shared", cpus = 1 and memory = "256mb"; with size, `fly console` fails.',
)
VM_SIZE = error(
    "vm-size",
    "`fly config validate` lets it pass, and the deploy refuses a size that is no preset.",
    "Write cpu_kind, cpus and memory, or a size that `fly platform vm-sizes` shows.",
)
GPU = error(
    "gpu",
    "Fly has had no GPUs since August 2026, so no Machine of this size can be made.",
    "Write cpu_kind, cpus and memory of a Machine without a GPU.",
)
CLOSED_REGION = warning(
    "closed-region",
    "Fly has closed this region: no new Machine can be made there.",
    "Choose a region that `fly platform regions` shows.",
)
PERSIST_ROOTFS = warning(
    "persist-rootfs",
    "What the app writes outside a volume stays when the Machine stops, so a wake does not begin with the clean image.",
    'Take persist_rootfs out, or write "never", and keep data in a volume.',
)
UNREAD_PART = warning(
    "unread-part",
    "flyctl takes more of the Machine from another file, which check does not read.",
    "Look through that file yourself: services and checks in it are not judged here.",
)
RULES = (APP_NAME, BUILD_STRATEGY, NO_VM, VM_SIZE, GPU, CLOSED_REGION, PERSIST_ROOTFS, UNREAD_PART)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the name, the build, the size and the region."""
    name = subject.fly_toml.app_name
    if name and not is_app_name(name):
        message = f"expected the name of an app (a-z, 0-9, -), got {name!r:.80}"
        yield APP_NAME.broken("app", message, "the name that `fly apps list` shows")
    build = subject.root.table("build")
    exposed = _EXPOSE.search(subject.dockerfile or "")
    if exposed and not (build and any(build.values.get(key) for key in _STRATEGIES)):
        message = f"expected a [build] strategy beside a Dockerfile with EXPOSE {exposed[1]:.20}, got none"
        place = "build.dockerfile"
        yield BUILD_STRATEGY.broken(place, message, '[build] dockerfile = "Dockerfile"', Edit(place, "Dockerfile"))
    vms = [table for key in _VMS for table in subject.root.tables(key)]
    if not vms:
        fix = '[[vm]] with cpu_kind = "shared", cpus = 1 and memory = "256mb"'
        yield NO_VM.broken("vm", "there is no [[vm]]", fix)
    for vm in vms:
        yield from _of_vm(vm)
    region = subject.fly_toml.primary_region
    if _CLOSED_REGIONS.fullmatch(region):
        message = f"region {region} is closed"
        yield CLOSED_REGION.broken("primary_region", message, "a region of `fly platform regions`")
    for section, key in _READ_NOWHERE:
        holder = subject.root.table(section) if section else subject.root
        if holder and holder.values.get(key):
            yield UNREAD_PART.broken(holder.path(key), f"{key} is not judged here", "look through that file yourself")


def _of_vm(vm: Table) -> Iterator[Finding]:
    size, kind = vm.text("size"), vm.text("gpu_kind")
    without = 'cpu_kind = "shared", cpus = 1, memory = "256mb"'
    if size in _GPU_SIZES or kind or vm.values.get("gpus"):
        got, key = (size, "size") if size in _GPU_SIZES else (kind or "gpus", "gpu_kind" if kind else "gpus")
        yield GPU.broken(vm.path(key), f"{got:.60} is a GPU, and Fly has none", without)
    elif size and size not in _SHARED_SIZES and not _PERFORMANCE_SIZE.fullmatch(size):
        yield VM_SIZE.broken(vm.path("size"), f"{size!r:.60} is no size that Fly has", without)
    if (kept := vm.text("persist_rootfs")) in _PERSISTING:
        message = f'the root file system is kept (persist_rootfs = "{kept}")'
        yield PERSIST_ROOTFS.broken(vm.path("persist_rootfs"), message, "take it out, and keep data in a volume")
