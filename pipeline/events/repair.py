r"""Damaged JSON → what it was meant to be: exactly what is damaged is repaired, and said.

==========================================  ================================================================
Damage                                      Repair
==========================================  ================================================================
bytes that are no UTF-8                     U+FFFD in their place
half a surrogate pair (``\ud83d`` alone)    U+FFFD in its place
a byte order mark                           left out
``1e400``, ``NaN``, ``Infinity``            kept as text
a raw control character in a string         escaped
``\x22`` and other escapes JSON has not     the character (nginx), or the backslash kept
NULs around the text, a trailing comma      left out
several objects in one record               one each; that is no damage
==========================================  ================================================================

What is still no JSON, such as a text that was cut off, is not guessed at.
"""

import re
from typing import Any, Final, NamedTuple

import orjson

__all__ = [
    "GUIDE_TEXTS",
    "INTEGER_TAG",
    "LARGE",
    "PLAIN",
    "Repaired",
    "big_integers_as_text",
    "may_hold_large",
    "repair",
]

INTEGER_TAG: Final = "_integertoolarge"
"""Tag of an event with an integer beyond 64 bits, which is kept as text."""
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+|\s+', re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_match_number = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?").fullmatch
_match_constant = re.compile(r"[+-]?(?:NaN|nan|Infinity|infinity|Inf|inf)").fullmatch
# Every integer beyond 64 bits, of either sign, is a double of at least this.
LARGE: Final = 2.0**63
"""The least magnitude of a double that an integer beyond 64 bits is read as."""
PLAIN: Final = frozenset({str, int, bool, type(None)})
"""Types of values that are no such integer and hold none."""
_MOST_SAID = 200
GUIDE_TEXTS: Final = frozenset(
    {"timestamp", "level", "service", "component", "user_id", "integration_id", "message"}
)
"""Fields of the guide's that are texts."""
_LEAST_64 = -(2**63)
_MOST_64 = 2**64 - 1


class Repaired(NamedTuple):
    """The values in a text, and what was wrong with it; nothing where it only held several values."""

    values: list[Any]
    damage: str


def repair(value: bytes, most_values: int) -> Repaired | None:
    """Read what strict JSON refuses; None where nothing helps, or where there are more values than allowed."""
    damage: dict[str, int] = {}
    text = _as_text(value, damage)
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]", ","):  # cut off: nothing helps
        return None
    pieces = _pieces(text, damage)
    if pieces is None or not 0 < len(pieces) <= most_values:
        return None
    try:
        values = [orjson.loads(piece) for piece in pieces]
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    said = "; ".join(f"{what} ({number})" if number > 1 else what for what, number in damage.items())
    return Repaired(values, said[:_MOST_SAID])


def _note(damage: dict[str, int], what: str, number: int = 1) -> None:
    damage[what] = damage.get(what, 0) + number


def _as_text(value: bytes, damage: dict[str, int]) -> str:
    if value.startswith((b"\xff\xfe", b"\xfe\xff")):
        _note(damage, "UTF-16")
        text = value.decode("utf-16", "replace")
    else:
        text = value.decode("utf-8", "replace")
        if number := text.count("\ufffd") - value.count(b"\xef\xbf\xbd"):
            _note(damage, "bytes that are no UTF-8 replaced by U+FFFD", number)
    if text.startswith("\ufeff"):
        _note(damage, "byte order mark left out")
        text = text.lstrip("\ufeff")
    stripped = text.strip("\0 \t\r\n")
    if "\0" in text[: len(text) - len(text.lstrip("\0 \t\r\n"))] + text[len(text.rstrip("\0 \t\r\n")) :]:
        _note(damage, "NUL left out")
    return stripped


def _pieces(text: str, damage: dict[str, int]) -> list[str] | None:
    """Split a text into its top-level values, each repaired; None for what is not objects and lists alone."""
    pieces: list[str] = []
    parts: list[str] = []
    depth = position = 0
    for match in _TOKEN.finditer(text):
        if match.start() != position:
            return None
        position = match.end()
        token = match[0]
        first = token[0]
        depth += (first in "{[") - (first in "}]")
        if depth < 0 or (depth == 0 and not (first in ",}]" or first.isspace())):
            return None
        if first in "}]":
            _drop_comma(parts, damage)
        parts.append(_token(token, damage))
        if depth == 0:
            if first in "}]":
                pieces.append("".join(parts))
            parts = []
    return pieces if depth == 0 and position == len(text) else None


