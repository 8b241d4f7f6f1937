# SPDX-License-Identifier: Apache-2.0
"""Names of the compatible modules, and what they stand for."""
import importlib
import multiprocessing
import multiprocessing.context
import pickle
import sys

import pytest

import compat_names
from harness import ROOT
from objpool.compat import multiprocess, objectproxypool, parallelize


def test_all_names_of_the_standard_library():
    found = compat_names.modules_of("multiprocessing")
    assert [name for original, module in found
            for name in compat_names.missing_from(original, module, importlib.import_module(compat_names.ours(original)))] == []


@pytest.mark.skipif(sys.version_info[:3] != (3, 11, 2), reason="the table is of CPython 3.11.2")
def test_the_table_of_names_is_true():
    table = "\n".join(compat_names.table_of("multiprocessing"))
    assert table in (ROOT / "docs" / "COMPAT.md").read_text()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver", None])
def test_contexts(method):
    context = multiprocess.get_context(method)
    assert context is multiprocess.get_context(method) is context.get_context() is context.get_context(method)
    assert isinstance(context, multiprocessing.context.BaseContext)
    assert isinstance(context, type(multiprocessing.get_context(method)))
    assert context.get_start_method() == (method or multiprocessing.get_start_method())
    assert type(pickle.loads(pickle.dumps(context))) is type(context)
    assert issubclass(context.TimeoutError, multiprocess.ProcessError)
    with context.Lock():
        pass


def test_there_is_no_context_of_another_name():
    with pytest.raises(ValueError, match="cannot find context for 'thread'"):
        multiprocess.get_context("thread")


def test_a_pool_knows_its_context():
    context = multiprocess.get_context("fork")
    with context.Pool(1) as pool:
        assert pool._ctx is context and pool.apply(abs, (-1,)) == 1


def test_the_module_parallelize():
    from objpool.compat.parallelize import parallelize as module
    from objpool.compat.parallelize.parallelize import make_divisions, parallel
    import objpool.compat.parallelize.parallelize as imported
    assert module is imported and parallelize.parallelize is module
    assert parallelize.parallel is parallel and make_divisions([1, 2, 3], 2) == [0, 1, 3]


def test_lengths_of_iterables():
    assert objectproxypool.iterlen(range(3)) == 3 == objectproxypool.pool.iterlen({1, 2, 3})
    for iterator in (iter([1]), zip([1]), (i for i in "ab")):
        with pytest.raises(TypeError, match="without consuming it"):
            objectproxypool.iterlen(iterator)


def test_chunks():
    assert list(objectproxypool.pool.get_chunksizes(10, 3)) == [3, 3, 2, 2]
    assert list(objectproxypool.pool.get_chunksizes(0, 2)) == [0]
    assert objectproxypool.pool.get_static_chunks(range(5), [2, 3]) == [[0, 1], [2, 3, 4]]


def test_modules_of_objectproxypool():
    from objpool.compat.objectproxypool.pool import ProxyPool
    from objpool.compat.objectproxypool.shared_array import SharedArrayWrapper, Unpacker, unpack
    assert (ProxyPool, SharedArrayWrapper, Unpacker, unpack) == (
        objectproxypool.ProxyPool, objectproxypool.SharedArrayWrapper, objectproxypool.Unpacker, objectproxypool.unpack)
