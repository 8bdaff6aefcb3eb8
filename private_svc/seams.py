"""The code that a setting names: `APP`, `RAW` and `AUTH` are each `module:name`.

Every error names its setting, so that the person who set it knows where to look.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, cast

from private_svc.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def load(setting: str, module_name: str, name: str) -> object:
    """Return what `module_name` calls `name`; raise `ConfigError` that names `setting` when it is not there.

    Modules are looked for in the working directory first, then among those that are installed. Importing may take long:
    call this in a thread while callers wait for answers.
    """
    here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    if here not in sys.path:
        sys.path.insert(0, here)
    with blamed(setting, f"cannot import {module_name}"):
        try:
            module = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise  # the module is there, and a module that it imports is not
            problem = f"{setting}: there is no module {error.name}, neither in {here} nor installed"
            raise ConfigError([problem]) from None
        if not hasattr(module, name):
            raise ConfigError([f"{setting}: expected {name} in {module_name}, got a module without that name"])
        return getattr(module, name)


def check_arguments(setting: str, function: object, *names: str) -> None:
    """Raise `ConfigError` that names `setting` unless `function` can be called with so many arguments."""
    import inspect  # noqa: PLC0415 - needed where a setting names a function

    try:
        inspect.signature(cast("Callable[..., object]", function)).bind(*names)
    except ValueError:  # a function in C does not tell
        return
    except TypeError as error:
        asked = f"{getattr(function, '__name__', function)}({', '.join(names)})"
        raise ConfigError([f"{setting}: {asked} cannot be called: {error}"]) from None


@contextmanager
def blamed(setting: str, what: str) -> Iterator[None]:
    """Turn every failure of the code behind `setting` into a `ConfigError` that says `what` went wrong."""
    try:
        yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError([f"{setting}: {what}: {type(error).__name__}: {error}"]) from error
