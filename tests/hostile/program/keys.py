"""The kernel's keyrings, which are of no namespace but the user's."""

from __future__ import annotations

import contextlib
import ctypes
from typing import TYPE_CHECKING

from . import calls
from .attempts import Attempt
from .uncover import text_of, uncovering

if TYPE_CHECKING:
    from .attempts import Targets

SESSION, USER, PROCESS, THREAD = -3, -4, -2, -1
_JOIN, _UNLINK, _LINK, _SEARCH, _READ, _TIMEOUT, _PERSISTENT = 1, 9, 8, 10, 11, 15, 22


def plant(keyring: int, name: str, text: str) -> int:
    """Add a key that lasts ten minutes at most; return its number."""
    number = calls.call("add_key", "user", name, text.encode(), len(text), keyring)
    calls.call("keyctl", _TIMEOUT, number, 600)
    return number


def remove(keyring: int, number: int) -> None:
    """Take a key out of a keyring."""
    calls.call("keyctl", _UNLINK, number, keyring)


def join_a_session() -> None:
    """Have a session keyring of this process's own, which its children inherit; and the user's, which they do not."""
    calls.call("keyctl", _JOIN, None)
    calls.call("keyctl", _LINK, USER, PROCESS)


def read_the_session_keyring(targets: Targets) -> str:
    """Read a key of the keyring that the lab's caller has its keys in."""
    return _read(SESSION, targets["keys"]["session"], targets["marker"]["key"])


def read_the_user_keyring(targets: Targets) -> str:
    """Read a key of the user's keyring, linked into the own one first."""
    with contextlib.suppress(OSError):
        calls.call("keyctl", _LINK, USER, PROCESS)
    return _read(USER, targets["keys"]["user"], targets["marker"]["key"])


def _read(keyring: int, name: str, marker: str) -> str:
    number = calls.call("keyctl", _SEARCH, keyring, "user", name, 0)
    text = ctypes.create_string_buffer(256)
    calls.call("keyctl", _READ, number, text, 256)
    return f"read the key {name}" if marker in text.value.decode("utf-8", "replace") else ""


def list_keys(targets: Targets) -> str:
    names = tuple(targets["keys"].values())
    return uncovering(lambda: "found the caller's key" if any(name in text_of("/proc/keys") for name in names) else "")


def use_keyrings(_: Targets) -> str:
    """Make a key, ask for one, get the persistent keyring: each takes room of the host's that outlives the Machine."""
    found, refused = [], OSError(1, "add_key")
    for name, call in (
        ("add_key", ("add_key", "user", "hostile", b"text", 4, PROCESS)),
        ("keyctl", ("keyctl", 0, PROCESS, 1)),  # KEYCTL_GET_KEYRING_ID
        ("the persistent keyring", ("keyctl", _PERSISTENT, -1, PROCESS)),
    ):
        try:
            calls.call(*call)
            found.append(name)
        except OSError as error:
            refused = error
    try:
        calls.call("request_key", "user", "no-such-key", None, 0)
    except OSError as error:
        if error.errno == 126:  # ENOKEY: it was looked for
            found.append("request_key")
    if not found:
        raise refused
    return f"answered: {', '.join(found)}"


ATTEMPTS = (
    Attempt("session-keyring", "read the caller's session keyring", read_the_session_keyring),
    Attempt("user-keyring", "read the user's keyring", read_the_user_keyring),
    Attempt("list-of-keys", "find the caller's keys in /proc/keys", list_keys),
    Attempt("keyrings", "make keys, request them, get the persistent keyring", use_keyrings),
)
