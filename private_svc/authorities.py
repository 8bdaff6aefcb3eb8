"""The certificates of the authorities are loaded when a TLS connection first needs them, not when aiohttp is imported.

aiohttp makes the contexts of its client while it is imported, and loading the system's authorities into them is a
quarter of that import. The service itself is no TLS client; your own application may be one, and finds them then.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@contextmanager
def awaited() -> Iterator[None]:
    """Let contexts that are made meanwhile load their default authorities later; then everything is as it was."""
    ssl.SSLContext.set_default_verify_paths = _later  # type: ignore[assignment] # every default comes from it
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths  # the one of its base shows again


def _later(context: ssl.SSLContext) -> None:
    if type(context) is ssl.SSLContext:
        context.__class__ = Awaiting
    else:
        super(ssl.SSLContext, context).set_default_verify_paths()


class Awaiting(ssl.SSLContext):
    """A context that loads its authorities on first use and is an ordinary one from then on."""

    __slots__ = ()

    def _arrive(self) -> None:
        """Become ordinary only once they are loaded: two threads that come first both load, none goes without."""
        self.set_default_verify_paths()
        self.__class__ = ssl.SSLContext  # type: ignore[assignment] # it has nothing that the base lacks

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Open a TLS connection over a socket."""
        self._arrive()
        return self.wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Open a TLS connection in memory, as asyncio does."""
        self._arrive()
        return self.wrap_bio(*args, **kwargs)

    def cert_store_stats(self) -> dict[str, int]:
        """Count the authorities."""
        self._arrive()
        return self.cert_store_stats()

    def get_ca_certs(self, *args: Any, **kwargs: Any) -> Any:
        """List the authorities."""
        self._arrive()
        return self.get_ca_certs(*args, **kwargs)
