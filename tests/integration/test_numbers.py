# SPDX-License-Identifier: Apache-2.0
"""Integers of the sample plugins: from -2^63 to 2^64 - 1, as msgpack has them; beyond that they become floats."""
LEAST, MOST = -(1 << 63), (1 << 64) - 1
EDGES = [0, 1, -1, 127, 70000, -70000, (1 << 63) - 1, 1 << 63, LEAST, LEAST + 1, MOST, MOST - 1]
PAIRS = [(a, b) for a in EDGES for b in EDGES]


def check(got, a, b):
    exact = a + b
    assert got == (exact if LEAST <= exact <= MOST else float(a) + float(b)), (a, b)
    assert isinstance(got, int) == (LEAST <= exact <= MOST), (a, b)


def test_sums(start):
    with start(pools={"p": {"workers": 1}}).client() as client:
        for a, b in PAIRS:
            check(client.value("p.add", a, b), a, b)
        assert client.value("p.add", MOST, 0.5) == MOST + 0.5


def test_the_sum_that_an_instance_keeps(start):
    with start(pools={"p": {"plugin": "sampler", "class": "Sampler", "workers": 1}}).client() as client:
        for a, b in PAIRS:
            client.value("p.set_property", a)
            check(client.value("p.add_and_get_property", b), a, b)
