"""The boundary of a Machine, as tables: what its programs may do, what they see, and how much they may take.

A Machine on Fly is a virtual machine; here it is a set of processes on somebody's computer.  So a program in one gets
what a container's default gives, less what could be turned against the host, the caller or another Machine.  The code
that starts a Machine reads these tables; docs/security.md shows them, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

FLY_INIT = "superfly/init-snapshot, src/bin/init/main.rs"
DOCKER = "Docker's default list"
KERNEL = "the kernel's own rule"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what it is about, whether a Machine keeps it, why, and where the rule comes from."""

    what: str
    kept: bool
    why: str
    source: str = DOCKER


# capabilities(7), by number: the three with a rule of ours are on Docker's list; all that are not here are dropped, and
# are not on that list.
CAPABILITIES = {
    0: Rule("CAP_CHOWN", kept=True, why="give files to the app's own user"),
    1: Rule("CAP_DAC_OVERRIDE", kept=True, why="root reads and writes the files of the Machine's users"),
    3: Rule("CAP_FOWNER", kept=True, why="set the modes of their files"),
    4: Rule("CAP_FSETID", kept=True, why="keep set-id bits of their files"),
    5: Rule("CAP_KILL", kept=True, why="a process manager signals workers of other users"),
    6: Rule("CAP_SETGID", kept=True, why="become the app's own group"),
    7: Rule("CAP_SETUID", kept=True, why="become the app's own user"),
    8: Rule("CAP_SETPCAP", kept=True, why="give up capabilities"),
    10: Rule("CAP_NET_BIND_SERVICE", kept=True, why="listen on ports below 1024"),
    18: Rule("CAP_SYS_CHROOT", kept=True, why="mail and file servers confine themselves with it"),
    31: Rule("CAP_SETFCAP", kept=True, why="give capabilities to the Machine's own programs"),
    13: Rule(
        "CAP_NET_RAW", kept=False, why="forge the addresses of other Machines; ping needs no raw socket", source="ours"
    ),
    27: Rule("CAP_MKNOD", kept=False, why="make devices of the host", source="ours"),
    29: Rule("CAP_AUDIT_WRITE", kept=False, why="write to the host's audit log", source="ours"),
    2: Rule("CAP_DAC_READ_SEARCH", kept=False, why="open the host's files by their number"),
    12: Rule("CAP_NET_ADMIN", kept=False, why="take the addresses of other Machines"),
    19: Rule("CAP_SYS_PTRACE", kept=False, why="read the memory of the Machine's init"),
    21: Rule("CAP_SYS_ADMIN", kept=False, why="unmount what covers the host's files"),
}
KEPT_CAPABILITIES = tuple(number for number, rule in CAPABILITIES.items() if rule.kept)

_MOUNTS = "change what the Machine sees of the host"
_KEYS = "reach the caller's keys, which belong to the same user of the host"
_MODULES = "put code into the host's kernel"
_WIDE = "a large part of the kernel, in which boundaries have been broken before"
CALLS = (
    *(
        Rule(name, kept=False, why=_MOUNTS)
        for name in (
            "mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
            "mount_setattr", "setns",
        )
    ),
    *(Rule(name, kept=False, why=_KEYS) for name in ("keyctl", "add_key", "request_key")),
    *(
        Rule(name, kept=False, why=_MODULES)
        for name in ("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load")
    ),
    *(
        Rule(name, kept=False, why=_WIDE)
        for name in (
            "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
        )
    ),
    Rule("open_by_handle_at", kept=False, why="open the host's files by their number"),
    Rule("syslog", kept=False, why="read the host's kernel log"),
)  # fmt: skip
NEW_USER_NAMESPACES = Rule(
    "clone and unshare with CLONE_NEWUSER", kept=False, why="be root of new namespaces, out of the lab's sight"
)
# Calls that values of their arguments make dangerous, each by the number of the argument.
CALLS_BY_ARGUMENT = {
    "ioctl": {
        "TIOCSTI: type on a terminal": {1: 0x5412},
        "TIOCLINUX: paste on a console": {1: 0x541C},
        "TIOCSETD: have the kernel read a terminal by one of its rarely used parts": {1: 0x5423},
    },
    "setsockopt": {
        "IP_FREEBIND: send from the address of another Machine or of the nameserver": {1: 0, 2: 15},
        "IPV6_FREEBIND: send from the address of another Machine or of the nameserver": {1: 41, 2: 78},
    },
    "socket": {
        "AF_ALG: reach the kernel's ciphers, a large part of it, in which boundaries have been broken": {0: 38},
        "AF_VSOCK: reach the host's hypervisor around the network": {0: 40},
    },
}

