"""What a recorder can be asked for: schedules, time windows, traces and weights of chosen synapses, gradient norms."""

from itertools import pairwise

import naive
import numpy as np
import pytest
import twin as bridge
from kills import KINDS, PIECE, begin, contents, differing, pieces
from numpy.testing import assert_allclose, assert_array_equal
from recording_twin import DT, TRIALS, T, record, sparse_weights, start
from training_case import TASK, simulator

import snnlearn as sl
from snnlearn.recording import Recorder, open_recording
from snnlearn.tasks.batches import collate

# ---- schedules ----------------------------------------------------------------------------------------------------------


def test_every_so_many_steps_and_trials(path, twin):
    with start(Recorder(path, v=[5, 2], every=2, every_steps=3)) as recorder:
        for low in range(0, T, 7):
            for trial in range(TRIALS):
                record(recorder, twin, trial, low, min(low + 7, T))
    with open_recording(path) as rec:
        assert rec.trials.tolist() == list(range(0, TRIALS, 2))
        v, whole = rec["v"], twin.v[2][::3][:, [5, 2]]
        assert v.every == 3 and v.steps(2) == range(0, T, 3) and v.shape[0] == whole.shape[0] * rec.n_trials
        assert_array_equal(v[2], whole)
        assert_array_equal(rec["readout"][0], twin.readout[0][::3])
        assert_array_equal(v.read(2, (4 * DT, 14 * DT), 2), twin.v[2][6:14:3][:, [2]])
        assert_array_equal(rec.spikes(2).step, np.nonzero(twin.z[2])[0])  # spikes of all steps
        frame = rec.to_pandas("v", trials=2)
        assert_allclose(frame.index.get_level_values("time"), np.arange(0, T, 3) * DT)
        data = rec.to_xarray(["v"], trials=2).v.values[0]
        assert_array_equal(data[::3], whole)
        assert np.isnan(data[1::3]).all()
        assert rec.to_neo(trials=2).segments[0].analogsignals[0].shape[0] == whole.shape[0]


def test_time_windows(path, twin):
    windows = [(14 * DT, 19 * DT), (3 * DT, 6 * DT), (5 * DT, 8 * DT), (T * DT - 2 * DT, None)]
    with start(Recorder(path, v=True, windows=windows)) as recorder:
        for low in range(0, T, 5):
            record(recorder, twin, 0, low, min(low + 5, T))
    with open_recording(path) as rec:
        assert_array_equal(rec["v"].read(0, (0, 10 * DT)), twin.v[0][3:8])
        assert_array_equal(rec["v"].read(0, (10 * DT, 30 * DT)), twin.v[0][14:19])
        step = np.nonzero(twin.z[0])[0]
        inside = ((step >= 3) & (step < 8)) | ((step >= 14) & (step < 19)) | (step >= T - 2)
        assert_array_equal(rec.spikes(0).step, step[inside])
        with pytest.raises(ValueError, match="has no v from step 8 to 14"):
            rec["v"][0]
        assert rec.n_steps == 5 + 5 + 2


