"""Trials whose tape does not fit, and windows of truncated BPTT in batches and streams."""

import tracemalloc

import naive
import numpy as np
import pytest
from twin import assert_same, draw, library, simulator

import snnlearn as sl


@pytest.fixture(scope="module")
def case():
    return draw(kind="alif", delay=3, n_ref=1, T=60)


@pytest.mark.parametrize("rule", [sl.BPTT, sl.EProp, lambda **k: sl.EProp(3, **k)], ids=["bptt", "eprop", "order 3"])
def test_recomputed_gradients_are_the_same_to_the_last_bit(case, rule):
    net, weights, trial = library(case)
    for reg in (trial["regularizer"], sl.RateRegularizer(100.0, 20.0, tau=20.0), None):
        whole = sl.gradient(net, weights, rule=rule(), **trial | {"regularizer": reg})
        assert np.abs(whole.w_rec).max() > 1e-6
        assert_same(sl.gradient(net, weights, rule=rule(max_bytes=2000), **trial | {"regularizer": reg}), whole, rtol=0)


def test_recomputation_with_noise_batches_records_and_errors(case, monkeypatch):
    """Noise is drawn again as it was; the user's error is asked once a step; recordings come in order."""
    noisy = sl.Network(3, sl.ALIF(5, threshold=0.5, noise=0.1, current=0.05), 2)
    weights, rng = noisy.init_weights(1, gain=1.5), np.random.default_rng(0)
    x, target = (rng.random((3, 50, 3)) < 0.3).astype(float), rng.standard_normal((3, 50, 2))
    segments = []
    for limit in (None, 3000):
        monkeypatch.setattr(sl.engine.schedule.Scheduler, "block_steps", lambda self: 16)
        sim = sl.Simulator(noisy, weights, sl.BPTT(max_bytes=limit), sl.SGD(1e-4), dtype="float64")
        run = sim.run(x, target)
        asked = []
        sim.run(x[0], error=lambda t, y, asked=asked: (asked.append(t), y)[1])
        assert asked == list(range(50))
        segments.append((run.loss, sim.weights.w_rec.copy()))
    assert segments[0][0] == segments[1][0]
    np.testing.assert_array_equal(segments[0][1], segments[1][1])


def test_recordings_of_recomputed_trials(case, tmp_path):
    records = []
    for name, limit in (("whole", None), ("parts", 2000)):
        sim, trial = simulator(case, sl.BPTT(max_bytes=limit), sl.SGD(1e-3))
        with sl.Recorder(tmp_path / f"{name}.h5", v=[0, 1], learning_signal=[0], spikes=True) as recorder:
            sim.run(**trial, recorder=recorder)
        records.append(sl.open_recording(tmp_path / f"{name}.h5"))
    whole, parts = records
    for variable in ("v", "learning_signal"):
        np.testing.assert_array_equal(whole[variable][0], parts[variable][0])
    np.testing.assert_array_equal(whole["readout"][0], parts["readout"][0])
    for record in records:
        record.close()


def test_memory_of_a_long_trial_is_bounded():
    """A trial of 40 000 steps: its tape would take 50 floats a step; recomputed, a small part of it."""
    net = sl.Network(2, sl.LIF(50, threshold=0.5, current=0.05), 1)
    weights, peaks = net.init_weights(1), []
    x = sl.Events(np.arange(0, 40_000, 7), np.zeros(5715, int), 40_000)
    for limit in (None, 2**20):
        rule = sl.BPTT(max_bytes=limit)
        sl.gradient(net, weights, sl.Events([0], [0], 30), np.zeros((30, 1)), rule)
        tracemalloc.start()
        sl.gradient(net, weights, x, np.zeros((40_000, 1)), rule)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 40_000 * 50 * 8
    assert peaks[1] < peaks[0] / 5


def test_segments_do_not_mix_with_forward_rules(case):
    sim, trial = simulator(case, sl.EProp(), sl.SGD(0.1), passive=[sl.BPTT(max_bytes=2000), sl.SnAp(1)])
    with pytest.raises(MemoryError, match=r"max_bytes of \d+ for the tape of a trial"):
        sim.run(**trial)


# ---- windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 4, 20, 60])
def test_windows_update_as_they_close(case, window):
    """update_every = window: each update is the gradient of its window; frozen hidden weights sum to the trial's."""
    net, weights, trial = library(case)
    trial["regularizer"] = None
    want = sl.gradient(net, weights, rule=sl.TruncatedBPTT(window), **trial)
    found = []
    for cuts in (None, [(0, 20), (20, 60)] if 20 % window == 0 else [(0, 60)]):
        sim, data = simulator(case, sl.TruncatedBPTT(window), sl.SGD(lambda update: 1e-9), update_every=window)
        if cuts is None:
            sim.run(**data)
        else:
            sim.run(iter([tuple(data[k][a:b] for k in ("inputs", "targets", "mask")) for a, b in cuts]))
        assert sim.updates_done == -(-60 // window)
        found.append({key: (case.w[key] - value) / 1e-9 for key, value in naive.plain(sim.weights).items()})
    assert_same(found[0], found[1], rtol=1e-6)
    assert_same(found[0], want, rtol=1e-5)  # 1e-9 of a weight has seven digits left


def test_windows_need_their_multiples(case):
    with pytest.raises(ValueError, match=r"TruncatedBPTT\(window=7\) must have update_every a multiple of its window \(got 10\)"):
        simulator(case, sl.TruncatedBPTT(7), sl.SGD(0.1), update_every=10)
    sim, trial = simulator(case, sl.TruncatedBPTT(7), sl.SGD(0.1), update_every=14)
    with pytest.raises(ValueError, match="pieces of a multiple of 7 steps for this rule"):
        sim.run(iter([(trial["inputs"][:10], trial["targets"][:10])]))


def test_the_tape_of_windows_does_not_grow_with_the_trial():
    net = sl.Network(2, sl.LIF(50, threshold=0.5, current=0.05), 1)
    weights, peaks = net.init_weights(1), []
    for n_steps in (10_000, 40_000):
        x = sl.Events([0], [0], n_steps)
        sl.gradient(net, weights, x, np.zeros((n_steps, 1)), sl.TruncatedBPTT(50))
        tracemalloc.start()
        sl.gradient(net, weights, x, np.zeros((n_steps, 1)), sl.TruncatedBPTT(50))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 30_000 * 8 * 10
