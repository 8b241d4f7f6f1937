# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser. The pictures that it takes, in BUILD/page, are for people to look at."""
import hashlib
import json
import re
import resource
import signal

import pytest

from harness import BUILD, Client, Daemon

SHOTS = BUILD / "page"
WIDE, PHONE = (1280, 900), (390, 844)
EVIL = "<img src=x onerror=\"document.title='broken'\"></script><script>document.title='broken'</script>'\"&\u202egnp.exe\u0007"
EVIL_CLASS = f'''
class Evil:
    """{EVIL.replace(chr(7), '')} documents itself."""

    def method(self, value: int = 1) -> int:
        """<b>bold</b>{EVIL.replace(chr(7), '')}"""
        return value

    def fail(self, text: str) -> None:
        raise ValueError(text)

setattr(Evil, "<u>name</u>", Evil.method)
'''


@pytest.fixture
def page(start, browser):
    """page(pools, …) -> (daemon, address): a daemon whose page the browser shows."""
    SHOTS.mkdir(exist_ok=True)

    def begin(pools=None, daemon=None, size=WIDE, dark=False, path="", **keywords):
        started = start(pools=pools, daemon={"http": "tcp:127.0.0.1:0", "http_calls": "yes", **(daemon or {})}, **keywords)
        address = "http://" + started.wait_log(r"by HTTP on tcp:(\S+)").group(1)
        browser.screen(*size, dark)
        browser.open(address + "/" + path)
        return started, address
    return begin


def record(browser):
    """Keeps what the page announces to screen readers."""
    browser.run("window.said = []; new MutationObserver(() => said.push(document.getElementById('live').textContent))"
                ".observe(document.getElementById('live'), {childList: true, characterData: true, subtree: true})")


def wait_said(browser, text):
    browser.until(lambda: text in browser.run("return said.join('\\n')"), lambda: f"{text!r} in {browser.run('return said')}")


def use(daemon, calls=200):
    """Something to show."""
    with daemon.client() as client:
        for n in range(calls):
            client.value("sim.echo", n)
        client.call("sim:1.fail", "the matrix is singular")


POOLS = {"sim": {"workers": 6}, "queue": {"plugin": "queue", "class": "Queue", "workers": 1},
         "dice": {"plugin": "sampler", "class": "Sampler", "workers": 3}}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pools_are_shown(page, browser, dark):
    daemon, _ = page(POOLS, dark=dark)
    browser.wait("#state", "running")
    browser.wait("#pools", r"sim\s+✓ ready\s+6/6")
    use(daemon)
    browser.wait("#failures", "sim slot 1\\s*the matrix is singular")
    browser.wait("#pools", r"(?s)sim.*\b201\b")
    with daemon.client() as client:
        client.start("sim:2.sleep", 60)
        browser.run("location.hash = 'pool=sim'")
        browser.wait("#opened-title", "^Pool sim$")
        browser.wait("#slots", r"2\s+✓ ready\s+sleep\s+\d+ s")
        browser.wait("#methods", r"echo\(")
        browser.wait("#opened-graphs", r"Latency of calls\s*median: now .*, most \d+")
        # Six squares of 14 pixels in a row.
        assert browser.run("const g = document.getElementById('grid'); return [g.clientHeight, g.height]") == [14, 14]
        browser.shoot(SHOTS / f"opened-{'dark' if dark else 'light'}.png")
    assert browser.complaints() == []


def test_a_phone_shows_all_without_scrolling_sideways(page, browser):
    daemon, _ = page(POOLS, size=PHONE)
    browser.wait("#pools", "dice")
    use(daemon)
    browser.run("location.hash = 'pool=sim'")
    browser.wait("#slots", "singular")
    browser.wait("#methods", r"echo\(")
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
    small = browser.run("return [...document.querySelectorAll('button, input, select')].filter(e => e.offsetHeight && e.offsetHeight < 20)"
                        ".map(e => e.outerHTML)")
    assert small == []
    browser.shoot(SHOTS / "phone.png")


