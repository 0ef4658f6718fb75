"""Going on from a file: bit-identical to a run that was not interrupted, from nothing but the file."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from kills import KINDS, QUICK, contents, differing, kill_and_compare
from training_case import NET, PLAN, TASK, interrupted, same_weights, simulator, uninterrupted

import snnlearn as sl

CURVES = ("loss", "score", "rate", "evaluated_at", "evaluation_loss", "evaluation_score", "trials", "best_score", "status")


def test_a_training_goes_on_to_its_planned_end(tmp_path):
    whole, history = uninterrupted(tmp_path / "whole.h5")
    interrupted(tmp_path / "run.h5")
    sim = sl.resume(tmp_path / "run.h5", threads=1)
    assert sim.updates_done == 4 and sim.recorder.is_open
    calls = []
    again = sim.train(callbacks=[lambda simulator, history: calls.append(simulator.updates_done)])
    assert calls == [5, 6] and not sim.recorder.is_open
    for name in CURVES:
        assert getattr(again, name) == getattr(history, name), name
    np.testing.assert_array_equal(again.best_weights.w_rec, history.best_weights.w_rec)
    assert again.wall_time == sorted(again.wall_time) and len(again.wall_time) == 6
    assert same_weights(sim, whole)
    assert not differing(contents(tmp_path / "run.h5", False), contents(tmp_path / "whole.h5", False), False)
    with sl.open_recording(tmp_path / "run.h5") as rec:
        assert rec.status == "complete" and "resumed" in rec.attrs
    with pytest.raises(ValueError, match=r"Simulator.train must have a training that waits to go on \(got 'it is complete'\)"):
        sl.resume(tmp_path / "run.h5").train()


def test_alignments_go_on(tmp_path):
    def passive():
        return simulator(passive=[sl.EProp(feedback="random")], passive_every=2)

    whole, history = uninterrupted(tmp_path / "whole.h5", passive())
    interrupted(tmp_path / "run.h5", passive())
    sim = sl.resume(tmp_path / "run.h5")
    assert [a.updates for a in sim._training.history.alignment] == [0, 2]
    again = sim.train()
    assert same_weights(sim, whole) and len(again.alignment) == 3
    for a, b in zip(again.alignment, history.alignment, strict=True):
        assert a[:3] == b[:3]
        np.testing.assert_array_equal(a.cosine, b.cosine)
    assert not differing(contents(tmp_path / "run.h5", False), contents(tmp_path / "whole.h5", False), False)


def test_a_training_that_failed_goes_on_from_its_file_only(tmp_path):
    def fail(sim, history):
        if len(history.loss) == 3:
            raise RuntimeError("mine")

    sim, path = simulator(), tmp_path / "run.h5"
    with (
        pytest.raises(RuntimeError, match="mine"),
        sl.Recorder(path, v=[0, 3], every=4, weights_every=2, checkpoint_every=2) as r,
    ):
        sim.train(TASK, recorder=r, callbacks=[fail], **PLAN)
    with pytest.raises(ValueError, match=r"Simulator.train must be between two batches to go on"):
        sim.train()
    assert sl.resume(path).train().loss == uninterrupted(tmp_path / "whole.h5")[1].loss


def test_a_stream_after_a_training_is_a_run_of_its_own(tmp_path):
    sim, path = simulator(), tmp_path / "stream.h5"
    sim.train(TASK, trials=4, batch=4)
    with sl.Recorder(path, checkpoint_every=1) as recorder:
        sim.run([(TASK.trial(0).x, TASK.trial(0).target)], recorder=recorder)
    again = sl.resume(path)
    assert again.stream_steps == TASK.n_steps and again.recorder.is_open and same_weights(again, sim)
    again.recorder.close()


def test_what_a_file_cannot_hold_is_given_again(tmp_path):
    path = tmp_path / "run.h5"
    rate = lambda update: 5e-3 / (1 + update)  # noqa: E731
    stop = lambda history: len(history.loss) == 4  # noqa: E731

    class Mine:
        n_inputs, n_outputs, trial, n_trials = TASK.n_inputs, TASK.n_outputs, TASK.trial, TASK.n_trials

    whole = simulator(optimizer=sl.Adam(rate))
    whole.train(Mine(), **PLAN, stop=stop)
    interrupted(path, simulator(optimizer=sl.Adam(rate)), after=3, task=Mine(), stop=stop)
    for given, sentence in (
        ({}, r"must get lr, which a file cannot hold \(got '.*lambda.*'\); pass lr=..."),
        ({"lr": rate}, r"must get stop, which a file cannot hold \(got '.*lambda.*'\); pass stop=..."),
        ({"lr": rate, "stop": stop}, r"must get the task, which a file cannot hold \(got '.*Mine'\); pass task=..."),
        ({"lr": rate, "stop": stop, "task": Mine(), "rule": sl.EProp()}, r"must get no rule, because the file holds it"),
    ):
        with pytest.raises(ValueError, match=sentence):
            sl.resume(path, **given)
    sim = sl.resume(path, lr=rate, stop=stop, task=Mine())
    assert sim.train().status == "stopped" and sim.updates_done == 4
    assert same_weights(sim, whole)


def test_a_saved_simulator_goes_on(tmp_path):
    whole, path = simulator(), tmp_path / "state.h5"
    rng = np.random.default_rng(2)
    x, labels = (rng.random((40, TASK.n_inputs)) < 0.3).astype(float), rng.integers(0, 2, 40)
    sim = simulator(update_every=7)
    for t in range(25):
        sim.step(x[t], labels[t])
    sim.save(path)
    with pytest.raises(FileExistsError):
        sim.save(path)
    sim.save(path, overwrite=True)
    assert os.listdir(tmp_path) == ["state.h5"]
    again = sl.resume(path)
    assert again.stream_steps == 25 and again.recorder is None
    assert again.net == sim.net and again.optimizer == sim.optimizer and vars(again.rule) == vars(sim.rule)
    for t in range(25, 40):
        a, b = sim.step(x[t], labels[t]), again.step(x[t], labels[t])
        assert a.loss == b.loss and np.array_equal(a.readout, b.readout)
    assert same_weights(sim, again) and sim.updates_done == 5
    whole.save(tmp_path / "fresh.h5")
    assert same_weights(sl.resume(tmp_path / "fresh.h5"), whole)
    with pytest.raises(ValueError, match=r"Simulator.train.task must be a task where no training waits to go on"):
        again.train()


def test_a_state_saved_by_a_callback_goes_on_in_another_file(tmp_path):
    save = lambda sim, history: len(history.loss) == 3 and sim.save(tmp_path / "state.h5")  # noqa: E731
    whole = simulator()
    whole.train(TASK, **PLAN, callbacks=[save])
    sim = sl.resume(tmp_path / "state.h5")
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        sim.train(recorder=recorder)
    assert same_weights(sim, whole)
    with sl.open_recording(tmp_path / "run.h5") as rec:
        np.testing.assert_array_equal(rec.table("updates").update, [4, 5, 6])


def test_fork_begins_differently(tmp_path):
    path = tmp_path / "run.h5"
    interrupted(path)
    before = path.read_bytes()
    same, other = sl.fork(path), sl.fork(path, optimizer=sl.Adam(sl.StepDecay(1e-3, 0.5, 10)))
    assert same_weights(same, other) and same.updates_done == other.updates_done == 4
    assert sl.fork(path, at=2).updates_done == 2
    sl.fork(path, at=3).save(tmp_path / "third.h5")
    later = sl.resume(tmp_path / "third.h5")
    with sl.Recorder(tmp_path / "later.h5", checkpoint_every=1) as recorder:
        later.train(recorder=recorder)
    with pytest.raises(ValueError, match=r"fork.at must be at least 6, the updates of the first state in the file \(got 5\)"):
        sl.fork(tmp_path / "later.h5", at=5)  # whose recording began in the middle of the run
    with pytest.raises(ValueError, match=r"fork change must be one of 'rule', 'optimizer', .* \(got 'dtype'\)"):
        sl.fork(path, dtype="float64")
    rule = sl.EProp(feedback="random", seed=9)
    third = sl.fork(path, rule=rule)
    np.testing.assert_array_equal(third.feedback, rule.feedback_matrix(NET).astype("float32"))
    assert same_weights(same, third) and third.train().status == "complete"
    assert same.train().status == other.train().status == "complete"
    assert not same_weights(same, other)
    assert same_weights(same, uninterrupted(tmp_path / "whole.h5")[0])
    assert path.read_bytes() == before


@pytest.mark.parametrize("at", [0, 1, 3, 5, 6])
def test_a_fork_at_any_update_goes_on_as_its_parent_did(tmp_path, at):
    """Bit for bit: weights there and at the end, moments, the curves of the history; of kept states and of points between."""
    path = tmp_path / "run.h5"
    passive = {"passive": [sl.EProp(feedback="random")], "passive_every": 2}
    with sl.Recorder(path, weights_every=1, keep_every=3) as recorder:
        parent = simulator(**passive)
        history = parent.train(TASK, recorder=recorder, **PLAN)
    child = sl.fork(path, at=at, threads=1)
    assert child.updates_done == at
    with sl.open_recording(path) as rec:
        assert all(np.array_equal(x, y) for x, y in zip(child.weights, rec.weights(at), strict=True))
    if at < 6:
        again = child.train()
        for name in CURVES:
            assert getattr(again, name) == getattr(history, name), name
        np.testing.assert_array_equal(again.best_weights.w_rec, history.best_weights.w_rec)
        for a, b in zip(again.alignment, history.alignment, strict=True):
            np.testing.assert_array_equal(a.cosine, b.cosine)
    assert same_weights(child, parent)
    if at < 6:  # both have ended
        for moment in ("first", "second"):
            for a, b in zip(getattr(child._engine.opt, moment), getattr(parent._engine.opt, moment), strict=True):
                np.testing.assert_array_equal(a, b)
    other = sl.fork(path, at=at, rule=sl.EProp(feedback="random"), passive=[])
    assert other.updates_done == at and (at == 6 or other.train().status == "complete")
    assert at == 6 or not same_weights(other, parent)


@pytest.mark.parametrize("weights", ["drawn", "given"])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_training_is_forked_from_its_beginning_where_no_state_was_kept(tmp_path, at, weights):
    path = tmp_path / "run.h5"
    given = {} if weights == "drawn" else {"weights": NET.init_weights(11)}
    with sl.Recorder(path, weights_every=1, checkpoint_every=4) as recorder:
        parent = simulator(**given)
        history = parent.train(TASK, recorder=recorder, **PLAN)
    child, other = sl.fork(path, at=at), sl.fork(path, at=at, seed=99)
    with sl.open_recording(path) as rec:
        for fork in (child, other):
            assert fork.updates_done == at
            assert all(np.array_equal(x, y) for x, y in zip(fork.weights, rec.weights(at), strict=True))
    again = child.train()
    for name in CURVES:
        assert getattr(again, name) == getattr(history, name), name
    assert same_weights(child, parent)


def test_changes_that_do_not_fit_are_told_before_anything_is_simulated(tmp_path, monkeypatch):
    interrupted(tmp_path / "run.h5")
    monkeypatch.setattr("snnlearn.runs.fork.go_on", lambda *_, **__: pytest.fail("it runs"))
    with pytest.raises(ValueError, match="BPTT must run on whole trials with update_every='trial'"):
        sl.fork(tmp_path / "run.h5", at=3, rule=sl.BPTT(), update_every=5)


def test_forks_beyond_what_a_run_has(tmp_path):
    path = tmp_path / "run.h5"
    with sl.Recorder(path, keep_every=3) as recorder:
        simulator(update_every=4).train(TASK, recorder=recorder, **PLAN)
    first = sl.fork(path, at=0)
    batch = [trial * sl.resume(path).updates_done // 6 for trial in range(3)]
    assert first.updates_done == 0 and sl.fork(path, at=batch[1]).updates_done == batch[1]
    with pytest.raises(
        ValueError, match=rf"fork.at must be the updates after a batch, of which \[{batch[1]}, {batch[2]}\] are nearest"
    ):
        sl.fork(path, at=batch[1] + 1)
    with pytest.raises(ValueError, match=rf"fork.at must be at most {batch[1] * 6}, the updates of the whole training"):
        sl.fork(path, at=batch[1] * 6 + 1)


def test_a_stream_is_forked_where_a_state_was_kept(tmp_path):
    def pieces(first):
        for index in range(first, 6):
            rng = np.random.default_rng(index)
            yield (rng.random((20, TASK.n_inputs)) < 0.3).astype(float), rng.integers(0, TASK.n_outputs, 20)

    path = tmp_path / "run.h5"
    parent = simulator(update_every=5)
    with sl.Recorder(path, keep_every=2) as recorder:
        parent.run(pieces(0), recorder=recorder)
    child = sl.fork(path, at=8)
    assert child.stream_steps == 40 and child.updates_done == 8
    child.run(pieces(2))
    assert same_weights(child, parent)
    for a, b in zip(child._engine.workspaces["stream"].state, parent._engine.workspaces["stream"].state, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(
        ValueError, match=r"fork.at must be the updates of a state .* \[0, 8, 16, 24\] are nearest \(got 10\); Recor"
    ):
        sl.fork(path, at=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_for_the_end_of_a_batch(tmp_path, number):
    path = tmp_path / "run.h5"
    _, history = uninterrupted(tmp_path / "whole.h5")
    recorder = sl.Recorder(path, v=[0, 3], every=4, weights_every=2, checkpoint_minutes=60)
    send = lambda sim, history: len(history.loss) == 3 and os.kill(os.getpid(), number)  # noqa: E731
    before = signal.getsignal(number)
    stopped = simulator().train(TASK, recorder=recorder, callbacks=[send], **PLAN)
    recorder.close(stopped.status)
    assert stopped.status == "interrupted" and len(stopped.loss) == 3 and signal.getsignal(number) is before
    sim = sl.resume(path)
    assert sim.updates_done == 3
    assert sim.train().loss == history.loss
    assert not differing(contents(path, False), contents(tmp_path / "whole.h5", False), False)


def test_a_stream_goes_on_after_ctrl_c(tmp_path):
    def pieces(first, stop_before=None):
        for index in range(first, 6):
            if index == stop_before:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
            rng = np.random.default_rng([1, index])
            yield (rng.random((10, TASK.n_inputs)) < 0.3).astype(float), rng.integers(0, 2, 10)

    files = tmp_path / "whole.h5", tmp_path / "run.h5"
    for path, stop_before in zip(files, (None, 4), strict=True):
        sim = simulator(update_every=7)
        recorder = sl.Recorder(path, v=True, checkpoint_every=100)
        try:
            with recorder:
                sim.run(pieces(0, stop_before), recorder=recorder)
        except KeyboardInterrupt:
            assert stop_before
    again = sl.resume(files[1])
    assert (again.trials_done, again.stream_steps) == (4, 40)
    with again.recorder as recorder:
        again.run(pieces(again.trials_done), recorder=recorder)
    assert not differing(*(contents(path, False) for path in files), False)


def test_a_loop_of_the_users_own_goes_on(tmp_path):
    def learn(sim, recorder, last):
        for number in range(sim.trials_done, last):
            sim.run(*TASK.trial(number), recorder=recorder)

    files = tmp_path / "whole.h5", tmp_path / "run.h5"
    for path, last in zip(files, (7, 5), strict=True):
        with sl.Recorder(path, v=True, checkpoint_every=2) as recorder:
            learn(simulator(), recorder, last)
    sim = sl.resume(files[1])
    assert sim.trials_done == 4
    with sim.recorder as recorder:
        learn(sim, recorder, 7)
    assert not differing(*(contents(path, False) for path in files), False)


def test_files_that_hold_nothing_to_go_on_with(tmp_path):
    with sl.Recorder(tmp_path / "run.h5", checkpoint_minutes=None) as recorder:
        simulator().train(TASK, trials=4, recorder=recorder)
    for name, error, sentence in (
        ("run.h5", ValueError, "resume.path must be a file with a checkpoint"),
        ("none.h5", FileNotFoundError, "must be a file that exists"),
        (".", IsADirectoryError, "must be a file, not a folder"),
    ):
        with pytest.raises(error, match=sentence):
            sl.resume(tmp_path / name)


def test_the_command_line_goes_on(tmp_path):
    def command(*arguments, **options):
        return subprocess.run([sys.executable, "-m", "snnlearn", *map(str, arguments)], capture_output=True, text=True, **options)

    small = ["--neurons", "20", "--iterations", "40", "--batch", "4", "--threads", "1", "--quiet", "--out"]
    files = tmp_path / "whole.h5", tmp_path / "run.h5"
    done = command("train", "digits", *small, files[0])
    assert done.returncode == 0, done.stderr
    refused = command("resume", files[0])
    assert refused.returncode == 1
    assert "resume FILE must hold a training that waits to go on (got 'it is complete')" in refused.stderr
    arguments = [sys.executable, "-m", "snnlearn", "train", "digits", "--checkpoint-every", "1", *small, files[1]]
    process = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, text=True)
    while process.poll() is None and not (files[1].exists() and files[1].stat().st_size > 50_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and f"go on with: snnlearn resume {files[1]}" in told
    done = command("resume", files[1], "--quiet")
    assert done.returncode == 0, done.stderr
    assert "complete after 40 updates" in done.stdout
    assert not differing(*(contents(path, False) for path in files), False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("kind", QUICK)
def test_killed_runs_go_on(tmp_path, kind):
    """A few of the kills of `kills.py`, which has more kinds."""
    kills = 3 if kind == "wide-stream" else 6  # its recording is large: 20 s a kill
    tally = kill_and_compare(kind, kills, tmp_path, seed=1)
    assert tally.kills == kills and tally.runs > 0
    assert (tally.unreadable, tally.lost, tally.differing) == ([], [], [])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(QUICK)))
def test_killed_runs_of_every_rule_go_on(tmp_path, kind):
    tally = kill_and_compare(kind, 6, tmp_path, seed=1)
    assert (tally.unreadable, tally.lost, tally.differing) == ([], [], [])


def finished(path, **options):
    """A stream of 4 pieces whose recording is complete, and more pieces."""
    net = sl.Network(3, sl.LIF(10, threshold=0.3), 1)
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-5), update_every=10)
    follows = {"eligibility": {"w_in": [(0, 1)]}, "reduce": {"intervals": 100.0}}
    with sl.Recorder(path, checkpoint_every=1, **follows | options) as recorder:
        sim.run(fed(0, 4), recorder=recorder)
    return sim


def fed(first, stop):
    return (((np.arange(150).reshape(50, 3) % (k + 2) == 0) * 1.0, np.ones((50, 1))) for k in range(first, stop))


def test_a_finished_stream_stays_as_it_is_until_something_is_recorded(tmp_path, monkeypatch):
    path = tmp_path / "done.h5"
    finished(path)
    whole = path.read_bytes()
    sim = sl.resume(path)
    assert sim.recorder.waits and sim.recorder.is_open and sim.stream_steps == 200
    with sim.recorder as recorder:
        run = sim.run(iter([]), recorder=recorder)
    assert run.n_steps == 0 and run.loss == 0 and run.losses.shape == (0,) and run.prediction.shape == (0, 1)
    assert np.isnan(run.nmse) and run.rate == 0 and not recorder.is_open
    del sim, recorder
    assert path.read_bytes() == whole
    path.chmod(0o444)
    assert sl.resume(path).weights.w_in.any()
    path.chmod(0o644)
    first, second = sl.resume(path), sl.resume(path)
    monkeypatch.chdir(tmp_path.parent)
    with first.recorder as recorder:
        first.run(fed(4, 6), recorder=recorder)
    with (
        sl.open_recording(path) as rec,
        pytest.raises(OSError, match=r"done.h5 cannot go on: it was written since; resume it again"),
    ):
        assert rec.status == "complete" and rec.n_trials == 6
        second.run(fed(4, 6), recorder=second.recorder)
    finished(tmp_path / "whole.h5")
    straight = sl.resume(tmp_path / "whole.h5")
    straight.run(fed(4, 6))
    np.testing.assert_array_equal(straight.weights.w_in, first.weights.w_in)


def test_what_is_recorded_by_hand_opens_a_finished_recording(tmp_path):
    path = tmp_path / "done.h5"
    finished(path)
    sim = sl.resume(path)
    sim.recorder.event("note", "looked at")
    assert sim.recorder.is_open and sl.open_recording(path).status == "running"
    sim.recorder.close()
    with sl.open_recording(path) as rec:
        assert rec.status == "complete" and rec.events[-1].message == "looked at"


def test_a_reset_before_a_finished_stream_goes_on(tmp_path):
    runs = []
    for waits in (True, False):
        path = tmp_path / f"{waits}.h5"
        finished(path)
        sim = sl.resume(path)
        if not waits:
            sim.recorder.flush()
        sim.reset()
        with sim.recorder as recorder:
            sim.run(fed(4, 6), recorder=recorder)
        with sl.open_recording(path) as rec:
            runs.append([rec["eligibility_w_in"].read(5), rec.reduction("intervals").intervals, rec.spikes(5).step])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_empty_feed_is_zero_steps():
    sim = sl.Simulator(sl.Network(3, sl.LIF(10), sl.Readout(2)))
    run = sim.run(x for x in ())
    assert run.n_steps == 0 and run.prediction.shape == (0, 2) and sim.stream_steps == 0 and "n_steps=0" in repr(run)
