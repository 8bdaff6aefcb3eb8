"""Which form an answer takes: text for curl, HTML for a browser, JSON for a program (RFC 9110 section 12.5.1).

The most specific range that matches a form gives its weight; the highest weight wins; on a tie the order below decides,
so `*/*` is text. When nothing fits, text: a wrong form with an answer in it helps more than 406.
"""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """The media types there are, the preferred one first."""

    TEXT = "text/plain"
    HTML = "text/html"
    JSON = "application/json"


def negotiate(accept: str) -> Form:
    """Return the form that the value of an `Accept` header asks for."""
    weights = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        weights[media_range] = _weight(parameters)
    best = max(Form, key=lambda form: _weight_of(form, weights))  # max keeps the first of equals
    return best if _weight_of(best, weights) > 0 else Form.TEXT


def _weight_of(form: Form, weights: dict[str, float]) -> float:
    for media_range in (form, f"{form.partition('/')[0]}/*", "*/*"):
        if media_range in weights:
            return weights[media_range]
    return 0.0


def _weight(parameters: list[str]) -> float:
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "q":
            try:
                return float(value) if 0 <= float(value) <= 1 else 0.0
            except ValueError:
                return 0.0
    return 1.0
