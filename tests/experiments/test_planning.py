"""`plan`: bytes are those of the arrays, what cannot fit is refused first, and the path is the one that runs."""

import re

import numpy as np
import pytest
from numba import config

import snnlearn as sl
from snnlearn.engine import partition
from snnlearn.experiments import plan
from snnlearn.experiments.memory import floats
from snnlearn.experiments.plan import _inputs
from snnlearn.rules.taxonomy import size_of

NET = sl.Network(5, sl.LIF(6, tau_m=10.0, threshold=0.5), sl.Readout(2, tau=20.0))
CUBA = sl.Network(5, sl.CubaLIF(6, tau_m=10.0, threshold=0.5), sl.Readout(2, tau=20.0))
ALIF = sl.Network(5, sl.ALIF(6, tau_m=10.0, threshold=0.5, beta=0.1), sl.Readout(2, tau=20.0))
SGD, QUIET = sl.SGD(1e-3), {"seconds": 0, "dtype": "float64", "threads": 1}


@pytest.mark.parametrize(
    ("net", "rule", "options", "path", "reason"),
    [
        (NET, None, {}, "forward simulation", "nothing learns"),
        (NET, sl.EProp(), {}, "tape of a trial", "once a trial"),
        (NET, sl.EProp(), {"streaming": True}, "within each interval", "does not end"),
        (NET, sl.EProp(), {"update_every": 10}, "within each interval", "every 10 steps"),
        (NET, sl.EProp(), {"update_every": 1}, "when their source spikes", "plain SGD"),
        (NET, sl.EProp(), {"update_every": 1, "optimizer": sl.Adam(1e-3)}, "in place", "Adam"),
        (NET, sl.EProp(), {"update_every": 1, "optimizer": sl.SGD(1e-3, momentum=0.9)}, "in place", "momentum"),
        (NET, sl.EProp(reset_gradient=True), {"update_every": 1}, "in place", "reset is differentiated"),
        (NET, sl.EProp(), {"update_every": 1, "batch": 3}, "in place", "batch"),
        (ALIF, sl.EProp(), {"update_every": 1}, "when their source spikes", "plain SGD"),
        (CUBA, sl.EProp(), {"update_every": 1}, "in place", "LIF and ALIF"),
        (NET, sl.RTRL(), {}, "influence of every synapse", "crossings"),
        (NET, sl.TruncatedBPTT(20), {}, "of a window", "20 steps"),
        (NET, sl.BPTT(max_bytes=20_000), {}, "tape of a trial", "segments of"),
    ],
)
def test_the_path_is_named_with_its_reason(net, rule, options, path, reason):
    optimizer = options.pop("optimizer", None if rule is None else SGD)
    found = sl.plan(net, rule, optimizer, **QUIET, **options)
    assert path in found.path and reason in found.reason, found


def test_bytes_are_those_of_the_arrays():
    rng = np.random.default_rng(0)
    x, y = (rng.random((3, 200, 5)) < 0.2).astype(float), np.zeros((3, 200, 2))
    found = sl.plan(NET, sl.EProp(), SGD, inputs=x[0], n_steps=200, batch=3, **QUIET)
    sim = sl.Simulator(NET, None, sl.EProp(), SGD, dtype="float64", threads=1)
    sim.run(x, y)
    (space,) = sim._engine.workspaces.values()

    def nbytes(arrays):
        return sum(map(nbytes, arrays)) if isinstance(arrays, tuple) else arrays.nbytes if isinstance(arrays, np.ndarray) else 0

    assert found.bytes["rule"] == nbytes(space.rule)
    assert found.bytes["state"] == nbytes(tuple(space.state))
    assert found.bytes["gradient"] == nbytes(tuple(sim._engine.grad[:4]))
    assert found.bytes["tape"] == pytest.approx(nbytes(tuple(space.tape)), rel=0.1)
    assert found.total_bytes == sum(found.bytes.values()) and found.synapses == 5 * 6 + 6 * 6


