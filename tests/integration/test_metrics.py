# SPDX-License-Identifier: Apache-2.0
"""What can be measured and probed: latencies and processes in the status, OpenMetrics text, HTTP."""
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest
from harness import BUILD, DEADLINE, ROOT, wait_for

NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)?\}})? ({NUMBER})")
SUFFIXES = {"counter": ["_total"], "gauge": [""], "info": ["_info"], "histogram": ["_bucket", "_count", "_sum"]}


def unescape(value):
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), value)


def check_family(name, kind, samples):
    """The rules of one family: names of samples, no series twice and none interleaved, whole histograms."""
    assert kind != "histogram" or all("le" in labels for n, labels, _ in samples if n.endswith("_bucket"))
    for sample, _, value in samples:
        assert sample in [name + suffix for suffix in SUFFIXES[kind]], (name, sample)
        if kind in ("counter", "histogram"):
            assert value >= 0
        if kind == "info":
            assert value == 1
    keys = [(n, tuple(sorted(labels.items()))) for n, labels, _ in samples]
    assert len(keys) == len(set(keys)), name
    series = [tuple(sorted((k, v) for k, v in labels.items() if k != "le" or kind != "histogram")) for _, labels, _ in samples]
    changes = [s for i, s in enumerate(series) if i == 0 or series[i - 1] != s]
    assert len(changes) == len(set(changes)), name
    if kind == "histogram":
        for one in changes:
            check_histogram(name, [sample for sample, s in zip(samples, series) if s == one])


def check_histogram(name, samples):
    buckets = [(float(labels["le"]), value) for n, labels, value in samples if n == name + "_bucket"]
    rest = {n: value for n, _, value in samples if n != name + "_bucket"}
    assert [le for le, _ in buckets] == sorted({le for le, _ in buckets}) and buckets[-1][0] == float("inf")
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert set(rest) == {name + "_count", name + "_sum"} and rest[name + "_count"] == buckets[-1][1]