def test_a_daemon_that_dies_and_comes_back(page, browser):
    daemon, address = page(POOLS)
    browser.wait("#pools", r"sim\s+✓ ready")
    record(browser)
    daemon.daemon["http"] = address.replace("http://", "tcp:")
    daemon.kill()
    browser.wait("#trouble", "The daemon does not answer since .* Trying again")
    browser.wait("#state", "no answer")
    wait_said(browser, "The daemon does not answer.")
    browser.shoot(SHOTS / "dead.png")
    again = Daemon(daemon.path, pools={"sim": {}, "more": {}}, daemon=daemon.daemon) if not daemon.notify.close() and \
        not (daemon.path / "notify").unlink() else None
    try:
        browser.wait("#state", "running")
        browser.wait("#pools", "more")
        assert "queue" not in browser.text("#pools") and browser.text("#trouble") is None
        wait_said(browser, "The daemon was started again.")
        browser.shoot(SHOTS / "back.png")
    finally:
        again.stop()


def test_a_daemon_that_hangs(page, browser):
    """A connection may be dead without an end."""
    daemon, _ = page(POOLS)
    browser.wait("#pools", r"sim\s+✓ ready")
    record(browser)
    daemon.signal(signal.SIGSTOP)
    try:
        browser.wait("#trouble", "The daemon does not answer since .*: nothing has come for 5 s")
    finally:
        daemon.signal(signal.SIGCONT)
    browser.wait("#state", "running")
    wait_said(browser, "The daemon answers again.")
    assert browser.text("#trouble") is None


def reload(daemon):
    daemon.write_config()
    daemon.signal(signal.SIGHUP)


def watch_trouble(browser):
    """Keeps whether the page has ever alarmed since."""
    browser.run("window.troubles = []; new MutationObserver(() => { const t = document.getElementById('trouble'); "
                "if (!t.hidden) troubles.push(t.textContent); }).observe(document.getElementById('trouble'), {attributes: true})")


def test_a_reload_is_no_alarm_and_a_pool_that_it_takes_away_leaves(page, browser):
    daemon, _ = page(dict(POOLS), path="#pool=dice")
    browser.wait("#slots", "ready")
    with daemon.client() as client:
        client.call("dice.nothing")
        client.call("sim:1.fail", "the matrix is singular")
        browser.wait("#failures", "the matrix is singular")
        client.call("queue.nothing")
    record(browser)
    watch_trouble(browser)
    del daemon.pools["sim"]
    daemon.pools["more"] = {"workers": 1}
    reload(daemon)
    browser.wait("#pools", "more")
    browser.until(lambda: "sim" not in browser.text("#pools"), lambda: "the end of sim")
    assert "singular" not in browser.text("#failures")
    wait_said(browser, "Pool sim is gone.")
    assert browser.text("#opened-title") == "Pool dice"
    browser.wait("#slots", r"2\s+✓ ready")
    del daemon.pools["dice"]
    reload(daemon)
    browser.wait("#opened-title", "there is no such pool")
    assert browser.text("#slots") is None and browser.text("#methods") is None
    daemon.pools["dice"] = POOLS["dice"]
    reload(daemon)
    browser.wait("#slots", r"2\s+✓ ready")
    browser.wait("#methods", r"get_normal_sample\(")
    assert browser.run("return troubles") == [] and "does not answer" not in browser.run("return said.join()")
    assert browser.complaints() == []


def test_a_stream_that_is_ended_comes_back_silently(page, browser):
    daemon, _ = page(POOLS, users="[user me]\nuid = 0\nwatch = yes\noperate = yes\n[user *]\nwatch = yes\n")
    browser.wait("#pools", "dice")
    record(browser)
    watch_trouble(browser)
    with daemon.client() as client:
        row, = [row for row in client.value("objpool.clients") if row["kind"] == "page"]
        client.value("objpool.kick", row["session"])
        browser.until(lambda: [row["session"] for row in client.value("objpool.clients") if row["kind"] == "page"]
                      not in ([], [row["session"]]), lambda: "another stream")
    assert browser.run("return troubles") == [] and browser.run("return said") == []
    daemon.users = "[user *]\ncall = dice.*\n"
    reload(daemon)
    browser.wait("#login", "DENIED: the page needs the right describe or watch")
    assert browser.run("return troubles") == []


