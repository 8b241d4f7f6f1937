# SPDX-License-Identifier: Apache-2.0
"""Who takes part in `make bench-python`: each a class with the same methods, of those that it can do.

    open(workers), close()          its pool. Each player (player.py) has one contestant
    map(xs) -> list                 work.increment of each, with its default chunks
    imap(xs, name) -> iterator      work.increment or work.kilobyte of each, chunks of one, in order
    call(x)                         work.increment(x), alone
    broadcast(array) -> list        work.touch(array), by each worker
    begin()                         something small by each worker: the pool has started

What is imported is imported by open(): a package that isn't installed is known by that.
"""
import logging
import os

import work


class Contestant:
    python = "peers"        # which Python runs it: that of the packages from PyPI, or "system"
    noisy = False           # has processes that work while it does nothing: measured apart
    one_use = False         # its pool does one map and no more: made anew before each, at no cost
    drop_in = None          # what a program for it runs on here


class Multiprocessing(Contestant):
    """multiprocessing.Pool, and whatever has its interface."""
    title = "multiprocessing.Pool"
    python = "system"
    drop_in = "compat-multiprocess"

    def pool_class(self):
        import multiprocessing
        return multiprocessing.Pool

    def open(self, workers):
        self.workers = workers
        self.pool = self.pool_class()(workers)

    def close(self):
        self.pool.close()
        self.pool.join()

    def map(self, xs):
        return self.pool.map(work.increment, xs)

    def imap(self, xs, name):
        return self.pool.imap(getattr(work, name), xs)

    def call(self, x):
        return self.pool.apply(work.increment, (x,))

    def broadcast(self, array):
        return self.pool.map(work.touch, [array] * self.workers, 1)

    def begin(self):
        self.pool.map(work.begin, range(4 * self.workers), 1)


class Multiprocess(Multiprocessing):
    title = "multiprocess.Pool (dill)"
    python = "peers"

    def pool_class(self):
        import multiprocess
        return multiprocess.Pool


class CompatMultiprocess(Multiprocessing):
    title = "objpool.compat.multiprocess.Pool"
    drop_in = None

    def pool_class(self):
        from objpool.compat import multiprocess
        return multiprocess.Pool


class Native(Contestant):
    title = "objpool"
    python = "system"

    def open(self, workers):
        import objpool
        self.workers = workers
        self.pool = objpool.create_pool(work.Work, workers=workers)

    def close(self):
        self.pool.close()

    def map(self, xs):
        return self.pool.map.increment(xs)

    def imap(self, xs, name):
        return self.pool.map.method(name).stream(xs)

    def call(self, x):
        return self.pool.increment(x)

    def broadcast(self, array):
        return self.pool.all.touch(array)

    def begin(self):
        self.pool.all.begin()


class NativeDirect(Contestant):
    """Single calls, straight to a worker."""
    title = "objpool, direct"
    python = "system"

    def open(self, workers):
        import objpool
        self.pool = objpool.create_pool(work.Work, workers=workers)
        self.direct = self.pool.options(direct=True)

    def close(self):
        self.pool.close()

    def call(self, x):
        return self.direct.increment(x)


class ObjectProxyPool(Contestant):
    title = "objectproxypool"
    drop_in = "compat-objectproxypool"
    processes = True

    def pool_class(self):
        from objectproxypool import ProxyPool
        return ProxyPool

    def open(self, workers):
        self.workers = workers
        cls = self.pool_class()
        self.pool = cls(work.Work, workers, separate_processes=self.processes, dedicated=False)
        self.one = cls(work.Work, 1, separate_processes=self.processes) if workers != 4 else None
        self.each = cls(work.Work, workers, separate_processes=self.processes, dedicated=True) if workers == 4 else None

    def close(self):
        for pool in self.pool, self.one, self.each:
            if pool is not None:
                pool.close()

    def map(self, xs):
        return self.pool.increment(xs, map_args=True)

    def call(self, x):
        return self.one.increment(x)[0]

    def broadcast(self, array):
        return list(self.each.touch(array))

    def begin(self):
        self.pool.begin()


class CompatObjectProxyPool(ObjectProxyPool):
    title = "objpool.compat.objectproxypool"
    python = "system"
    drop_in = None

    def pool_class(self):
        from objpool.compat.objectproxypool import ProxyPool
        return ProxyPool


class ObjectProxyPoolThreads(ObjectProxyPool):
    title = "objectproxypool, threads"
    drop_in = "compat-objectproxypool-threads"
    processes = False


class CompatObjectProxyPoolThreads(CompatObjectProxyPool):
    title = "objpool.compat.objectproxypool, threads"
    processes = False


class PyStatefulMap(Contestant):
    """Its pool does one map, so there is a new one for each measurement, whose start isn't counted."""
    title = "py_stateful_map"
    drop_in = "compat-py_stateful_map"
    one_use = True
    classes = {"increment": work.Incrementer, "kilobyte": work.Kilobyte, "touch": work.Toucher, "begin": work.Beginner}

    def pool_class(self):
        logging.disable(logging.WARNING)
        from py_stateful_map import StateFullWorkerPool
        return StateFullWorkerPool

    def open(self, workers, name="increment"):
        self.workers = workers
        self.pool = self.pool_class()(workers, self.classes[name], chunk_size=workers if name == "touch" else 100)

    def close(self):
        self.pool.__exit__(None, None, None)

    def map(self, xs):
        return [result.ret_val for result in self.pool.map(xs, is_unordered=False)]

    def imap(self, xs, name):
        return self.pool.map(xs, is_unordered=False)

    def broadcast(self, array):
        return self.map([array] * self.workers)

    def begin(self):
        self.map(range(4 * self.workers))


