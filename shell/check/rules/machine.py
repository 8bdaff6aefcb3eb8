"""Whether the Machine that the file asks for can be made, and what it costs to wake it.

Rules (docs/fly.md, "Addresses", "fly.toml", "flyctl" and "Sleep and wake")
- Without `[[vm]]`, launch adds one with 1 GB. With `size`, `fly console` fails; with `cpu_kind`, `cpus` and `memory` it
  works.
- A deploy refuses a size that is no preset; Fly has had no GPUs since August 2026.
- Fly has closed regions; a region that this table does not know may be newer.
- A volume needs a destination. With `persist_rootfs` a stop does not reset the root file system.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shell.check.finding import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml.table import Table

_VMS = ("vm", "compute", "computes")
_SHARED_SIZES = tuple(f"shared-cpu-{cpus}x" for cpus in (1, 2, 4, 6, 8))
_PERFORMANCE_SIZE = re.compile(r"performance-[1-9][0-9]?x")
_CPU_KINDS = ("shared", "performance")
_GPU_SIZES = ("a10", "a100-40gb", "a100-80gb", "l40s")
_SMALL = 'cpu_kind = "shared", cpus = 1 and memory = "256mb"'
_CLOSED_REGIONS = re.compile("atl|bog|bos|den|eze|gdl|gig|hkg|mad|mia|otp|phx|qro|scl|sea|waw|yul", re.IGNORECASE)
_PERSISTING = ("restart", "always")

NO_VM = warning(
    "no-vm",
    "`fly launch` adds a [[vm]] with 1 GB of memory, four times what a small service needs.",
    'Add a [[vm]] with cpu_kind = "shared", cpus = 1 and memory = "256mb"; with size, `fly console` fails.',
)
VM_SIZE = error(
    "vm-size",
    "`fly config validate` lets it pass, and no Machine of such a size or CPU kind can be made.",
    'Write cpu_kind = "shared" or "performance", cpus and memory, or a size that `fly platform vm-sizes` shows.',
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
MOUNT_DESTINATION = error(
    "mount-destination",
    "`fly config validate` lets it pass, and a volume without a destination is at no path of the Machine.",
    'Write the path where the app keeps its data, for example destination = "/data".',
)
PERSIST_ROOTFS = warning(
    "persist-rootfs",
    "What the app writes outside a volume stays when the Machine stops, so a wake does not begin with the clean image.",
    'Take persist_rootfs out, or write "never", and keep data in a volume.',
)
RULES = (NO_VM, VM_SIZE, GPU, CLOSED_REGION, MOUNT_DESTINATION, PERSIST_ROOTFS)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge size, region and volumes."""
    root, deploy = subject.root, subject.root.table("deploy")
    vms = [table for key in _VMS for table in root.tables(key)]
    if not vms:
        yield NO_VM.broken("vm", "there is no [[vm]]", f"[[vm]] with {_SMALL}")
    of_release = deploy.table("release_command_vm") if deploy else None
    for vm in (*vms, *([of_release] if of_release else [])):
        yield from _of_size(vm)
        yield from _of_root_file_system(vm)
    region = subject.fly_toml.primary_region
    if _CLOSED_REGIONS.fullmatch(region):
        yield CLOSED_REGION.broken("primary_region", f"region {region} is closed", "a region of `fly platform regions`")
    for mount in (table for key in ("mount", "mounts") for table in root.tables(key)):
        if not mount.text("destination"):
            place = mount.path("destination")
            yield MOUNT_DESTINATION.broken(place, "the volume has no destination", 'destination = "/data"')


def _of_size(vm: Table) -> Iterator[Finding]:
    size, cpu_kind, gpu_kind = vm.text("size"), vm.text("cpu_kind"), vm.text("gpu_kind")
    if size in _GPU_SIZES:
        yield GPU.broken(vm.path("size"), f"{size} is a GPU, and Fly has none", _SMALL)
    elif gpu_kind or vm.values.get("gpus"):
        yield GPU.broken(vm.path("gpu_kind" if gpu_kind else "gpus"), "this asks for a GPU, and Fly has none", _SMALL)
    elif size and size not in _SHARED_SIZES and not _PERFORMANCE_SIZE.fullmatch(size):
        yield VM_SIZE.broken(vm.path("size"), f"{size!r:.60} is no size that Fly has", _SMALL)
    if cpu_kind and cpu_kind not in _CPU_KINDS:
        message = f"{cpu_kind!r:.60} is no CPU kind that Fly has"
        yield VM_SIZE.broken(vm.path("cpu_kind"), message, 'cpu_kind = "shared" or "performance"')


def _of_root_file_system(vm: Table) -> Iterator[Finding]:
    kept = vm.text("persist_rootfs")
    if kept in _PERSISTING:
        message = f'the root file system is kept (persist_rootfs = "{kept}")'
        yield PERSIST_ROOTFS.broken(vm.path("persist_rootfs"), message, "take it out, and keep data in a volume")
