"""Values of TOML as Go has them: the names of their types, and their text in messages.

Source: Go's `fmt` (`%v`, `%T`), `strconv` and `encoding/json`.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal

INT64_MAX = 2**63 - 1
_TYPES = (
    (bool, "bool"), (int, "int64"), (float, "float64"), (str, "string"), (list, "[]interface {}"),
    (dict, "map[string]interface {}"), (datetime, "toml.LocalDateTime"), (date, "toml.LocalDate"),
    (time, "toml.LocalTime"),
)  # fmt: skip
_NUMBERS_WITHOUT_EXPONENT = (1e-6, 1e21)  # JSON's, in absolute value


def go_type(value: object) -> str:
    """Return the name of the type that Go's TOML library gives a value."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return "time.Time"
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "nil")


def go_text(value: object) -> str:
    """Write a value as Go's `%v` does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
        return repr(value).removesuffix(".0")
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    return str(value)


def json_number(value: float) -> str:
    """Write a number as Go's `encoding/json` does."""
    if isinstance(value, int):
        return str(value)
    least, most = _NUMBERS_WITHOUT_EXPONENT
    if value == 0 or least <= abs(value) < most:
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def quoted(text: str) -> str:
    """Write text in double quotes, as Go's `%q` does."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped) + '"'
