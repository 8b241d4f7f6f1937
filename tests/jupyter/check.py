# SPDX-License-Identifier: Apache-2.0
"""`make check-jupyter`: a notebook is executed as Jupyter does it, and its outputs are looked at."""
import nbclient
import nbformat

CELLS = ["""
import objpool, time
class Model:
    def __init__(self, scale): self.scale = scale
    def predict(self, x): return self.scale * x
    def slowly(self, x):
        time.sleep(0.01)
        return x
pool = objpool.create_pool(Model, workers=2, args=[3])
pool
""", """
pool.client
""", """
pool.map.predict(range(4))
""", """
pool.options(progress=True).map.slowly(range(20))
""", """
import os, signal
daemon = pool.client.status()["pid"]
os.kill(daemon, signal.SIGSTOP)
pool
""", """
os.kill(daemon, signal.SIGCONT)
"""]


def outputs(cell):
    """The cell's outputs by type, and what stands on its standard error."""
    shown, errors = {}, ""
    for output in cell.outputs:
        for mime, value in output.get("data", {}).items():
            shown.setdefault(mime, []).append(value)
        if output.get("name") == "stderr":
            errors += output.text
    return shown, errors


notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS])
nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
pool, client, mapped, bar, dead, _ = map(outputs, notebook.cells)

assert "<td>ready</td>" in pool[0]["text/html"][0] and "<th>last failure</th>" in pool[0]["text/html"][0], pool
assert "2 of 2" in client[0]["text/html"][0] and "<p>objpool " in client[0]["text/html"][0], client
assert mapped[0]["text/plain"] == ["[0, 3, 6, 9]"], mapped
widgets = bar[0].get("application/vnd.jupyter.widget-view+json")
assert widgets and not bar[1], "a bar that is a widget, and nothing on standard error"
bars = [state for state in notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
        if state["model_name"] == "FloatProgressModel"]
assert [[state["state"][key] for key in ("value", "max", "bar_style")] for state in bars] == [[20.0, 20.0, "success"]], bars
assert dead[0]["text/html"][0].startswith("<p>objpool pool ") and "has not answered" in dead[0]["text/html"][0], dead
print("ok: views of a pool and of a client, a map, a progress bar, and a daemon that does not answer")