def test_windows_of_a_stream_count_its_own_time(tmp_path):
    path = tmp_path / "stream.h5"
    with Recorder(path, v=[0], windows=[(25, 65)], every=1) as recorder:
        begin(KINDS["eprop-stream"], 1).run([next(pieces(k)) for k in range(3)], recorder=recorder)
    with open_recording(path) as rec:
        assert rec.trials.tolist() == [0, 1, 2] and PIECE == 30
        assert [rec["v"].steps(piece) for piece in range(3)] == [range(25, 30), range(30, 60), range(60, 65)]
        assert rec["v"].steps() == range(25, 65) and rec["v"].read(time=(20, 30)).shape == (5, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every_steps": 0}, ValueError, "Recorder.every_steps must be a positive number of steps"),
        ({"windows": [(5, 3)]}, ValueError, r"Recorder.windows must be a list of times \(start, stop\) in ms with start < stop"),
        ({"windows": [(5,)]}, TypeError, r"Recorder.windows must be a list of times"),
        ({"windows": []}, ValueError, "Recorder.windows must be a list of times"),
        ({"eligibility": {"w_out": [(0, 0)]}}, ValueError, "Recorder.eligibility must name matrices among w_in, w_rec"),
        ({"eligibility": {"w_rec": [0, 1]}}, TypeError, r"Recorder.eligibility\['w_rec'\] must be a list of pairs"),
        ({"eligibility": {"w_rec": [(0, 1), (0, 1)]}}, ValueError, "none negative and none twice"),
        ({"eligibility": [(0, 1)]}, TypeError, "Recorder.eligibility must be pairs"),
        ({"eligibility_parts": ("eps",)}, ValueError, "be one of 'eligibility', 'filtered_eligibility', 'eligibility_vector'"),
        ({"synapses": {"w": [(0, 1)]}}, ValueError, "Recorder.synapses must name matrices among w_in, w_rec, w_out"),
        ({"reduce": "rate"}, ValueError, "Recorder.reduce must be one of 'rates', 'neuron_rates', 'intervals'"),
        ({"reduce": {"rates": -1}}, ValueError, r"Recorder.reduce\['rates'\] must be a positive time in ms"),
        ({"reduce": "variables"}, ValueError, "Recorder.reduce must come with variables to reduce"),
        ({"raw": False, "v": True}, ValueError, "Recorder must have the reducer 'variables' where variables are asked for"),
        ({"keep_every": 0}, ValueError, "Recorder.keep_every must be None or a positive number of batches or pieces"),
        ({"raw": 1}, TypeError, "Recorder.raw must be True or False"),
    ],
)
def test_bad_options_are_told_at_once(path, options, error, message):
    with pytest.raises(error, match=message):
        Recorder(path, **options)


def test_synapses_must_exist(path, rng):
    weights = sparse_weights(rng)
    absent = tuple(np.argwhere(weights.w_rec.toarray() == 0)[0].tolist())
    for pairs, message in (([absent], "hold synapses that the sparse matrix has"), ([(0, 99)], "hold pairs below")):
        with pytest.raises(ValueError, match=rf"Recorder.synapses\['w_rec'\] must {message}"):
            start(Recorder(path, synapses={"w_rec": pairs}), weights=weights)
    assert not path.exists()


# ---- eligibility traces of chosen synapses ------------------------------------------------------------------------------

PAIRS = {"w_rec": [(1, 3), (5, 0), (1, 0)], "w_in": [(2, 4), (0, 0)]}
PARTS = ("eligibility", "filtered_eligibility", "eligibility_vector")


def naive_traces(case, reset_gradient, noise=None):
    """Traces [T, ...] of the definition, of one trial."""
    f = naive.forward(case.net, case.w, case.x, noise)
    traces, steps = naive.Traces(case.net), []
    for t in range(len(case.x)):
        traces.advance(case.net, naive.Forward(*(x[t] for x in f)), reset_gradient)
        steps.append((traces.e, traces.ebar, traces.eps_v, traces.eps_a))
    return dict(zip(("eligibility", "filtered_eligibility", "v", "a"), map(np.array, zip(*steps, strict=True)), strict=True))


def assert_traces(rec, trial, case, reset_gradient, variables):
    want = naive_traces(case, reset_gradient)
    live = 0.0
    for matrix, pairs in PAIRS.items():
        pre, post = np.array(pairs).T
        pre = pre + (case.net.n_in if matrix == "w_rec" else 0)
        names = {"eligibility": "eligibility", "filtered_eligibility": "filtered_eligibility"}
        names |= {f"eligibility_vector_{variable}": variable for variable in variables}
        for name, key in names.items():
            signal = rec[f"{name}_{matrix}"]
            assert signal.pairs.tolist() == [list(pair) for pair in pairs] and signal.neurons is None
            use = case.net.beta[post] != 0 if key == "a" else slice(None)  # a LIF neuron has no a
            assert_allclose(signal[trial][:, use], want[key][:, pre, post][:, use], rtol=1e-11, atol=1e-12)
            live = max(live, np.abs(signal[trial]).max())
    assert live > 1e-3


@pytest.mark.parametrize("rule", [sl.EProp(), sl.EProp(reset_gradient=True)], ids=["detached", "attached"])
def test_traces_are_those_of_the_definition(path, rule):
    """Of adaptive neurons that differ, in the adjoint form of e-prop, which keeps no traces of its own."""
    case = bridge.draw(kind="mixed", heterogeneous=True, delay=2, n_ref=2, n_trials=2, analog=True)
    sim, trial = bridge.simulator(case, rule, sl.SGD(1e-3))
    with Recorder(path, eligibility=PAIRS, eligibility_parts=PARTS, spikes=False) as recorder:
        sim.run(trial["inputs"], trial["targets"], trial["mask"], recorder=recorder)
    with open_recording(path) as rec:
        for b in range(2):
            assert_traces(rec, b, case.one(b), rule.follows_reset, ("v", "a"))