def test_a_calibration_measures_and_leaves_the_weights_alone(tmp_path):
    weights = NET.init_weights(seed=2)
    before = weights.w_in.copy()
    options = {"n_steps": 50, "weights": weights, "dtype": "float64", "threads": 1}
    found = sl.plan(NET, sl.EProp(), SGD, seconds=0.01, record={"v": [0], "compression": None}, **options)
    assert found.seconds_per_step > 0 and found.rate >= 0
    assert found.real_time_factor == pytest.approx(found.seconds_per_step * 1000)
    assert found.recording_bytes_per_step > 8  # v alone has eight bytes a step
    assert found.recording_bytes_per_hour == pytest.approx(found.recording_bytes_per_step * 3600 / found.seconds_per_step)
    assert "bytes a synapse" in str(found) and "an hour" in str(found)
    assert (weights.w_in == before).all()


def test_what_cannot_fit_is_refused_before_anything_is_allocated():
    with pytest.raises(MemoryError, match=r"plan: the network's \d+ synapses need \d+ GB .*Sparse"):
        sl.plan(sl.Network(10, sl.LIF(200_000), sl.Readout(1)), max_bytes=10**10)
    big = sl.Network(10, sl.LIF(1000), sl.Readout(1))
    with pytest.raises(MemoryError, match=r"plan: RTRL\(\) needs .* 1e\+08 B|what fits: .*eprop"):
        sl.plan(big, sl.RTRL(), SGD, max_bytes=10**8)
    with pytest.raises(MemoryError, match=r"synapses need .* about 200 a neuron fit"):
        sl.plan(sl.Network(10, sl.LIF(200_000), sl.Readout(1)), max_bytes=200 * 200_000 * 20)
    with pytest.raises(
        MemoryError, match=r"plan: the run with RTRL\(\) needs .* and 100 MB are there; what fits: .*eprop"
    ) as caught:
        sl.plan(big, sl.RTRL(), SGD, max_bytes=10**8)
    fit = re.findall(r"(\w+:?\w*) \(([\d.]+) MB\)", str(caught.value))
    assert fit and all(12 < float(size) <= 100 for _, size in fit)  # of runs as a whole: the weights alone need 12 MB


def test_a_network_that_never_fits_is_refused_at_once(monkeypatch):
    """Nothing is computed for each of its neurons, and what is wrong with them is found all the same."""
    sizes = []
    monkeypatch.setattr(sl.LIF, "_array", lambda self, key, array=sl.LIF._array: sizes.append(self.n) or array(self, key))
    for neurons in (sl.LIF(10**8), [sl.LIF(10**8), sl.ALIF(10**8, beta=0.1)]):
        with pytest.raises(MemoryError, match=r"synapses need .* TB and 20 GB are there; sl.Sparse\(indegree=...\) keeps its"):
            sl.plan(sl.Network(10, neurons, 10), sl.EProp(), SGD, max_bytes=20 * 10**9)
    assert max(sizes) == 1
    with pytest.raises(ValueError, match=r"LIF.refractory must be below 2"):
        sl.Network(10, sl.LIF(10**8, refractory=1e12), 10)


def test_a_batch_that_cannot_fit_is_counted_before_it_is_made():
    """Of numbers of spikes as events, of others as arrays; the batch that is named fits."""
    for x in (np.ones((50, 5)), np.full((50, 5), 0.5)):
        with pytest.raises(
            MemoryError, match=r"inputs and targets of a batch of 1000000000 trials need .* TB .* what fits: batch=\d+"
        ) as e:
            sl.plan(NET, sl.EProp(), SGD, inputs=x, n_steps=50, batch=10**9, max_bytes=10**7, **QUIET)
        fits = int(str(e.value).rpartition("=")[2])
        assert fits > 10
        sl.plan(NET, sl.EProp(), SGD, inputs=x, n_steps=50, batch=fits, max_bytes=10**7, **QUIET)


def test_weights_that_the_machine_cannot_hold_are_refused_before_they_are_drawn():
    net = sl.Network(10, sl.LIF(10_000_000), 1)
    for make in (net.init_weights, lambda: sl.Simulator(net)):
        with pytest.raises(MemoryError, match=r"Network.init_weights: weights of \d+ synapses need 800 TB and .* sl.Sparse"):
            make()


