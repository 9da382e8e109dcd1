"""Sizes and times with their units, as people write them: `2 MiB`, `500 ms`, `90 d`."""

import re
from typing import Any

__all__ = ["read_quantity"]

_BYTES = {
    "b": 1,
    **{unit: 1000**power for power, unit in enumerate(("kb", "mb", "gb", "tb"), start=1)},
    **{unit: 1024**power for power, unit in enumerate(("kib", "mib", "gib", "tib"), start=1)},
}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_DAYS = {"d": 1, "w": 7}
_UNITS = (("_bytes", _BYTES, "2 MiB"), ("_seconds", _SECONDS, "500 ms"), ("_days", _DAYS, "90 d"))
_QUANTITY = re.compile(r"\s*([+-]?\d[\d_]*(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def read_quantity(name: str, value: Any) -> Any:
    """Give a value in the unit that the setting's name ends with; what is no text with a unit stays as it is.

    Raises ValueError for a unit that the setting cannot have.
    """
    known = next(((units, example) for end, units, example in _UNITS if f"_{name}".endswith(end)), None)
    match = _QUANTITY.fullmatch(value) if known is not None and isinstance(value, str) else None
    if known is None or match is None:
        return value
    units, example = known
    if match[2].lower() not in units:
        raise ValueError(f"{match[2]} is none of the units {', '.join(units)}, as in {example!r}")
    number = float(match[1].replace("_", "")) * units[match[2].lower()]
    return int(number) if number.is_integer() else round(number, 9)
