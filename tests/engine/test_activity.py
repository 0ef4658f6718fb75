"""What a run counts of its spikes and inputs, on every way to run, against spikes that are recorded step by step."""

import numpy as np
import pytest

import snnlearn as sl
from snnlearn.compiler.intrinsics import can_meet
from snnlearn.engine import partition

N_IN, N, T, B = 6, 12, 40, 5


def network(steps, **options):
    neurons = [sl.LIF(N // 2, tau_m=20.0, threshold=0.5), sl.ALIF(N // 2, tau_m=20.0, tau_a=200.0, beta=0.02, threshold=0.5)]
    return sl.Network(N_IN, neurons, sl.Readout(2), delay=float(steps), **options)


def trials(seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((B, T, N_IN)) < 0.3).astype(float), np.zeros((B, T, 2))


def spikes_of(net, weights, x):
    return np.stack([sl.simulate(net, weights, trial, record=("spikes",), dtype="float64").spikes for trial in x]).astype(int)


def simulator(net, **options):
    keep = {"rule": sl.EProp(), "optimizer": sl.SGD(0.0), "dtype": "float64"}
    return sl.Simulator(net, **{**keep, **options})


def check(activity, z, delay, x, ends=None):
    """z, x : [trials, T, ...]; ends : [trials]"""
    ends = np.full(len(z), z.shape[1]) if ends is None else ends
    inside = np.arange(z.shape[1])[None, :, None] < ends[:, None, None]
    last = inside & (np.arange(z.shape[1])[None, :, None] >= ends[:, None, None] - delay)
    assert (z * last).any() and (z * (inside & ~last)).any()  # alive
    assert np.array_equal(activity.spikes, (z * inside).sum(axis=1))
    assert np.array_equal(activity.late, (z * last).sum(axis=1))
    assert np.array_equal(activity.inputs.counts, ((x != 0) * inside).sum(axis=(0, 1)))
    assert activity.steps == ends.sum() and activity.trials == len(z)


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize("way", ["trials", "lockstep", "segments", "forward"])
@pytest.mark.parametrize("padded", [False, True])
def test_counts_equal_recorded_spikes(way, delay, padded):
    net, (x, y) = network(delay), trials()
    options = {
        "trials": {},
        "lockstep": {"update_every": 7},
        "segments": {"rule": sl.BPTT(max_bytes=2000)},
        "forward": {"rule": sl.EProp(method="forward")},
    }[way]
    sim = simulator(net, **options)
    z = spikes_of(net, sim.weights, x)
    ends = np.array([T, 17, 1, 25, 24]) if padded else None
    for learn in (True, False):
        run = sim.run(x, y, learn=learn, steps=ends)
        check(run.activity, z, delay, x, ends)
        assert (run.activity.learnt is not None) == learn
    assert sim.run(x, y, learn=True).activity.learnt.updates == (6 if way == "lockstep" else 1)


@pytest.mark.parametrize("delay", [1, 3])
def test_a_stream_is_one_trial_whose_spikes_arrive_in_later_pieces(delay):
    net, (x, y) = network(delay), trials(1)
    sim = simulator(net, update_every=10)
    z = spikes_of(net, sim.weights, x[:1])
    pieces = [(x[0, a:b], y[0, a:b]) for a, b in ((0, 7), (7, 8), (8, 30), (30, 40))]
    activity = sim.run(iter(pieces)).activity
    check(activity, z, delay, x[:1])
    assert activity.learnt.updates == 4 and activity.learnt.streaming
    sim.reset()
    first = sim.run(iter(pieces[:2])).activity
    check(first, z[:, :8], delay, x[:1, :8])
    second = sim.run(iter(pieces[2:])).activity  # spikes that were in flight before it arrive in it
    arrived = second.spikes - second.late
    assert np.array_equal(arrived[0], z[0, 8 - delay : T - delay].sum(axis=0))


def test_a_stream_without_a_piece_has_no_activity():
    assert simulator(network(1)).run(iter([])).activity is None


@pytest.mark.skipif(not can_meet(), reason="threads cannot meet")
def test_threads_that_share_neurons_count_the_same(monkeypatch):
    monkeypatch.setattr(partition, "NEURONS", 1)
    monkeypatch.setattr(partition, "ALIGNED", 1)
    net, (x, y) = network(2), trials(1)
    one, two = (simulator(net, threads=k).run(x, y).activity for k in (1, 2))
    for name in ("steps", "spikes", "late"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    check(two, spikes_of(net, simulator(net).weights, x), 2, x)


@pytest.mark.filterwarnings("ignore::snnlearn.SilentNetworkWarning")
def test_values_other_than_spikes_are_analog():
    net, (x, y) = network(1), trials()
    sim = simulator(net)
    assert not sim.run(x, y).activity.inputs.analog and not sim.run(-x, y).activity.inputs.analog
    assert sim.run(0.5 * x, y).activity.inputs.analog and not sim.run(0 * x, y).activity.inputs.analog
    padding = x.copy()
    padding[:, 30:] = 0.5  # behind the ends
    assert not sim.run(padding, y, steps=np.full(B, 30)).activity.inputs.analog
    events = [sl.Events(*np.nonzero(trial), T) for trial in x]
    assert np.array_equal(sim.run(events, y).activity.inputs.counts, sim.run(x, y).activity.inputs.counts)


def test_operations_count_synapses_that_are_there():
    net, (x, y) = network(2, recurrent=sl.Sparse(indegree=3)), trials()
    sim = simulator(net)
    w_in, w_rec, w_out, b_out = (w.copy() for w in sim.weights)
    w_in[:, 3], w_rec.data[4:9] = 0.0, 0.0
    sim.set_weights(sl.Weights(w_in, w_rec, w_out, b_out))
    z = spikes_of(net, sim.weights, x)
    entering = (x != 0).sum(axis=(0, 1)) @ (w_in != 0).sum(axis=1)
    want = z[:, :-2].sum(axis=(0, 1)) @ (w_rec.toarray() != 0).sum(axis=1) + z.sum() * 2
    found = sim.run(x, y).activity.operations(sim.weights)
    assert found.acs == want + entering and found.macs == 0 and found.dense == B * T * (N_IN * N + N * N + N * 2)
    z = spikes_of(net, sim.weights, 0.7 * x)
    want = z[:, :-2].sum(axis=(0, 1)) @ (w_rec.toarray() != 0).sum(axis=1) + z.sum() * 2
    found = sim.run(0.7 * x, y).activity.operations(sim.weights)
    assert found.acs == want and found.macs == entering
