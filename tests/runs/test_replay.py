"""A window of a recorded run again: the same bits, from the nearest state in the file, with more recorded."""

import h5py
import numpy as np
import pytest
from kills import KINDS, PIECE, PIECES, begin, pieces
from training_case import TASK, interrupted, simulator

import snnlearn as sl
from snnlearn.cli import main
from snnlearn.tasks.batches import collate

PLAN = {"trials": 24, "batch": 4}


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A training of 24 trials with all of v, kept after every second batch."""
    path = tmp_path_factory.mktemp("training") / "run.h5"
    with sl.Recorder(path, v=True, every=3, keep_every=2) as recorder:
        simulator().train(TASK, recorder=recorder, evaluate_every=3, evaluate_trials=4, **PLAN)
    return path


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A stream of 60 pieces of 30 steps that learns at every step."""
    path = tmp_path_factory.mktemp("stream") / "run.h5"
    with sl.Recorder(path, v=[0, 3], keep_every=20) as recorder:
        begin(KINDS["eprop-stream"], 1).run(pieces(0), recorder=recorder)
    return path


def feed(simulator):
    return pieces(simulator.trials_done)


def test_trials_come_out_as_recorded(training):
    with sl.open_recording(training) as rec:
        for start, stop, origin in ((0, 4, "state 0"), (9, 14, "state 1"), (18, 24, "state 2")):
            again = sl.replay(training, start, stop, ("v", "psi", "learning_signal", "readout", "target"))
            recorded = [trial for trial in range(start, stop) if trial % 3 == 0]
            assert origin in again.origin and again.compared_losses == stop - start
            assert again.compared_spikes == len(recorded) and again["psi"].shape == again["v"].shape
            for trial in recorded:
                np.testing.assert_array_equal(again["v"][trial - start], rec["v"][trial])
                np.testing.assert_array_equal(again["readout"][trial - start], rec["readout"][trial])
            np.testing.assert_array_equal(again.losses, rec.table("trials").loss[start:stop])
            spikes, there = again.spikes, rec.spikes(recorded)
            use = np.isin(spikes.trial, recorded)
            for x, y in zip(spikes, there, strict=True):
                np.testing.assert_array_equal(x[use], y)
    assert np.abs(again["learning_signal"]).max() > 0 and (again["psi"] > 0).any()


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_batches_of_any_size(batch, tmp_path):
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        simulator().train(TASK, trials=10, batch=batch, recorder=recorder)
    again = sl.replay(tmp_path / "run.h5", 2, 9)
    assert again.compared_losses == again.compared_spikes == 7


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_trials_of_different_lengths(batch, tmp_path):
    rng = np.random.default_rng(0)
    xs = [(rng.random((steps, TASK.n_inputs)) < 0.3) * 1.0 for steps in (20, 35, 15, 40, 25, 30, 22, 18)]
    task = sl.tasks.Arrays(xs, [rng.standard_normal((len(x), TASK.n_outputs)) for x in xs], holdout=0, validation=0)
    net = sl.Network(TASK.n_inputs, sl.LIF(8, threshold=0.4), TASK.n_outputs)
    with sl.Recorder(tmp_path / "run.h5", v=True) as recorder:
        sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-4), seed=1)
        sim.train(task, trials=9, batch=batch, recorder=recorder)
    again = sl.replay(tmp_path / "run.h5", 0, 9, ("v",), task=task)
    assert again.compared_losses == again.compared_spikes == 9 and again.spikes.step.size > 20
    with sl.open_recording(tmp_path / "run.h5") as rec:
        for trial, v in enumerate(again["v"]):
            np.testing.assert_array_equal(v, rec["v"][trial])