def test_a_refusal_names_the_nearest_run_that_fits():
    def nearest(rule, optimizer, pattern, max_bytes, **options):
        with pytest.raises(MemoryError, match=f"of it for .* are there; what fits: {pattern}") as caught:
            sl.plan(NET, rule, optimizer, max_bytes=max_bytes, **QUIET, **options)
        return caught

    eprop, online = sl.EProp(), {"update_every": 1, "n_steps": 10}
    every = {"update_every": 5, "n_steps": 10}
    adam = sl.plan(NET, eprop, sl.Adam(1e-3), **QUIET, **every).total_bytes
    nearest(eprop, sl.Adam(1e-3), "sl.SGD without momentum", adam - 1, **every)
    sl.plan(NET, eprop, SGD, max_bytes=adam - 1, **QUIET, **every)
    online_adam = sl.plan(NET, eprop, sl.Adam(1e-3), batch=8, **QUIET, **online).total_bytes
    nearest(eprop, sl.Adam(1e-3), r"batch=7 \(", online_adam - 1, batch=8, **online)  # SGD keeps more: rows read lazily

    five = sl.plan(NET, eprop, SGD, batch=5, **QUIET, **online).total_bytes
    nearest(eprop, SGD, r"batch=5 \(", five, batch=8, **online)
    sl.plan(NET, eprop, SGD, batch=5, max_bytes=five, **QUIET, **online)

    most = sl.plan(NET, sl.RTRL(), SGD, **QUIET, **online).total_bytes
    found = nearest(sl.RTRL(), SGD, ".*eprop", most - 1, **online)
    assert "rtrl" not in str(found.value)


@pytest.mark.parametrize(
    "rule", [sl.BPTT(), sl.RTRL(), sl.EProp(), sl.EProp(order=3), sl.EProp(order=None), sl.SnAp(2), sl.RFLO(), sl.UORO(seed=0)]
)
def test_every_rule_is_in_the_taxonomy(rule):
    size = size_of(NET, NET.init_weights(), 100)
    assert floats(rule, size, False) > 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_steps": 0}, "plan.n_steps must be a positive"),
        ({"batch": 0}, "plan.batch must be a positive"),
        ({"batch": 2, "streaming": True}, "plan.batch must be 1"),
        ({"seconds": -1}, "plan.seconds must be"),
        ({"inputs": np.zeros((3, 4))}, r"plan.inputs must have shape \(T, 5\)"),
        ({"max_bytes": 0}, "plan.max_bytes must be"),
    ],
)
def test_bad_arguments_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        sl.plan(NET, sl.EProp(), SGD, **options)


def test_events_feed_a_calibration():
    x = _inputs(NET, sl.Events([0, 3], [1, 2], 4), 8)
    assert x.shape == (8, 5) and x.sum() == 4


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="plain Python does not run kernels at the same time")
def test_threads_that_share_the_neurons(monkeypatch):
    """Told where they do, where they could, and where they cannot."""
    monkeypatch.setattr(partition, "NEURONS", 2)
    monkeypatch.setattr(partition, "ALIGNED", 2)
    quiet = {"dtype": "float64", "n_steps": 50}
    assert "by 2 threads that share the neurons" in sl.plan(NET, sl.EProp(), SGD, threads=2, seconds=0, **quiet).path
    monkeypatch.setattr(plan, "cores", lambda: 2)
    assert "threads=2 may share the neurons" in sl.plan(NET, sl.EProp(), SGD, seconds=0, **quiet).reason
    assert "threads" not in str(sl.plan(NET, sl.BPTT(), SGD, seconds=0, **quiet))
    adaptive = {"update_every": 1, "threads": 2, "inputs": np.ones((50, 5)), "seconds": 0.01}
    assert "its traces cannot be split" in sl.plan(ALIF, sl.EProp(), SGD, **adaptive, **quiet).reason
