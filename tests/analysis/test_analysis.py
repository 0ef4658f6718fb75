"""Rates, intervals and PSTHs against the arrays that were recorded."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from recording_twin import DT, TRIALS, N, T, record, start

from snnlearn import analysis
from snnlearn.recording import Recorder, open_recording


@pytest.fixture(params=[1 << 21, 15])
def batch(request, monkeypatch):
    """All spikes at once, and a few at a time."""
    monkeypatch.setattr(analysis.spikes, "BATCH", request.param)


def test_rates(recorded, twin, batch):
    got = analysis.rates(recorded, 6.0)  # 12 steps; the last bin has 4
    assert_array_equal(got.trial, np.repeat(range(TRIALS), 4))
    assert_array_equal(got.time, np.tile([0.0, 6.0, 12.0, 18.0], TRIALS))
    assert_array_equal(got.duration, np.tile([6.0, 6.0, 6.0, 2.0], TRIALS))
    expected = [twin.z[k, low : low + 12].mean() / DT * 1000 for k in range(TRIALS) for low in range(0, T, 12)]
    assert_allclose(got.rate, expected)
    each = analysis.rates(recorded, 6.0, trials=[2, 0], neurons=[7, 3], each=True)
    assert each.rate.shape == (8, 2) and each.trial.tolist() == [2] * 4 + [0] * 4
    assert_allclose(each.rate[0], twin.z[2, :12, [3, 7]].mean(axis=1) / DT * 1000)
    assert_allclose(each.rate[7], twin.z[0, 36:, [3, 7]].mean(axis=1) / DT * 1000)


def test_intervals(recorded, twin, batch):
    got = analysis.intervals(recorded, 1.0, 10.0)
    every = []
    for j in range(N):
        mine = np.concatenate([np.diff(np.flatnonzero(twin.z[k, :, j])) for k in range(TRIALS)]) * DT
        every.append(mine)
        assert got.n[j] == mine.size
        assert_allclose(got.mean[j], mine.mean())
        assert_allclose(got.cv[j], mine.std() / mine.mean() if mine.size > 1 else np.nan)
    assert_array_equal(got.counts, np.histogram(np.concatenate(every), np.append(got.edges[:-1], 10.0 - 1e-9))[0])
    assert got.counts.sum() < got.n.sum()  # longer ones count in the mean only
    assert_array_equal(analysis.intervals(recorded, neurons=[4]).n, got.n[[4]])


def test_psth(recorded, twin, batch):
    got = analysis.psth(recorded, 5.0, label=[1, 0, 1])
    assert got.label.tolist() == [0, 1] and got.n_trials.tolist() == [1, 2]
    z = twin.z.reshape(TRIALS, 4, 10, N).mean(axis=2) / DT * 1000
    assert_allclose(got.rate, [z[1], (z[0] + z[2]) / 2])
    assert_allclose(analysis.psth(recorded, 5.0).rate[0], z.mean(axis=0))
    assert_allclose(
        analysis.psth(recorded, 5.0, label={0: 4, 2: 4}, trials=[0, 2], neurons=3).rate[0, :, 0], z[[0, 2], :, 3].mean(0)
    )


def test_psth_of_the_labels_in_the_table_and_trials_of_unequal_length(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
        record(recorder, twin, 1, 0, 20)
        for trial in range(2):
            recorder.row("trials", trial=trial, label=5)
    with open_recording(path) as rec:
        got = analysis.psth(rec, 10.0)
    assert got.label.tolist() == [5]
    both = (twin.z[0, :20].sum(axis=0) + twin.z[1, :20].sum(axis=0)) / 40 / DT * 1000
    assert_allclose(got.rate[0], [both, twin.z[0, 20:].mean(axis=0) / DT * 1000])


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda rec: analysis.rates(rec, 0.7), ValueError, r"analysis.rates.bin must be a whole number of steps of 0.5 ms"),
        (lambda rec: analysis.rates(rec, -1), ValueError, r"analysis.rates.bin must be a positive time in ms \(got -1\)"),
        (lambda rec: analysis.intervals(rec, 5.0, 1.0), ValueError, r"analysis.intervals.longest must be a time in ms above bin"),
        (lambda rec: analysis.psth(rec, label=[1]), ValueError, r"analysis.psth.label must be int of shape \(3,\), one class"),
        (lambda rec: analysis.psth(rec, label={0: 1}), KeyError, "have a class for every trial"),
        (lambda rec: analysis.rates(rec, trials=9), IndexError, r"Recording.trials must be among 0, 1, 2 \(got 9\)"),
    ],
)
def test_errors(recorded, call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(recorded)
