"""What goes into a recording comes out again: raw data, weights, tables, events, configuration."""

import json

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import (
    DT,
    N_OUT,
    TRIALS,
    N,
    T,
    Weights,
    dense_weights,
    record,
    sparse_weights,
    spikes_of,
    start,
)
from scipy.sparse import csr_array

from snnlearn.recording import Recorder, describe, open_recording
from snnlearn.storage import column


def test_spikes_come_back_sorted(recorded, twin):
    for got, expected in zip(recorded.spikes(), spikes_of(twin), strict=True):
        assert_array_equal(got, expected)
        assert got.dtype == np.int64 and not got.flags.writeable


@pytest.mark.parametrize("trials", [1, [2, 0], slice(1, None), slice(0, 3, 2), np.array([0]), slice(2)])
@pytest.mark.parametrize("time", [None, (2.0, 9.5), (None, 7.0), (19.9, None), (3.0, 3.0), (-5.0, 500.0)])
@pytest.mark.parametrize("neurons", [None, 3, [0, 7, 11], slice(2, 9, 3)])
def test_spikes_are_chosen_by_trial_time_and_neuron(recorded, twin, trials, time, neurons):
    trial, step, neuron = spikes_of(twin)
    keep = np.isin(trial, np.arange(TRIALS)[trials])
    if time is not None:
        low, high = (-np.inf if time[0] is None else time[0]), (np.inf if time[1] is None else time[1])
        keep &= (step * DT >= low) & (step * DT < high)
    if neurons is not None:
        keep &= np.isin(neuron, np.arange(N)[neurons])
    got = recorded.spikes(trials, time, neurons)
    for x, expected in zip(got, (trial, step, neuron), strict=True):
        assert_array_equal(x, expected[keep])


def test_traces_readout_and_target_come_back(recorded, twin):
    assert recorded.names == ("psi", "v", "readout", "target")
    assert list(recorded) == list(recorded.names) and "v" in recorded and "a" not in recorded
    assert_array_equal(recorded["v"].neurons, [5, 2, 9])
    assert_array_equal(recorded["psi"].neurons, np.arange(N))
    assert recorded["readout"].neurons is None
    assert recorded["v"].shape == (TRIALS * T, 3) and recorded["v"].units == "1"
    for trial in range(TRIALS):
        assert_array_equal(recorded["v"][trial], twin.v[trial][:, [5, 2, 9]])
        assert_array_equal(recorded["psi"][trial], twin.psi[trial])
        assert_array_equal(recorded["readout"][trial], twin.readout[trial])
        assert_array_equal(recorded["target"][trial], twin.target[trial])
        assert recorded["v"].steps(trial) == range(T)
    assert recorded["v"][0].dtype == np.float32 and not recorded["v"][0].flags.writeable
    assert len(list(recorded["v"])) == TRIALS


@pytest.mark.parametrize("time", [None, (2.0, 9.5), (None, 3.5), (3.5, None), (19.6, None)])
@pytest.mark.parametrize("neurons", [None, 2, [9, 5], slice(3, None), []])
def test_parts_of_traces(recorded, twin, time, neurons):
    steps = np.arange(T) * DT
    low, high = (0.0 if not time or time[0] is None else time[0]), (np.inf if not time or time[1] is None else time[1])
    columns = {None: [5, 2, 9], 2: [2], (9, 5): [9, 5], (): []}.get(
        tuple(neurons) if isinstance(neurons, list) else neurons if not isinstance(neurons, slice) else "slice", [5, 9]
    )
    expected = twin.v[1][(steps >= low) & (steps < high)][:, np.array(columns, int)]
    assert_array_equal(recorded["v"].read(1, time, neurons), expected)


def test_a_time_outside_of_what_was_recorded_is_told(recorded):
    for read in (
        recorded.spikes,
        recorded.to_pandas,
        lambda time: recorded["v"].read(1, time),
        lambda time: recorded.to_pandas("v", time=time),
        lambda time: recorded.to_xarray(time=time),
        lambda time: recorded.to_neo(time=time),
    ):
        with pytest.raises(IndexError, match=r"Recording.time must overlap with what was recorded, 0 to 20 ms \(got \(100.0"):
            read(time=(100.0, 200.0))
    assert recorded.spikes(time=(5.0, 5.0)).step.size == 0


