"""The probe's exceptions: one root, one class for each thing a caller does differently."""

from __future__ import annotations


class ProbeError(Exception):
    """Root of every exception this package raises on purpose; its text is one line for a person."""


class UsageError(ProbeError):
    """What was asked cannot be asked: exit status 2."""


class NotWellError(ProbeError):
    """What was asked about is not well, or cannot be seen from here: exit status 1."""
