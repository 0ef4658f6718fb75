"""Passive rules: gradients beside the updating one on the same trajectory, without changing it."""

import naive
import numpy as np
import pytest
from scipy import sparse
from twin import draw, library, simulator

import snnlearn as sl

CASE = dict(kind="alif", delay=2, T=36, n=5, n_in=3)


@pytest.fixture(scope="module")
def case():
    return draw(**CASE)


def cosine(a, b):
    a, b = np.ravel(a), np.ravel(b)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_on_trials_it_is_what_gradient_gives(case):
    """At every due update, with the weights of that update; the training itself does not notice."""
    net, _, trial = library(case)
    trial["regularizer"] = None
    passive = (sl.BPTT(), sl.EProp(order=2), sl.EProp(feedback="random", seed=3))
    sim, data = simulator(case, sl.EProp(), sl.SGD(1e-3), passive=passive, passive_every=2)
    alone, _ = simulator(case, sl.EProp(), sl.SGD(1e-3))
    for update in range(4):
        weights = sl.Weights(*(w.copy() for w in sim.weights))
        run, other = sim.run(**data), alone.run(**data)
        np.testing.assert_array_equal(sim.weights.w_rec, alone.weights.w_rec)
        assert other.alignment is None
        if update % 2:
            assert run.alignment is None
            continue
        table = run.alignment
        assert table.updates == update and table.rules[0] == "BPTT()" and table.matrices == ("w_in", "w_rec", "w_out")
        active = sl.gradient(net, weights, rule=sl.EProp(), **trial)
        for r, rule in enumerate(passive):
            other = sl.gradient(net, weights, rule=rule, **trial)
            for m, name in enumerate(table.matrices):
                want, got = getattr(active, name), getattr(other, name)
                assert table.cosine[r, m] == pytest.approx(cosine(got, want), abs=1e-12)
                assert table.norm_ratio[r, m] == pytest.approx(np.linalg.norm(got) / np.linalg.norm(want), rel=1e-12)
    assert np.abs(table.cosine[:, :2] - 1).min() > 1e-6  # negative control: the rules differ


def test_in_streams_traces_are_carried_at_every_step(case):
    """Sums over the steps since the alignment before, whatever the pieces; weights change at every step."""
    passive = (sl.SnAp(5), sl.EProp())
    found = []
    for cuts in ([(0, 36)], [(0, 7), (7, 8), (8, 36)]):
        sim, data = simulator(case, sl.EProp(), sl.SGD(1e-3), update_every=1, passive=passive, passive_every=36)
        sim._aligned = 0  # the first alignment is due after 36 updates too
        run = sim.run(iter([tuple(data[k][a:b] for k in ("inputs", "targets", "mask")) for a, b in cuts]))
        found.append(run.alignment)
    assert found[0].updates == found[1].updates == 36
    np.testing.assert_allclose(found[0].cosine, found[1].cosine, atol=1e-12)
    np.testing.assert_allclose(found[0].cosine[1], 1.0, atol=1e-12)  # the updating rule itself
    assert np.abs(found[0].cosine[0, :2] - 1.0).min() > 1e-4
    twin = naive.train(
        case.net, case.w, **{**case.trial, "reg": None}, optimizer=naive.SGD(1e-3), update_every=1, reset_gradient=False
    )
    np.testing.assert_allclose(naive.plain(sim.weights)["w_rec"], twin.w["w_rec"], rtol=1e-10, atol=1e-14)


def test_batches_and_threads(case):
    found = []
    for threads in (1, 2):
        many = draw(**CASE, n_trials=10)
        sim, data = simulator(many, sl.EProp(), sl.Adam(1e-3), passive=sl.BPTT(), threads=threads)
        sim.run(**data)
        found.append(sim.run(**data).alignment.cosine)
    np.testing.assert_array_equal(*found)


def test_history_and_recording(case, tmp_path):
    task = sl.tasks.Copy(seed=1)
    net = sl.Network(task.n_inputs, sl.LIF(20, threshold=0.4), sl.Readout(task.n_outputs, tau=10.0))
    sim = sl.Simulator(
        net, rule=sl.EProp(), optimizer=sl.Adam(1e-3), loss=sl.CrossEntropy(), passive=[sl.BPTT()], passive_every=3
    )
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        history = sim.train(task, trials=14, batch=2, recorder=recorder)
    assert [a.updates for a in history.alignment] == [0, 3, 6]
    with sl.open_recording(tmp_path / "run.h5") as recording:
        table = recording.table("alignment")
        np.testing.assert_array_equal(table.update, [0, 3, 6])
        np.testing.assert_allclose(table.cosine_w_rec, [a.cosine[0, 1] for a in history.alignment])
        assert recording.config["passive"][0]["name"] == "BPTT()"


def test_a_matrix_without_synapses_has_no_alignment():
    net = sl.Network(3, sl.LIF(4, threshold=0.4), 1, recurrent=sl.Sparse(density=0.05))
    weights = net.init_weights()._replace(w_rec=sparse.csr_array((4, 4)))
    x, y = np.ones((30, 3)), np.ones((30, 1))
    for rule, every in ((sl.RFLO(), "trial"), (sl.RTRL(reset_gradient=False), 10)):
        table = sl.Simulator(net, weights, sl.EProp(), sl.SGD(0.0), update_every=every, passive=[rule]).run(x, y).alignment
        np.testing.assert_allclose(table.cosine, [[1.0, np.nan, 1.0]], rtol=1e-6)
        assert "nan" in repr(table) and np.isnan(table.norm_ratio[0, 1])


def test_bad_passive_rules(case):
    with pytest.raises(TypeError, match=r"Simulator\.passive must be learning rules"):
        simulator(case, sl.EProp(), sl.SGD(0.1), passive=["bptt"])
    with pytest.raises(ValueError, match="come with a rule and an optimizer"):
        simulator(case, sl.EProp(), None, passive=[sl.BPTT()])
    with pytest.raises(ValueError, match="adaptive feedback learns with the rule"):
        simulator(case, sl.EProp(), sl.SGD(0.1), passive=[sl.EProp(feedback="adaptive")])
    with pytest.raises(ValueError, match="BPTT must run on whole trials"):
        simulator(case, sl.EProp(), sl.SGD(0.1), update_every=5, passive=[sl.BPTT()])
    with pytest.raises(ValueError, match=r"Simulator\.passive_every"):
        simulator(case, sl.EProp(), sl.SGD(0.1), passive=[sl.BPTT()], passive_every=0)