def test_a_method_is_called_by_its_form(page, browser):
    daemon, _ = page({"sim": {"workers": 2}}, path="#pool=sim")
    browser.wait("#methods", r"add\(")

    def call(method, arguments=None, where=None):
        at = browser.run("const all = [...document.querySelectorAll('#methods details')]; const at = all.findIndex(d => "
                         "d.innerText.startsWith(arguments[0] + '(')); all[at].open = true; return at + 1", method)
        form = f"#methods details:nth-child({at}) form"
        browser.wait(form, "Arguments")
        if where is not None:
            browser.write(form + " input", where)
        if arguments is not None:
            browser.write(form + " textarea", arguments)
        browser.click(form + " button")
        return form + " pre"

    browser.wait(call("add", "[2, 3]"), r'^\{"result": 5\}\n[\d.]+ .?s$')
    browser.wait(call("slot", "[]", "all"), r'^\{"result": \[0, 1\]\}')
    browser.wait(call("fail", '["<b>no</b>"]'), r'^status 500\n\{"error": .*"message": "<b>no</b>"')
    browser.wait(call("add", "[2,"), r'^status 400\n\{"error": .*"code": "BAD_REQUEST"')
    browser.shoot(SHOTS / "form.png")
    assert [line for line in browser.complaints() if "status of 500" not in line and "status of 400" not in line] == []


FOREIGN = "gehe\u0131m \u2013"      # not of Latin-1, which JavaScript wants in a header
USERS = "[user ci]\n" + "".join(f"token_sha256 = {hashlib.sha256(token.encode()).hexdigest()}\n" for token in ("secret", FOREIGN)) + \
        "describe = sim\ncall = sim.add\n"


def test_users_log_in(page, browser):
    daemon, _ = page({"sim": {}, "other": {}}, users=USERS, path="#pool=sim")
    browser.wait("#login", "401|DENIED: the page needs the right")
    browser.shoot(SHOTS / "login.png")
    browser.write("#token", "wrong")
    browser.press("\ue007")
    browser.wait("#login-why", "the token is no user's")
    browser.write("#token", FOREIGN)
    browser.click("#login button")
    browser.wait("#about", "you are ci")
    browser.click("#logout")
    browser.wait("#login", "DENIED")
    browser.write("#token", "secret")
    browser.click("#login button")
    browser.wait("#about", "you are ci")
    assert browser.text("#login") is None and browser.text("#log-section") is None and browser.text("#clients-section") is None
    browser.wait("#methods", r"add\(")
    assert "other" not in browser.text("#pools")
    browser.click("#logout")
    browser.wait("#login", "DENIED")


def test_a_pool_that_is_closed_is_not_followed(page, browser):
    """Its slots would come in as those of no pool."""
    daemon, _ = page({"sim": {"workers": 1}}, path="#pool=sim")
    browser.wait("#slots", "ready")
    with daemon.client() as client:
        client.call("sim.fail", "for once")
        browser.wait("#slots", "for once")
        browser.run("location.hash = ''")
        browser.wait_gone("#opened-title")
        for n in range(1, 4):   # each changes the slot, whose failure is known
            client.value("sim.echo", n)
            browser.wait("#pools", rf"(?s)sim.*\b{n + 1}\t1\t")
    assert browser.text("#failures").count("for once") == 1 and "null" not in browser.text("#failures")


def test_a_pool_that_comes_and_is_made_anew(page, browser):
    """What was said of its class, before there was one or of the one before, is said again."""
    sampler = {"pool": "late", "plugin": "sampler", "class": "Sampler", "workers": 1}
    daemon, _ = page({"sim": {"workers": 1}}, path="#pool=late")
    browser.wait("#opened-title", "there is no such pool")
    with daemon.client() as client:
        client.value("objpool.create", {**sampler, "plugin": "probe", "class": "Probe"})
        browser.wait("#methods", r"echo\(")
        client.value("objpool.drop", "late")
        client.value("objpool.create", sampler)
        browser.wait("#methods", r"get_normal_sample\(")
    assert "echo(" not in browser.text("#methods") and "Sampler" in browser.text("#class")


