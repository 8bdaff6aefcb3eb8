"""What a container engine leaves of the host when nobody gives a container privileges, but user namespaces.

Everything is refused by the kernel for the reason it has there: /proc/sys is mounted read-only, a part of /proc and
one of /sys are covered, so that no other may be mounted, and no capability is left that would lift that.
"""

from __future__ import annotations

import sys

_KEPT = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,sys_chroot,setfcap"
_ENGINE = f"""
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /dev/null /proc/interrupts
mount -t tmpfs tmpfs /sys/kernel
exec setpriv --bounding-set=-all,+{_KEPT.replace(",", ",+")} --inh-caps=-all --no-new-privs "$@"
"""
# Root of the container is who starts it; where that is root, the container has a range of further ids, as Docker's and
# podman's have, which unshare(1) maps only with a program that asks /etc/subuid.
_WITH_IDS = """
import ctypes, os, sys
asked, go = os.pipe()
uid, gid = os.geteuid(), os.getegid()
outside = os.fork()
if outside == 0:
    os.read(asked, 1)
    for name, own in (("uid_map", uid), ("gid_map", gid)):
        if uid and name == "gid_map":
            open(f"/proc/{os.getppid()}/setgroups", "w").write("deny")
        further = "" if uid else "1 200001 65535\\n"
        open(f"/proc/{os.getppid()}/{name}", "w").write(f"0 {own} 1\\n{further}")
    os._exit(0)
if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):
    raise SystemExit(f"unshare: {os.strerror(ctypes.get_errno())}")
os.write(go, b".")
os.waitpid(outside, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
CONTAINER = (
    sys.executable, "-I", "-c", _WITH_IDS,
    "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
    "sh", "-ec", _ENGINE, "engine",
)  # fmt: skip
