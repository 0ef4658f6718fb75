"""Neurons without leak, tau_m = inf: every rule and path agrees with the naive twins, whose alpha is 1."""

import naive
import naive_rules
import numpy as np
import pytest
from twin import assert_same, draw, library, simulator

import snnlearn as sl
from snnlearn.experiments.plan import plan

RULES = {
    "eprop": (sl.EProp(), naive.eprop, {}),
    "eprop with reset": (sl.EProp(reset_gradient=True), naive.eprop, {"reset_gradient": True}),
    "eprop forward": (sl.EProp(method="forward"), naive.eprop, {}),
    "eprop:2": (sl.EProp(2), naive_rules.order_m, {"order": 2}),
    "bptt": (sl.BPTT(), naive.bptt, {}),
    "bptt with reset": (sl.BPTT(reset_gradient=True), naive.bptt, {"reset_gradient": True}),
    "rtrl": (sl.RTRL(), naive.bptt, {}),
    "snap:2": (sl.SnAp(2), naive_rules.snap, {"n": 2}),
    "truncated": (sl.TruncatedBPTT(5), naive_rules.truncated, {"window": 5}),
    "rflo": (sl.RFLO(), naive_rules.rflo, {}),
}
CASES = {"lif": {}, "alif": {"kind": "alif", "delay": 2, "n_ref": 1}, "mixed": {"kind": "mixed", "delay": 3, "density": 0.6}}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", RULES)
def test_gradients(name, kind):
    case = draw(leak=False, T=30, **CASES[kind])
    rule, twin, options = RULES[name]
    net, weights, trial = library(case)
    assert all(np.isinf(group.tau_m).all() for group in net.neurons)
    got = sl.gradient(net, weights, rule=rule, **trial)
    naive.assert_live(got, sl.simulate(net, weights, case.x).spikes)
    assert_same(got, twin(case.net, case.w, **case.trial, **options).gradient, rtol=1e-10)


@pytest.mark.parametrize("update_every", [1, 7])
@pytest.mark.parametrize("kind", CASES)
def test_weights_that_change_within_a_trial(kind, update_every):
    """Every step: rows brought up to date by powers of alpha and kappa, for which a slow readout leaves windows long enough."""
    case = draw(leak=False, T=60, kappa=0.8, **CASES[kind])
    sim, trial = simulator(case, sl.EProp(), sl.SGD(0.01), update_every=update_every)
    sim.run(**trial)
    arguments = {"x": case.x, "target": case.target, "mask": case.mask, "kind": case.kind}
    want = naive.train(case.net, case.w, **arguments, optimizer=naive.SGD(0.01), update_every=update_every)
    assert not np.array_equal(sim.weights.w_in, case.w["w_in"])
    assert_same(sim.weights, want.w, rtol=1e-10)
    if update_every == 1 and kind == "lif":
        found = plan(sim.net, sl.EProp(), sl.SGD(0.01), update_every=1, n_steps=60, seconds=0.0)
        assert found.path == "rows of synapses brought up to date when their source spikes"


def test_a_readout_that_hardly_leaks_leaves_a_window():
    """Its factor is 1 in float32, as alpha is: no power decays."""
    net = sl.Network(3, sl.LIF(4, tau_m=np.inf), sl.Readout(2, tau=1e9))
    x, target = np.ones((30, 3)), np.zeros((30, 2))
    lazy, plain = (sl.Simulator(net, None, sl.EProp(), o, update_every=1) for o in (sl.SGD(1e-3), sl.SGD(1e-3, momentum=1e-12)))
    for sim in (lazy, plain):
        sim.run(x, target)
    np.testing.assert_allclose(lazy.weights.w_in, plain.weights.w_in, rtol=1e-3)


@pytest.mark.parametrize("model", [sl.LIF, sl.ALIF, sl.CubaLIF])
def test_values_are_kept_and_normalised_input_is_refused(model, tmp_path):
    from snnlearn.spec import decode, encode

    group = model(3, tau_m=[20.0, np.inf, np.inf])
    np.testing.assert_array_equal(group.params(1.0).alpha, [np.exp(-0.05), 1.0, 1.0])
    arrays = {}
    assert decode(encode(group, arrays, "g"), arrays, "g") == group
    for tau_m in (np.inf, [20.0, 30.0, np.inf]):
        with pytest.raises(
            ValueError, match=r"normalize_input must be False where tau_m is infinite \(got True\); without a leak"
        ):
            model(3, tau_m=tau_m, normalize_input=True)
    for tau_m in (-np.inf, np.nan, 0.0, [1.0, np.nan, np.inf]):
        with pytest.raises(ValueError, match=rf"{model.__name__}.tau_m must be a positive time in ms"):
            model(3, tau_m=tau_m)
    for name in ("threshold", "refractory", "current", "v_init"):
        with pytest.raises(ValueError, match=rf"{model.__name__}.{name} must be"):
            model(3, **{name: np.inf})


def test_recordings_and_configurations_keep_it(tmp_path):
    net = sl.Network(32, sl.LIF(4, tau_m=np.inf), sl.Readout(10, tau=20.0))
    training = sl.TrainingPlan(trials=2, batch=1)
    config = sl.Config(
        task=sl.tasks.Digits(), net=net, rule=sl.EProp(), optimizer=sl.SGD(1e-3), loss=sl.CrossEntropy(), training=training
    )
    config.save(tmp_path / "run.toml")
    assert "tau_m = inf" in (tmp_path / "run.toml").read_text()
    assert sl.load_config(tmp_path / "run.toml").net == net
    net = sl.Network(32, sl.LIF(4, tau_m=np.inf, current=0.3), sl.Readout(10, tau=20.0))
    sim = sl.Simulator(net, None, sl.EProp(), sl.SGD(1e-3), loss=sl.CrossEntropy())
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        sim.run(np.zeros((5, 32)), 0, recorder=recorder)
    assert sl.open_recording(tmp_path / "run.h5").network() == net
