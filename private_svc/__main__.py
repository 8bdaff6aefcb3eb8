"""Bind, then import, then serve: the kernel queues callers while Python starts."""

from __future__ import annotations

import gc
import os
import sys
from _signal import (  # type: ignore[import-not-found]  # `signal` would import enum before the bind
    SIG_BLOCK,
    SIGINT,
    SIGTERM,
    pthread_sigmask,
)

from private_svc import __version__, boot, config, listeners


def main(argv: list[str] | None = None) -> int:
    """Run the service until a signal ends it; return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments:
        return _answer(arguments)
    try:
        settings = config.read(os.environ)
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    # Signals wait until departure.py handles them: callers may be queued from here on, and must be drained.
    pthread_sigmask(SIG_BLOCK, (SIGINT, SIGTERM))
    started = boot.Boot(boot.origin())
    try:
        bound = [listeners.bind("admin", "PORT", settings.port)]
        if settings.hello_port is not None:
            bound.append(listeners.bind("hello", "HELLO_PORT", settings.hello_port))
        if settings.metrics_port is not None:
            bound.append(listeners.bind("metrics", "METRICS_PORT", settings.metrics_port, off_proxy=True))
        listeners.listen(*bound)
    except listeners.BindError as error:
        print(error, file=sys.stderr)
        return 1
    started.stamp("bound")
    from private_svc import bundle  # noqa: PLC0415 - only now that callers are held

    bundle.use()
    gc.disable()  # imports make next to no garbage; looking for it costs a tenth of the boot. life.py enables it
    from private_svc import life  # noqa: PLC0415 - asyncio and logging

    return life.run(settings, os.environ, started, tuple(bound))


def _answer(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        return _say(config.usage())
    if arguments == ["--version"]:
        return _say(f"private-svc {__version__}")
    print(
        f"private-svc: expected --help or --version, got {' '.join(arguments)!r}; "
        "settings are environment variables, see --help",
        file=sys.stderr,
    )
    return 2


def _say(text: str) -> int:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `| head` has read enough; Python would complain once more at its end
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
