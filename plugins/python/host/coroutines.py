# SPDX-License-Identifier: Apache-2.0
"""Runs `async def` methods and asynchronous generators: many at once, in one event loop.

Their calls have been put off: concurrent.c has made an object `pending` for each, by which it is answered. The worker calls `step`
when the loop has something to do; `wants` tells it what the loop waits for. So code of the loop runs between ordinary methods, on
their thread, and never beside them.
"""
import contextvars
import types

import _objpool

LOOK_EVERY = 64     # items that are given without a step of the loop

loop = None         # made when the first of them runs
limit = 0           # the pool's max_concurrent
under_way = set()   # tasks
waiting = {}        # pending: its coroutine or generator, which has not begun


def event_loop():
    global loop
    if loop is None:
        import asyncio
        loop = asyncio.SelectorEventLoop()
        asyncio.set_event_loop(loop)
    return loop


# ---- the worker's side ----

def start(work, pending, max_concurrent):
    """A method has given `work`, a coroutine or an asynchronous generator, and its call was put off."""
    global limit
    limit = max_concurrent
    event_loop()
    if len(under_way) < limit:
        begin(work, pending)
    else:
        waiting[pending] = work


def step():
    """Does what there is to do now."""
    loop.stop()  # before run_forever: it looks for events once, without waiting, and calls what is ready
    loop.run_forever()


def wants():
    """(descriptor, nanoseconds): `step` is to be called when the one can be read, or it is that time. 0: at no time."""
    if loop._ready:
        return loop._selector.fileno(), 1
    if loop._scheduled:
        return loop._selector.fileno(), int(loop._scheduled[0]._when * 1e9) + 1
    return loop._selector.fileno(), 0


def gone(pending):
    """Nobody waits for the call any more."""
    work = waiting.pop(pending, None)
    if work is not None:
        drop(work)
    elif pending.task is not None:
        pending.task.cancel()


def room(pending):
    """The call may give another item."""
    if pending.room is not None and not pending.room.done():
        pending.room.set_result(None)


def settle():
    """Waits for those that have been cancelled, and have not ended yet: all others have been answered."""
    import asyncio
    while under_way:
        loop.run_until_complete(asyncio.wait(under_way))


def end_loop():
    """Ends what is still under way, as asyncio.run does."""
    if loop is None:
        return
    import asyncio
    while waiting:
        drop(waiting.popitem()[1])
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


# ---- one call ----

def begin(work, pending):
    context = contextvars.copy_context()
    context.run(_objpool.current.set, pending)
    task = context.run(loop.create_task, run(work, pending))
    task.add_done_callback(lambda task: ended(task, work))
    pending.task = task
    under_way.add(task)


def drop(work):
    """Ends what has not begun."""
    if isinstance(work, types.CoroutineType):
        work.close()


def ended(task, work):
    under_way.discard(task)
    if task.cancelled():
        drop(work)
    while waiting and len(under_way) < limit:
        pending = next(iter(waiting))
        begin(waiting.pop(pending), pending)


async def run(work, pending):
    try:
        while isinstance(work, types.CoroutineType):
            work = await work
        if isinstance(work, types.AsyncGeneratorType):
            await give_all(work, pending)
        elif hasattr(type(work), "__next__"):
            await give_all(over(work), pending)
        else:
            pending.answer(work)
    except BaseException as error:
        pending.fail(error)


async def over(items):
    """The items of an iterator."""
    for item in items:
        yield item


async def give_all(items, pending):
    """Gives the items, and answers the call."""
    import asyncio
    given = 0
    try:
        async for item in items:
            while (taken := pending.give(item)) is False:
                pending.room = loop.create_future()
                await pending.room
            if taken is None:
                break
            given += 1
            if given % LOOK_EVERY == 0:
                await asyncio.sleep(0)
    finally:
        await items.aclose()
    pending.end()


# ---- calls that can't be put off ----

def finish(coroutine):
    """The value of an `async def` method."""
    task = event_loop().create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():  # the exception was raised between the task's steps
            task.cancel()
            loop.run_until_complete(loop.create_task(ignore(task)))
        raise


async def ignore(task):
    try:
        await task
    except BaseException:
        pass


def iterate(items):
    """The items of an asynchronous generator."""
    async def following():
        return await anext(items, ignore)

    async def close():
        await items.aclose()

    try:
        while (item := finish(following())) is not ignore:
            yield item
    finally:
        finish(close())
