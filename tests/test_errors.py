"""What a task of several has to say to the user is what the user is told."""

import asyncio

import pytest

from pipeline.errors import ServerUnavailable, out_of_groups


async def _fail(error: Exception) -> None:
    raise error


async def _work_in_groups(*errors: Exception) -> None:
    with out_of_groups():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(600))
            async with asyncio.TaskGroup() as inner:
                for error in errors:
                    inner.create_task(_fail(error))


async def test_an_error_of_ours_is_raised_without_the_groups_around_it() -> None:
    with pytest.raises(ServerUnavailable, match="away"):
        await _work_in_groups(ValueError("a mistake"), ServerUnavailable("away"))


async def test_a_group_without_an_error_of_ours_stays() -> None:
    with pytest.raises(ExceptionGroup):
        await _work_in_groups(ValueError("a mistake"))
