# SPDX-License-Identifier: Apache-2.0
"""py_stateful_map: workers that each have an object of a class of the program, and map an input while it is read.

    with StateFullWorkerPool(2, Translator, {"model": "small"}, [{"device": 0}, {"device": 1}]) as pool:
        for result in pool.map(sentences, is_unordered=False):
            print(result.obj_id, result.ret_val)

The objects are built in their workers, all at once. The input is read at most chunk_size * chunk_prefill_ratio items ahead of the
results.
"""
import collections
import itertools
import types

from ._chunks import OnObject
from ._crew import APART, MAP, NAMED, STAR, Hub, Task, deadline_of
from ._errors import PoolTerminated
from ._thread_crew import ThreadCrew

__all__ = ["ArgumentPassing", "ExceptionBehavior", "StateFullWorkerPool", "StateFullWorkerPoolResultGenerator",
           "WorkerResultWrapper"]


class ArgumentPassing:
    AS_SINGLE_ARG = "single_arg"
    AS_ARGS = "args"
    AS_KWARGS = "kwargs"


class ExceptionBehavior:
    IMMEDIATE = "immediate"
    IMMEDIATE_WAIT_OTHERS = "immediate_wait_others"
    DEFERRED = "deferred"


class WorkerResultWrapper:
    """The result of item obj_id (the first is 0): ret_val, or exception_obj."""

    def __init__(self, obj_id, ret_val, exception_obj):
        self.obj_id, self.ret_val, self.exception_obj = obj_id, ret_val, exception_obj

    def __repr__(self):
        return f"WorkerResultWrapper(obj_id={self.obj_id!r}, ret_val={self.ret_val!r}, exception_obj={self.exception_obj!r})"


class StateFullWorkerPool:
    def __init__(self, num_workers, worker_class_or_func, shared_kwarg_dict=None, worker_kwarg_dict_arr=None, chunk_size=100,
                 chunk_prefill_ratio=2, use_threads=False, argument_passing=ArgumentPassing.AS_SINGLE_ARG,
                 exception_behavior=ExceptionBehavior.IMMEDIATE, join_timeout=None):
        self.num_workers = max(int(num_workers), 1)
        self.chunk_size = int(chunk_size)
        if self.chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, not {self.chunk_size}")
        self.chunk_prefill_ratio = max(int(chunk_prefill_ratio), 1)
        self.use_threads = use_threads
        self.argument_passing = argument_passing
        self.exception_behavior = exception_behavior
        self.join_timeout = join_timeout
        self.in_queue = self.out_queue = None
        self._maps = set()
        self._mode = {ArgumentPassing.AS_ARGS: STAR, ArgumentPassing.AS_KWARGS: NAMED}.get(argument_passing, MAP)
        factory, kwargs = self._check_worker(worker_class_or_func, shared_kwarg_dict, worker_kwarg_dict_arr)
        self._function = worker_class_or_func if factory is None else OnObject("__call__")
        self._crew = self._make_crew(factory, kwargs)

    def _check_worker(self, worker, shared, each):
        if isinstance(worker, type):
            assert each is None or len(each) == self.num_workers
            each = [{}] * self.num_workers if each is None else each
            return worker, [{**(shared or {}), **(own or {})} for own in each]
        if not isinstance(worker, types.FunctionType):
            raise Exception(f"Wrong worker type: {type(worker)}")
        if shared or each:
            raise Exception("The worker is a stateless function, but you passed it initialization parameters "
                            "(only possible with a class-based worker)!")
        return None, None

    def _make_crew(self, factory, kwargs):
        if self.use_threads:
            return ThreadCrew(self.num_workers, factory=factory and (lambda slot: factory(**kwargs[slot])))
        from ._process_crew import ProcessCrew
        return ProcessCrew(self.num_workers, factory=factory and (factory, ()), slot_kwargs=kwargs, name="Process")

    @property
    def workers(self):
        """The workers: processes or threads."""
        return self._crew.members()

    def map(self, input_iterable, is_unordered):
        """An iterator of results. It reads no input before the first result is asked for."""
        if self._crew is None:
            raise ValueError("the pool has ended")
        return StateFullWorkerPoolResultGenerator(self, input_iterable, is_unordered)

    def send_term_signal(self):
        """From now on no more input is read."""
        for results in tuple(self._maps):
            results._stop_reading()

    def join_workers(self):
        """Waits until all that is under way is done, or for join_timeout."""
        self.send_term_signal()
        deadline = deadline_of(self.join_timeout)
        for results in tuple(self._maps):
            results._await_all(deadline)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def __del__(self):
        self._end()

    def _end(self):
        crew, self._crew = self.__dict__.get("_crew"), None
        if crew is not None:
            crew.terminate(PoolTerminated("the pool was ended before the item was done"))
            crew.join(False)


