# SPDX-License-Identifier: Apache-2.0
"""Hosts whose clocks differ: by years, in time of day and in time since the start. No host's clock is compared with another's."""
import ctypes
import os
import subprocess
import time

import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import BUILD, SLOW

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWTIME = 0x80
YEAR = 365 * 24 * 3600

REALTIME = """
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) { return atol(getenv("SHIFTED_BY") ? getenv("SHIFTED_BY") : "0"); }

int clock_gettime(clockid_t clock, struct timespec *at)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	const int r = real(clock, at);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		at->tv_sec += shift();
	return r;
}

/* A moment of the time of day, which the kernel must know by its own. */
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
	const struct timespec at = {until->tv_sec - shift(), until->tv_nsec};
	if (!real)
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
	return real(cond, mutex, &at);
}

time_t time(time_t *to)
{
	struct timespec at;
	clock_gettime(CLOCK_REALTIME, &at);
	if (to)
		*to = at.tv_sec;
	return at.tv_sec;
}

int gettimeofday(struct timeval *to, void *zone)
{
	struct timespec at;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &at);
	*to = (struct timeval){at.tv_sec, at.tv_nsec / 1000};
	return 0;
}
"""


def since_start(seconds):
    """For a process about to be started: CLOCK_MONOTONIC and CLOCK_BOOTTIME are so much later there."""
    def shift():
        if LIBC.unshare(CLONE_NEWTIME) < 0:
            raise OSError(ctypes.get_errno(), "unshare")
        with open("/proc/self/timens_offsets", "w") as offsets:
            offsets.write(f"monotonic {seconds} 0\nboottime {seconds} 0\n")
        end = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
        if LIBC.setns(end, CLONE_NEWTIME) < 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(end)
    return shift


def why_not():
    try:
        later = subprocess.run(["cat", "/proc/uptime"], preexec_fn=since_start(YEAR), capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return "this process may make no time namespaces"
    return None if float(later.stdout.split()[0]) > YEAR else "time namespaces have no effect here"


REASON = why_not()
pytestmark = [*needs_cluster, pytest.mark.skipif(REASON is not None, reason=str(REASON)),
              pytest.mark.skipif(SLOW, reason="a sanitizer's library must come before what is preloaded")]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    file = tmp_path_factory.mktemp("clock") / "clock.so"
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-fPIC", "-shared", "-o", file, "-xc", "-", "-ldl"],
                   input=REALTIME, text=True, check=True)
    return file


@pytest.fixture
def shifted(library, place, monkeypatch):
    """shifted(hosts, name, of_day, start): adds a host whose time of day, and time since the start, are so much later."""
    def add(hosts, name, of_day, start):
        program = place / f"gateway-{name}"     # the daemon gives it no environment
        program.write_text(f"#!/bin/sh\nSHIFTED_BY={of_day} LD_PRELOAD={library} exec {(BUILD / 'objpool-gateway').resolve()}\n")
        program.chmod(0o755)
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("SHIFTED_BY", str(of_day))
        host = hosts.add(name, preexec=since_start(start), cluster={"gateway_program": program})
        monkeypatch.delenv("LD_PRELOAD")
        monkeypatch.delenv("SHIFTED_BY")
        for pid in (host.daemon.process.pid, host.gateway()):
            assert os.stat(f"/proc/{pid}/ns/time").st_ino != os.stat("/proc/self/ns/time").st_ino
            with open(f"/proc/{pid}/maps") as maps:
                assert str(library) in maps.read()
        return host
    return add


def test_clocks_that_differ(cluster, shifted):
    hosts = cluster(("h1",))
    shifted(hosts, "h2", -3 * YEAR, 20 * YEAR)
    shifted(hosts, "h3", 5 * YEAR, 100)
    hosts.settle()
    for name in hosts.hosts:
        assert hosts[name].hosts()["h2"]["heard_s"] < 2
        with hosts[name].client() as c:
            assert c.value("p@*:all.tag") == ["h1"] * 2 + ["h2"] * 2 + ["h3"] * 2
            for other in hosts.hosts:
                assert c.full(f"p@{other}", "sleep", [0.01], timeout_ms=15000)[0] is None
                before = time.monotonic()
                assert c.full(f"p@{other}", "sleep", [100], timeout_ms=300)[0].startswith("TIMEOUT: ")
                assert time.monotonic() - before >= 0.3
    # Who is gone is missed in the same time.
    hosts["h2"].kill()
    for name in ("h1", "h3"):
        hosts[name].sees({"h1": 2, "h3": 2})


def test_the_age_of_a_host_is_not_its_clock(cluster, shifted):
    """The second of one name gives way, though by its clock it has started long before."""
    hosts = cluster(("h1", "h2"))
    first = hosts["h1"]
    second = shifted(hosts, "h1", -10 * YEAR, 30 * YEAR)
    second.daemon.wait_log("another host calls itself h1")
    with hosts["h2"].client() as c:
        assert c.value("p@h1.tag") == "h1"
    with second.client() as c:
        assert c.error("p@h2.tag").startswith("UNREACHABLE: ")
    second.daemon.stop()
    hosts.hosts["h1"] = first
    hosts.settle()
