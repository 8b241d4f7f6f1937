# SPDX-License-Identifier: Apache-2.0
"""The clients of this package play the dialogues of tests/wire: against a daemon, and against a server that answers from the file."""
import asyncio
import pathlib
import sys

import objpool
import objpool.aio
import pytest
from certificates import Authority
from harness import DEADLINE, ROOT

sys.path.insert(0, str(ROOT / "tests" / "wire"))

import dialogue  # noqa: E402
import real_server  # noqa: E402
from fake_server import Served  # noqa: E402

PATHS = [path for path in dialogue.paths() if any("do" in step for step in dialogue.read(path)["steps"])]
WAYS = dialogue.ways(PATHS)
PIECES = [1, 3, 4096]


# ---- what steps say, in the words of the package ----

def target_of(client, text):
    """The target "p:map"; None: the package can't express it."""
    name, _, selector = text.partition(":")
    pool = client.pool(name)
    if selector in ("all", "map", "scatter"):
        return getattr(pool, selector)
    if selector.startswith("key="):
        return pool.key(selector[4:])
    if selector.isdecimal() and str(int(selector)) == selector:
        return pool[int(selector)]
    return None if selector or ":" in text else pool


def asked(client, step):
    """(the method of a target with its options, arguments, keywords). None: it goes as the wire has it."""
    options = {key: value for key, value in step.get("options", {}).items() if key not in ("stream", "kwargs")}
    target = target_of(client, step["target"])
    if target is None or not options.keys() <= {*objpool._call.OPTIONS, "timeout_ms"}:
        return None
    if step.get("direct"):
        options["direct"] = True
    if "timeout_ms" in options:
        options["timeout"] = options.pop("timeout_ms") / 1000
    arguments = [dialogue.to_value(value) for value in step.get("args", ())]
    if options.get("args_as", "zip") != "zip":
        arguments = [arguments]
    return target.options(**options).method(step["method"]), arguments, step.get("options", {}).get("kwargs", {})




def lease_options(step):
    """Keywords of Pool.lease."""
    names = {"slot": ("slot", 1), "timeout_ms": ("timeout", 1000), "lease_ms": ("lease_time", 1000)}
    told = {names[key]: value for key, value in step.get("options", {}).items()}
    return {name: value if unit == 1 else value / unit for (name, unit), value in told.items()}


def check(told, value):
    difference = dialogue.differs(told, dialogue.Node(dialogue.pack(value)))
    assert difference is None, difference


def check_error(told, error):
    assert isinstance(error, objpool.ObjpoolError), error
    for key, wanted in told.items():
        check(wanted, getattr(error, key))
    assert str(error)


def check_collected(told, results):
    for (error, value), got in zip(told, results):
        check_error(error, got) if error else check(value, got)
    assert len(told) == len(results)


def check_outcome(step, collects, value, error):
    if "error" in step:
        check_error(step["error"], error)
    elif error is not None:
        raise error
    elif collects:
        check_collected(step["value"], value)
    else:
        check(step["value"], value)


class Played:
    """What a dialogue has begun, and a step has named."""

    def __init__(self, steps):
        self.steps = steps
        self.begun = {}
        self.collects = set()
        self.progress = {}
        self.failed = set()  # streams of which an item has failed

    def begin(self, step, what):
        self.begun[step["as"]] = what
        if step.get("options", {}).get("errors") == "collect" and step["do"] == "call":
            self.collects.add(step["as"])

    def noting_progress(self, step, method):
        told = self.progress[step["as"]] = []
        wanted = step.get("options", {}).get("progress")
        return method.options(progress=lambda *steps: told.append(list(steps))) if wanted else method


# ---- threads ----

class Sync(Played):
    def play(self, client):
        for step in self.steps:
            if "do" in step and step["do"] not in ("connect", "close"):
                getattr(self, step["do"])(client, step)
            elif "gives" in step:
                self.check(step)

    def call(self, client, step):
        how = asked(client, step)
        if how is None:
            self.later(step, lambda: client.call("objpool.call", step["target"], step["method"], step["args"], step.get("options", {})))
            return
        method, args, kwargs = how
        self.begin(step, self.noting_progress(step, method).future(*args, **kwargs).result)

    def later(self, step, function):
        """What has no form but that which waits."""
        self.begin(step, lambda timeout: function())

    def ask(self, client, step):
        self.later(step, lambda: client.call(f"objpool.{step['method']}", *step["params"]))

    def stream(self, client, step):
        method, args, kwargs = asked(client, step)
        self.begin(step, method.stream(*([step["feed"]] if "feed" in step else args), **kwargs))

    def notify(self, client, step):
        connection = client._connected()
        connection.notify("objpool.call", step["target"], step["method"], step["args"], step.get("options", {}))

    def cancel(self, client, step):
        assert self.begun[step["call"]].__self__.cancel()

    def lease(self, client, step):
        self.later(step, lambda: self.take(step, client.pool(step["pool"]).lease(**lease_options(step))))

    def take(self, step, lease):
        self.begun[step["as"]] = lease
        return {"slot": lease.slot, "generation": lease.generation}

    def release(self, client, step):
        self.later(step, self.begun[step["lease"]].release)

    def check(self, step):
        told = self.begun[step["gives"]]
        if "item" in step or "failure" in step or "end" in step or isinstance(told, objpool.Stream):
            self.check_stream(step, told)
        elif "progress" in step:
            told.__self__.exception(DEADLINE)
            assert step["progress"] in self.progress[step["gives"]]
        else:
            value, error = outcome(told)
            if not is_cancelled(step, error):
                check_outcome(step, step["gives"] in self.collects, value, error)

    def check_stream(self, step, stream):
        value, error = outcome(lambda timeout: stream.next(timeout))
        check_next(self, step, value, error, StopIteration)


