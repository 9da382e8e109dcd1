"""Errors by fingerprint: the most frequent have series of their own, and each is handed over once."""

from collections import Counter
from typing import Any

from hypothesis import given, strategies as st

from pipeline.events.fingerprints import FINGERPRINT_FIELD
from pipeline.log_metrics.errors import LogErrors


def failure(fingerprint: str, service: Any = "api") -> dict[str, Any]:
    return {FINGERPRINT_FIELD: fingerprint, "service": service}


def shown(errors: LogErrors) -> dict[str, float]:
    by_fingerprint, _ = errors.collect()
    return {sample.labels["fingerprint"]: sample.value for sample in by_fingerprint.samples}


def test_within_the_top_every_fingerprint_is_counted_exactly() -> None:
    errors = LogErrors(3)
    for fingerprint in "aabcabc":
        errors.count(failure(fingerprint))
    assert shown(errors) == {"a": 3, "b": 2, "c": 2}


def test_a_frequent_error_takes_the_place_of_the_rarest() -> None:
    errors = LogErrors(2)
    for fingerprint in "aaab" + "c" * 5:
        errors.count(failure(fingerprint))
    assert set(shown(errors)) == {"a", "c", "other"}
    assert sum(shown(errors).values()) == 8  # of b's one, nothing is shown any more


@given(st.lists(st.sampled_from("abcdefgh"), max_size=200), st.integers(1, 10))
def test_no_series_goes_down_and_there_are_never_more_than_the_top(order: list[str], top: int) -> None:
    errors = LogErrors(top)
    before: dict[str, float] = {}
    counts: Counter[str] = Counter()
    for fingerprint in order:
        errors.count(failure(fingerprint))
        counts[fingerprint] += 1
        now = shown(errors)
        assert len(now.keys() - {"other"}) <= top
        assert all(now[name] >= value for name, value in before.items() if name in now)
        assert all(now.get(name, 0) <= counts[name] for name in counts)
        before = now
    if len(counts) <= top:
        assert before == counts


def test_each_error_is_handed_over_once_until_it_is_given_back() -> None:
    errors = LogErrors(10)
    for fingerprint in "abab":
        errors.count(failure(fingerprint))
    new = errors.take_new()
    assert [each.fingerprint for each in new] == ["a", "b"]
    errors.count(failure("a"))
    assert errors.take_new() == []
    errors.give_back(new[:1])
    errors.count(failure("c"))
    assert [each.fingerprint for each in errors.take_new()] == ["a", "c"]


def test_a_flood_of_new_errors_is_bounded() -> None:
    errors = LogErrors(10)
    for number in range(20_000):
        errors.count(failure(f"{number:x}"))
    assert len(errors.take_new()) == 1000
    assert len(shown(errors)) == 11
    assert sum(shown(errors).values()) == 20_000


def test_a_service_that_is_no_text_is_unknown() -> None:
    errors = LogErrors(10)
    errors.count(failure("a", ["x"]))
    (family, _) = errors.collect()
    assert [sample.labels["service"] for sample in family.samples] == ["unknown"]