def test_a_time_of_rounded_milliseconds_is_the_step_meant(path):
    with start(Recorder(path, spikes=False), dt=0.1) as recorder:
        recorder.block(0, 0, None, None, readout=np.arange(20.0).reshape(10, 2))
    assert 0.3 / 0.1 < 3 < 0.6 / 0.2 + 1e-9
    with open_recording(path) as rec:
        assert_array_equal(rec["readout"].read(0, (0.3, 0.7))[:, 0], [6, 8, 10, 12])


def test_every_nth_trial(path, twin):
    with start(Recorder(path, v=slice(0, 4), every=4)) as recorder:
        assert [trial for trial in range(9) if recorder.wants(trial)] == [0, 4, 8]
        for number in range(9):
            record(recorder, twin, number % TRIALS, 0, T, number)
            recorder.row("trials", trial=number, loss=float(number))
    with open_recording(path) as rec:
        assert_array_equal(rec.trials, [0, 4, 8])
        assert rec.n_trials == 3 and len(rec.table("trials").trial) == 9
        assert_array_equal(rec["v"][8], twin.v[2][:, :4])
        assert_array_equal(rec.spikes(4)[2], spikes_of(twin, [1])[2])
        with pytest.raises(IndexError, match=r"Recording.trials must be among 0, 4, 8 \(got 5\)"):
            rec.spikes(5)
        with pytest.raises(IndexError, match=r"v\[trial\] must be among 0, 4, 8 \(got 1\)"):
            rec["v"][1]


def test_only_what_was_asked_for(path, twin):
    with start(Recorder(path, spikes=False, readout=False, target=False, psi=False)) as recorder:
        record(recorder, twin, 0, 0, T, traces=None)
        recorder.block(1, 0, None, None, n_steps=5)
    with open_recording(path) as rec:
        assert rec.names == () and rec.n_spikes is None and rec.n_steps == T + 5
        with pytest.raises(KeyError, match=r"has no spikes"):
            rec.spikes()
        with pytest.raises(KeyError, match=r"has no weights"):
            rec.weights()
        assert repr(rec) and np.isnan(rec.mean_rate)
    assert describe(path)


def test_no_spikes_and_no_blocks_at_all(path, twin):
    silent = twin._replace(z=np.zeros_like(twin.z))
    with start(Recorder(path)) as recorder:
        with open_recording(path) as rec:
            assert rec.status == "running" and rec.trials.size == 0 and rec.spikes().step.size == 0
            assert "0 trials" in repr(rec) and rec.events == () and rec.tables == ()
        record(recorder, silent, 0, 0, T)
    with open_recording(path) as rec:
        assert rec.mean_rate == 0 and rec.spikes(0).step.size == 0


def test_labels_and_pieces_without_target(path):
    x = np.ones((5, N_OUT))
    with start(Recorder(path, spikes=False)) as recorder:
        recorder.block(0, 0, None, None, readout=x)
        recorder.block(1, 0, None, None, readout=x, target=np.array([0, 1, 1, 0, 1], np.int32))
        recorder.block(2, 0, None, None, target=np.zeros(5, int))
        recorder.block(3, 0, None, None, readout=x)
    with open_recording(path) as rec:
        assert_array_equal(rec["target"][0], [-1] * 5)
        assert_array_equal(rec["target"][1], [0, 1, 1, 0, 1])
        assert_array_equal(rec["target"][3], [-1] * 5)
        assert np.isnan(rec["readout"][2]).all() and rec["target"].shape == (20,)
        assert_array_equal(rec["readout"][3], x)


