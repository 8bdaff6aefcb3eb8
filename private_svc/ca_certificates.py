"""The system's CA certificates are loaded when a TLS connection first needs them, not when aiohttp is imported.

aiohttp makes the TLS contexts of its client while it is imported, and loading the CA certificates into them is a
quarter of that import. The service itself is no TLS client; your own application may be one, and its first connection
loads them.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@contextmanager
def deferred() -> Iterator[None]:
    """Within this block, a new TLS context loads its default CA certificates when it is first used."""
    ssl.SSLContext.set_default_verify_paths = _later  # type: ignore[assignment] # all defaults are loaded by it
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths  # the method of its base class is found again


def _later(context: ssl.SSLContext) -> None:
    if type(context) is ssl.SSLContext:
        context.__class__ = Deferred
    else:
        super(ssl.SSLContext, context).set_default_verify_paths()


class Deferred(ssl.SSLContext):
    """A context that loads its CA certificates on first use and is an ordinary one from then on."""

    __slots__ = ()

    def _load(self) -> None:
        """Become ordinary only once they are loaded: of two threads that come first, both load them."""
        self.set_default_verify_paths()
        self.__class__ = ssl.SSLContext  # type: ignore[assignment] # it has nothing that the base lacks

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Open a TLS connection over a socket."""
        self._load()
        return self.wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Open a TLS connection in memory, as asyncio does."""
        self._load()
        return self.wrap_bio(*args, **kwargs)

    def cert_store_stats(self) -> dict[str, int]:
        """Count the CA certificates."""
        self._load()
        return self.cert_store_stats()

    def get_ca_certs(self, *args: Any, **kwargs: Any) -> Any:
        """List the CA certificates."""
        self._load()
        return self.get_ca_certs(*args, **kwargs)
