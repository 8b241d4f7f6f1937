# SPDX-License-Identifier: Apache-2.0
"""Runs other people's tests of multiprocessing against objpool.compat.multiprocess, and beside it against the original.

    python3 tests/compat_stdlib/run.py [options] [Class or Class.test, *allowed ...]

    --suite cpython         the standard library's tests (Debian: libpython3.11-testsuite); the default
    --suite FOLDER          those of multiprocess, installed by pip install --no-deps --target FOLDER multiprocess==0.70.19 dill
    --methods fork,spawn    start methods; fork,spawn,forkserver is the default
    --only compat           compat or original; both is the default
    --jobs N, --limit S     how many test classes at once (2), how many seconds for each (240)
    -v                      shows the output of tests that fail

The text of the tests is copied into a temporary folder with the name of the package replaced. Each class of tests runs in a
process of its own. Shown is what differs from the original, and how many of each outcome there are. Status 1: more differs than
EXPECTED says.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[2]
PACKAGE = "objpool.compat.multiprocess"
METHODS = ("fork", "spawn", "forkserver")

#: test, by name or with *: why it can't pass
EXPECTED = {
    "WithProcessesTestPoolWorkerErrors.test_unpickleable_result": "its result is a lambda, and code travels by value",
    "TestStartMethod.test_mixed_startmethod": "a lock of the context fork reaches a spawned process",
    "WithProcessesTestLogging.test_filename": "the log is the standard library's, and that of 3.11.2 names its own file",
    "TestPoolNotLeakOnFailure.*": "it tests how a Pool starts its Process objects: workers are none",
    "TestResourceTracker.test_resource_tracker": "locks and memory need no tracker: what it looks for by name has none",
    "TestResourceTracker.test_resource_tracker_sigkill": "locks are not told to the tracker, and so it does not warn of them",
    "*.test_shared_memory_cleaned_after_process_termination": "memory is gone as it should, but there is no tracker that warns",
}


class Suite:
    """The tests of one origin, written for one package."""

    def __init__(self, origin, package, folder):
        self.package, self.folder = package, folder
        self.path = [str(folder), str(ROOT / "client" / "python")]
        if origin == "cpython":
            import test
            tests, inside, module = pathlib.Path(test.__file__).parent, folder, "_test_multiprocessing"
            main = inside / f"{module}.py"
            self._rename = [(r"\btest\.mp_preload\b", "mp_preload"), (r"\bmultiprocessing\b(?! pool)", package)]
        else:
            self.path.append(origin)
            tests, inside, module = pathlib.Path(origin) / "multiprocess" / "tests", folder / "mp_tests", "mp_tests"
            main = inside / "__init__.py"
            self._rename = [(r"\bmultiprocess\.tests\b", module), (r"\bmultiprocess\b", package)]
        if package == PACKAGE:      # a child under -E has no PYTHONPATH; there are private modules, and none for Windows
            self._rename += [("'-E', ", ""), (r"modules\.remove\('.*\.popen_spawn_win32'\)",
                                              "modules = [name for name in modules if '._' not in name]")]
        inside.mkdir(parents=True)
        for file in (main, inside / "mp_fork_bomb.py", inside / "mp_preload.py",
                     folder / "test_multiprocessing_main_handling.py"):
            file.write_text(self._renamed((tests / file.name).read_text()))
        (folder / "test_main_handling.py").write_text("from test_multiprocessing_main_handling import *\n")
        for method in METHODS:
            (folder / f"test_{method}.py").write_text(
                f"import {module}\n{module}.install_tests_in_module_dict(globals(), {method!r})\n")

    def _renamed(self, text):
        for pattern, name in self._rename:
            text = re.sub(pattern, name, text)
        return text

    def run(self, module, only, limit):
        """The outcomes of the tests of a class, or, without `only`, the names of all tests of the module."""
        command = [sys.executable, str(HERE.with_name("one.py")), module, *only]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(self.path)}
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)      # also what the tests have left behind
            except ProcessLookupError:
                pass
            process.wait()
            output.seek(0)
            return output.read()


def outcomes_in(text, wanted):
    """{test: (outcome, text)}"""
    found = {name: tuple(rest) for name, *rest in map(json.loads, re.findall(r"^@@(\[.*\])$", text, re.M))}
    for name in wanted:
        found.setdefault(name, ("HANGS" if found.get(None) is None else "LOST", text[-3000:]))
    found.pop(None, None)
    return found


def run(suite, methods, patterns, jobs, limit):
    """{method: {test: (outcome, text)}}"""
    outcomes = collections.defaultdict(dict)
    with concurrent.futures.ThreadPoolExecutor(jobs) as threads:
        running = []
        for module in (*methods, "main_handling"):
            listed = suite.run(f"test_{module}", (), limit)
            names = re.findall(r"^@@\[\"(.*)\"\]$", listed, re.M)
            if not names:
                sys.exit(f"{suite.package}: test_{module} has no tests:\n{listed}")
            classes = collections.defaultdict(list)
            for name in names:
                if not patterns or any(fnmatch.fnmatchcase(part, pattern) for pattern in patterns
                                       for part in (name, name.partition(".")[0])):
                    classes[name.partition(".")[0]].append(name)
            running += [(module, threads.submit(run_class, suite, module, wanted, limit)) for wanted in classes.values()]
        for module, future in running:
            outcomes[module].update(future.result())
    return outcomes


def run_class(suite, module, wanted, limit):
    """The outcomes of the tests of a class. Tells how it went."""
    begun = time.monotonic()
    outcomes = outcomes_in(suite.run(f"test_{module}", wanted, limit), wanted)
    failed = [name for name, (outcome, _) in outcomes.items() if kind_of(outcome) == "fail"]
    name = f"{suite.package} {module} {wanted[0].partition('.')[0]}"
    print(f"{name}: {len(outcomes)} tests, {time.monotonic() - begun:.1f} s", *failed, file=sys.stderr, flush=True)
    return outcomes


def kind_of(outcome):
    return outcome if outcome in ("ok", "skipped") else "fail"


def report(method, mine, theirs, verbose):
    """Prints what differs. Returns how many tests differ without a known reason."""
    unexplained = 0
    for name in sorted(mine):
        outcome, text = mine[name]
        original = theirs.get(name, ("?", ""))[0]
        if outcome == "ok" or outcome == original == "skipped" or (not theirs and outcome == "skipped"):
            continue
        if theirs and kind_of(outcome) == kind_of(original):
            print(f"{method:14}{name}: {outcome}, as the original does")
            continue
        why = next((why for pattern, why in EXPECTED.items() if fnmatch.fnmatchcase(name, pattern)), None)
        unexplained += why is None
        print(f"{method:14}{name}: {outcome}; the original: {original}{f' ({why})' if why else ''}")
        if verbose:
            print(text)
    for title, outcomes in (("compat", mine), ("original", theirs)):
        if outcomes:
            counts = sorted(collections.Counter(outcome for outcome, _ in outcomes.values()).items())
            print(f"{method:14}{title:10}{len(outcomes):5} tests: " + ", ".join(f"{n} {what}" for what, n in counts))
    return unexplained


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--suite", default="cpython")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--only", choices=("compat", "original"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=240)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("patterns", nargs="*")
    said = parser.parse_args()
    original = "multiprocessing" if said.suite == "cpython" else "multiprocess"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="compat-stdlib-"))
    try:
        results = {}
        for title, package in (("compat", PACKAGE), ("original", original)):
            if said.only in (None, title):
                suite = Suite(said.suite, package, folder / title)
                results[title] = run(suite, said.methods.split(","), said.patterns, said.jobs, said.limit)
        mine = results.get("compat") or results["original"]
        theirs = results.get("original", {}) if "compat" in results else {}
        return 1 if sum(report(method, mine[method], theirs.get(method, {}), said.v) for method in mine) else 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
