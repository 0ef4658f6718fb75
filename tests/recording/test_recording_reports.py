"""What comes back from a recording besides data: its network, its configuration, copies; lines in place of pages."""

import copy
import pickle

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import snnlearn as sl

NET = sl.Network(
    3,
    [sl.LIF(4, threshold=[0.4, 0.5, 0.4, 0.6], surrogate=sl.Exponential(0.2)), sl.ALIF(5, threshold=0.4, beta=0.2, tau_a=30.0)],
    sl.Readout(2, tau=5.0, bias=True),
    recurrent=sl.Sparse(indegree=3),
    delay=2.0,
)
TASK = sl.tasks.Copy(length=1, n_symbols=2, symbol_duration=10.0, delay=10.0, n_per_group=3)


def run(path, net=NET, **options):
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-3), seed=3)
    with sl.Recorder(path, **options) as recorder:
        sim.run(np.ones((20, 3)), np.zeros((20, 2)), recorder=recorder)
    return sim


@pytest.mark.parametrize("options", [{}, {"checkpoint_every": 1}])
def test_the_network_comes_back_without_a_checkpoint(path, options):
    run(path, **options)
    with sl.open_recording(path) as rec:
        assert ("checkpoint" in rec.file) == bool(options)
        assert rec.network() == NET
        assert rec.network().init_weights(3).w_rec.nnz == NET.init_weights(3).w_rec.nnz


def test_a_mask_comes_back_from_a_checkpoint(path):
    net = sl.Network(3, sl.LIF(6, threshold=0.4), 2, recurrent=sl.Masked(np.arange(36).reshape(6, 6) % 3 == 0))
    run(path, net, checkpoint_every=1)
    with sl.open_recording(path) as rec:
        assert rec.network() == net
    run(path, net, overwrite=True)
    with (
        sl.open_recording(path) as rec,
        pytest.raises(ValueError, match=r"be in the file .*recurrent by a mask.*a checkpoint holds it"),
    ):
        rec.network()


def test_load_config_reads_a_recording(path):
    task = sl.tasks.PatternGeneration()
    net = sl.Network(task.n_inputs, sl.LIF(10, threshold=0.05), sl.Readout(task.n_outputs, tau=20.0, normalize_input=True))
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-8))
    with sl.Recorder(path) as recorder:
        sim.train(task, trials=2, batch=1, recorder=recorder)
    config = sl.load_config(path)
    assert config == sl.Config.of_recording(path) and config.net == net and config.training.trials == 2
    with sl.open_recording(path) as rec:
        assert isinstance(rec.config, dict)


def trained(path, **options):
    net = sl.Network(TASK.n_inputs, sl.LIF(6, threshold=0.4), sl.Readout(TASK.n_outputs, tau=5.0))
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-3), loss=sl.CrossEntropy())
    with sl.Recorder(path, **options) as recorder:
        sim.train(TASK, trials=8, batch=4, recorder=recorder)
    return sim, recorder


def test_a_training_takes_checkpoints_unless_told_otherwise(path):
    sim, recorder = trained(path)
    assert recorder.checkpoint_minutes == 1.0
    again = sl.resume(path)
    assert_array_equal(again.weights.w_rec, sim.weights.w_rec)
    assert again.updates_done == 2
    for options in ({"checkpoint_minutes": None}, {"checkpoint_every": 5}):
        _, recorder = trained(path, overwrite=True, **options)
        with h5py.File(path) as file:
            assert ("checkpoint" in file) == bool(recorder.checkpoint_every) and recorder.checkpoint_minutes is None


def test_other_runs_take_none_by_default(path):
    run(path)
    with h5py.File(path) as file:
        assert "checkpoint" not in file
    with pytest.raises(ValueError, match=r"Recorder.checkpoint_minutes must be None or a positive time in minutes, or 'auto'"):
        sl.Recorder("other.h5", checkpoint_minutes=-1)


def test_thresholds_that_adapt_are_recorded_with_v(path):
    run(path, v=[1, 6, 8])
    with sl.open_recording(path) as rec:
        assert rec["threshold"].neurons.tolist() == [6, 8]
        record = sl.simulate(NET, NET.init_weights(3), np.ones((20, 3)), ("threshold",))
        assert np.ptp(record.threshold[:, [6, 8]]) > 0.05
        np.testing.assert_allclose(rec["threshold"][0], record.threshold[:, [6, 8]], rtol=1e-6)
    for options, there in (({"threshold": False}, None), ({"threshold": [0]}, [0]), ({"v": [0, 1]}, None), ({"v": None}, None)):
        run(path, overwrite=True, **{"v": [1, 6, 8]} | options)
        with sl.open_recording(path) as rec:
            assert (rec["threshold"].neurons.tolist() if "threshold" in rec else None) == there


