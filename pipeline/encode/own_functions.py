"""Functions of the user's own, run as filters: bounded in time, and held to be pure on a sample."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from pipeline.encode.json_values import plain
from pipeline.logstash.fields import Event, copy_value
from pipeline.logstash.patterns import PatternTimeout, limited

__all__ = ["OwnFunctionError", "OwnFunctions"]

# One event of so many is given to a function twice.
_SAMPLED = 1000
_LONGEST_TEXT = 500
_MOST_HALVED = 6


class OwnFunctionError(Exception):
    """A function has raised something, wanted to end the process, or did not end itself."""


class _EndlessError(OwnFunctionError):
    """A function did not end itself."""


class OwnFunctions:
    """Wrap functions, and count what they do that they should not."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self.failed: Counter[str] = Counter()
        """Exceptions by function, since they were last taken."""
        self.impure: Counter[str] = Counter()
        """Events for which a function has given two different results, likewise."""
        self.samples: dict[str, str] = {}
        """What the first exception of a function was."""

    def wrap(self, name: str, function: Callable[[Event], Any]) -> Callable[[Event], Any]:
        """Put the bounds around a function."""
        calls = halved = 0

        def bounded(event: Event) -> Any:
            nonlocal calls, halved
            calls += 1
            again = copy_value(event) if calls % _SAMPLED == 1 else None
            seconds = self._timeout / 2**halved
            try:
                result = self._call(function, event, seconds)
                if again is not None and _told(result) != _told(self._call(function, again, seconds)):
                    self.impure[name] += 1
                halved = 0
            except Exception as error:  # noqa: BLE001 - a function may raise anything; it is counted
                self.failed[name] += 1
                # One that never ends gets less and less of the worker's time, until it has done better.
                halved = min(halved + 1, _MOST_HALVED) if isinstance(error, _EndlessError) else 0
                told = _said(error)
                self.samples.setdefault(name, told)
                raise OwnFunctionError(told) from None
            return result

        return bounded

    def _call(self, function: Callable[[Event], Any], event: Event, seconds: float) -> Any:
        try:
            with limited(seconds):
                return function(event)
        except PatternTimeout:
            raise _EndlessError(f"it took more than {seconds} s of processor time") from None
        except (SystemExit, GeneratorExit) as error:
            raise OwnFunctionError(f"it raised {type(error).__name__}") from None

    def take(self) -> tuple[Counter[str], Counter[str], dict[str, str]]:
        """Give exceptions, impure results and samples, and begin anew."""
        taken = self.failed, self.impure, self.samples
        self.failed, self.impure, self.samples = Counter(), Counter(), {}
        return taken


def _said(error: Exception) -> str:
    """Write what was raised, at most so much of it; also where it cannot say so itself."""
    if isinstance(error, OwnFunctionError):
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"[:_LONGEST_TEXT]
    except Exception:  # noqa: BLE001 - an exception of the user's own may raise here, too
        return type(error).__name__


def _told(result: Any) -> Any:
    """Make a result comparable, whatever it is."""
    try:
        return plain(result)
    except Exception as error:  # noqa: BLE001 - a value's own `__str__` may raise anything; it is refused afterwards
        return repr(type(error))