def test_a_class_is_not_forgotten_when_the_daemon_comes_back(page, browser, place):
    """For a moment the new daemon knows no class: its workers start."""
    (place / "slow.py").write_text("import os, time\nwhile os.path.exists(os.environ['HOLD']):\n    time.sleep(0.01)\n"
                                   "class Slow:\n    def method(self) -> int:\n        return 1\n")
    hold = place / "hold"
    pools = {"slow": {"plugin": "python", "class": "slow:Slow", "workers": 1, "python_path": json.dumps([str(place)]),
                      "env": json.dumps({"HOLD": str(hold)})}}
    daemon, address = page(pools, path="#pool=slow")
    browser.wait("#methods", r"method\(")
    daemon.daemon["http"] = address.replace("http://", "tcp:")
    daemon.kill()
    browser.wait("#state", "no answer")
    hold.touch()
    daemon.notify.close()
    (daemon.path / "notify").unlink()
    again = Daemon(daemon.path, pools=pools, daemon=daemon.daemon, expect_ready=False)
    try:
        browser.wait("#pools", "0/1")
        hold.unlink()
        browser.wait("#pools", "1/1")
        browser.wait("#class", "Slow")
        browser.wait("#methods", r"method\(")
    finally:
        hold.unlink(missing_ok=True)
        again.stop()


def test_by_keyboard(page, browser):
    page(POOLS)
    browser.wait("#pools", "dice")
    tab, enter = "\ue004", "\ue007"
    browser.press(tab, enter)
    browser.until(lambda: browser.run("return document.activeElement.id") == "main", lambda: "the skip link")
    for _ in range(40):
        browser.press(tab)
        if browser.run("return document.activeElement.innerText") == "queue":
            break
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(enter)
    browser.wait("#opened-title", "Pool queue")
    assert browser.run("return document.activeElement.id") == "opened-title"
    browser.press(tab, enter)
    browser.wait_gone("#opened-title")
    assert browser.run("return document.activeElement.innerText") == "queue"


def test_pools_are_filtered_and_sorted(page, browser):
    def names():
        return browser.run("return [...document.querySelectorAll('#pools tbody th')].map(th => th.innerText)")

    page(POOLS)
    browser.wait("#pools", "dice")
    assert names() == ["sim", "queue", "dice"]
    for wanted in ["dice", "queue", "sim"], ["sim", "queue", "dice"], ["sim", "queue", "dice"]:
        browser.click("#pools thead th:first-child button")
        assert names() == wanted
    browser.click("#pools thead th:nth-child(3) button")
    assert names() == ["sim", "dice", "queue"]
    assert browser.run("return document.querySelector('#pools th[aria-sort]').ariaSort") == "descending"
    browser.write("#filter", "DI")
    browser.wait("#pools-count", "^1 pool$")
    assert names() == ["dice"]


def contrast(a, b):
    def light(colour):
        parts = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
        return sum(w * (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4) for w, p in zip((0.2126, 0.7152, 0.0722), parts))
    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_a_screen_reader_needs(page, browser, dark):
    daemon, _ = page(POOLS, dark=dark, path="#pool=sim")
    use(daemon)
    browser.wait("#slots", "singular")
    browser.wait("#methods", r"echo\(")
    # All that can be used, and each picture, table and section, has a name.
    for node in browser.developer("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if not node.get("ignored") and role in ("button", "textbox", "searchbox", "combobox", "table", "region", "image", "img"):
            assert node.get("name", {}).get("value"), node
    regions = browser.run("return [...document.querySelectorAll('section, [role=region]')].filter(e => e.offsetHeight).map(e => "
                          "e.getAttribute('aria-label') || document.getElementById(e.getAttribute('aria-labelledby')).textContent)")
    assert len(regions) > 7 and len(set(regions)) == len(regions), regions
    landmarks = browser.run("return ['header', 'main', 'h1'].map(tag => document.querySelectorAll(tag).length)")
    assert landmarks == [1, 1, 1] and browser.run("return document.documentElement.lang") == "en"
    levels = browser.run("return [...document.querySelectorAll('h1, h2, h3')].filter(e => e.offsetHeight).map(e => +e.tagName[1])")
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:])), levels
    colours = browser.run('''
        const back = (e) => { for (; e; e = e.parentElement) { const b = getComputedStyle(e).backgroundColor;
            if (b !== "rgba(0, 0, 0, 0)") return b; } return "rgb(255, 255, 255)"; };
        return [...document.querySelectorAll("body *")].filter(e => e.offsetHeight && [...e.childNodes].some(c => c.nodeType === 3 &&
            c.data.trim())).map(e => [e.outerHTML.slice(0, 80), getComputedStyle(e).color, back(e)])''')
    assert len(colours) > 100
    for what, front, back in colours:
        assert contrast(front, back) >= 4.5, (what, front, back)


