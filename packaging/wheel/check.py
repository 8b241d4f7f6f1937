# SPDX-License-Identifier: Apache-2.0
"""Installs the package objpoold as a user would, with each Python of this machine, and tries it: check.py [--short] FOLDER [VERSION...]

FOLDER has the wheel and the source archive. Each Python has a new virtual environment outside the checkout, for which pip gets
what the tests import. Programs run there see nothing of the checkout. The source archive is built with /usr/bin/python3.

--short: only the first example and the commands, of the wheel alone, with /usr/bin/python3.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/scripts")

import pythons  # noqa: E402

THEN = ("numpy", "cloudpickle", "cryptography", "dill", "tqdm", "pytest", "pytest-xdist", "ipykernel")
SUITES = ("compat_*", "fork", "spawn")
CONFIG = """[daemon]
listen = unix:{place}/s
[pool dice]
plugin = sampler
class = Sampler
[pool words]
plugin = spell
class = Dictionary
[pool jobs]
plugin = queue
class = Queue
"""


class Installed:
    """A virtual environment, in a folder of its own."""

    def __init__(self, python, place):
        self.place, self.bin = place, f"{place}/venv/bin"
        # Nothing of the checkout, and of the person who runs this.
        self.environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": place, "LANG": "C.UTF-8",
                            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "OPENBLAS_"))}}
        self.run(python, "-m", "venv", f"{place}/venv")

    def run(self, *command, **more):
        """What it prints. It must succeed."""
        done = subprocess.run(command, cwd=self.place, env={**self.environment, **more}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def pip(self, *arguments):
        """pip install"""
        return self.run(f"{self.bin}/pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def first_example():
    """The README's first program in Python."""
    with open(f"{ROOT}/README.md", encoding="utf-8") as file:
        return re.search(r"^```python\n(.*?)^```", file.read(), re.M | re.S).group(1)


def try_example(installed):
    told = installed.run(f"{installed.bin}/python", "-c", first_example())
    assert told == "[0, 3, 6, 9, 12, 15, 18, 21, 24, 27]\n", told


def try_commands(installed):
    """A daemon for many programs, in this environment alone."""
    path = f"{installed.place}/objpoold.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(place=installed.place))
    objpool = f"{installed.bin}/objpool"
    with subprocess.Popen([f"{installed.bin}/objpoold", "--until-eof", "--config", path], cwd=installed.place,
                          env=installed.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        for line in daemon.stderr:
            if " ready: 3 pools, 3 of 3" in line:
                break
        address = f"unix:{installed.place}/s"
        assert installed.run(objpool, "-s", address, "call", "words.check", '"hello"') == "true\n"
        installed.run(objpool, "-s", address, "call", "jobs.put", "1")
        told = installed.run(f"{installed.bin}/python", "-m", "objpool", address)
        assert "Dictionary" in told and "/venv/" in told, told
        daemon.stdin.close()
        for _ in daemon.stderr:
            pass
    assert daemon.returncode == 0


NOTEBOOK = '''
from jupyter_client.manager import start_new_kernel

CELLS = """import objpool, time
class Model:
    def __init__(self, scale): self.scale = scale
    def predict(self, x): return self.scale * x
    def slow(self): time.sleep(600)
pool = objpool.create_pool(Model, workers=2, args=[3], cancel_grace=10)
---
pool.map.predict(range(4))
---
try:
    print("begins", flush=True)
    pool.slow()
except KeyboardInterrupt:
    print("interrupted", flush=True)
pool.all.predict(1)
""".split("---\\n")


def show(message):
    content = message["content"]
    text = content.get("text") or content.get("data", {}).get("text/plain") or content.get("evalue")
    if text:
        print(text.strip())
    if text == "begins\\n":
        manager.interrupt_kernel()


manager, client = start_new_kernel()
try:
    for cell in CELLS:
        client.execute_interactive(cell, timeout=120, output_hook=show)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
'''


def try_notebook(installed):
    """A kernel of Jupyter: a pool of a class of the notebook, a map, an interrupt, and the pool goes on."""
    told = installed.run(f"{installed.bin}/python", "-W", "ignore", "-c", NOTEBOOK)
    assert "[0, 3, 6, 9]\nbegins\ninterrupted\n[3, 3]\n" in told, told


def run_suites(installed, needs):
    """The tests of the drop-in modules, and of workers of a program's own. They want a folder that looks like a build tree."""
    site, = glob.glob(f"{installed.place}/venv/lib/python3*/site-packages")
    build = f"{installed.place}/build"
    os.mkdir(build)
    for path in (needs, *glob.glob(f"{site}/objpool/bin/*")):
        os.symlink(path, f"{build}/{os.path.basename(path)}")
    files = [path for suite in SUITES for path in sorted(glob.glob(f"{ROOT}/tests/python/test_{suite}.py"))]
    return installed.run(f"{installed.bin}/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile",
                         *files, OBJPOOL_PACKAGE=site, OBJPOOL_BUILD=build, OBJPOOL_PYTHON=f"{installed.bin}/python")


def try_first(installed, version, wheel):
    """What takes no package but msgpack."""
    begin = time.monotonic()
    installed.pip(wheel)
    try_example(installed)
    print(f"Python {version}: {time.monotonic() - begin:.1f} s from `pip install` to the first answer", flush=True)
    try_commands(installed)


def try_removal(installed):
    installed.run(f"{installed.bin}/pip", "uninstall", "--quiet", "--yes", "objpoold")
    venv = f"{installed.place}/venv"
    left = glob.glob(f"{venv}/bin/objpool*") + glob.glob(f"{venv}/lib/python3*/site-packages/objpool*")
    assert not left, left


def check(version, python, wheel, needs):
    with tempfile.TemporaryDirectory(prefix="objpool-") as place:
        installed = Installed(python, place)
        try_first(installed, version, wheel)
        installed.pip(*THEN)
        try_notebook(installed)
        print(f"Python {version}:", run_suites(installed, needs).strip().splitlines()[-1], flush=True)
        try_removal(installed)


def check_short(python, wheel):
    with tempfile.TemporaryDirectory(prefix="objpool-") as place:
        installed = Installed(python, place)
        try_first(installed, pythons.look(python)[0], wheel)
        try_removal(installed)


def check_source(python, archive):
    """Builds the source archive, and runs the first example."""
    with tempfile.TemporaryDirectory(prefix="objpool-") as place:
        installed = Installed(python, place)
        begin = time.monotonic()
        installed.pip(archive)
        try_example(installed)
        print(f"source archive: {time.monotonic() - begin:.0f} s from `pip install` to the first answer", flush=True)


def _interpreter(version):
    """One of that version; None: this machine has none."""
    return next(iter(pythons.pyenv(version)), None) or shutil.which(f"python{version}", path="/usr/bin:/usr/local/bin")


def main(folder, *versions, short=False):
    found = {version: _interpreter(version) for version in versions or pythons.VERSIONS}
    wheel, = glob.glob(f"{os.path.abspath(folder)}/objpoold-*.whl")
    archive, = glob.glob(f"{os.path.abspath(folder)}/objpoold-*.tar.gz")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, archive], check=True)
    if short:
        check_short("/usr/bin/python3", wheel)
        return
    for version, python in found.items():
        if python:
            check(version, python, wheel, f"{os.path.abspath(folder)}/tree/needs.mk")
        else:
            print(f"Python {version}: skipped: there is none")
    check_source("/usr/bin/python3", archive)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--short"]
    main(*words, short=len(words) < len(sys.argv) - 1)