class CompatPyStatefulMap(PyStatefulMap):
    title = "objpool.compat.py_stateful_map"
    python = "system"
    drop_in = None

    def pool_class(self):
        from objpool.compat.py_stateful_map import StateFullWorkerPool
        return StateFullWorkerPool


class Parallelize(Contestant):
    """Its processes are new for each call: that is what it does."""
    title = "parallelize"
    drop_in = "compat-parallelize"

    def open(self, workers):
        from parallelize import parallelize
        self.parallel, self.workers = parallelize.parallel, workers

    def close(self):
        pass

    def map(self, xs):
        return self.parallel(work.increments, xs, n_jobs=self.workers)

    def broadcast(self, array):
        return self.parallel(work.touch_in_parallel, list(range(self.workers + 1)), n_jobs=self.workers, args=(array,))

    def begin(self):
        self.map(list(range(4 * self.workers)))


class CompatParallelize(Parallelize):
    title = "objpool.compat.parallelize"
    python = "system"
    drop_in = None

    def open(self, workers):
        from objpool.compat.parallelize import parallelize
        self.parallel, self.workers = parallelize.parallel, workers


class Joblib(Contestant):
    title = "joblib (loky)"
    drop_in = "compat-multiprocess"

    def open(self, workers):
        import joblib
        self.joblib, self.workers = joblib, workers
        self.increment = joblib.delayed(work.increment)

    def close(self):
        self.executor().shutdown()

    def executor(self):
        from joblib.externals.loky import get_reusable_executor
        return get_reusable_executor(max_workers=self.workers)

    def map(self, xs):
        return self.joblib.Parallel(self.workers)(self.increment(x) for x in xs)

    def imap(self, xs, name):
        function = self.joblib.delayed(getattr(work, name))
        return self.joblib.Parallel(self.workers, batch_size=1, return_as="generator")(function(x) for x in xs)

    def call(self, x):
        return self.executor().submit(work.increment, x).result()

    def broadcast(self, array):
        touch = self.joblib.delayed(work.touch)
        return self.joblib.Parallel(self.workers, batch_size=1)(touch(array) for _ in range(self.workers))

    def begin(self):
        begin = self.joblib.delayed(work.begin)
        self.joblib.Parallel(self.workers, batch_size=1)(begin(x) for x in range(4 * self.workers))


class Mpire(Contestant):
    title = "mpire"
    drop_in = "compat-multiprocess"

    def open(self, workers):
        import mpire
        self.workers = workers
        self.pool = mpire.WorkerPool(workers, keep_alive=True)

    def close(self):
        self.pool.stop_and_join()

    def map(self, xs):
        return self.pool.map(work.increment, xs)

    def imap(self, xs, name):
        return self.pool.imap(getattr(work, name), xs, chunk_size=1)

    def call(self, x):
        return self.pool.apply(work.increment, (x,))

    def broadcast(self, array):
        return self.pool.map(work.touch, [(array,)] * self.workers, chunk_size=1)

    def begin(self):
        self.pool.map(work.begin, range(4 * self.workers), chunk_size=1)


class Ray(Contestant):
    """Actors for calls and the broadcast; for maps ray.util.multiprocessing.Pool, which is made of actors."""
    title = "Ray actors"
    drop_in = "compat-multiprocess"
    noisy = True

    def open(self, workers):
        import ray
        from ray.util.multiprocessing import Pool
        self.ray, self.workers = ray, workers
        if not ray.is_initialized():
            ray.init(num_cpus=2 * workers, include_dashboard=False, configure_logging=False, log_to_driver=False,
                     object_store_memory=1 << 30, _temp_dir=os.path.join(os.environ["OBJPOOL_BENCH"], "ray"))
        self.pool = Pool(workers)
        actor = ray.remote(work.Work)
        self.actors = [actor.remote() for _ in range(workers)]
        ray.get([actor.begin.remote() for actor in self.actors])

    def close(self):
        self.pool.terminate()
        self.ray.shutdown()

    def map(self, xs):
        return self.pool.map(work.increment, xs)

    def imap(self, xs, name):
        return self.pool.imap(getattr(work, name), xs)

    def call(self, x):
        return self.ray.get(self.actors[0].increment.remote(x))

    def broadcast(self, array):
        array = self.ray.put(array)
        return self.ray.get([actor.touch.remote(array) for actor in self.actors])

    def begin(self):
        self.ray.get([actor.begin.remote() for actor in self.actors])


class Threads(Contestant):
    title = "ThreadPoolExecutor"
    python = "system"
    drop_in = "compat-multiprocess"

    def open(self, workers):
        from concurrent.futures import ThreadPoolExecutor
        self.workers = workers
        self.pool = ThreadPoolExecutor(workers)

    def close(self):
        self.pool.shutdown()

    def call(self, x):
        return self.pool.submit(work.increment, x).result()

    def begin(self):
        list(self.pool.map(work.begin, range(4 * self.workers)))


CONTESTANTS = {
    "native": Native,
    "native-direct": NativeDirect,
    "compat-multiprocess": CompatMultiprocess,
    "multiprocessing": Multiprocessing,
    "multiprocess": Multiprocess,
    "compat-objectproxypool": CompatObjectProxyPool,
    "objectproxypool": ObjectProxyPool,
    "compat-objectproxypool-threads": CompatObjectProxyPoolThreads,
    "objectproxypool-threads": ObjectProxyPoolThreads,
    "compat-py_stateful_map": CompatPyStatefulMap,
    "py_stateful_map": PyStatefulMap,
    "compat-parallelize": CompatParallelize,
    "parallelize": Parallelize,
    "joblib": Joblib,
    "mpire": Mpire,
    "threads": Threads,
    "ray": Ray,
}
