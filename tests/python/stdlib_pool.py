# SPDX-License-Identifier: Apache-2.0
"""Runs the standard library's own tests of pools (Debian: libpython3.11-testsuite) against objpool.compat.multiprocess.

    python3 tests/python/stdlib_pool.py [-v]        a line for each test: ok, FAIL or skipped; status 1 when one that should pass does not

EXPECTED says which can't pass, and why; docs/COMPAT.md has the same table.
"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "client" / "python"))

EXPECTED = {
    "ProcessPoolWorkerErrors.test_unpickleable_result": "the result is a lambda, and code travels by value here, as with multiprocess",
}


def suites():
    """(name, class) of the tests, bound to our pools."""
    import test._test_multiprocessing as tests

    from objpool.compat import multiprocess
    from objpool.compat.multiprocess import dummy

    tests.multiprocessing = multiprocess
    tests.ProcessesMixin.Pool = staticmethod(multiprocess.Pool)
    tests.ThreadsMixin.Pool = staticmethod(dummy.Pool)
    bases = [("Process", tests.ProcessesMixin), ("Thread", tests.ThreadsMixin)]
    for name in ("Pool", "PoolWorkerErrors", "PoolWorkerLifetime"):
        base = getattr(tests, "_Test" + name)
        for prefix, mixin in bases:
            if mixin.TYPE in base.ALLOWED_TYPES:
                made = type(prefix + name, (base, mixin, unittest.TestCase), {"__module__": __name__})
                yield made
    yield type("Initializers", (tests.TestInitializers,), {"__module__": __name__})


if __name__ != "__main__":      # workers find the classes by name
    CLASSES = list(suites())
    globals().update((made.__name__, made) for made in CLASSES)


def run():
    """{test: (outcome, text)}"""
    outcomes = {}

    class Result(unittest.TestResult):
        def note(self, test, outcome, text=""):
            outcomes[f"{type(test).__name__}.{test._testMethodName}"] = (outcome, text)

        def addSuccess(self, test):
            self.note(test, "ok")

        def addFailure(self, test, err):
            self.note(test, "FAIL", self._exc_info_to_string(err, test))

        def addError(self, test, err):
            if isinstance(test, unittest.TestCase):
                self.note(test, "FAIL", self._exc_info_to_string(err, test))
            else:
                outcomes[str(test)] = ("FAIL", self._exc_info_to_string(err, test))

        def addSkip(self, test, reason):
            self.note(test, "skipped", reason)

    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(made) for made in CLASSES)
    suite.run(Result())
    return outcomes


def main(verbose):
    failed = 0
    for name, (outcome, text) in sorted(run().items()):
        known = EXPECTED.get(name)
        unexpected = (outcome == "FAIL") != (known is not None)
        failed += unexpected
        print(f"{outcome:8}{name}{'  (' + known + ')' if known else ''}{'  UNEXPECTED' if unexpected else ''}")
        if text and (unexpected or verbose):
            print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    import stdlib_pool
    sys.exit(stdlib_pool.main("-v" in sys.argv))