# Directories of the host's root that a Machine without an image shows, read-only; a link stays a link.  Beside the
# store of Nix is the socket of its daemon.
SYSTEM_DIRECTORIES = ("bin", "gnu", "lib", "lib32", "lib64", "libx32", "nix/store", "opt", "sbin", "usr")
# Those in which services may keep sockets, which a Machine could connect to: shown through an overlay, which has none.
WITH_SOCKETS = ("opt",)
# Directories that every start makes anew, empty and writable, with their modes; they belong to the Machine's root.
FRESH_DIRECTORIES = {
    "home": 0o755, "media": 0o755, "mnt": 0o755, "root": 0o700, "run": 0o755, "run/lock": 0o1777, "srv": 0o755,
    "tmp": 0o1777, "var": 0o755, "var/cache": 0o755, "var/lib": 0o755, "var/log": 0o755, "var/spool": 0o755,
    "var/tmp": 0o1777,
}  # fmt: skip
FRESH_LINKS = {"var/lock": "/run/lock", "var/run": "/run"}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PATHS = (
    Rule(
        "/bin, /lib*, /opt, /sbin, /usr (/nix/store, /gnu)",
        kept=True,
        why="the system's programs, read-only",
        source="ours",
    ),
    Rule("/etc", kept=True, why="a copy of what every user of the host may read; no shadow, no keys", source="ours"),
    Rule("the directory of fly.toml", kept=True, why="the app, copy-on-write, at its own path", source="ours"),
    Rule(
        "the installation of the program",
        kept=True,
        why="an interpreter at its own path, read-only; that of the lab as well",
        source="ours",
    ),
    Rule(
        "/var, /run, /root, /home and the like",
        kept=True,
        why="new and empty at every start",
        source="ours",
    ),
    Rule("/dev", kept=True, why=f"{', '.join(DEVICES)}; pts, shm and mqueue of its own", source=DOCKER),
    Rule(
        "/proc", kept=True, why="of the Machine's own processes; /proc/sys read-only, /proc/keys empty", source=DOCKER
    ),
    Rule("/sys", kept=True, why="of the Machine's own network, read-only, without cgroups", source=DOCKER),
    Rule(
        "home directories, /root, /etc/shadow", kept=False, why="keys, tokens, cloud and flyctl settings", source="ours"
    ),
    Rule(
        "sockets, temporary files and shared memory of the host",
        kept=False,
        why="the way to the host's services",
        source="ours",
    ),
    Rule("what is mounted below the app's directory", kept=False, why="it would not be copy-on-write", source="ours"),
)

DISK_MB = 256
SHARED_MEMORY_MB = 64
TERMINALS = 256
DESCRIPTORS = 10240
PROCESSES_PER_MB = 4
CORE_BYTES = 1  # fewer than any core has, and a limit of one byte keeps the kernel from running a handler: core(5)
LIMITS = (
    Rule("files that it writes", kept=True, why=f"{DISK_MB} MB in memory, or --disk; then ENOSPC", source="ours"),
    Rule("shared memory in /dev", kept=True, why=f"{SHARED_MEMORY_MB} MB", source=DOCKER),
    Rule("terminals in /dev/pts", kept=True, why=f"{TERMINALS}; the host has 4096 in all", source="ours"),
    Rule("descriptors a process", kept=True, why=str(DESCRIPTORS), source=FLY_INIT),
    Rule(
        "processes and threads",
        kept=True,
        why=f"{PROCESSES_PER_MB} for each MB of memory, twice that for all users together",
        source=KERNEL,
    ),
    Rule("signals that wait", kept=True, why="as many; the caller's other programs share the host's", source=KERNEL),
    Rule("core dumps", kept=False, why="the host's handler would run for them, as root", source=KERNEL),
)


def processes(memory_mb: int) -> int:
    """Return how many processes and threads a Machine of that memory may have: what its own kernel would allow.

    Half of what fits into an eighth of the memory, at 16 KiB each (fork_init in the kernel's kernel/fork.c).
    """
    return PROCESSES_PER_MB * memory_mb


def threads(memory_mb: int) -> int:
    """Return how many all users of such a Machine may have together: its kernel has room for twice that of one."""
    return 2 * processes(memory_mb)