def test_a_stream_with_a_gap(path, twin):
    with start(Recorder(path, v=True)) as recorder:
        for low, high in ((5, 10), (10, 20), (30, 40)):
            record(recorder, twin, 0, low, high)
    with open_recording(path) as rec:
        assert rec["v"].steps(0) == range(5, 40)
        assert_array_equal(rec["v"].read(0, (None, 10.0)), twin.v[0, 5:20])
        assert_array_equal(rec["v"].read(0, (8.0, 12.0)), twin.v[0, 16:20])
        with pytest.raises(ValueError, match=r"trial 0 has no v from step 20 to 30"):
            rec["v"][0]
        with pytest.raises(ValueError, match=r"trial 0 has no spikes from step 20 to 30; choose a time on one side of it"):
            rec.spikes(time=(8.0, 18.0))
        assert rec.spikes(0).step.size == rec.n_spikes == next(rec.iter_trials()).spikes().step.size


def test_other_variables_and_types(path):
    values = np.arange(8.0).reshape(4, 2)
    with start(Recorder(path, variables={"i": [1, 0]}, v=[3])) as recorder:
        traces = {"i": values, "v": np.arange(4, dtype=np.int16)[:, None]}
        recorder.block(0, 0, np.empty(0, int), np.empty(0, int), traces)
    with open_recording(path) as rec:
        assert rec["i"].dtype == np.float64 and rec["v"].dtype == np.int16
        assert_array_equal(rec["i"].read(0, neurons=[0, 1]), values[:, ::-1])


@pytest.mark.parametrize(("n", "dtype"), [(65536, "u2"), (65537, "u4")])
def test_large_networks(path, n, dtype):
    with start(Recorder(path, v=True), n_neurons=n) as recorder:
        recorder.block(0, 0, [0, 1], [n - 1, 0], {"v": np.arange(2 * n, dtype=np.float32).reshape(2, n)})
    with h5py.File(path) as file:
        assert file["spikes/neuron"].dtype == dtype
        assert file["traces/v"].chunks[1] == 256
        assert 2**16 <= np.prod(file["traces/v"].chunks) * 4 <= 2**18
    with open_recording(path) as rec:
        assert_array_equal(rec.spikes().neuron, [n - 1, 0])
        assert_array_equal(rec["v"].read(0, neurons=[n - 1]), [[n - 1], [2 * n - 1]])


# Weights, tables, events, configuration


@pytest.mark.parametrize("kind", [dense_weights, sparse_weights])
def test_weights(path, rng, kind):
    first = kind(rng)
    history = {}
    with start(Recorder(path, weights_every=10), weights=first) as recorder:
        for update in range(26):
            weights = Weights(*(w * (1 + update) for w in first))
            recorder.snapshot(update, weights, final=update == 25)
            recorder.snapshot(update, weights, final=update == 25)
            history[update] = weights
    with open_recording(path) as rec:
        assert_array_equal(rec.weight_updates, [0, 10, 20, 25])
        for update in (0, 10, 25):
            got = rec.weights(update)
            assert got._fields == Weights._fields
            for x, expected in zip(got, history[update], strict=True):
                assert type(x) is type(expected) and x.dtype == expected.dtype
                x, expected = (w.toarray() if hasattr(w, "toarray") else w for w in (x, expected))
                assert_array_equal(x, expected)
        assert_array_equal(rec.weights().w_out, history[25].w_out)
        assert_array_equal(rec.weights(-1).w_out, history[25].w_out)
        assert not rec.weights().w_out.flags.writeable
        with pytest.raises(IndexError, match=r"Recording.weights.update must be one of 0, 10, 20, 25 \(got 7\)"):
            rec.weights(7)
    assert "synapses (CSR)" in describe(path) or kind is dense_weights


def test_weights_larger_than_the_buffer(path):
    big = Weights(np.ones((2, 2)), np.arange(160_000.0).reshape(400, 400), np.ones((2, 2)), np.zeros(2))
    assert big.w_rec.nbytes > column.BUFFER_BYTES
    with start(Recorder(path, weights_every=1), weights=big) as recorder:
        for update in range(3):
            recorder.snapshot(update, big)
            big.w_rec[...] += 1
            assert recorder.buffered_bytes == 0
    with open_recording(path) as rec:
        for update in range(3):
            assert_array_equal(rec.weights(update).w_rec, np.arange(160_000.0).reshape(400, 400) + update)


