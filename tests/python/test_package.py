# SPDX-License-Identifier: Apache-2.0
"""The package for pip, as far as it can be seen without building it: `make check-wheel` does that."""
import email
import importlib.util
import os
import re
import subprocess
import sys
import tarfile

import pytest
from harness import BUILD, ROOT

import objpool

SOURCE = ROOT / "packaging" / "wheel" / "objpoold_package.py"
pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="not in a checkout")


@pytest.fixture(scope="module")
def package():
    spec = importlib.util.spec_from_file_location("objpoold_package", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_one_version(package):
    pyproject = (ROOT / "client" / "python" / "pyproject.toml").read_text()
    assert package.VERSION == objpool.__version__ == re.search(r'^version = "(.*)"', pyproject, re.M).group(1)


def test_metadata(package):
    told, project = email.message_from_string(package._metadata([])), (ROOT / "client" / "python" / "pyproject.toml").read_text()
    assert (told["Name"], told["Version"], told["License-File"]) == ("objpoold", objpool.__version__, "LICENSE")
    for needed in re.search(r"^dependencies = \[(.*)\]", project, re.M).group(1).replace('"', "").split(", "):
        assert needed in told.get_all("Requires-Dist")
    assert told["Requires-Python"] in project


def test_source_archives_have_the_same_bytes(package, place):
    first, second = (place / name / package.build_sdist(str(place / name)) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"PKG-INFO", "pyproject.toml", "Makefile", "LICENSE", "scripts/deps.sh", "client/python/objpool/py.typed"} <= names
    assert not [name for name in names if name.startswith("build/")]


def test_a_wheel_has_a_record_and_programs_that_run(package, place):
    wheel = package._Wheel("py3-none-any")
    package._add_package(wheel)
    wheel.add_file("objpool/bin/objpool", BUILD / "objpool")
    name = wheel.write(str(place))
    folder = package.prepare_metadata_for_build_wheel(str(place))
    subprocess.run([sys.executable, "-m", "zipfile", "-e", place / name, place / "site"], check=True)
    assert (place / "site" / folder / "METADATA").read_bytes() == (place / folder / "METADATA").read_bytes()
    record = (place / "site" / f"objpoold-{objpool.__version__}.dist-info" / "RECORD").read_text()
    assert "objpool/bin/objpool,sha256=" in record and "objpool/_program.py,sha256=" in record
    (place / "site" / "objpool" / "bin" / "objpool").chmod(0o755)  # zipfile does not; pip does
    done = subprocess.run([sys.executable, "-c", "from objpool import _program; _program.client()", "--version"], check=True,
                          env={**os.environ, "PYTHONPATH": str(place / "site")}, stdout=subprocess.PIPE, text=True)
    assert done.stdout == f"objpool {objpool.__version__}\n"


def test_a_package_that_lacks_modules_for_this_python_says_so():
    from objpool import _extension
    assert "from its source archive, pip builds it for this one" in _extension._how_to_build(f"{_extension._PACKAGE}/bin")


def test_commands_of_a_package_without_programs_say_so():
    done = subprocess.run([sys.executable, "-c", "from objpool import _program; _program.daemon()"], stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 1 and "bin/objpoold can't be started: No such file or directory" in done.stderr
