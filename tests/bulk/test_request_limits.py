"""How much is sent at a time, after timeouts of two kinds: of the size, and of anything else."""

from pipeline.bulk.request_limits import RequestLimits

FULL = 2 << 20


def send(limits: RequestLimits, *, most_bytes: int, requests: int) -> list[int]:
    """Send full requests over a link that lets so many bytes through in time; gives their sizes."""
    sizes = []
    for _ in range(requests):
        size = limits.request_bytes
        sizes.append(size)
        if size > most_bytes:
            limits.timed_out(size)
            limits.overloaded()
        else:
            limits.answered(0.1, size)
    return sizes


async def test_the_size_falls_until_a_slow_link_lets_it_through_and_stays_near_that() -> None:
    sizes = send(RequestLimits(4, FULL, 10.0), most_bytes=80_000, requests=200)
    assert sum(size > 80_000 for size in sizes) < 12
    assert min(sizes[-50:]) > 40_000


async def test_the_size_falls_below_what_an_overload_leaves() -> None:
    sizes = send(RequestLimits(4, FULL, 10.0), most_bytes=3_000, requests=200)
    assert sum(size > 3_000 for size in sizes) < 16
    assert min(sizes) > 500


async def test_a_document_goes_alone_where_nothing_larger_gets_through() -> None:
    limits = RequestLimits(4, FULL, 10.0)
    send(limits, most_bytes=0, requests=20)
    assert limits.request_bytes == 1


async def test_timeouts_that_have_nothing_to_do_with_the_size_do_not_make_it_small() -> None:
    limits = RequestLimits(4, FULL, 10.0)
    sizes = []
    for number in range(300):
        sizes.append(limits.request_bytes)
        if number % 6 == 5:
            limits.timed_out(limits.request_bytes)
            limits.overloaded()
        else:
            limits.answered(0.1, limits.request_bytes)
    assert min(sizes) >= FULL // 4


async def test_a_size_that_was_too_large_is_tried_again_later() -> None:
    limits = RequestLimits(4, FULL, 10.0)
    send(limits, most_bytes=80_000, requests=50)
    assert max(send(limits, most_bytes=FULL, requests=200)) == FULL


async def test_a_link_that_becomes_slow_is_noticed_though_it_was_quick() -> None:
    limits = RequestLimits(4, FULL, 10.0)
    send(limits, most_bytes=FULL, requests=50)
    sizes = send(limits, most_bytes=80_000, requests=100)
    assert sizes.index(next(size for size in sizes if size <= 80_000)) < 10
