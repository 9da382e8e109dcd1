"""What a regular expression can cost, seen from its parse tree.

That is: texts that every match contains, and how the work grows with the length of the text.

A repetition is ambiguous when what follows it can begin with what it repeats: then a failing match tries every end of
it. Each ambiguous repetition on a path, and the search for a start, multiply the work by the text's length; an
ambiguous repetition inside another makes it exponential.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from re import _constants as sre, _parser as sre_parser
from typing import Any, Final

__all__ = ["Cost", "cost_of"]

EXPONENTIAL: Final = 99
_MANY: Final = 32
_OTHER: Final = 1 << 128
_ALL: Final = (1 << 129) - 1
# Bits of the letters A to Z and a to z.
_UPPER: Final = sum(1 << code for code in range(65, 91))
_LOWER: Final = _UPPER << 32
_IGNORES_CASE: Final = re.compile(r"\(\?[a-z]*i")
# Whether a part of the pattern that is looked at ignores case: then letters of both cases are one.
_FOLDING: Final[ContextVar[bool]] = ContextVar("folding", default=False)
_SHORT_LITERAL: Final = 2
_MOST_LITERALS: Final = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """`literals` stand in every match in this order; the work grows with the length to the power of `degree`."""

    literals: tuple[str, ...]
    degree: int


def cost_of(source: str, flags: int) -> Cost:
    """Look at a pattern of Python's `re`; one that it cannot read counts as exponential."""
    try:
        tree = sre_parser.parse(source, flags)
    except (re.error, RecursionError, OverflowError):
        return Cost((), EXPONENTIAL)
    items = list(tree)
    folding = _FOLDING.set(_IGNORES_CASE.search(source) is not None)
    try:
        degree = _degree(items, 0)
    finally:
        _FOLDING.reset(folding)
    if not (items and items[0] == (sre.AT, sre.AT_BEGINNING_STRING)):
        degree += 1
    ignore_case = bool(tree.state.flags & re.IGNORECASE)
    return Cost(() if ignore_case else _literals(items), max(1, min(degree, EXPONENTIAL)))


def _literals(items: list[Any]) -> tuple[str, ...]:
    runs: list[str] = []
    _gather(items, runs, [])
    texts = [run for run in runs if run]
    longest = sorted(range(len(texts)), key=lambda index: -len(texts[index]))[:_MOST_LITERALS]
    return tuple(
        texts[index] for index in sorted(longest) if len(texts[index]) >= _SHORT_LITERAL or len(texts) < 4
    )


def _gather(items: list[Any], runs: list[str], open_run: list[str]) -> None:
    """Append to `runs` the texts that stand in each match, in order."""
    for operation, argument in items:
        if operation is sre.LITERAL:
            open_run.append(chr(argument))
            continue
        if operation is sre.SUBPATTERN and not argument[1]:
            _gather(list(argument[3]), runs, open_run)
            continue
        if operation is sre.AT:
            continue
        runs.append("".join(open_run))
        open_run.clear()
        if operation is sre.ATOMIC_GROUP:
            _gather(list(argument), runs, open_run)
        elif operation in _REPEATS and argument[0] >= 1:
            _gather(list(argument[2]), runs, open_run)
            runs.append("".join(open_run))
            open_run.clear()
    if open_run:
        runs.append("".join(open_run))
        open_run.clear()


_REPEATS: Final = {sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT}


def _first(items: list[Any], follow: int) -> int:
    """Give the characters with which these items, or what follows them, can begin, as bits."""
    begin = 0
    for item in items:
        mine, nullable = _begin(item)
        begin |= mine
        if not nullable:
            return begin
    return begin | follow