def outcome(function):
    try:
        return function(DEADLINE), None
    except BaseException as error:
        return None, error


def is_cancelled(step, error):
    """A future that was cancelled here knows no more."""
    return type(error).__name__ == "CancelledError" and step["error"]["code"] == "CANCELLED"


def check_next(played, step, value, error, end):
    if "item" in step:
        if error is not None:
            raise error
        check(step["item"], value)
    elif "failure" in step:
        played.failed.add(step["gives"])
        check_error(step["failure"], error or value)  # a value where errors are collected
    elif "error" in step and step["gives"] not in played.failed:
        check_error(step["error"], error)
    else:
        assert isinstance(error, end), error


# ---- asyncio ----

class Async(Played):
    async def play(self, client):
        for step in self.steps:
            if "do" in step and step["do"] not in ("connect", "close"):
                await getattr(self, step["do"])(client, step)
                await asyncio.sleep(0)  # a task begins
            elif "gives" in step:
                await asyncio.wait_for(self.check(step), DEADLINE)

    async def call(self, client, step):
        how = asked(client, step)
        if how is None:
            waiting = client.call("objpool.call", step["target"], step["method"], step["args"], step.get("options", {}))
        else:
            method, args, kwargs = how
            waiting = self.noting_progress(step, method)(*args, **kwargs)
        self.begin(step, asyncio.ensure_future(waiting))

    async def ask(self, client, step):
        self.begin(step, asyncio.ensure_future(client.call(f"objpool.{step['method']}", *step["params"])))

    async def stream(self, client, step):
        method, args, kwargs = asked(client, step)
        self.begin(step, method.stream(*([step["feed"]] if "feed" in step else args), **kwargs))

    async def notify(self, client, step):
        connection = await client._connected()
        connection.notify("objpool.call", step["target"], step["method"], step["args"], step.get("options", {}))

    async def cancel(self, client, step):
        assert self.begun[step["call"]].cancel()

    async def lease(self, client, step):
        lease = client.pool(step["pool"]).lease(**lease_options(step))

        async def take():
            taken = await lease
            return {"slot": taken.slot, "generation": taken.generation}
        self.begin(step, asyncio.ensure_future(take()))
        self.begun["lease", step["as"]] = lease

    async def release(self, client, step):
        self.begin(step, asyncio.ensure_future(self.begun["lease", step["lease"]].release()))

    async def check(self, step):
        told = self.begun[step["gives"]]
        if isinstance(told, objpool.aio.Stream):
            value, error = await outcome_of(told.__anext__())
            check_next(self, step, value, error, StopAsyncIteration)
        elif "progress" in step:
            await asyncio.wait([told])
            assert step["progress"] in self.progress[step["gives"]]
        else:
            value, error = await outcome_of(told)
            if not is_cancelled(step, error):
                check_outcome(step, step["gives"] in self.collects, value, error)


async def outcome_of(waiting):
    try:
        return await waiting, None
    except BaseException as error:
        return None, error


# ---- the tests ----

def play_sync(steps, address, options):
    with objpool.connect(address, **options) as client:
        Sync(steps).play(client)


def play_async(steps, address, options):
    async def play():
        async with objpool.aio.connect(address, **options) as client:
            await Async(steps).play(client)
    asyncio.run(play())


def credentials(place, steps):
    token = next(step.get("token") for step in steps if step.get("do") == "connect")
    if token is None:
        return {}
    path = pathlib.Path(place) / "token"
    path.touch(0o600)
    path.write_text(token)
    return {"token_file": path}


@pytest.mark.parametrize("play", [play_sync, play_async])
@pytest.mark.parametrize("path, kind", WAYS, ids=[f"{path.stem}-{kind}" for path, kind in WAYS])
def test_against_the_daemon(start, place, path, kind, play):
    told = dialogue.read(path)
    authority = Authority(place) if kind == "tls" else None
    daemon = start(**real_server.settings(told.get("setup", {}), authority))
    secure = {"tls_ca": authority.path} if authority else {}
    play(told["steps"], real_server.address(daemon, kind), {**credentials(place, told["steps"]), **secure})


@pytest.mark.parametrize("play", [play_sync, play_async])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_against_the_fake_server(place, path, play):
    told = dialogue.read(path)
    steps = told["steps"]
    for piece in PIECES:
        folder = place / str(piece)
        folder.mkdir()
        served = Served(folder, steps, piece, tcp=piece == 3 and dialogue.kind_of_address(told, "tcp") == "tcp")
        try:
            play(steps, served.address, credentials(folder, steps))
        except BaseException as error:
            raise AssertionError(f"{error!r}; the server: {served.end()}") from error
        assert served.end() is None
