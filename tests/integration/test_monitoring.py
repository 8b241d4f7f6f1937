# SPDX-License-Identifier: Apache-2.0
"""The alert rules and the dashboard ask for metrics and labels that there are."""
import json
import os
import re

import played_gateway as played
import pytest
from certificates import Authority, serve_tls
from harness import ROOT, wait_for

RULES = (ROOT / "packaging/prometheus/objpool.rules.yml").read_text()
DASHBOARD = json.loads((ROOT / "packaging/grafana/objpool.json").read_text())
# What Prometheus itself adds.
OF_THE_SCRAPER = {"instance", "job"}


@pytest.fixture
def samples(start, place):
    """{name: its labels} of a daemon that has all that is measured."""
    players = played.Players(place)
    sections = f"[user tester]\nuid = {os.getuid()}\ncall = *.*\nwatch = yes\n[cluster]\nbus = nats://127.0.0.1:1\ngateway_program = {players.path}\n"
    daemon = serve_tls(start, Authority(place), {"p": {"workers": 2}}, sections, http=f"unix:{place}/http", http_calls="yes")
    players.next().send(played.HOSTS, [{"name": "h2", "state": "ready", "pools": []}], {})
    with daemon.client() as client:
        client.value("p.echo", 1)
        wait_for(lambda: client.value("objpool.hosts")["hosts"], lambda: "hosts")
        text = client.value("objpool.metrics")
    players.close()
    found = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", text, re.M):
        found.setdefault(name, set()).update(re.findall(r'([a-z]+)="', labels))
    return found


def expressions():
    """The PromQL of both, with a word for where it stands."""
    for rule in re.split(r"^ +- alert: ", RULES, flags=re.M)[1:]:
        yield rule.split()[0], re.search(r"expr: (.*?)\n +(?:for|labels):", rule, re.S).group(1)
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def test_metrics_and_labels_are_those_of_a_daemon(samples):
    known = set().union(*samples.values()) | OF_THE_SCRAPER
    count = 0
    for where, expression in expressions():
        names = set(re.findall(r"objpool_[a-z_]+", expression))
        assert names <= set(samples), where
        selected = re.findall(r'(objpool_[a-z_]+)\{([^}]*)\}', expression)
        for name, selectors in selected:
            assert set(re.findall(r"([a-z]+)=", selectors)) <= samples[name] | OF_THE_SCRAPER, (where, name)
        for labels in re.findall(r"(?:by|on) \(([a-z, ]+)\)", expression):
            assert set(labels.split(", ")) <= known, where
        count += len(names)
    assert count > 60


def test_the_dashboard_is_whole():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) and not DASHBOARD.get("id")
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["type"] in ("row", "stat", "timeseries"), panel["title"]
        refs = [target["refId"] for target in panel.get("targets", [])]
        assert len(refs) == len(set(refs)) and (refs != []) == (panel["type"] != "row"), panel["title"]
        for target in panel.get("targets", []):
            legends = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.search(r"by \(([a-z, ]+)\)", target["expr"])
            assert not grouped or legends <= set(grouped.group(1).split(", ")), panel["title"]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"]))) - {"__rate_interval"}
    assert used == {variable["name"] for variable in DASHBOARD["templating"]["list"]}
