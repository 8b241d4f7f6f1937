# SPDX-License-Identifier: Apache-2.0
"""docs/RECIPES.md: each program in it is run, and its table holds."""
import io
import json
import re

import pytest

import objpool
from harness import ROOT
from objpool import _retry, errors

TEXT = (ROOT / "docs" / "RECIPES.md").read_text()
BLOCKS = re.findall(r"^```python\n# (.*?)\n(.*?)^```", TEXT, re.S | re.M)
CLASS = """
class Model:
    def double(self, x):
        return 2 * x

    def fail(self):
        raise ValueError("out of range")

    def overloaded(self):
        import objpool
        raise objpool.Overloaded("of another daemon", ran="no")

    def die(self):
        import os
        os.abort()
"""


def block(begins):
    """The one program whose first line begins so."""
    code, = (code for title, code in BLOCKS if title.startswith(begins))
    return code


def test_there_is_a_test_for_each():
    assert [title.partition(":")[0] for title, _ in BLOCKS] == ["batch.py", "use of batch.py", "service.py", "use of service.py"]
    assert len(re.findall("^```", TEXT, re.M)) == 2 * len(BLOCKS)
    assert max(map(len, (line for line in TEXT.splitlines() if not line.startswith("|")))) <= 120


# ---- the batch ----


def test_the_batch(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    names = {}
    exec(block("batch.py"), names)
    exec(block("use of batch.py"), names)
    assert names["failed"] == [""] and capsys.readouterr().out.splitlines() == ["1 3 None", "2 3 None", "3 3 None"]
    journal = names["read_journal"]("journal")
    assert journal == {"a b": {"item": "a b", "result": 2}, "c d e": {"item": "c d e", "result": 3},
                       "": {"item": "", "error": "ValueError: nothing to count", "ran": "yes"}}


def test_the_batch_goes_on_where_it_stopped(place, pool):
    names = {}
    exec(block("batch.py"), names)
    path = str(place / "journal")
    with pytest.raises(RuntimeError):
        names["run_batch"](pool.map.echo, range(300), path, progress=interrupt)
    before = len(names["read_journal"](path))
    assert 0 < before < 300
    with open(path, "a") as journal:
        journal.write('{"item": 4, "res')  # the machine stopped
    calls = []
    assert names["run_batch"](pool.map.echo, range(300), path, progress=lambda done, total, text: calls.append((done, total))) == []
    assert {item: entry["result"] for item, entry in names["read_journal"](path).items()} == {i: i for i in range(300)}
    assert calls[-1] == (300 - before, 300 - before)


def interrupt(done, total, text):
    raise RuntimeError("interrupted")


def test_a_worker_that_dies_in_a_batch(place, pool):
    names = {}
    exec(block("batch.py"), names)
    assert names["run_batch"](pool.options(chunk=1).map.crash, [9], str(place / "journal")) == [9]
    assert "WorkerLost: item 0: " in names["read_journal"](str(place / "journal"))[9]["error"]


# ---- the service ----


@pytest.fixture
def service(start, place, monkeypatch):
    """service(method, *arguments): the status, the headers and the answer."""
    (place / "model_of_service.py").write_text(CLASS)
    python_path = json.dumps([str(place), str(ROOT / "client" / "python")])
    daemon = start({"model": {"plugin": "python", "class": "model_of_service:Model", "python_path": python_path, "workers": 1, "unpickle": "yes"}},
                   {"max_message": "64K"})
    monkeypatch.setenv("OBJPOOL_ADDRESS", daemon.address)
    names = {}
    exec(block("service.py"), names)
    exec(block("use of service.py"), names)

    def ask(method, *arguments, body=None):
        told = []
        body = json.dumps(arguments).encode() if body is None else body
        answer = names["app"]({"PATH_INFO": f"/{method}", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)},
                              lambda status, headers: told.extend([status, dict(headers)]))
        return int(told[0][:3]), told[1], json.loads(b"".join(answer))

    ask.names, ask.daemon = names, daemon
    yield ask
    names["client"].close()


def test_the_service(service, monkeypatch):
    assert service("double", 21)[::2] == (200, 42)
    assert service("double", body=b"{")[0] == 400
    assert service("nothing")[0] == 404
    assert service("double", "x" * 70000)[0] == 413
    status, headers, answer = service("fail")
    assert status == 500 and answer == {"error": "out of range"} and "Retry-After" not in headers
    status, headers, answer = service("overloaded")  # the method's own
    assert status == 500 and "Retry-After" not in headers
    assert service("die")[0] == 502
    monkeypatch.setattr(_retry, "_sleep", lambda seconds: None)
    service.daemon.stop()
    service("double", 1)
    status, headers, _ = service("double", 1)
    assert status == 503 and headers["Retry-After"] == "1"


# ---- the table ----


def table():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows}


def test_the_table_has_all_errors():
    kinds = {name: kind for name, kind in vars(errors).items()
             if isinstance(kind, type) and issubclass(kind, errors.ObjpoolError) and kind is not errors.ObjpoolError}
    rows = table()
    assert set(rows) == set(kinds)
    names = {}
    exec(block("service.py"), names)
    for name, kind in kinds.items():
        _, code, ran, safe, passes, http, _ = rows[name]
        assert code == f"`{kind.code}`" and (safe == "yes") == (ran == "no")
        assert ran in ("any", "mostly yes") or kind.ran in ran.replace(",", "").split()
        assert (passes == "yes") == _retry.may_pass(kind("", ran="no"), False), name
        assert names["status_of"](kind("")).startswith(http), name
        assert bool(names["headers_of"](kind("", ran="no"))) == (passes == "yes")
