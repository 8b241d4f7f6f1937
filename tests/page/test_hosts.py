# SPDX-License-Identifier: Apache-2.0
"""The page of a daemon in a cluster: its part about hosts. Pictures are left in BUILD/page."""
import hashlib

import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import BUILD

pytestmark = needs_cluster
SHOTS = BUILD / "page"
WIDE, PHONE = (1280, 900), (390, 844)
HTTP = {"http": "tcp:127.0.0.1:0"}
POOLS = {"p": {"workers": 2, "share": "yes"}, "dice": {"plugin": "sampler", "class": "Sampler", "workers": 3, "share": "yes", "kwargs": "{}"}}


def show(browser, host, size=WIDE, dark=False):
    SHOTS.mkdir(exist_ok=True)
    browser.screen(*size, dark)
    browser.open("http://" + host.daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1) + "/")


def rows(browser):
    """host -> its cells, as they read."""
    return {cells[0]: cells for cells in browser.run(
        "return [...document.querySelectorAll('#hosts tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))")}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_hosts_are_shown(cluster, browser, dark):
    hosts = cluster(("h1", "h2", "h3"), pools=POOLS, daemon=HTTP)
    h1 = hosts["h1"]
    show(browser, h1, dark=dark)
    browser.wait("#hosts-about", r"This is host h1 of domain test, at nats://127")
    browser.wait("#bus-state", "bus connected")
    browser.wait("#hosts-tiles", r"Other hosts ready\s+2\b")
    browser.wait("#hosts-tiles", r"From the bus\s+[\d.]+ (B|KiB)/s")
    assert browser.text("#bus-trouble") is None and browser.text("#hosts-count") == "3 hosts"
    with h1.client() as c:
        for n in range(20):
            assert c.value("p@h2.echo", n) == n
        waits = c.start("p@h3.sleep", 1000)
        browser.until(lambda: rows(browser)["h3"][8] == "1", lambda: f"a call in flight: {rows(browser)}")
        browser.until(lambda: rows(browser)["h2"][7] == "20", lambda: f"twenty calls: {rows(browser)}")
        seen = rows(browser)
        assert [seen[name][1].split()[-1] for name in ("h1", "h2", "h3")] == ["host", "ready", "ready"]
        assert seen["h2"][2].split("\n") == ["p 2/2", "dice 3/3"] and seen["h2"][3] == "5/5"
        assert seen["h1"][6] == "\u2013"
        browser.until(lambda: rows(browser)["h3"][6].endswith("s"), lambda: f"how long a packet takes: {rows(browser)}")
        hosts["h3"].kill()
        error, _ = c.wait(waits)
        assert "HOST_LOST" in error
    browser.until(lambda: rows(browser)["h3"][1].endswith("gone") and rows(browser)["h3"][9] == "1", lambda: f"its end: {rows(browser)}")
    browser.wait("#host-events", "host h3 is gone")
    browser.wait("#hosts-tiles", r"Other hosts ready\s+1\b")
    browser.shoot(SHOTS / f"hosts-{'dark' if dark else 'light'}.png")
    assert browser.complaints() == []


def test_what_happens_is_said(cluster, browser):
    """To screen readers, as it happens; and what was before the page was opened stands in the list."""
    hosts = cluster(("h1", "h2"), daemon=HTTP)
    show(browser, hosts["h1"])
    browser.wait("#host-events", "host h2 is ready")
    browser.run("window.said = []; new MutationObserver(() => said.push(document.getElementById('live').textContent))"
                ".observe(document.getElementById('live'), {childList: true, characterData: true, subtree: true})")
    hosts["h2"].kill()
    browser.until(lambda: "Host h2 is gone." in browser.run("return said.join()"), lambda: f"it to be said: {browser.run('return said')}")
    for server in hosts.servers:
        server.stop()
    browser.wait("#bus-state", "bus connecting")
    browser.wait("#bus-trouble", r"No connection to the bus: .*\.$")
    browser.wait("#host-events", "the connection to the bus is lost")
    browser.shoot(SHOTS / "hosts-no-bus.png")


def test_hosts_on_a_phone(cluster, browser):
    hosts = cluster(("h1", "h2"), pools=POOLS, daemon=HTTP)
    show(browser, hosts["h1"], PHONE)
    browser.wait("#hosts", r"h2")
    browser.until(lambda: len(rows(browser)) == 2, lambda: f"two rows: {rows(browser)}")
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
    browser.shoot(SHOTS / "hosts-phone.png")


def test_rights(cluster, browser):
    """A user sees hosts, and of their pools those that it may describe, as objpool.hosts tells it."""
    users = f"[user ci]\ntoken_sha256 = {hashlib.sha256(b'secret').hexdigest()}\ndescribe = dice\n" \
            "[user root]\nuid = 0\nadmin = yes\ndescribe = *\n"
    hosts = cluster(("h1", "h2"), pools=POOLS, daemon=HTTP, sections=users)
    show(browser, hosts["h1"])
    browser.write("#token", "secret")
    browser.click("#login button")
    browser.wait("#about", "you are ci")
    browser.until(lambda: rows(browser).get("h2", [""] * 5)[2:4] == ["dice 3/3", "3/3"], lambda: f"h2 with dice alone: {rows(browser)}")
    browser.wait("#host-events", "host h2 is ready")


def test_without_a_cluster_there_is_no_such_part(start, browser):
    daemon = start(daemon=HTTP)
    browser.screen(*WIDE)
    browser.open("http://" + daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1) + "/")
    browser.wait("#pools", "p")
    assert browser.text("#hosts-section") is None