def test_a_stream_comes_out_as_recorded(stream):
    start, stop = 20 * PIECE + 17, 23 * PIECE + 5
    again = sl.replay(stream, start, stop, {"v": [0, 3]}, inputs=feed)
    assert "state 1" in again.origin and again["v"].shape == (stop - start, 2)
    assert again.compared_spikes == again.losses.size == 4
    with sl.open_recording(stream) as rec:
        whole = np.concatenate([rec["v"][piece] for piece in range(20, 24)])[17 : 17 + stop - start]
        np.testing.assert_array_equal(again["v"], whole)
        np.testing.assert_array_equal(again["v"], rec["v"][start:stop])
        for x, y in zip(again.spikes, rec.spikes(time=(start, stop)), strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_window_goes_to_a_recording_of_its_own(training, stream, tmp_path):
    path = tmp_path / "window.h5"
    with sl.Recorder(path, psi=True, gradient_norms=True, reduce={"rates": 10.0}) as recorder:
        sl.replay(training, 10, 14, recorder)
    with sl.open_recording(path) as rec, sl.open_recording(training) as original:
        assert rec.trials.tolist() == [10, 11, 12, 13] and rec["psi"][13].shape == (*rec["readout"][13].shape[:1], 12)
        np.testing.assert_array_equal(rec["readout"][12], original["readout"][12])
        assert rec.table("trials").trial.tolist() == [10, 11, 12, 13] and len(rec.table("gradient_norms").update) == 2
        assert rec.config["replay"] == {"of": "run.h5", "start": 10, "stop": 14}
        assert rec.reduction("rates").rate.size
    with sl.Recorder(tmp_path / "stream.h5", v=[0, 3]) as recorder:
        sl.replay(stream, 5 * PIECE + 10, 7 * PIECE, recorder, inputs=feed)
    with sl.open_recording(tmp_path / "stream.h5") as rec, sl.open_recording(stream) as original:
        assert rec["v"].steps() == range(5 * PIECE + 10, 7 * PIECE) and rec.is_stream
        np.testing.assert_array_equal(rec["v"][6], original["v"][6])
        np.testing.assert_array_equal(rec["v"][5], original["v"].read(5, (5 * PIECE + 10, None)))
        np.testing.assert_array_equal(rec["v"][:], original["v"][5 * PIECE + 10 : 7 * PIECE])


def test_without_kept_states_a_run_is_replayed_from_its_beginning_or_its_checkpoints(tmp_path):
    interrupted(tmp_path / "seed.h5")  # weights from the seed; checkpoints after 2 and 4 of 6 batches of 4
    assert sl.replay(tmp_path / "seed.h5", 1, 3).origin == "the beginning of the run"
    assert sl.replay(tmp_path / "seed.h5", 13, 14).origin.startswith("checkpoint")
    net = simulator().net
    given = simulator(weights=net.init_weights(9, gain=1.1))
    path = tmp_path / "given.h5"
    with sl.Recorder(path, checkpoint_every=2) as recorder:
        given.train(TASK, recorder=recorder, **PLAN)
    with pytest.raises(
        ValueError, match=r"begin at trial 24 or later \(got 3\); the first state in the file is that before trial 24"
    ):
        sl.replay(path, 3, 5)
    again = simulator(weights=net.init_weights(9, gain=1.1))
    with sl.Recorder(tmp_path / "kept.h5", checkpoint_every=2, weights_every=100) as recorder:
        again.train(TASK, recorder=recorder, **PLAN)
    assert sl.replay(tmp_path / "kept.h5", 3, 5).compared_spikes == 2
    with sl.Recorder(tmp_path / "none.h5", checkpoint_minutes=None) as recorder:
        simulator().train(TASK, trials=4, batch=4, recorder=recorder)
    with pytest.raises(ValueError, match="be a file with a checkpoint"):
        sl.replay(tmp_path / "none.h5", 0, 1)


def test_kept_states_are_those_of_an_uninterrupted_run(tmp_path):
    from snnlearn.storage.checkpoint_slots import kept_positions

    def kept(path):
        with h5py.File(path) as file:
            return kept_positions(file)

    def interrupt(sim, history):
        if len(history.loss) == 3:
            raise KeyboardInterrupt

    for name, callbacks in (("whole", ()), ("cut", (interrupt,))):
        recorder = sl.Recorder(tmp_path / f"{name}.h5", keep_every=2, checkpoint_every=3)
        history = simulator().train(TASK, recorder=recorder, callbacks=callbacks, **PLAN)
        recorder.close(history.status)
    assert list(kept(tmp_path / "cut.h5")) == ["000000", "000001"]
    sl.resume(tmp_path / "cut.h5").train()
    assert kept(tmp_path / "cut.h5") == kept(tmp_path / "whole.h5")
    assert [trials for trials, _ in kept(tmp_path / "whole.h5").values()] == [0, 8, 16, 24]
    assert sl.replay(tmp_path / "cut.h5", 17, 20).compared_spikes == 3


def test_batches_that_users_fed_themselves(tmp_path):
    path = tmp_path / "run.h5"
    batches = [collate([TASK.trial(i) for i in range(k, k + 4)])[:2] for k in (0, 4)]
    sim = simulator()
    with sl.Recorder(path, v=True, keep_every=1) as recorder:
        for x, target in batches:
            sim.run(x, target, recorder=recorder)
    again = sl.replay(path, 5, 7, "v", inputs=lambda s: iter(batches[s.trials_done // 4 :]))
    with sl.open_recording(path) as rec:
        np.testing.assert_array_equal(again["v"][1], rec["v"][6])
    with pytest.raises(ValueError, match=r"replay.inputs must be a function .* \(got None\); the recording is of no training"):
        sl.replay(path, 5, 7)


def test_a_replay_that_differs_raises(training, stream, tmp_path):
    changed = tmp_path / "changed.h5"
    changed.write_bytes(training.read_bytes())
    with h5py.File(changed, "r+") as file:
        neuron = file["spikes/neuron"]
        first = int(file["segments/spike"][3])  # of trial 9
        neuron[first] = (neuron[first] + 1) % 12
    with pytest.raises(ValueError, match=r"replay must give the recorded spikes of trial 9, which differ from step \d+ on"):
        sl.replay(changed, 8, 10)
    with h5py.File(changed, "r+") as file:
        file["tables/trials/loss"][10] += 1e-9
    with pytest.raises(ValueError, match=r"replay must give the recorded loss of trial 10"):
        sl.replay(changed, 10, 11)
    with pytest.raises(ValueError, match=r"replay must give the recorded (spikes|loss) of piece 21"):
        sl.replay(stream, 21 * PIECE, 22 * PIECE, inputs=lambda sim: pieces(sim.trials_done + 1))
    with pytest.raises(ValueError, match=r"replay.inputs must have 30 steps in piece 20, as recorded \(got 15\)"):
        sl.replay(stream, 20 * PIECE, 22 * PIECE, inputs=lambda sim: ((x[:15], y[:15]) for x, y in feed(sim)))
    with pytest.raises(ValueError, match=r"replay.inputs must reach step 1950, the window's end"):
        sl.replay(stream, 1700, 1950, inputs=feed)
    assert PIECES * PIECE == 1800


def test_bad_input_is_told_before_anything_runs(training, stream, tmp_path):
    for arguments, message in (
        ((3, 3), r"replay.stop must be a whole number above start = 3 \(got 3\)"),
        ((-1, 3), r"replay.start must be a whole number, not negative"),
        ((3, 25), r"replay.stop must be at most 24, the trials of the recording \(got 25\)"),
        ((3, 4, "vm"), r"LIF has no variable 'vm'; it has 'v', 'psi', 'threshold', 'learning_signal'"),
        ((3, 4, {"v": [12]}), r"Recorder.v must select neurons from 0 to 11"),
        ((3, 4, {"eligibility": {"w_rec": [(0, 12)]}}), r"Recorder.eligibility\['w_rec'\] must hold pairs below"),
    ):
        with pytest.raises(ValueError, match=message):
            sl.replay(training, *arguments)
    with pytest.raises(TypeError, match=r"replay.record must be names, a mapping or a Recorder"):
        sl.replay(training, 3, 4, 7)
    with pytest.raises(ValueError, match=r"replay.inputs must be None, because the recording is of a training"):
        sl.replay(training, 3, 4, inputs=feed)
    with pytest.raises(KeyError, match="the replay has no 'psi'; it has 'v'"):
        sl.replay(training, 3, 4, "v")["psi"]
    with pytest.raises(FileNotFoundError):
        sl.replay(tmp_path / "nothing.h5", 0, 1)


def test_a_replay_does_not_take_the_place_of_what_it_replays(training, capsys):
    before = training.read_bytes()
    assert main(["replay", str(training), "10", "12", "--out", str(training), "--overwrite"]) == 1
    assert "replay must write to another file than the one that it replays" in capsys.readouterr().err
    with pytest.raises(ValueError, match="replay must write to another file"):
        sl.replay(training, 10, 12, sl.Recorder(training, overwrite=True))
    assert training.read_bytes() == before


def test_command_line(training, stream, tmp_path, capsys):
    out = tmp_path / "window.h5"
    assert main(["replay", str(training), "10", "12", "--out", str(out), "--record", "v", "psi"]) == 0
    text = capsys.readouterr().out
    assert "trials 10 to 11" in text and "kept state" in text
    with sl.open_recording(out) as rec:
        assert rec.trials.tolist() == [10, 11] and set(rec.names) == {"v", "psi", "readout", "target"}
    assert main(["replay", str(stream), "10", "12", "--out", str(tmp_path / "no.h5")]) == 1
    assert "sl.replay" in capsys.readouterr().err and not (tmp_path / "no.h5").exists()