def _begin(item: Any) -> tuple[int, bool]:
    operation, argument = item
    if operation in {sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN}:
        return _folded(_characters(operation, argument)), False
    if operation is sre.SUBPATTERN:
        return _begin_of(list(argument[3]))
    if operation is sre.ATOMIC_GROUP:
        return _begin_of(list(argument))
    if operation in _REPEATS:
        mine, nullable = _begin_of(list(argument[2]))
        return mine, nullable or argument[0] == 0
    if operation is sre.BRANCH:
        parts = [_begin_of(list(branch)) for branch in argument[1]]
        mine = 0
        for part, _nullable in parts:
            mine |= part
        return mine, any(nullable for _part, nullable in parts)
    if operation in {sre.AT, sre.ASSERT, sre.ASSERT_NOT}:
        return 0, True
    return _ALL, True


def _begin_of(items: list[Any]) -> tuple[int, bool]:
    begin = 0
    for item in items:
        mine, nullable = _begin(item)
        begin |= mine
        if not nullable:
            return begin, False
    return begin, True


def _characters(operation: Any, argument: Any) -> int:
    if operation is sre.LITERAL:
        return 1 << argument if argument < 128 else _OTHER
    if operation is sre.NOT_LITERAL:
        return _ALL & ~(1 << argument) if argument < 128 else _ALL
    if operation is sre.ANY:
        return _ALL
    bits = 0
    negated = False
    for kind, value in argument:
        if kind is sre.NEGATE:
            negated = True
        elif kind is sre.LITERAL:
            bits |= 1 << value if value < 128 else _OTHER
        elif kind is sre.RANGE:
            low, high = value
            for code in range(low, min(high, 127) + 1):
                bits |= 1 << code
            if high > 127:
                bits |= _OTHER
        else:
            return _ALL
    return _ALL & ~(bits & ~_OTHER) if negated else bits


def _folded(bits: int) -> int:
    return bits | (bits & _UPPER) << 32 | (bits & _LOWER) >> 32 if _FOLDING.get() else bits


def _degree(items: list[Any], follow: int) -> int:
    """Count the ambiguous repetitions on the worst path."""
    total = 0
    for index, (operation, argument) in enumerate(items):
        after = _first(items[index + 1 :], follow)
        if operation in _REPEATS:
            total += _degree_of_repeat(argument, 0 if operation is sre.POSSESSIVE_REPEAT else after)
        elif operation is sre.BRANCH:
            total += max((_degree(list(branch), after) for branch in argument[1]), default=0)
        elif operation is sre.SUBPATTERN:
            total += _degree(list(argument[3]), after)
        elif operation is sre.ATOMIC_GROUP:
            total += _degree(list(argument), 0)
        elif operation in {sre.ASSERT, sre.ASSERT_NOT}:
            total += _degree(list(argument[1]), 0)
        elif operation in {sre.GROUPREF, sre.GROUPREF_EXISTS}:
            total += 1
    return total


def _degree_of_repeat(argument: Any, after: int) -> int:
    _low, high, body = argument
    items = list(body)
    if high is not sre.MAXREPEAT and high < _MANY:
        return _degree(items, after)
    begin, nullable = _begin_of(items)
    if nullable or _degree(items, begin) > 0 or _has_choice(items, begin):
        return EXPONENTIAL
    return _degree(items, after) + (1 if begin & after else 0)


def _has_choice(items: list[Any], follow: int) -> bool:
    """Say whether these items can read a text in two ways, when `follow` is what comes after them.

    Python's parser takes common beginnings out of branches: `aa|aaa` is `aa`, then nothing or `a`.
    """
    for index, (operation, argument) in enumerate(items):
        after = _first(items[index + 1 :], follow)
        if operation is sre.BRANCH:
            seen = 0
            for branch in argument[1]:
                begin = _first(list(branch), after)
                if begin & seen or _has_choice(list(branch), after):
                    return True
                seen |= begin
        elif operation is sre.SUBPATTERN:
            if _has_choice(list(argument[3]), after):
                return True
        elif operation in _REPEATS and operation is not sre.POSSESSIVE_REPEAT:
            low, high, body = argument
            begin, _nullable = _begin_of(list(body))
            if (low != high and begin & after) or _has_choice(list(body), begin | after):
                return True
    return False
