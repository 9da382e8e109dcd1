"""Functions as a user writes them."""

from typing import Any

__all__ = ["GROWS", "IS_NONSENSE", "LOOPS", "drop_a_third", "enrich", "fail"]

LOOPS, GROWS, IS_NONSENSE = 2002, 2003, 2006


def enrich(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "enriched": event.get("b", "")}


def drop_a_third(event: dict[str, Any]) -> dict[str, Any] | None:
    return None if event["n"] % 3 == 0 else event


def fail(event: dict[str, Any]) -> dict[str, Any]:
    number = event["n"]
    if number % 10 == 0:
        raise ValueError(number)
    if number == LOOPS:
        while True:
            event["n"] += 1
    if number == GROWS:
        return {**event, "large": "x" * 100_000_000}
    if number == IS_NONSENSE:
        return {**event, "set": {1}}
    return event
