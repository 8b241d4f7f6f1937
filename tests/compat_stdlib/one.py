# SPDX-License-Identifier: Apache-2.0
"""Runs tests of a module, and prints a line @@["Class.test", outcome, text] for each. Without tests: the names of all."""
import faulthandler
import functools
import importlib
import json
import os
import signal
import sys
import unittest

from test.support import script_helper


def tell(*values):
    sys.__stdout__.flush()
    os.write(1, f"\n@@{json.dumps(values)}\n".encode())


def name_of(test):
    return f"{type(test).__qualname__}.{test._testMethodName}"


class Result(unittest.TestResult):
    def addSuccess(self, test):
        tell(name_of(test), "ok", "")

    def addSkip(self, test, reason):
        if isinstance(test, unittest.TestCase):
            tell(name_of(test), "skipped", reason)
        else:
            self.of_all("skipped", reason)

    def addFailure(self, test, err):
        text = self._exc_info_to_string(err, test) if err[0] else ""
        if isinstance(test, unittest.TestCase):
            tell(name_of(test), "FAIL", text)
        else:       # setUpClass, tearDownModule, ...
            tell(str(test), "FAIL", text)

    addError = addFailure

    def addExpectedFailure(self, test, err):
        tell(name_of(test), "ok", "")

    def addUnexpectedSuccess(self, test):
        tell(name_of(test), "FAIL", "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addFailure(test, err)

    def of_all(self, outcome, text):
        for name in wanted:
            tell(name, outcome, text)


def all_tests(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from all_tests(item)
        else:
            yield item


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)    # a shell has jobs in the background ignore it
    sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(os.path.abspath(__file__))]
    for name in ("assert_python_ok", "assert_python_failure"):      # they would run without PYTHONPATH
        setattr(script_helper, name, functools.partial(getattr(script_helper, name), PYTHONPATH=os.environ["PYTHONPATH"]))
    module, *wanted = sys.argv[1:]
    loader = unittest.TestLoader()
    if wanted:
        faulthandler.dump_traceback_later(200, repeat=False)
        loader.loadTestsFromNames(wanted, importlib.import_module(module)).run(Result())
        tell(None, "end", "")
    else:
        for test in all_tests(loader.loadTestsFromName(module)):
            tell(name_of(test))