class StateFullWorkerPoolResultGenerator:
    """An iterator of WorkerResultWrapper. len() is the input's, if the input has one."""

    def __init__(self, pool, input_iterable, is_unordered):
        self._pool = pool
        self._crew = pool._crew
        self._iterable = input_iterable
        self._length = len(input_iterable) if hasattr(input_iterable, "__len__") else None
        self._unordered = is_unordered
        self._input = None
        self._work = None
        self._hub = Hub()
        self._done = collections.deque()        # tasks that are done, and not yet looked at
        self._ready = collections.deque()       # results to give out
        self._waiting = {}                      # of an ordered map: results by obj_id that wait for their turn
        self._ids = {}                          # task -> obj_id of its first item
        self._read = 0
        self._given = 0
        self._next_read = 0                     # how many results must have been given out before more input is read
        self._in_flight = 0
        self._reading = True
        self._over = False
        self._batch = 1

    in_background = False

    def __len__(self):
        if self._length is None:
            raise TypeError("'NoneType' object cannot be interpreted as an integer")
        return self._length

    def __iter__(self):
        return self

    def __next__(self):
        if self._over:
            raise StopIteration
        if self._input is None:
            self._begin()
        try:
            self._read_ahead()
            while not self._ready:
                if not self._in_flight and not self._done:
                    self._finish()
                    raise StopIteration
                self._hub.news = None
                if not self._done:
                    self._crew.wait(self._hub)
                self._take_done()
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt):
                self._finish()
            raise
        self._given += 1
        return self._ready.popleft()

    def _begin(self):
        self._input = iter(self._iterable)
        self._work = self._crew.work(self._pool._function, self._pool._mode)
        self._pool._maps.add(self)

    # Input

    def _read_ahead(self):
        pool = self._pool
        if not self._read and self._reading:
            self._send(pool.chunk_size * pool.chunk_prefill_ratio)
            self._next_read = pool.chunk_size
        while self._reading and self._given >= self._next_read:
            self._send(pool.chunk_size)
            self._next_read += pool.chunk_size

    def _send(self, count):
        """Reads and sends this many items."""
        items = list(itertools.islice(self._input, count))
        if len(items) < count:
            self._stop_reading()
        assert self._length is None or self._read + len(items) <= self._length, "the input has more items than its length says"
        most = min(self._batch, max(1, count // (2 * self._pool.num_workers)))
        tasks = []
        for begin in range(0, len(items), most):
            task = Task(items[begin:begin + most], self, APART)
            task.size = len(task.items)
            self._ids[task] = self._read + begin
            tasks.append(task)
        self._read += len(items)
        self._in_flight += len(tasks)
        self._crew.submit(tasks, self._work)

    def _stop_reading(self):
        self._reading = False

    # Results

    def on_task(self, task):
        if not task.done:
            task.done = True
            self._done.append(task)
        self._hub.tell()

    def _take_done(self):
        while self._done:
            task = self._done.popleft()
            self._in_flight -= 1
            self._take(self._ids.pop(task), task)
        if not self._unordered:
            while self._given + len(self._ready) in self._waiting:
                self._ready.append(self._waiting.pop(self._given + len(self._ready)))

    def _take(self, first, task):
        results, failures, elapsed = task.outcome()
        if failures and len(results) < task.size:
            results, failures = [None] * task.size, dict.fromkeys(range(task.size), failures[0])
        for index, error in (failures or {}).items():
            results[index] = None
            self._on_failure(first + index, error)
        if elapsed > 0:
            self._batch = max(1, min(2 * self._batch, int(task.size * 1e6 / elapsed)))
        for index, result in enumerate(results):
            wrapped = WorkerResultWrapper(first + index, result, failures.get(index) if failures else None)
            if self._unordered:
                self._ready.append(wrapped)
            else:
                self._waiting[first + index] = wrapped

    def _on_failure(self, obj_id, error):
        behavior = self._pool.exception_behavior
        if behavior == ExceptionBehavior.IMMEDIATE_WAIT_OTHERS:
            self._stop_reading()
            self._await_all(deadline_of(self._pool.join_timeout))
        elif behavior != ExceptionBehavior.IMMEDIATE:
            return
        try:
            error.obj_id = obj_id
        except AttributeError:
            pass
        if isinstance(error, StopIteration):
            raise RuntimeError(f"item {obj_id} raised StopIteration") from error    # a StopIteration would end the caller's loop
        raise error

    def _await_all(self, deadline):
        while len(self._done) < self._in_flight:
            self._hub.news = None
            if len(self._done) < self._in_flight and not self._crew.wait(self._hub, deadline):
                return

    def _finish(self):
        self._over = True
        self._reading = False
        self._input = self._iterable = None
        self._ready.clear()
        self._pool._maps.discard(self)
