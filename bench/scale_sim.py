#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A simulation behind docs/SCALE.md: how well calls spread over many hosts that know each other's load only by beats.

scale_sim.py [--calls N] [--seed N]   the tables of docs/SCALE.md; the same seed gives the same figures

Each host has SLOTS instances and one queue. Calls come as a Poisson process, from all hosts alike, and take an exponential time.
A host tells its load (queued + running) every 400 ms, at a phase of its own; between these the others go by what they have heard
and by what they themselves wait for. Nothing of the network is in it: a beat arrives at once, a call takes no time on its way.
"""
import argparse
import heapq
import random
import statistics

SLOTS = 4
BEAT = 0.4      # seconds: HOST_BEAT in gateway/core/hosts.h
WIRE, MORE = 66, 27     # bytes of a beat from the server to a host, with one pool, and for each more: bench/beats.py
ARRIVE, FINISH, TELL = range(3)


class Host:
    __slots__ = ("queued", "running", "told")

    def __init__(self):
        self.queued = []    # (when it came, origin) of each that waits
        self.running = 0
        self.told = 0       # the load of its last beat

    def load(self):
        return len(self.queued) + self.running


class World:
    def __init__(self, hosts, choose, use, service, calls, seed, beat=BEAT, known=0, origins=0, at_change=0):
        self.rng = random.Random(seed)
        self.hosts = [Host() for _ in range(hosts)]
        self.choose, self.service, self.calls, self.beat = choose, service, calls, beat
        self.origins = origins or hosts
        self.at_change = at_change      # a host tells its load when it differs by so much from what it told; 0: at its time only
        self.beats = 0
        self.between = service / (hosts * SLOTS * use)
        self.owed = [{} for _ in range(hosts)]      # of each origin: host -> calls that it waits for
        self.known = [self.rng.sample(range(hosts), min(known, hosts)) for _ in range(hosts)] if known else None
        self.events = []
        self.number = 0
        self.times = []
        self.excess = []        # of the fullest host over the mean, at each of the samples

    def at(self, when, what, *more):
        self.number += 1
        heapq.heappush(self.events, (when, self.number, what, more))

    def candidates(self, origin):
        return self.known[origin] if self.known else range(len(self.hosts))

    def own(self, origin, i):
        return self.owed[origin].get(i, 0)

    def told(self, origin, i):
        return self.hosts[i].told + self.own(origin, i)

    def less_of(self, a, b, load):
        """Of two hosts, ties at random."""
        return min((load(a), self.rng.random(), a), (load(b), self.rng.random(), b))[2]

    def pair(self, origin):
        known = self.candidates(origin)
        return self.rng.sample(known, 2) if len(known) > 1 else (known[0], known[0])

    def begin(self, now, i, came, origin):
        self.hosts[i].running += 1
        self.at(now + self.rng.expovariate(1 / self.service), FINISH, i, came, origin)

    def arrive(self, now):
        origin = self.rng.randrange(self.origins)
        i = self.choose(self, origin)
        host = self.hosts[i]
        self.owed[origin][i] = self.owed[origin].get(i, 0) + 1
        if host.running < SLOTS:
            self.begin(now, i, now, origin)
        else:
            host.queued.append((now, origin))
        self.tell_early(host)

    def finish(self, now, i, came, origin):
        host = self.hosts[i]
        host.running -= 1
        self.owed[origin][i] -= 1
        self.times.append(now - came)
        if host.queued:
            self.begin(now, i, *host.queued.pop(0))
        self.tell_early(host)

    def tell_early(self, host):
        if self.at_change and abs(host.load() - host.told) >= self.at_change:
            self.tell(host)

    def tell(self, host):
        host.told = host.load()
        self.beats += 1

    def run(self):
        self.at(0, ARRIVE)
        for i in range(len(self.hosts)):
            self.at(self.rng.random() * self.beat, TELL, i)
        left = self.calls
        sample = max(self.calls // 200, 1)
        while left:
            now, _, what, more = heapq.heappop(self.events)
            if what == ARRIVE:
                left -= 1
                self.arrive(now)
                self.at(now + self.rng.expovariate(1 / self.between), ARRIVE)
                if left < self.calls // 2 and left % sample == 0:
                    loads = [host.load() for host in self.hosts]
                    self.excess.append(max(loads) / max(statistics.fmean(loads), 1e-9))
            elif what == FINISH:
                self.finish(now, *more)
            else:
                self.tell(self.hosts[more[0]])
                self.at(now + self.beat, TELL, *more)
        settled = sorted(self.times[len(self.times) // 2:])
        return (statistics.fmean(settled) / self.service, settled[len(settled) * 99 // 100] / self.service,
                statistics.fmean(self.excess))


def at_random(world, origin):
    return world.rng.choice(world.candidates(origin))


def two(world, origin):
    """By what the last beats told and what this origin waits for."""
    a, b = world.pair(origin)
    return world.less_of(a, b, lambda i: world.told(origin, i))


def route(world, origin):
    """What route.c does: beats count in so many cases as a call takes of the time between them."""
    a, b = world.pair(origin)
    counts = world.rng.random() * world.beat < world.service
    return world.less_of(a, b, lambda i: world.told(origin, i) if counts else world.own(origin, i))


def least(world, origin):
    """The least of all that are known, ties at random."""
    return min((world.told(origin, i), world.rng.random(), i) for i in world.candidates(origin))[2]


def two_now(world, origin):
    """Two, if their load were known as it is this moment."""
    a, b = world.pair(origin)
    return world.less_of(a, b, lambda i: world.hosts[i].load())


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" + "---:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def shown(result):
    mean, p99, excess = result
    return f"{mean:.2f}, {p99:.1f}, {excess:.1f}"


def by_hosts(options):
    print("Mean and p99 of how long a call takes, in times of its method alone; the fullest host's load over the mean. "
          "Load 80 %, methods of 100 ms:\n")
    ways = (("at random", at_random), ("as route.c", route), ("two, by beats", two), ("the least of all, by beats", least),
            ("two, by now", two_now))
    rows = []
    for hosts in (3, 10, 100, 1000):
        calls = options.calls if hosts <= 100 else 2 * options.calls
        row = [str(hosts)]
        for name, choose in ways:
            # to look at all of 1,000 for each call is slow here, too
            row.append("-" if choose is least and hosts > 100 else
                       shown(World(hosts, choose, 0.8, 0.1, calls, options.seed).run()))
        rows.append(row)
    table(("hosts", *(name for name, _ in ways)), rows)


def by_staleness(options):
    print("100 hosts, load 80 %, methods of 100 ms, by the time between beats:\n")
    rows = []
    for beat in (0.1, 0.4, 1, 5):
        rows.append([f"{beat:g} s", *(shown(World(100, choose, 0.8, 0.1, options.calls, options.seed, beat=beat).run())
                                      for choose in (route, two, least))])
    table(("between beats", "as route.c", "two, by beats", "the least of all, by beats"), rows)


def by_service(options):
    print("100 hosts, beats of 400 ms, by how long methods take, and by load:\n")
    rows = []
    for service in (0.01, 0.1, 1):
        calls = options.calls if service > 0.01 else 3 * options.calls
        rows.append([f"{service * 1000:g} ms", *(shown(World(100, choose, use, service, calls, options.seed).run())
                                                 for use in (0.5, 0.8, 0.95) for choose in (route, two, at_random))])
    table(("methods", *(f"{name}, load {use}" for use in ("50 %", "80 %", "95 %")
                        for name in ("as route.c", "two, by beats", "at random"))), rows)


def by_known(options):
    print("1,000 hosts, load 80 %, methods of 100 ms, where each host knows only some others, drawn once:\n")
    rows = []
    for known in (2, 4, 8, 16, 64, 0):
        world = World(1000, route, 0.8, 0.1, 2 * options.calls, options.seed, known=known)
        rows.append([str(known or "all"), shown(world.run())])
    table(("knows", "as route.c"), rows)


def by_origins(options):
    print("100 hosts, load 80 %, methods of 100 ms, where only some hosts call; beats of 400 ms:\n")
    rows = []
    for origins in (1, 3, 10, 100):
        rows.append([str(origins), *(shown(World(100, choose, 0.8, service, options.calls, options.seed, origins=origins).run())
                                     for service in (0.01, 0.1) for choose in (route, two))])
    table(("hosts that call", "as route.c, 10 ms", "two, by beats, 10 ms", "as route.c, 100 ms", "two, by beats, 100 ms"), rows)


def by_change(options):
    print("100 hosts, load 80 %, where a host also tells its load when it has changed by so many calls; two, by beats:\n")
    rows = []
    for change in (0, 8, 4, 2, 1):
        row = [str(change or "never")]
        for service in (0.1, 1):
            world = World(100, two, 0.8, service, options.calls, options.seed, at_change=change)
            row += [shown(world.run()), f"{world.beats / len(world.hosts) / (options.calls * world.between):.1f}/s"]
        rows.append(row)
    table(("at a change by", "two, 100 ms", "beats of a host", "two, 1 s", "beats of a host"), rows)


def traffic(_):
    print("Beats every 400 ms, of hosts with one pool, in the two ways of docs/SCALE.md. Bytes are the server's text to its "
          "clients, without TCP's:\n")
    rows = []
    for n in (3, 10, 30, 100, 300, 1000):
        per_host = (n - 1) / BEAT
        in_domain, group = "-", 32
        if n > group:
            domains = -(-n // group)
            here = (group - 1) / BEAT + (domains - 1)   # and one digest a second from each other domain
            bytes_ = (group - 1) / BEAT * WIRE + (domains - 1) * (WIRE + 40)
            in_domain = f"{here:,.0f}/s, {bytes_ / 1e3:,.1f} kB/s; {here * n:,.0f}/s"
        rows.append([str(n), f"{per_host:,.0f}/s", f"{per_host * WIRE / 1e3:,.1f} kB/s",
                     f"{per_host * (WIRE + 9 * MORE) / 1e3:,.1f} kB/s", f"{per_host * n:,.0f}/s", in_domain])
    table(("hosts", "beats to each", "bytes to each", "with 10 pools", "from all servers together",
           "in domains of 32: to each; from all servers"), rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for part in (by_hosts, by_staleness, by_service, by_origins, by_change, by_known, traffic):
        part(options)


if __name__ == "__main__":
    main()
