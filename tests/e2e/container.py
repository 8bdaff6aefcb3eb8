"""What a container engine leaves of the host when nobody gives a container privileges, but user namespaces.

Everything is refused by the kernel for the reason it has there: /proc/sys is mounted read-only, a part of /proc and
one of /sys are covered, so that no other may be mounted, and no capability is left that would lift that.
"""

from __future__ import annotations

_KEPT = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,sys_chroot,setfcap"
_ENGINE = f"""
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /dev/null /proc/interrupts
mount -t tmpfs tmpfs /sys/kernel
exec setpriv --bounding-set=-all,+{_KEPT.replace(",", ",+")} --inh-caps=-all --no-new-privs "$@"
"""
CONTAINER = (
    "unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
    "sh", "-ec", _ENGINE, "engine",
)  # fmt: skip
