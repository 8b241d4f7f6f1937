# SPDX-License-Identifier: Apache-2.0
"""What notebooks show of clients and pools, and bars that they draw."""
import os
import signal
import sys
import types

import objpool
from objpool import _call, _html


def test_views(client):
    pool = client.pool("p")
    pool.echo(1)
    html = pool._repr_html_()
    assert "<td>p</td><td>ready</td><td>2 of 2</td>" in html and html.count("<tr>") == 2 + 1 + 2
    html = client._repr_html_()
    assert html.startswith("<p>objpool ") and "<td>p</td>" in html and html.count("<tr>") == 2


def test_all_is_escaped():
    evil = "<script>alert('&')</script>"
    slot = {"slot": 0, "state": evil, "running": evil, "last_failure": evil}
    status = {"name": evil, "state": evil, "ready": evil, "error": evil, "slots": [slot] * (_html.ROWS + 1)}

    class Connection:
        def wait(self, entry, deadline):
            return True

        def start(self, entry, method, params):
            entry.message = [1, 0, None, {"pools": [status]}]

        def result(self, message, entry, load):
            return message[3]
        unpickle, slack = False, 0

    client = types.SimpleNamespace(_connected=Connection, server={"server": evil, "version": evil}, address=evil)
    for html in _html.of_client(client), _html.of_pool(types.SimpleNamespace(client=client, name=evil)):
        assert "<script" not in html and "&lt;script&gt;alert(&#x27;&amp;&#x27;)" in html
    assert "and 1 more" in _html.of_pool(types.SimpleNamespace(client=client, name=evil))


def test_without_a_daemon_a_sentence(client, daemon, monkeypatch):
    pool = client.pool("p")
    monkeypatch.setattr(_html, "PATIENCE", 0.05)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        assert pool._repr_html_().startswith("<p>objpool pool p: ")
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    gone = objpool.Client.__new__(objpool.Client)
    gone.address = "unix:/<nowhere>"
    assert gone._repr_html_().startswith("<p>objpool client of unix:/&lt;nowhere&gt;: ")
    client.close()
    assert pool._repr_html_() == "<p>objpool pool p: the client is closed</p>"


class Bar:
    """As a bar of tqdm in a notebook: it learns of a total by reset()."""
    made = []

    def __init__(self):
        self.n, self.total, self.shown, self.closed = 0, None, None, False
        self.made.append(self)

    def reset(self, total):
        self.n, self.total, self.shown = 0, total, total

    def update(self, more):
        self.n += more

    def close(self):
        self.closed = True


def test_a_new_bar_has_its_total_and_is_closed_at_the_end(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))
    Bar.made.clear()
    client.pool("p").options(progress=True).map.echo(range(50))
    bar, = Bar.made
    assert bar.shown == bar.n == 50 and bar.closed
    bar = Bar()
    client.pool("p").options(progress=bar).map.echo(range(50))
    assert bar.shown == bar.n == 50 and not bar.closed, "a bar of the program's own goes on"
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert _call.progress_to(True)(1, 2, "text") is None
