# SPDX-License-Identifier: Apache-2.0
"""Pool and ThreadPool, as multiprocessing.pool has them."""
import operator
import os
import warnings
import weakref

from .._crew import CALL, MAP, STAR, Hub, Task, deadline_of
from .._errors import PoolTerminated, WorkerLost  # noqa: F401
from .._imap import IMapIterator, IMapUnorderedIterator
from .._results import ApplyResult, AsyncResult, DoneResult, MapResult  # noqa: F401
from .._thread_crew import ThreadCrew

__all__ = ["Pool", "ThreadPool"]

LOOK_AGAIN = 0.1        # seconds
INIT, RUN, CLOSE, TERMINATE = "INIT", "RUN", "CLOSE", "TERMINATE"


def __getattr__(name):
    """Takes names that are not here from the standard library."""
    if not name.startswith("_"):
        import multiprocessing.pool
        try:
            return getattr(multiprocessing.pool, name)
        except AttributeError:
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Pool:
    """Workers of a private objpool daemon, with the methods of multiprocessing.Pool.

    hosts: instead of these, the instances of a pool of functions that other machines share: "*" for all, the name of one, or a
    list of names. `pool` is its name, `address` where the daemon of this machine is (by default as objpool.connect finds it).
    idempotent=True: what a machine had when it was lost is run again on another. docs/CLUSTER.md says how to set that up.
    """

    _state = INIT
    _factory = None

    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, context=None, *,
                 hosts=None, pool="functions", address=None, idempotent=False):
        self._ctx = context
        crew = None
        if hosts is not None:
            if initializer is not None or maxtasksperchild is not None:
                raise ValueError(f"with hosts, initializer and maxtasksperchild are keys of [pool {pool}] there: args and max_calls")
            from .._hosts_crew import HostsCrew
            crew = HostsCrew(hosts, pool, address, idempotent)
            processes = processes or crew.size
        if processes is None:
            processes = os.cpu_count() or 1
        if processes < 1:
            raise ValueError("Number of processes must be at least 1")
        processes = int(operator.index(processes))
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes = processes
        maxtasksperchild = maxtasksperchild and int(maxtasksperchild)
        self._maxtasksperchild = maxtasksperchild
        self._may_batch = maxtasksperchild is None      # an item of imap is a task, and tasks are counted
        self._pid = os.getpid()
        self._jobs = set()
        self._idle = Hub()
        self._crew = crew or self._make_crew(processes, initializer, initargs, maxtasksperchild)
        self._finalizer = weakref.finalize(self, _terminate, self._crew, self._jobs)
        self._finalizer.atexit = False      # the daemon ends with the program
        self._state = RUN

    @classmethod
    def of(cls, processes, make):
        """A pool whose workers each have the object that make() returns there, for OnObject. make must not raise."""
        pool = cls.__new__(cls)
        pool._factory = (make, ())
        cls.__init__(pool, processes)
        return pool

    def _make_crew(self, processes, initializer, initargs, maxtasksperchild):
        from .._process_crew import ProcessCrew
        method = self._ctx and self._ctx.get_start_method()
        return ProcessCrew(processes, initializer, initargs, self._factory, max_tasks=maxtasksperchild, name="ForkPoolWorker",
                           method=method, may_fail=self._factory is None)

    def __del__(self):
        if self._state == RUN:
            warnings.warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    def __repr__(self):
        cls = type(self)
        return f"<{cls.__module__}.{cls.__qualname__} state={self._state} pool_size={self._processes}>"

    def __reduce__(self):
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __enter__(self):
        self._check_running()
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.terminate()

    # Calls

    def apply(self, func, args=(), kwds={}):
        """func(*args, **kwds), in a worker."""
        self._check_running()
        job = object()
        self._jobs.add(job)
        try:
            return self._crew.call(func, args, kwds)
        finally:
            self._jobs.discard(job)
            self._on_job_done()

    def apply_async(self, func, args=(), kwds={}, callback=None, error_callback=None):
        self._check_running()
        job = ApplyResult(self, callback, error_callback)
        self._submit([Task([(args, kwds)], job)], func, CALL)
        return job

    def map(self, func, iterable, chunksize=None):
        """[func(item) for item in iterable], in chunks that go to workers."""
        return self._map_async(func, iterable, MAP, chunksize).get()

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        return self._map_async(func, iterable, MAP, chunksize, callback, error_callback)

    def starmap(self, func, iterable, chunksize=None):
        """[func(*item) for item in iterable]"""
        return self._map_async(func, iterable, STAR, chunksize).get()

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        return self._map_async(func, iterable, STAR, chunksize, callback, error_callback)

    def imap(self, func, iterable, chunksize=1):
        """The results one by one, in order; the input is read as they are taken."""
        return self._imap(IMapIterator, func, iterable, chunksize)

    def imap_unordered(self, func, iterable, chunksize=1):
        """The results one by one, as they come."""
        return self._imap(IMapUnorderedIterator, func, iterable, chunksize)

    def apply_to_each(self, func, items):
        """An AsyncResult for each item: func(item), item i on worker i."""
        self._check_running()
        jobs = [ApplyResult(self) for _ in items]
        self._crew.submit_to_all([Task([item], job) for item, job in zip(items, jobs)], self._crew.work(func, MAP))
        return jobs

    def _map_async(self, func, iterable, mode, chunksize=None, callback=None, error_callback=None):
        self._check_running()
        if not hasattr(iterable, "__len__"):
            iterable = list(iterable)
        elif type(iterable) not in (list, tuple, range):
            try:
                iterable = list(iterable)
            except Exception as error:
                return self._failed(error, error_callback)
        if chunksize is None:
            chunksize = -(-len(iterable) // (self._processes * 4))
        elif chunksize < 1 and len(iterable):
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        if not iterable:
            return DoneResult(True, [])
        tasks = [Task(iterable[i:i + chunksize], None) for i in range(0, len(iterable), chunksize)]
        job = MapResult(self, tasks, callback, error_callback)
        for task in tasks:
            task.job = job
        self._submit(tasks, func, mode)
        return job

    def _failed(self, error, error_callback):
        if error_callback is not None:
            error_callback(error)
        return DoneResult(False, error)

    def _imap(self, kind, func, iterable, chunksize):
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        results = kind(self, self._crew.work(func, MAP), iterable, chunksize)
        return results if chunksize == 1 else _flat(results)

    def _submit(self, tasks, func, mode):
        self._crew.submit(tasks, self._crew.work(func, mode))

    def _check_running(self):
        if self._state != RUN:
            raise ValueError("Pool not running")
        if self._pid != os.getpid():
            raise ValueError("Pool not running: it belongs to the process that this one was forked from")

    # The end

    def close(self):
        """From now on the pool takes no calls. Calls that are under way are done."""
        if self._state == RUN:
            self._state = CLOSE

    def terminate(self):
        """Ends what is under way: its callers get PoolTerminated."""
        self._state = TERMINATE
        if self._pid == os.getpid():
            self._finalizer()
            self._idle.tell()

    def join(self):
        """Waits until the workers have ended. Only after close or terminate."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        if self._state not in (CLOSE, TERMINATE):
            raise ValueError("In unknown state")
        for job in tuple(self._jobs):
            if isinstance(job, IMapIterator):
                job.read_all()
        while self._jobs and self._state == CLOSE:
            self._idle.news = None
            if self._jobs and self._state == CLOSE:
                # This may be reading answers for another thread when that thread ends the last job: so it looks again.
                self._crew.wait(self._idle, deadline_of(LOOK_AGAIN))
        if self._state == CLOSE:
            self._crew.close()
        self._crew.join(self._state == CLOSE)
        self._finalizer.detach()

    def _on_job_done(self):
        if not self._jobs:
            self._idle.tell()

    # Attributes that programs use although they are not documented

    @property
    def _pool(self):
        return self._crew.members()

    def _repopulate_pool(self):
        """Does nothing: the daemon replaces workers when they end."""

    @staticmethod
    def Process(ctx, *args, **kwds):
        return ctx.Process(*args, **kwds)


class ThreadPool(Pool):
    """A Pool of threads of this program."""

    def __init__(self, processes=None, initializer=None, initargs=()):
        super().__init__(processes, initializer, initargs)

    def apply(self, func, args=(), kwds={}):
        """func(*args, **kwds), in a thread."""
        return self.apply_async(func, args, kwds).get()

    @staticmethod
    def _make_crew(processes, initializer, initargs, maxtasksperchild):
        return ThreadCrew(processes, initializer, initargs)

    @staticmethod
    def Process(ctx, *args, **kwds):
        from multiprocessing.dummy import Process
        return Process(*args, **kwds)


def _flat(chunks):
    for result in chunks:
        yield result
    if chunks.stopped_by is not None:
        raise RuntimeError("the function raised StopIteration") from chunks.stopped_by


def _terminate(crew, jobs):
    error = PoolTerminated("the pool was terminated before the call was done")
    for job in tuple(jobs):
        if isinstance(job, IMapIterator):
            job.stop(error)
    crew.terminate(error)