def test_texts_of_others_stay_texts(page, browser, place):
    (place / "evil.py").write_text(EVIL_CLASS)
    pools = {"evil": {"plugin": "python", "class": "evil:Evil", "workers": 1, "python_path": json.dumps([str(place)])}, "sim": {"workers": 1}}
    daemon, _ = page(pools, path="#pool=evil")
    browser.wait("#methods", "<u>name</u>")
    assert "documents itself" in browser.wait("#class", r"<img.*").group()
    with daemon.client() as client:
        client.value("objpool.hello", {"client": EVIL})
        client.call("evil.fail", EVIL)
        client.call("sim.fail", EVIL)
        client.call(f"evil.{EVIL}")
        browser.wait("#slots", re.escape("<img src=x"))
        browser.click("#clients-toggle")
        browser.wait("#clients", re.escape("<img src=x onerror="))
        client.call("sim.crash", signal.SIGKILL)
        browser.wait("#log", "signal 9")
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.wait("#methods", "<b>bold</b>")
    whole = browser.text("body")
    assert "\\u202egnp.exe" in whole and "\u202e" not in whole and "\u0007" not in whole
    assert browser.run("return document.title") == "objpool"
    assert browser.run("return document.querySelectorAll('img, u, main b b, script').length") == 1     # the page's own script
    browser.shoot(SHOTS / "evil.png")
    assert browser.complaints() == []


def busy_seconds(browser):
    metrics = browser.developer("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def test_a_hundred_pools_without_a_stutter(page, browser):
    workers = 64 if resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 16384 else 8      # a thread needs two descriptors
    pools = {f"p{n:03}": {"workers": workers, "isolation": "thread"} for n in range(100)}
    daemon, _ = page(pools, path="#pool=p007")
    browser.wait("#pools-count", "100 pools")
    with daemon.client() as client:
        ids = [client.start(f"{name}.echo", n) for n in range(20) for name in pools]
        for number in ids:
            client.wait(number)
    browser.wait("#pools", rf"p099\s+✓ ready\s+{workers}/{workers}")
    browser.wait("#slots-count", f"{workers} of {workers}")
    # The longest that showing everything takes, with all rows as they are after a second of calls.
    took = browser.run("const times = []; for (let i = 0; i < 20; i++) { const t = performance.now(); showAll(); "
                       "times.push(performance.now() - t); } return times.sort((a, b) => a - b)[10]")
    print(f"showing 100 pools of {workers} takes {took:.1f} ms")
    # CPU time of the browser's thread that runs the script, lays out and paints, in some seconds of events.
    browser.developer("Performance.setTimeDomain", timeDomain="threadTicks")
    browser.developer("Performance.enable")
    used, began = busy_seconds(browser), browser.run("return known.now")
    with daemon.client() as client:
        browser.until(lambda: [client.value(f"{name}.echo", 1) for name in pools] and browser.run("return known.now") >= began + 5000,
                      lambda: "five seconds of events")
    share = (busy_seconds(browser) - used) / (browser.run("return known.now") - began) * 1000
    print(f"it takes {share * 100:.0f} % of a CPU in the browser")
    assert share < 0.4
    browser.shoot(SHOTS / "hundred.png")
    assert browser.complaints() == []
