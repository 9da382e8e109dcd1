"""A compiled regular expression of a configuration, with what keeps it cheap and bounded.

Texts that every match contains are looked for first, so that a line that does not match costs next to nothing. A
search whose work could grow beyond bounds runs under a limit of processor time: Python's `re` looks at signals while
it works, so a timer of this process's own processor time ends it. Where no signal can (another thread, a very long
text), the library `regex` with its own limit takes over.
"""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Protocol

import regex

from pipeline.logstash.oniguruma import UntranslatableError, translate
from pipeline.logstash.pattern_cost import cost_of

__all__ = ["DEFAULT_TIMEOUT", "Found", "Pattern", "PatternTimeout", "limited"]

DEFAULT_TIMEOUT: Final = 1.0
# Steps that are too few to be worth a timer: some ten milliseconds.
_FREE_STEPS: Final = 300_000
# `re` looks at signals only within one attempt to match; a text longer than this could keep it busy between them.
_LONG_TEXT: Final = 16_384


class PatternTimeout(Exception):  # noqa: N818 - reads as what happened
    """A search took longer than it may."""


class Found(Protocol):
    """A match of either library."""

    def group(self, group: Any = 0, /) -> Any:
        """Give what a group has caught."""

    def groups(self) -> tuple[Any, ...]:
        """Give what all groups have caught."""

    def start(self, group: Any = 0, /) -> int:
        """Give where a group begins."""

    def end(self, group: Any = 0, /) -> int:
        """Give where a group ends."""


class Pattern:
    """A Ruby expression, ready to search; `names` gives the pattern's own name of each named group, in order.

    Raises UntranslatableError for what is no expression, or none that Python can run.
    """

    def __init__(self, source: str, *, timeout: float = DEFAULT_TIMEOUT, dot_is_any: bool = False) -> None:
        translated = translate(source)
        flags = re.MULTILINE | (re.DOTALL if dot_is_any else 0)
        self._library_flags = regex.MULTILINE | regex.VERSION0 | (regex.DOTALL if dot_is_any else 0)
        self.source = source
        self.names = tuple(translated.names.values())
        self._timeout = timeout
        self._translated = translated.source
        self._slow: Any = None
        self._compiled: Any = None
        if not translated.needs_library:
            try:
                self._compiled = re.compile(translated.source, flags)
            except re.error as error:
                if "look-behind" not in str(error):
                    raise UntranslatableError(str(error), error.pos or 0) from None
            except (RecursionError, OverflowError) as error:
                raise UntranslatableError(f"too large: {error}", 0) from None
        if self._compiled is None:
            self._library()
        cost = cost_of(translated.source, flags) if self._compiled is not None else None
        self.literals = cost.literals if cost else ()
        self.degree = cost.degree if cost else 99
        self.free_length = int(_FREE_STEPS ** (1 / self.degree)) if self.degree < 20 else 0
        self.search: Callable[[str], Found | None] = self._searcher()

    def _library(self) -> Any:
        if self._slow is None:
            try:
                self._slow = regex.compile(self._translated, self._library_flags)
            except (regex.error, RecursionError) as error:
                raise UntranslatableError(str(error), 0) from None
        return self._slow

    def _searcher(self) -> Callable[[str], Found | None]:
        if self._compiled is None:
            return self._search_slowly
        find, free, literals = self._compiled.search, self.free_length, self.literals
        guarded = self._search_guarded
        if not literals:

            def search(text: str) -> Found | None:
                return find(text) if len(text) <= free else guarded(text)

            return search
        if len(literals) == 1:
            only = literals[0]

            def search_one(text: str) -> Found | None:
                if only not in text:
                    return None
                return find(text) if len(text) <= free else guarded(text)

            return search_one

        def search_several(text: str) -> Found | None:
            place = 0
            for literal in literals:
                place = text.find(literal, place)
                if place < 0:
                    return None
                place += len(literal)
            return find(text) if len(text) <= free else guarded(text)

        return search_several

    def _search_guarded(self, text: str) -> Found | None:
        if len(text) > _LONG_TEXT or not _TIMER.usable():
            return self._search_slowly(text)
        _TIMER.start(self._timeout)
        try:
            return self._compiled.search(text)  # type: ignore[no-any-return]
        finally:
            _TIMER.stop()

    def _search_slowly(self, text: str) -> Found | None:
        try:
            return self._library().search(text, timeout=self._timeout)  # type: ignore[no-any-return]
        except TimeoutError:
            raise PatternTimeout(self.source) from None

    def substitute(self, replacement: Callable[[Any], str] | str, text: str) -> str:
        """Replace every match, by what a function gives or by a text without backslashes; raises PatternTimeout."""
        if self._compiled is not None:
            if not self._contains_literals(text):
                return text
            if len(text) <= self.free_length:
                return str(self._compiled.sub(replacement, text))
        return str(self._bounded(text, "sub", replacement, text))

    def scan(self, text: str) -> list[Found]:
        """Give all matches; raises PatternTimeout."""
        return list(self._bounded(text, "matches", text))

    def _bounded(self, text: str, method: str, *arguments: Any) -> Any:
        """Call a method of the compiled pattern within the time that a text of this length may take."""
        if self._compiled is not None and len(text) <= self.free_length:
            return _METHODS[method](self._compiled, *arguments)
        if self._compiled is not None and len(text) <= _LONG_TEXT and _TIMER.usable():
            _TIMER.start(self._timeout)
            try:
                return _METHODS[method](self._compiled, *arguments)
            finally:
                _TIMER.stop()
        try:
            return _METHODS[method](self._library(), *arguments, timeout=self._timeout)
        except TimeoutError:
            raise PatternTimeout(self.source) from None

    def _contains_literals(self, text: str) -> bool:
        for literal in self.literals:  # noqa: SIM110 - a generator costs three times as much
            if literal not in text:
                return False
        return True


_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "sub": lambda compiled, replacement, text, **limit: compiled.sub(replacement, text, **limit),
    "matches": lambda compiled, text, **limit: list(compiled.finditer(text, **limit)),
}


class _Timer:
    """A limit on this process's processor time, for one search at a time in the main thread."""

    def __init__(self) -> None:
        self._active = False
        self._installed = False

    def usable(self) -> bool:
        if threading.get_ident() != threading.main_thread().ident:
            return False
        if not self._installed:
            signal.signal(signal.SIGVTALRM, self._expired)
            self._installed = True
        return True

    def start(self, seconds: float) -> None:
        self._active = True
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    def stop(self) -> None:
        self._active = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _expired(self, _number: int, _frame: FrameType | None) -> None:
        if self._active:
            raise PatternTimeout("a search took longer than it may")


_TIMER: Final = _Timer()


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Bound the processor time of what is done within; raises PatternTimeout there.

    Without effect in a thread other than the main one.
    """
    if not _TIMER.usable():
        yield
        return
    _TIMER.start(seconds)
    try:
        yield
    finally:
        _TIMER.stop()