def parse(text):
    """OpenMetrics text, strictly: {(sample, frozenset of labels): value}."""
    assert text.endswith("\n# EOF\n") and "\r" not in text
    families, samples, current = {}, {}, None
    for line in text[: -len("# EOF\n")].split("\n")[:-1]:
        meta = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) ((?:[^\n\\]|\\[\\n\"])+)", line)
        if meta:
            word, name, rest = meta.groups()
            if current is None or name != current:
                assert name not in families, f"{name} comes twice"
                current = name
                families[name] = {"samples": []}
            assert word not in families[name] and not families[name]["samples"], line
            families[name][word] = rest
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.group(1), match.group(2) or "", float(match.groups()[-1])
        pairs = [(k, unescape(v)) for k, v in re.findall(LABEL, labels)]
        assert len(pairs) == len(dict(pairs)), line
        assert current and name.startswith(current), line
        families[current]["samples"].append((name, dict(pairs), value))
        samples[name, frozenset(pairs)] = value
    for name, family in families.items():
        assert {"TYPE", "HELP"} <= set(family), name
        assert family["TYPE"] in SUFFIXES and not name.endswith("_total"), name
        assert "UNIT" not in family or name.endswith("_" + family["UNIT"])
        check_family(name, family["TYPE"], family["samples"])
    return samples


class Metrics:
    def __init__(self, text):
        self.samples = parse(text)

    def __call__(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def has(self, name, **labels):
        return (name, frozenset(labels.items())) in self.samples


class Web:
    """A request each."""

    def __init__(self, daemon):
        self.port = int(daemon.wait_log(r"by HTTP on tcp:127\.0\.0\.1:(\d+)").group(1))

    def ask(self, method, path, **keywords):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        connection.request(method, path, **keywords)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer, body

    def get(self, path, **headers):
        answer, body = self.ask("GET", path, headers=headers)
        return answer.status, body

    def metrics(self):
        return Metrics(self.get("/metrics", Accept=OPENMETRICS)[1])


OPENMETRICS = "application/openmetrics-text"
HTTP = {"http": "tcp:127.0.0.1:0"}


# ---- counting ----


def test_the_checker_is_strict():
    good = '# TYPE a counter\n# HELP a b\na_total{x="\\"\\\\\\n"} 1\n# EOF\n'
    assert parse(good) == {("a_total", frozenset({("x", '"\\\n')})): 1}
    for bad in (good[:-1], good.replace("# EOF\n", ""), good.replace("a_total", "a"), good.replace("a_total", "b_total"),
                good.replace('\\"', '"'), good.replace("# HELP a b\n", ""), good.replace(" 1\n", " one\n"), good.replace("} 1", "} 1 "),
                good.replace("a_total", "\na_total"), good.replace("# EOF", '# TYPE a counter\n# HELP a b\n# EOF')):
        with pytest.raises(AssertionError):
            parse(bad)


def test_counters_and_histograms(start):
    daemon = start(pools={"p": {"workers": 2}, "q": {"workers": 1}})
    with daemon.client() as c:
        for i in range(7):
            c.value("p.echo", i)
        for _ in range(3):
            c.error("p.fail", "no")
        c.value("p:map.echo", list(range(100)))
        c.full("p", "sleep", [60], timeout_ms=30)
        assert c.value("p:all.slot") == [0, 1]
        m = Metrics(c.value("objpool.metrics"))
        assert m("objpool_pool_calls_total", pool="p") == 13
        assert m("objpool_pool_calls_total", pool="q") == 0
        assert m("objpool_pool_failed_tasks_total", pool="p") == 3
        assert m("objpool_call_duration_seconds_count", pool="p", method="echo") == 8
        assert m("objpool_method_duration_seconds_count", pool="p", method="echo") == 107
        assert m("objpool_call_duration_seconds_count", pool="p", method="slot") == 1
        assert m("objpool_method_duration_seconds_count", pool="p", method="slot") == 2
        assert m("objpool_failed_calls_total", pool="p", method="fail") == 3
        assert m("objpool_failed_calls_total", pool="p", method="echo") == 0
        assert m("objpool_failed_calls_total", pool="p", method="sleep") == 1
        assert 0.03 <= m("objpool_call_duration_seconds_sum", pool="p", method="sleep") < 30
        assert not any(dict(labels).get("pool") == "q" and "method" in dict(labels) for _, labels in m.samples)
        assert m("objpool_sessions") == 1 and m("objpool_draining") == 0
        assert m("objpool_pool_slots", pool="p", state="ready") == 2
        status = c.value("objpool.status", "p")["pools"][0]
        assert {n: (v["calls"], v["failures"]) for n, v in status["methods"].items()} == {
            "echo": (8, 0), "fail": (3, 3), "sleep": (1, 1), "slot": (1, 0)}
        assert 0 < status["latency"]["p50_s"] <= status["latency"]["p99_s"] <= status["latency"]["max_s"]
        assert status["latency"]["max_s"] == max(method["max_s"] for method in status["methods"].values()) >= 0.03


def test_time_in_the_method_is_not_time_in_the_queue(start):
    with start(pools={"p": {"workers": 1}}).client() as c:
        calls = [c.start("p.sleep", 0.05) for _ in range(10)]
        assert all(c.wait(i)[0] is None for i in calls)
        m = Metrics(c.value("objpool.metrics"))
        whole, inside = (m(f"objpool_{what}_duration_seconds_sum", pool="p", method="sleep") for what in ("call", "method"))
        assert 0.5 <= inside < whole and whole >= 0.05 * 55


def test_items_that_go_together_are_measured_one_by_one(start):
    with start(pools={"p": {"workers": 1}}).client() as c:
        assert c.full("p:map", "sleep", [[0.01] * 50], chunk=50)[0] is None
        inside = Metrics(c.value("objpool.metrics"))("objpool_method_duration_seconds_sum", pool="p", method="sleep")
        assert 0.5 <= inside < 5, inside


def test_deaths_and_starts(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        before = Metrics(c.value("objpool.metrics"))
        assert before("objpool_pool_worker_starts_total", pool="p") == 1
        assert before("objpool_pool_worker_restarts_total", pool="p") == 0
        c.error("p.crash", 9)
        c.value("p.slot")
        after = Metrics(c.value("objpool.metrics"))
        assert after("objpool_pool_worker_deaths_total", pool="p") == 1
        assert after("objpool_pool_worker_restarts_total", pool="p") == 1
        assert after("objpool_pool_lost_tasks_total", pool="p") == 1
        c.value("objpool.restart", "p")
        again = Metrics(c.value("objpool.metrics"))
        assert again("objpool_pool_worker_deaths_total", pool="p") == 1
        assert again("objpool_pool_worker_starts_total", pool="p") == 3


def test_reloads_and_builds(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        first = Metrics(c.value("objpool.metrics"))
        began = first("objpool_config_last_reload_success_timestamp_seconds")
        assert abs(time.time() - began) < DEADLINE and first("objpool_config_last_reload_successful") == 1
        assert first("objpool_config_reloads_total") == first("objpool_config_last_reload_duration_seconds") == 0
        assert first("objpool_pool_template_loads_total", pool="p") == 1
        took = first("objpool_pool_template_load_duration_seconds", pool="p")
        assert 0 < took <= first("objpool_pool_worker_start_duration_seconds", pool="p") < DEADLINE
        assert first("objpool_pool_template_resident_memory_bytes", pool="p") > 100_000
        daemon.pools["p"]["colour"] = "red"
        daemon.write_config()
        c.error("objpool.reload")
        bad = Metrics(c.value("objpool.metrics"))
        assert bad("objpool_config_last_reload_successful") == 0
        assert bad("objpool_config_last_reload_success_timestamp_seconds") == began
        assert (bad("objpool_config_reloads_total"), bad("objpool_config_failed_reloads_total")) == (1, 1)
        del daemon.pools["p"]["colour"]
        daemon.pools["p"]["plugin"] = "sampler"  # which has no class Probe
        daemon.write_config()
        assert "no class" in str(c.value("objpool.reload"))
        good = Metrics(c.value("objpool.metrics"))
        assert good("objpool_config_last_reload_successful") == 1
        assert good("objpool_config_last_reload_success_timestamp_seconds") >= began
        assert (good("objpool_config_reloads_total"), good("objpool_config_failed_reloads_total")) == (2, 1)
        assert good("objpool_config_last_reload_duration_seconds") > 0
        assert good("objpool_pool_template_failed_loads_total", pool="p") >= 1
        assert good("objpool_pool_template_load_duration_seconds", pool="p") == took


def test_replacements_that_cannot_be_built_are_starts_that_failed(start, place):
    file = place / "left"
    file.write_text("0")
    daemon = start(pools={"p": {"workers": 2, "kwargs": f'{{"fail": "not now", "fail_times_file": "{file}"}}'}})
    with daemon.client() as c:
        for left, answers in ((1, False), (1, False), (0, True)):
            file.write_text(str(left))
            assert (c.call("objpool.restart", "p", 0)[0] is None) == answers
        m = Metrics(c.value("objpool.metrics"))
        found = [m(f"objpool_pool_worker_{name}_total", pool="p") for name in ("starts", "failed_starts", "restarts", "deaths")]
        assert found == [5, 2, 1, 0]


def test_a_start_that_failed_is_no_death(start):
    with start(pools={"p": {"workers": 1, "kwargs": '{"fail": "no licence"}'}}).client() as c:
        m = Metrics(wait_for(lambda: (text := c.value("objpool.metrics")) and 'failed_starts_total{pool="p"} 0' not in text and text, lambda: "a failed start"))
        assert m("objpool_pool_worker_failed_starts_total", pool="p") >= 1
        assert m("objpool_pool_worker_deaths_total", pool="p") == 0


def test_rejected_calls_and_the_queue(start):
    daemon = start(pools={"p": {"workers": 1, "max_queue": 3}})
    with daemon.client() as c, daemon.client() as other:
        calls = [c.start("p.sleep", 0.3) for _ in range(8)]
        c.value("objpool.ping")  # all of them have come
        m = Metrics(other.value("objpool.metrics"))
        results = [c.wait(i) for i in calls]
        rejected = sum(error is not None for error, _ in results)
        assert rejected >= 4
        assert m("objpool_pool_queue_length", pool="p") == 3
        assert Metrics(other.value("objpool.metrics"))("objpool_pool_rejected_calls_total", pool="p") == rejected


def test_names_that_clients_make_up(start):
    """A class that takes any name: label values are escaped, what can't be shown and what is too much counts as other."""
    daemon = start(pools={"e": {"class": "Echo", "workers": 1}})
    strange = 'a"b\\c{}, d="ä€😀'
    with daemon.client() as c:
        c.call("objpool.call", "e", strange, [])
        c.call("objpool.call", "e", "line\nfeed", [])
        c.notify("objpool.call", "e", b"\xff\xfe", [])  # no answer: it would quote the name
        c.call("objpool.call", "e", "x" * 300, [])
        assert c.error("objpool.call", "e", "", []).startswith("BAD_TARGET: ")
        for i in range(200):
            c.call("objpool.call", "e", f"m{i}", [])
        m = Metrics(c.value("objpool.metrics"))
        assert m("objpool_call_duration_seconds_count", pool="e", method=strange) == 1
        names = {dict(labels)["method"] for name, labels in m.samples if name == "objpool_call_duration_seconds_count"}
        assert len(names) == 129 and "(other)" in names
        assert m("objpool_call_duration_seconds_count", pool="e", method="(other)") == 3 + 200 - 127
        assert sum(v for (n, _), v in m.samples.items() if n == "objpool_call_duration_seconds_count") == 204
        assert set(c.value("objpool.status")["pools"][0]["methods"]) == names


def test_memory_and_cpu_of_workers(start):
    daemon = start(pools={"p": {"workers": 2}})
    with daemon.client() as c:
        def slots():
            return c.value("objpool.status", "p")["pools"][0]["slots"]
        before = slots()
        assert all(0 < s["rss"] < 1 << 28 and 0 <= s["cpu_s"] < DEADLINE for s in before)
        c.value("p:0.allocate", 64 << 20)
        spun = 0
        while slots()[1]["cpu_s"] - before[1]["cpu_s"] <= 0.2:  # others may want the CPU, too
            assert spun < DEADLINE
            c.value("p:1.spin", 0.1)
            spun += 0.1
        assert spun > 0.1
        assert slots()[0]["rss"] - before[0]["rss"] > 60 << 20
        m = Metrics(c.value("objpool.metrics"))
        assert m("objpool_worker_resident_memory_bytes", pool="p", slot="0") > 60 << 20
        assert m("objpool_worker_cpu_seconds_total", pool="p", slot="1") > 0.2
        assert m("objpool_resident_memory_bytes") > 1 << 20


def test_the_command(start):
    daemon = start()
    done = subprocess.run([BUILD / "objpool", "-s", daemon.address, "metrics"], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0 and parse(done.stdout)


def test_measures_outlive_a_template(start):
    """A template that ends is started again and tells the methods again: what was counted stays."""
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        c.value("p.echo", 1)
        worker = daemon.pids(c)[0]
        template = next(p for p in daemon.children() if p != worker)
        os.kill(template, signal.SIGKILL)
        wait_for(lambda: template not in daemon.children(), lambda: "the template to end")
        c.value("objpool.restart", "p")
        c.value("p.echo", 1)
        assert c.value("objpool.status")["pools"][0]["methods"]["echo"]["calls"] == 2


# ---- HTTP ----


def test_pages(start):
    daemon = start(daemon=HTTP, pools={"p": {}, "q": {}})
    web = Web(daemon)
    assert web.get("/livez") == (200, "ok\n")
    assert web.get("/readyz") == (200, "p ok\nq ok\n")
    assert web.get("/livez?verbose=1")[0] == 200
    assert web.get("/metrics")[0] == 200
    for path in ("/page", "/nothing", "/livez/", "//livez", "*"):
        assert web.get(path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer, _ = web.ask(method, "/livez", body="x")
        assert answer.status == 405 and answer.getheader("Allow") == "GET, HEAD", method
    for path in ("/livez", "/readyz", "/metrics"):
        answer, body = web.ask("HEAD", path)
        assert answer.status == 200 and body == "" and int(answer.getheader("Content-Length")) > 0
    assert web.ask("POST", "/livez", body="x" * 100000)[0].status == 413
    answer, _ = web.ask("GET", "/livez", headers={"X": "x" * 20000})
    assert answer.status in (400, 413)
    assert web.get("/livez")[0] == 200


def classic(text):
    """Prometheus' text format, as strictly as its parsers are: {series: value}, and the type of each family."""
    types, helped, samples = {}, set(), {}
    assert text.endswith("\n")
    for line in text.split("\n")[:-1]:
        meta = re.fullmatch(rf"# (TYPE|HELP) ({NAME}) (.+)", line)
        if meta:
            word, name, rest = meta.groups()
            assert name not in (types if word == "TYPE" else helped), line
            if word == "TYPE":
                types[name] = rest
            else:
                helped.add(name)
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels = match.group(1), match.group(2) or ""
        family = name if name in types else re.sub("_(bucket|sum|count)$", "", name)
        assert family == list(types)[-1] and family in helped, line
        assert (family != name) == (types[family] == "histogram"), line
        assert (types[family] == "counter") == name.endswith("_total"), line
        assert (name, labels) not in samples
        samples[name, labels] = float(match.groups()[-1])
    assert set(types.values()) == {"counter", "gauge", "histogram"} and helped == set(types)
    return samples


def test_each_scraper_gets_the_format_that_it_knows(start):
    daemon = start(daemon=HTTP)
    with daemon.client() as c:
        c.value("p.echo", 1)
    web = Web(daemon)
    plain = {"none": {}, "any": {"Accept": "*/*"}, "text": {"Accept": "text/plain;version=0.0.4"},
             "rather": {"Accept": f"{OPENMETRICS};q=0.5, text/plain"}}
    for headers in plain.values():
        answer, text = web.ask("GET", "/metrics", headers=headers)
        assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.getheader("Vary") == "Origin, Accept"
        names = {name for name, _ in classic(text)}
    answer, text = web.ask("GET", "/metrics", headers={"Accept": f"{OPENMETRICS};version=1.0.0, text/plain;q=0.5"})
    assert answer.getheader("Content-Type") == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert {name for name, _ in parse(text)} == names


def test_probes_are_not_counted(start):
    daemon = start(daemon=HTTP, pools={"p": {"workers": 1}})
    web = Web(daemon)
    for _ in range(5):
        assert web.get("/readyz")[0] == 200
    m = web.metrics()
    assert m("objpool_pool_calls_total", pool="p") == 0 and m("objpool_slot_tasks_total", pool="p", slot="0") == 0
    assert not m.has("objpool_call_duration_seconds_count", pool="p", method="(other)")
    with daemon.client() as c:
        assert c.value("p.calls") == 1  # this one: the class has seen no other


def test_readyz_when_a_constructor_fails(start, place):
    (place / "left").write_text("1000000")
    daemon = start(daemon=HTTP, pools={"p": {}, "bad": {"workers": 1, "kwargs": '{"fail": "no paper\\ntoday", "fail_times_file": "%s"}' % (place / "left")}})
    web = Web(daemon)
    status, body = web.get("/readyz")
    assert status == 503 and body.startswith("p ok\nbad failed: UNAVAILABLE: ") and r"no paper\ntoday" in body and body.count("\n") == 2
    (place / "left").write_text("0")
    with daemon.client() as c:
        c.call("objpool.restart", "bad")
    wait_for(lambda: web.get("/readyz") == (200, "p ok\nbad ok\n"), lambda: "readiness")


def test_readyz_really_calls(start):
    """A worker that is there and does not answer is not ready."""
    daemon = start(daemon=HTTP, pools={"p": {"workers": 1}})
    web = Web(daemon)
    with daemon.client() as c:
        pid = daemon.pids(c)[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            status, body = web.get("/readyz")
            assert status == 503 and body == "p failed: no instance has answered within a second\n"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert web.get("/readyz") == (200, "p ok\n")
        assert c.value("p.echo", 1) == 1


def test_readyz_when_all_are_busy(start):
    daemon = start(daemon=HTTP, pools={"p": {"workers": 1}})
    web = Web(daemon)
    with daemon.client() as c:
        long = c.start("p.sleep", 60)
        wait_for(lambda: c.value("objpool.status")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
        assert web.get("/readyz") == (200, "p busy: no instance was free within a second\n")
        c.value("objpool.cancel", long)
        assert web.get("/readyz") == (200, "p ok\n")
        error, _ = c.full("p", "sleep_hard", [60], timeout_ms=50)
        assert error.startswith("TIMEOUT")
        assert web.get("/readyz") == (503, "p failed: no instance has answered within a second\n")
        os.kill(daemon.pids(c)[0], signal.SIGKILL)


def test_readyz_while_starting_and_draining(start):
    daemon = start(daemon=HTTP, pools={"p": {"workers": 1, "kwargs": '{"sleep": 60}'}}, expect_ready=False)
    web = Web(daemon)
    status, body = web.get("/readyz")
    assert status == 503 and body == "p failed: no instance is ready\n"
    assert web.get("/livez")[0] == 200
    daemon.signal(signal.SIGKILL)
    daemon.process.wait(DEADLINE)
    daemon = start(daemon=HTTP, pools={"p": {"workers": 1}})
    web = Web(daemon)
    with daemon.client() as c:
        running = c.start("p.sleep", 1)
        wait_for(lambda: c.value("objpool.status")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("finishing what runs")
        status, body = web.get("/readyz")
        assert status == 503 and body.startswith("draining: ")
        assert web.get("/livez")[0] == 200 and web.metrics()("objpool_draining") == 1
        assert c.wait(running)[0] is None


def test_no_pools(start):
    daemon = start(daemon=HTTP, pools={})
    assert Web(daemon).get("/readyz") == (200, "there are no pools\n")


def test_unix(start, place):
    daemon = start(daemon={"http": f"unix:{place}/web"})
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE)
    connection.sock.connect(str(place / "web"))
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"p ok\n")
    connection.close()
    daemon.stop()
    assert not (place / "web").exists()


def test_connections_wait_until_there_are_descriptors(start, place):
    daemon = start(daemon={"http": f"unix:{place}/web"}, pools={})
    pid = daemon.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    open_ones = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
    lowest_free = min(set(range(len(open_ones) + 1)) - open_ones)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(DEADLINE)
        s.connect(f"{place}/web")
        s.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        daemon.wait_log("http: can't accept connections for a moment: Too many open files")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        assert b" 200 " in s.recv(4096)


# ---- the address ----


def run_with(place, http_value, more=""):
    path = place / "x.conf"
    path.write_text(f"[daemon]\nlisten = unix:{place}/x\n{more}http = {http_value}\n")
    return subprocess.run([BUILD / "objpoold", "--config", path], text=True, capture_output=True, timeout=DEADLINE), path


def test_a_unix_socket_takes_no_descriptors(start, place):
    """As far as the kernel can refuse them: Linux 6.16."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.getsockopt(socket.SOL_SOCKET, 83)  # SO_PASSRIGHTS
        except OSError:
            pytest.skip("this kernel can't")
    start({"p": {"workers": 1}}, daemon={"http": f"unix:{place}/http"})
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{place}/http")
        with pytest.raises(PermissionError):
            socket.send_fds(s, [b"GET /livez HTTP/1.0\r\n\r\n"], [0])
        s.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert b" 200 " in s.recv(4096)


def test_wrong_addresses(start, place):
    taken = Web(start(daemon=HTTP)).port
    done, path = run_with(place, f"tcp:127.0.0.1:{taken}")
    assert done.returncode == 1 and f"{path}:3: http = tcp:127.0.0.1:{taken}: " in done.stderr and "in use" in done.stderr
    assert not (place / "x").exists()
    done, path = run_with(place, "9117")
    assert done.returncode == 78 and f"{path}:3: http = 9117" in done.stderr
    done, path = run_with(place, "tcp:0.0.0.0:0")
    assert done.returncode == 78 and f"{path}:3: http" in done.stderr and "insecure_remote" in done.stderr
    path.write_text("[daemon]\nhttp = tcp:0.0.0.0:9117\ninsecure_remote = yes\n")
    done = subprocess.run([BUILD / "objpoold", "--config", path, "--print-config"], text=True, capture_output=True, timeout=DEADLINE)
    assert done.returncode == 0 and "\nhttp = tcp:0.0.0.0:9117\n" in done.stdout


def test_reload_moves_the_address(start, place):
    daemon = start(daemon=HTTP)
    web = Web(daemon)
    with daemon.client() as c:
        c.value("objpool.reload")
        assert web.get("/livez")[0] == 200  # the same address: the same socket
        daemon.daemon["http"] = f"unix:{place}/web"
        daemon.write_config()
        c.value("objpool.reload")
        assert (place / "web").exists()
        with pytest.raises(ConnectionRefusedError):
            web.get("/livez")
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            daemon.daemon["http"] = f"tcp:127.0.0.1:{other.getsockname()[1]}"
            daemon.write_config()
            error = c.error("objpool.reload")
            assert error.startswith("FAILED: ") and "http = tcp:" in error and "in use" in error
        assert (place / "web").exists()
        del daemon.daemon["http"]
        daemon.write_config()
        c.value("objpool.reload")
        assert not (place / "web").exists()


# ---- clients that do harm ----


def test_slow_connections_starve_nobody(start):
    """Those that say nothing, or half a request, or don't read their answer, make room for who asks."""
    daemon = start(daemon=HTTP)
    web = Web(daemon)
    before = daemon.descriptors()
    for words in (b"", b"GET /livez HTTP/1.1\r\nHost:", b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"):
        slow = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(300)]
        for s in slow:
            try:
                s.sendall(words)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has made room for another
        assert web.get("/livez")[0] == 200 and web.get("/readyz") == (200, "p ok\n")
        assert daemon.descriptors() <= before + 64 + 16
        for s in slow:
            s.close()


def test_slow_connections_that_keep_coming(start):
    daemon = start(daemon=HTTP)
    web = Web(daemon)
    slow = []
    for _ in range(20):
        slow += [socket.create_connection(("127.0.0.1", web.port)) for _ in range(20)]
        assert web.get("/livez")[0] == 200
    for s in slow:
        s.close()


def test_a_slow_client_is_cut(start):
    """One that sends a header byte by byte has ten seconds, however busy it looks."""
    daemon = start(daemon=HTTP, pools={})
    web = Web(daemon)
    slow = socket.create_connection(("127.0.0.1", web.port))
    began = time.monotonic()
    slow.settimeout(0.5)
    data = None
    with pytest.raises((AssertionError, OSError)) as end:
        while time.monotonic() - began < 2 * DEADLINE:
            slow.sendall(b"G" if data is None else b"x")
            try:
                data = slow.recv(100)
                assert data, "cut"
            except socket.timeout:
                data = b""
    assert end.value and 9 < time.monotonic() - began < 15
    slow.close()


def test_clients_that_go_while_they_wait(start):
    daemon = start(daemon=HTTP, pools={"p": {"workers": 1, "kwargs": '{"sleep": 60}'}}, expect_ready=False)
    web = Web(daemon)
    assert web.get("/readyz")[0] == 503
    before = daemon.descriptors()
    for _ in range(10):
        gone = socket.create_connection(("127.0.0.1", web.port))
        gone.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        gone.close()
    assert web.get("/readyz")[0] == 503
    wait_for(lambda: daemon.descriptors() <= before, lambda: "connections to be closed")
    daemon.signal(signal.SIGKILL)
    daemon.process.wait(DEADLINE)


def test_what_the_documents_say():
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    names = set(re.findall(r"\bobjpool_[a-z_]+\b(?!\.)", text))
    source = (ROOT / "daemon/supervisor/view/metrics.c").read_text()
    assert len(names) > 5
    for name in names:
        assert re.sub("_(total|bucket|sum|count)$", "", name) in source, name
