"""What a tunnel needs of the host, beside what the lab needs anyway."""

from __future__ import annotations

import errno
import os
import shutil

TUN = "/dev/net/tun"
_PACKAGES = {"wg": "wireguard-tools", "wg-quick": "wireguard-tools", "wireguard-go": "wireguard-go", "ip": "iproute2"}


def missing() -> str:
    """Return why there can be no tunnel here and how to get one, in one sentence; empty when there can."""
    programs = [program for program in _PACKAGES if shutil.which(program) is None]
    if programs:
        packages = " ".join(sorted({_PACKAGES[program] for program in programs}))
        return f"not installed: {', '.join(programs)}; install with: apt-get install {packages}"
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{TUN}: {error.strerror}; {_remedy(error.errno or 0)}"
    return ""


def _remedy(number: int) -> str:
    match number:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "as root: modprobe tun; or start the container with --device /dev/net/tun"
        case errno.EACCES:
            return f"as root: chmod 0666 {TUN}, which is how udev has it; or run the lab as root"
    return "start the container with --device /dev/net/tun"
