"""`snnlearn bench` measures what it says; no time is asserted."""

import pytest

import snnlearn as sl
from snnlearn.cli import bench


def test_bandwidth_is_a_finite_speed():
    assert 0.01 < bench.bandwidth(0.01, repeats=1) < 1e4


def test_the_network_fires_at_the_wanted_rate():
    net, weights, x = bench.network(100, 10.0, steps=200)
    rate = sl.Simulator(net, weights, dtype="float64", threads=1).run(x).rate
    assert 3 < rate < 30


def test_speeds_are_in_ratio_to_the_forward_simulation():
    found = {name: ratio for name, _, ratio in bench.speeds(20, steps=50, repeats=1)}
    assert found["forward"] == 1 and set(found) == {"forward", "K = trial", "K = 100", "K = 1"}
    assert all(ratio > 0 for ratio in found.values())


@pytest.mark.slow
def test_start_counts_its_phases(tmp_path):
    for _ in range(2):
        imported, updated, whole = bench.start(str(tmp_path))
        assert 0 < imported < whole and 0 < updated < whole
