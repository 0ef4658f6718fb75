"""Rewiring in recordings: births and deaths, snapshots with their structure; resume, fork, replay and copies, bit for bit."""

import copy

import numpy as np
import pytest
import training_case
from training_case import PLAN, TASK

import snnlearn as sl

pytestmark = pytest.mark.filterwarnings("ignore::snnlearn.RunWarning")
NET = sl.Network(
    TASK.n_inputs,
    sl.LIF(12, threshold=0.5),
    sl.Readout(TASK.n_outputs, tau=5.0),
    recurrent=sl.Sparse(indegree=3),
    inputs=sl.Sparse(density=0.5),
)
SPEC = sl.DeepR(l1=2.0, temperature=1.0)


def simulator(**changes):
    return training_case.simulator(NET, **{"rewiring": SPEC} | changes)


def same(a, b):
    for one, two in zip(a.weights, b.weights, strict=True):
        if hasattr(one, "indptr"):
            if not (np.array_equal(one.indptr, two.indptr) and np.array_equal(one.indices, two.indices)):
                return False
            one, two = one.data, two.data
        if not np.array_equal(one, two):
            return False
    return all(
        np.array_equal(x.signs, y.signs) for x, y in zip(a.engine.rewirer.matrices, b.engine.rewirer.matrices, strict=True)
    )


def content(path):
    with sl.open_recording(path) as rec:
        updates = rec.weight_updates
        weights = [[(w.toarray() if hasattr(w, "indptr") else w) for w in rec.weights(u)] for u in updates]
        return rec.table("trials"), rec.rewiring, weights, rec.spikes()


def same_content(one, two):
    for a, b in zip(content(one), content(two), strict=True):
        for x, y in zip(a, b, strict=True):
            assert all(np.array_equal(p, q, equal_nan=True) for p, q in zip(x, y, strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("rewired") / "whole.h5"
    sim, history = training_case.uninterrupted(path, simulator())
    assert history.status == "complete"
    return path, sim


def test_births_and_deaths_lead_from_snapshot_to_snapshot(whole):
    path, sim = whole
    with sl.open_recording(path) as rec:
        changes, matrices = rec.rewiring, ("w_in", "w_rec")
        assert changes.update.size > 20 and set(changes.matrix.tolist()) == {0, 1}
        assert changes.born.sum() * 2 == changes.born.size
        before = {name: synapses(getattr(rec.weights(0), name)) for name in matrices}
        last = 0
        for update in rec.weight_updates[1:].tolist():
            for k in np.flatnonzero((changes.update > last) & (changes.update <= update)).tolist():
                of, pair = before[matrices[changes.matrix[k]]], (int(changes.pre[k]), int(changes.post[k]))
                if changes.born[k]:
                    assert pair not in of and changes.sign[k] in (-1, 1)
                    of.add(pair)
                else:
                    of.remove(pair)
            for name in matrices:
                assert synapses(getattr(rec.weights(update), name)) == before[name]
            last = update
        assert np.array_equal(rec.weights().w_rec.toarray(), sim.weights.w_rec.toarray())
        assert rec.weights(0).w_rec.has_canonical_format
    from snnlearn.recording.describe import describe

    text = describe(path)
    assert "Rewired: synapses that died" in text and "DeepR(l1=2.0, temperature=1.0" in text


def synapses(w):
    return set(zip(np.repeat(np.arange(w.shape[0]), np.diff(w.indptr)).tolist(), w.indices.tolist(), strict=True))


def test_a_training_goes_on_from_its_file_bit_for_bit(whole, tmp_path):
    path = tmp_path / "cut.h5"
    training_case.interrupted(path, simulator())
    sim = sl.resume(path)
    assert sim.rewiring == SPEC
    sim.train()
    assert same(sim, whole[1])
    same_content(path, whole[0])


def test_best_weights_have_their_own_structure(tmp_path):
    plan = PLAN | {"restore_best": True}
    one = simulator()
    history = one.train(TASK, **plan)
    path = tmp_path / "best.h5"
    training_case.interrupted(path, simulator(), plan=plan)
    two = sl.resume(path)
    again = two.train()
    assert history.best_score == again.best_score and same(one, two)
    assert np.array_equal(history.best_weights.w_rec.toarray(), one.weights.w_rec.toarray())
    assert np.array_equal(history.best_weights.w_rec.toarray(), again.best_weights.w_rec.toarray())


@pytest.mark.parametrize("update_every", ["trial", 5])
def test_saved_copied_and_forked_states_go_on_alike(tmp_path, update_every):
    sim = simulator(update_every=update_every, rewiring=sl.DeepR(2.0, 1.0, every=2))
    x, label = map(np.stack, zip(*(TASK.trial(k)[:2] for k in range(3)), strict=True))
    sim.run(x, label)
    sim.run(iter([(x[0], label[0]), (x[1], label[1])]))
    sim.save(tmp_path / "state.h5")
    others = [sl.resume(tmp_path / "state.h5"), copy.deepcopy(sim), sl.fork(tmp_path / "state.h5"), copy.copy(sim)]
    for one in (sim, *others):
        for _ in range(3):
            one.run(x, label)
        one.run(iter([(x[2], label[2])]))
    assert all(same(sim, other) for other in others)


def test_a_fork_begins_to_rewire_or_stops(whole, tmp_path):
    still = training_case.simulator(NET)
    still.save(tmp_path / "still.h5")
    fork = sl.fork(tmp_path / "still.h5", rewiring=SPEC)
    x, label = TASK.trial(0)[:2]
    before = fork.weights.w_rec.indices.copy()
    new = simulator()
    for sim in (fork, new):
        sim.run(x, label)
    assert same(fork, new) and not np.array_equal(before, fork.weights.w_rec.indices)
    stopped = sl.fork(whole[0], rewiring=None)
    assert stopped.rewiring is None
    before = stopped.weights.w_rec.indices.copy()
    stopped.run(x, label)
    assert np.array_equal(before, stopped.weights.w_rec.indices)


def test_a_window_is_replayed(tmp_path):
    path = tmp_path / "kept.h5"
    with sl.Recorder(path, keep_every=2, weights_every=1) as recorder:
        simulator().train(TASK, recorder=recorder, **PLAN)
    with sl.Recorder(tmp_path / "window.h5", weights_every=1, v=[1]) as recorder:
        found = sl.replay(path, 12, 20, record=recorder)
    assert found.compared_losses == 8 and found.compared_spikes == 8
    with sl.open_recording(path) as rec, sl.open_recording(tmp_path / "window.h5") as window:
        inside = (rec.rewiring.update > 3) & (rec.rewiring.update <= 5)
        assert inside.any()
        for name in rec.rewiring._fields:
            assert np.array_equal(getattr(rec.rewiring, name)[inside], getattr(window.rewiring, name))
        assert np.array_equal(rec.weights(5).w_rec.toarray(), window.weights(5).w_rec.toarray())


def test_weights_of_chosen_synapses_are_nan_where_there_is_none():
    sim = simulator()
    chosen = sorted(synapses(sim.weights.w_rec))[:8]
    recorder = sl.MemoryRecorder(synapses={"w_rec": chosen}, weights_every=1)
    sim.train(TASK, recorder=recorder, **PLAN)
    rows = recorder.synapses.w_rec
    for row, update in zip(rows, recorder.synapses.update.tolist(), strict=True):
        w = recorder.weights(update).w_rec
        there = synapses(w)
        want = [w[pair] if pair in there else np.nan for pair in chosen]
        assert np.array_equal(row, want, equal_nan=True)
    assert np.isnan(rows).any()
