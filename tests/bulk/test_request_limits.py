"""How much is sent at a time, after timeouts of two kinds: of the size, and of anything else."""

import asyncio

import pytest

from pipeline.bulk.request_limits import RequestLimits

FULL = 2 << 20
TIMEOUT_SECONDS = 60.0


def time() -> float:
    return asyncio.get_running_loop().time()


def new_limits() -> RequestLimits:
    return RequestLimits(4, FULL, slow_seconds=10.0, timeout_seconds=TIMEOUT_SECONDS)


def send(limits: RequestLimits, *, most_bytes: int, requests: int, quick: bool = False) -> list[int]:
    """Send full requests over a link that lets so many bytes through in time; gives their sizes.

    A `quick` link answers what gets through at once, as a firewall does that swallows large packets.
    """
    sizes = []
    for _ in range(requests):
        size = limits.request_bytes
        sizes.append(size)
        if size > most_bytes:
            limits.timed_out(size, time())
            limits.overloaded()
        else:
            limits.answered(0.1 if quick else size / most_bytes * TIMEOUT_SECONDS, size)
    return sizes


@pytest.mark.parametrize("most_bytes", [80_000, 3_000])
async def test_the_size_falls_until_a_slow_link_lets_it_through_and_stays_near_that(most_bytes: int) -> None:
    sizes = send(new_limits(), most_bytes=most_bytes, requests=200)
    assert sum(size > most_bytes for size in sizes) < 6
    assert min(sizes[-50:]) > most_bytes // 4


@pytest.mark.parametrize("most_bytes", [80_000, 3_000])
async def test_a_limit_of_which_the_speed_says_nothing_is_found_and_seldom_tried_again(
    most_bytes: int,
) -> None:
    sizes = send(new_limits(), most_bytes=most_bytes, requests=200, quick=True)
    assert sum(size > most_bytes for size in sizes) < 20
    assert min(sizes[-50:]) > most_bytes // 2


async def test_a_document_goes_alone_where_nothing_larger_gets_through() -> None:
    limits = new_limits()
    send(limits, most_bytes=0, requests=20)
    assert limits.request_bytes == 1


async def test_timeouts_that_have_nothing_to_do_with_the_size_do_not_make_it_small() -> None:
    limits = new_limits()
    sizes = []
    for number in range(300):
        sizes.append(limits.request_bytes)
        if number % 6 == 5:
            limits.timed_out(limits.request_bytes, time())
            limits.overloaded()
        else:
            limits.answered(0.1, limits.request_bytes)
    assert min(sizes) >= FULL // 4


async def test_a_size_that_was_too_large_is_tried_again_later() -> None:
    limits = new_limits()
    send(limits, most_bytes=80_000, requests=50)
    assert max(send(limits, most_bytes=FULL, requests=200, quick=True)) == FULL


async def test_a_link_that_becomes_slow_is_noticed_though_it_was_quick() -> None:
    limits = new_limits()
    send(limits, most_bytes=FULL, requests=50)
    sizes = send(limits, most_bytes=80_000, requests=100)
    assert sizes.index(next(size for size in sizes if size <= 80_000)) < 10


async def test_a_slow_link_costs_a_timeout_only_until_its_speed_is_known() -> None:
    limits = new_limits()
    bytes_per_second = 2_000
    late = []
    for number in range(300):
        size = limits.request_bytes
        if size / bytes_per_second > TIMEOUT_SECONDS:
            late.append(number)
            limits.timed_out(size, time())
            limits.overloaded()
        else:
            limits.answered(size / bytes_per_second, size)
    assert len(late) < 4
    assert max(late) < 10


async def test_timeouts_from_the_first_request_on_do_not_keep_the_size_small() -> None:
    limits = new_limits()
    for number in range(120):
        if number % 6 == 0:
            limits.timed_out(limits.request_bytes, time())
            limits.overloaded()
        else:
            limits.answered(0.1, limits.request_bytes)
    assert limits.request_bytes > FULL // 4


async def test_timeouts_of_requests_that_were_on_their_way_together_count_once() -> None:
    limits = new_limits()
    send(limits, most_bytes=FULL, requests=50, quick=True)
    together = time()
    for _ in range(4):
        limits.timed_out(FULL, together)
    limits.overloaded()
    assert limits.request_bytes == FULL // 2