def _token(token: str, damage: dict[str, int]) -> str:
    first = token[0]
    if first == '"':
        return _string(token, damage)
    return token if first in "{[]},:" or first.isspace() else _scalar(token, damage)


def _drop_comma(parts: list[str], damage: dict[str, int]) -> None:
    for at in range(len(parts) - 1, -1, -1):
        if parts[at] == ",":
            del parts[at]
            _note(damage, "trailing comma left out")
            return
        if not parts[at].isspace():
            return


def _scalar(token: str, damage: dict[str, int]) -> str:
    if _match_constant(token):
        _note(damage, f"{token} kept as text")
        return f'"{token}"'
    if "\0" in token and (rest := token.replace("\0", "")) != token:
        _note(damage, "NUL left out")
        return rest
    if _match_number(token) and float(token) in (float("inf"), float("-inf")):
        _note(damage, f"{token[:40]} kept as text")
        return f'"{token}"'
    return token


def _string(token: str, damage: dict[str, int]) -> str:
    if "\\" in token:
        token = _ESCAPE.sub(lambda match: _escape(match, damage), token)
    if _CONTROL.search(token):
        token, number = _CONTROL.subn(lambda match: f"\\u{ord(match[0]):04x}", token)
        _note(damage, "raw control characters escaped", number)
    return token


def _escape(match: re.Match[str], damage: dict[str, int]) -> str:
    body = match[1]
    if body[0] == "u" and len(body) == 5 and body[1] in "dD" and body[2] in "89abcdefABCDEF":  # noqa: PLR2004
        _note(damage, "half a surrogate pair replaced by U+FFFD")
        return "\\ufffd"
    if body[0] == "x" and len(body) == 3:  # noqa: PLR2004
        _note(damage, "\\x escapes read")
        return f"\\u00{body[1:]}"
    if body[0] in '"\\/bfnrt' or (body[0] == "u" and len(body) > 1):
        return match[0]
    _note(damage, "a backslash kept")
    return f"\\\\{body}"


def may_hold_large(event: dict[str, Any]) -> bool:
    """Tell whether an event holds a double that may have been an integer beyond 64 bits.

    Those fields of the guide's that are texts are not looked at: it would cost each event for what no logger writes.
    """
    for name, each in event.items():
        kind = type(each)
        if kind is str or kind is int:
            continue
        if kind is float:
            if not -LARGE < each < LARGE and name not in GUIDE_TEXTS:
                return True
        elif (kind is dict or kind is list) and name not in GUIDE_TEXTS and _holds_large(each):
            return True
    return False


def _holds_large(value: Any) -> bool:
    """Look at a container, and at what it contains."""
    containers: list[Any] = [value]
    for container in containers:  # it grows on the way
        values = container.values() if type(container) is dict else container
        if PLAIN.issuperset(map(type, values)):
            continue
        for each in values:
            kind = type(each)
            if kind is dict or kind is list:
                containers.append(each)
            elif kind is float and not -LARGE < each < LARGE:
                return True
    return False


def big_integers_as_text(value: bytes) -> bytes | None:
    """Write integers beyond 64 bits as text, digit by digit; None when there is none.

    orjson reads them as doubles, which lose digits. Both ends of 64 bits count: -2^63 to 2^64 - 1.
    """
    parts: list[str] = []
    found = False
    for match in _TOKEN.finditer(value.decode("utf-8", "surrogatepass")):
        token = match[0]
        if (
            token[0] in "-0123456789"
            and token.lstrip("-").isdigit()
            and not _LEAST_64 <= _int(token) <= _MOST_64
        ):
            parts.append(f'"{token}"')
            found = True
        else:
            parts.append(token)
    return "".join(parts).encode() if found else None


def _int(token: str) -> int:
    # Far beyond 64 bits, and Python refuses thousands of digits.
    return int(token) if len(token) < 100 else _MOST_64 + 1  # noqa: PLR2004