def test_traces_of_a_stream_go_on_from_piece_to_piece_and_after_a_resume(tmp_path):
    case = bridge.draw(kind="mixed", heterogeneous=True, delay=2, n_ref=2, analog=True)
    cuts = (0, 1, 14, 15, 40)
    fed = [(case.x[a:b], None) for a, b in pairwise(cuts)]
    options = {"eligibility": PAIRS, "eligibility_parts": PARTS, "checkpoint_every": 1}

    def run():
        return bridge.simulator(case)[0]  # runs only: traces do not depend on a rule

    with Recorder(tmp_path / "whole.h5", **options) as recorder:
        run().run(fed, recorder=recorder, learn=False)
    recorder = Recorder(tmp_path / "cut.h5", **options)
    run().run(fed[:2], recorder=recorder, learn=False)
    recorder.close("interrupted")
    again = sl.resume(tmp_path / "cut.h5")
    with again.recorder as recorder:
        again.run(fed[2:], recorder=recorder, learn=False)
    assert not differing(contents(tmp_path / "cut.h5", False), contents(tmp_path / "whole.h5", False), False)
    with open_recording(tmp_path / "whole.h5") as rec:
        want = naive_traces(case, False)["filtered_eligibility"]
        got = np.concatenate([rec["filtered_eligibility_w_rec"][k] for k in range(4)])
        pre, post = np.array(PAIRS["w_rec"]).T
        assert_allclose(got, want[:, pre + case.net.n_in, post], rtol=1e-11, atol=1e-12)
        with pytest.raises(ValueError, match="be None, as there are synapses only"):
            rec["eligibility_w_rec"].read(0, neurons=[1])


# ---- weights of chosen synapses, gradient norms -------------------------------------------------------------------------


def test_weights_of_chosen_synapses_and_gradient_norms(path):
    pairs = {"w_rec": [(3, 1), (0, 2)], "w_out": [(4, 1)]}
    sim = simulator()
    before = [w.copy() for w in sim.weights]
    with Recorder(path, synapses=pairs, synapses_every=2, weights_every=1, gradient_norms=True) as recorder:
        sim.train(TASK, 24, 4, recorder)
    with open_recording(path) as rec:
        chosen = rec.synapses
        assert chosen.update.tolist() == [2, 4, 6] and chosen.w_rec_pairs.tolist() == [[3, 1], [0, 2]]
        for row, update in enumerate(chosen.update.tolist()):
            snapshot = rec.weights(update)
            assert_array_equal(chosen.w_rec[row], snapshot.w_rec[[3, 0], [1, 2]])
            assert_array_equal(chosen.w_out[row], snapshot.w_out[[4], [1]])
        norms = rec.table("gradient_norms")
        assert norms.update.tolist() == [1, 2, 3, 4, 5, 6]
    x, target, mask, _ = collate([TASK.trial(i) for i in range(4)])
    gradient = sl.gradient(
        sim.net, sl.Weights(*before), x, target, sl.EProp(), loss=sl.CrossEntropy(), mask=mask, dtype="float32"
    )
    for name in ("w_in", "w_rec", "w_out"):
        assert_allclose(getattr(norms, f"norm_{name}")[0], np.linalg.norm(getattr(gradient, name)), rtol=1e-5)
    assert norms.norm_w_rec[0] > 0 and norms.norm_b_out[0] == 0


def test_gradient_norms_need_one_update_a_trial(path):
    for sim, got in (
        (begin(KINDS["eprop-stream"], 1), "update_every=1"),
        (simulator(rule=None, optimizer=None), "does not learn"),
    ):
        with pytest.raises(ValueError, match=rf"Recorder.gradient_norms must come with update_every='trial' .*{got}"):
            sim.run(np.zeros((5, sim.net.n_inputs)), np.zeros(5, int), recorder=Recorder(path, reduce="gradient_norms"))
    assert not path.exists()