def test_a_recording_is_copied_and_pickled_by_its_path(path, monkeypatch):
    run(path, v=[1])
    with sl.open_recording(path) as rec:
        for again in (copy.copy(rec), copy.deepcopy(rec), pickle.loads(pickle.dumps(rec))):
            assert_array_equal(again["v"][0], rec["v"][0])
            again.close()
            assert rec.spikes().step.size
        signal = pickle.loads(pickle.dumps(rec["v"]))
        assert_array_equal(signal[0], rec["v"][0])
        piece = pickle.loads(pickle.dumps(next(rec.iter_trials())))
        assert_array_equal(piece.spikes().step, rec.spikes().step)
        table = rec.table("trials")
        assert_array_equal(pickle.loads(pickle.dumps(table)).loss, table.loss)
        content = pickle.dumps(rec)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="be a file that exists"):
        pickle.loads(content)


def test_records_are_lines(path):
    sim = sl.Simulator(NET, rule=sl.EProp(), optimizer=sl.SGD(1e-3), seed=3, passive=[sl.RFLO()])
    x, y = np.ones((4, 200, 3)), np.zeros((4, 200, 2))
    with sl.Recorder(path, v=True, weights_every=1, reduce=["rates"], keep_every=1) as recorder:
        runs = [sim.run(x, y, recorder=recorder) for _ in range(2)]
    net = sl.Network(TASK.n_inputs, sl.LIF(6, threshold=0.4), sl.Readout(TASK.n_outputs, tau=5.0))
    learner = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-3), loss=sl.CrossEntropy())
    history = learner.train(TASK, trials=600, batch=4, evaluate_every=50, evaluate_trials=64)
    weights = NET.init_weights(1)
    with sl.open_recording(path) as rec:
        found = [
            *(*runs, runs[1].alignment, history, sim.step(np.ones(3), learn=False), weights, history.best_weights, TASK.trial(0)),
            sl.simulate(NET, weights, x[0]),
            sl.gradient(NET, weights, x[0], y[0], sl.EProp()),
            sl.replay(path, 1, 6, ("v", "readout"), inputs=lambda s: iter([(x, y)] * 2)),
            sl.synapse_traces(NET, NET.init_weights(1), (x[0], y[0]), [(0, 1), (2, 3)]),
            sl.compare(NET, weights, (x[0], y[0]), [sl.EProp(), sl.RFLO()]),
            *(rec.spikes(), rec.segments, rec.table("trials"), rec.weights(), rec.reduction("rates"), rec["v"]),
            *(sl.analysis.rates(rec, 10.0, each=True), sl.analysis.intervals(rec), sl.analysis.psth(rec)),
            sl.datasets.Sample(np.arange(999.0), np.arange(999) % 5, np.arange(999) % 5, np.ones(999), 3),
        ]
    for record in found:
        line = repr(record)
        assert "\n" not in line and len(line) <= 400, line
    assert repr(runs[0]).startswith("Run(loss=") and "losses=[" in repr(runs[0]) and "prediction=float" in repr(runs[0])
    assert "status='complete'" in repr(history) and "loss=list of 150" in repr(history)
    assert "w_rec=float64 [9, 9] with 27 entries" in repr(weights)
    assert "\n" in str(found[12])  # the table of a comparison is for print


def test_a_replay_is_pickled(path):
    sim = sl.Simulator(NET, rule=sl.EProp(), optimizer=sl.SGD(1e-3), seed=3)
    x, y = np.ones((20, 3)), np.zeros((20, 2))
    with sl.Recorder(path, keep_every=1, inputs=True) as recorder:
        sim.run(iter([(x, y)] * 2), recorder=recorder)
    found = sl.replay(path, 5, 30, ("v",))
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert_array_equal(again["v"], found["v"])
        assert_array_equal(again.spikes.step, found.spikes.step)


def test_dir_shows_the_public_surface():
    assert dir(sl) == sorted((*sl.__all__, "torch")) and "plot" in dir(sl)  # a star import leaves the user's own torch alone