def test_sparse_weights_without_synapses(path, rng):
    weights = dense_weights(rng)._replace(w_rec=csr_array((N, N)))
    with start(Recorder(path, weights_every=1), weights=weights) as recorder:
        recorder.snapshot(0, weights)
    with open_recording(path) as rec:
        assert rec.weights().w_rec.nnz == 0 and rec.weights().w_rec.shape == (N, N)
    assert "0 synapses" in describe(path)


def test_tables(path):
    with start(Recorder(path)) as recorder:
        for update in range(5):
            recorder.row("updates", update=update, loss=1 / (1 + update), score=np.float32(update))
        recorder.row("predictions", evaluation=3, label=np.array([0, 1, 1], np.int8), prediction=[1, 1, 0])
        recorder.row("predictions", evaluation=4, label=1, prediction=1, confidence=0.5)
        recorder.row("predictions", evaluation=5, label=[], prediction=[], confidence=[])
        recorder.row("sleep", phase=True, loss=1)
    with open_recording(path) as rec:
        assert rec.tables == ("predictions", "sleep", "updates")
        updates = rec.table("updates")
        assert updates._fields == ("update", "loss", "score")
        assert_array_equal(updates.loss, 1 / (1 + np.arange(5)))
        assert updates.update.dtype == np.int64 and updates.score.dtype == np.float64
        assert not updates.loss.flags.writeable
        predictions = rec.table("predictions")
        assert_array_equal(predictions.evaluation, [3, 3, 3, 4])
        assert_array_equal(predictions.label, [0, 1, 1, 1])
        assert_array_equal(predictions.confidence, [np.nan, np.nan, np.nan, 0.5])
        assert rec.table("sleep").loss.dtype == np.float64 and rec.table("sleep").phase.dtype == np.int64
        with pytest.raises(KeyError, match=r"has no table 'trials'; it has 'predictions', 'sleep', 'updates'"):
            rec.table("trials")


def test_events(path):
    with start(Recorder(path)) as recorder:
        recorder.event("silent network", "no spikes in 10 trials µ")
        recorder.event("note", "x" * 100_000)
    with open_recording(path) as rec:
        assert [event.kind for event in rec.events] == ["silent network", "note"]
        assert rec.events[0].message.endswith("µ") and len(rec.events[1].message) == 100_000
        assert rec.events[0].time.endswith("Z")


def test_attributes_and_a_large_configuration(path):
    config = {"seed": np.int64(5), "tau": np.linspace(0, 1, 20_000), "path": path, "bound": np.inf, "neurons": [{"n": 3}]}
    with start(Recorder(path, weights_every=7, every=2), config) as recorder:
        assert recorder.is_open and "running" in repr(recorder)
    with open_recording(path) as rec:
        assert rec.config["tau"] == config["tau"].tolist()
        assert rec.config["seed"] == rec.attrs["seed"] == 5 and rec.config["bound"] == np.inf
        assert rec.status == "complete" and rec.dt == DT and rec.attrs["dt_units"] == "ms"
        assert rec.n_neurons == N and rec.n_outputs == N_OUT
        assert set(rec.versions) == {"python", "numpy", "numba", "h5py", "snnlearn"}
        assert rec.attrs["every"] == 2 and rec.attrs["weights_every"] == 7
        assert rec.attrs["created"] <= rec.attrs["closed"]


def test_a_recorder_goes_on_while_it_is_open(path, twin):
    recorder = start(Recorder(path))
    record(recorder, twin, 0, 0, T)
    start(recorder)
    record(recorder, twin, 1, 0, T)
    start(recorder, {"seed": 4})
    with pytest.raises(ValueError, match=r"Recorder.open must continue with the same network"):
        start(recorder, dt=1.0)
    recorder.close("interrupted")
    recorder.close("complete")
    with open_recording(path) as rec:
        assert_array_equal(rec.trials, [0, 1])
        assert rec.config["seed"] == 3 and json.loads(rec.events[0].message) == {"seed": 4}
        assert rec.status == "interrupted"
    with pytest.raises(ValueError, match=r"Recorder.open must come before close\(\) \(got 'interrupted'\); make a new Recorder"):
        start(recorder)
