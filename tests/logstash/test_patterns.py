"""Ruby's regular expressions in Python: what they match, what is refused, and that none runs for ever."""

import re
import threading

import pytest

from pipeline.logstash.grok_library import expand, standard_patterns
from pipeline.logstash.oniguruma import UntranslatableError, translate
from pipeline.logstash.patterns import Pattern, PatternTimeout
from pipeline.logstash.replacement import Replacement


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        (r"\w+", "été", "t"),
        (r"\d", "\u0661", None),
        (r"\h+", "xFf0", "Ff0"),
        (r"^b$", "a\nb\nc", "b"),
        (r"a.b", "a\nb", None),
        (r"(?m)a.b", "a\nb", "a\nb"),
        (r"x(?i)abc", "xABC", "xABC"),
        (r"a(?i)b|c", "C", None),
        (r"a(?i)b|c", "aC", "aC"),
        (r"(?i:a)b", "Ab", "Ab"),
        (r"\Aa\z", "a\n", None),
        (r"\Aa\Z", "a\n", "a"),
        (r"a{,2}b", "aaab", "aab"),
        (r"a{2}{2}", "aaaa", "aaaa"),
        (r"(?<x>a+)-\k<x>", "aa-aa", "aa-aa"),
        (r"(a)(?:b)\1", "aba", "aba"),
        (r"(?>a+)ab", "aaab", None),
        (r"a++b", "aab", "aab"),
        (r"[[:alpha:]_]+", "1é_2", "é_"),
        (r"[[:digit:][a-c]]+", "x1b", "1b"),
        (r"[\w.-]+", " a.b-c ", "a.b-c"),
        (r"[^\s]+", " ab ", "ab"),
        (r"[\]\[]+", "a[]", "[]"),
        (r"\p{Lu}", "aÄ", "Ä"),
        (r"(?<=ab|c)d", "cd", "d"),
        (r"\x41\u0042\x{43}", "ABC", "ABC"),
        (r"\R", "a\r\nb", "\r\n"),
        (r"(?#note)a", "a", "a"),
        (r"a\/b", "a/b", "a/b"),
    ],
)
def test_an_expression_matches_as_in_ruby(pattern: str, text: str, matched: str | None) -> None:
    found = Pattern(pattern).search(text)
    assert (found.group(0) if found else None) == matched


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[a",
        "a**?)",
        "*a",
        r"\K",
        r"\G",
        "(?<a>x",
        r"\k<no>",
        "[a&&b]",
        "[[:nope:]]",
        "a\\",
        r"(?<n>a)\1",
        "(?~a)",
    ],
)
def test_an_expression_that_python_cannot_run_is_refused(pattern: str) -> None:
    with pytest.raises(UntranslatableError):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(a+)+$", "a" * 40 + "!"),
        (r"^(\w+\s?)*$", "aaaa " * 20 + "!"),
        (r"(.*)(.*)(.*)(.*)(.*)(.*)z\d$", "z" * 400),
        (r"(?:a|ab|b)*c$", "ab" * 40 + "c!"),
        (r"(x+x+)+y$", "x" * 60 + "y!"),
        (r"(a|a)*\d", "a" * 60),
        (r"(?:aa|aaa)*\d", "a" * 90),
        (r"(?:a{1,3})*\d", "a" * 60),
        (r"(?:a?a)+\d", "a" * 60),
        (r"(?i)(?:ab|AB)*\d", "ab" * 60),
        (r"(?i:(?:ab|AB)*)\d", "ab" * 60),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 60),
        (r"(?:\w+\W?)*[!?][0-9]", "aaa aaa " * 12),
    ],
)
def test_a_catastrophic_search_ends_by_its_time(pattern: str, text: str) -> None:
    with pytest.raises(PatternTimeout):
        Pattern(pattern, timeout=0.05).search(text)


def test_a_catastrophic_search_ends_in_another_thread_too() -> None:
    ended: list[bool] = []

    def search() -> None:
        try:
            Pattern(r"(?:a|ab|b)*c$", timeout=0.05).search("ab" * 40 + "c!")
        except PatternTimeout:
            ended.append(True)

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert ended == [True]


def test_a_pattern_can_be_used_again_after_it_took_too_long() -> None:
    pattern = Pattern(r"(a+)+$", timeout=0.05)
    with pytest.raises(PatternTimeout):
        pattern.search("a" * 40 + "!")
    assert pattern.search("aaa") is not None


def test_literals_that_every_match_contains_are_known() -> None:
    assert Pattern(r"^\[(\w+)\] status=(\d+) done").literals == ("[", "] status=", " done")
    assert Pattern(r"(?i)abc").literals == ()
    assert Pattern(r"a?b|c").literals == ()
    assert Pattern(r"(?:ab)+c?").literals == ("ab",)


@pytest.mark.parametrize("ecs", [False, True])
def test_every_standard_pattern_can_be_used(ecs: bool) -> None:
    patterns = standard_patterns(ecs=ecs)
    for name in patterns:
        translated = translate(expand(f"%{{{name}}}", patterns))
        assert not translated.needs_library, name
        re.compile(translated.source, re.MULTILINE | re.DOTALL)


def test_a_replacement_takes_groups_by_number_and_name() -> None:
    pattern = Pattern(r"(?<k>\w+)=(?<v>\w+)")
    assert pattern.substitute(Replacement(r"\k<v>:\k<k>", pattern.names), "a=b c=d") == "b:a d:c"
    assert Pattern(r"(\d)(\d)").substitute(Replacement(r"\2\\\1\0"), "12") == "2\\112"
    assert Pattern(r"x").substitute(Replacement(r"\9"), "axb") == "ab"
