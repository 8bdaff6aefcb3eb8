"""What a userspace WireGuard is told over its unix socket, in the cross-platform configuration protocol.

Source: https://www.wireguard.com/xplatform/ - `key=value` lines, keys in hexadecimal, ended by an empty line; the
answer is `errno=0` when all of it was taken.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.wireguard.peers import PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lab.wireguard.peers import Peer

_SECONDS = 10


def gateway_settings(private_key: str, peers: Iterable[Peer]) -> list[str]:
    """Return the lines that make a fresh interface a gateway for `peers`."""
    own = [f"private_key={_hexadecimal(private_key)}", f"listen_port={PORT}"]
    return [*own, *(line for peer in peers for line in admission(peer))]


def admission(peer: Peer) -> list[str]:
    """Return the lines that let `peer` in, from its own address alone."""
    return [f"public_key={_hexadecimal(peer.public_key)}", f"allowed_ip={peer.six_pn}/128"]


def removal(peer: Peer) -> list[str]:
    """Return the lines that shut `peer` out."""
    return [f"public_key={_hexadecimal(peer.public_key)}", "remove=true"]


def _hexadecimal(key: str) -> str:
    return base64.b64decode(key).hex()


async def configure(socket_path: str, lines: Sequence[str]) -> None:
    """Send `lines` to the process that listens on `socket_path`; raise `LabError` when it does not take them."""
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await _ask(socket_path, "\n".join(["set=1", *lines, "", ""]))
    except OSError as error:  # TimeoutError is one
        raise LabError(f"expected an answer from WireGuard on {socket_path}, got: {error!r}") from None
    number = int(answer.strip().removeprefix("errno=") or -1)
    if number:
        raise LabError(f"WireGuard on {socket_path} refused its settings: {os.strerror(abs(number))}")


async def _ask(socket_path: str, message: str) -> str:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    try:
        writer.write(message.encode("ascii"))
        await writer.drain()
        return (await reader.readuntil(b"\n")).decode("ascii", "replace")
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("it hung up") from None
    finally:
        writer.close()
