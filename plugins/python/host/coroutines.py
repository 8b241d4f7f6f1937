# SPDX-License-Identifier: Apache-2.0
"""Runs `async def` methods and asynchronous generators to their results."""

loop = None     # made when the first of them runs; kept for the next


def finish(coroutine):
    """The value of an `async def` method."""
    global loop
    if loop is None:
        import asyncio
        loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():  # the exception was raised between the task's steps
            task.cancel()
            loop.run_until_complete(loop.create_task(settle(task)))
        raise


async def settle(task):
    try:
        await task
    except BaseException:
        pass


def iterate(items):
    """The items of an asynchronous generator."""
    async def following():
        return await anext(items, settle)

    async def close():
        await items.aclose()

    try:
        while (item := finish(following())) is not settle:
            yield item
    finally:
        finish(close())
