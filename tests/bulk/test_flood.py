"""The flood breaker: opens above its share of dead letters, whatever the size of requests; 1 is no limit."""

from pipeline.bulk.flood import DOCUMENTS_LOOKED_AT, FloodBreaker


def test_a_share_of_one_is_no_limit() -> None:
    breaker = FloodBreaker(1.0)
    assert all(breaker.may_give_up(5000) for _ in range(10))
    assert not breaker.open


def test_it_opens_above_its_share_until_it_is_reset() -> None:
    breaker = FloodBreaker(0.5)
    breaker.took(DOCUMENTS_LOOKED_AT)
    assert all(breaker.may_give_up(100) for _ in range(DOCUMENTS_LOOKED_AT // 200))
    assert not breaker.may_give_up(100)
    assert breaker.open
    breaker.reset()
    assert breaker.may_give_up(100)
