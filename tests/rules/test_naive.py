"""The naive twins against numbers worked by hand, against each other and against finite differences."""

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

CASES = {
    "lif": dict(),
    "alif": dict(kind="alif", n_ref=2, loss="ce"),
    "delayed": dict(delay=3, density=0.6, self_connections=False, kappa=0.0, surrogate="fast_sigmoid"),
    "normalised": dict(kind="mixed", normalize_input=True, normalize_readout=True, n_ref=1, dt=0.5),
    "heterogeneous": dict(
        kind="mixed",
        heterogeneous=True,
        n_ref=3,
        delay=2,
        normalize_input=True,
        density=0.5,
        density_in=0.7,
        initial=True,
        analog=True,
        surrogate=["piecewise_linear"] * 2 + ["exponential"] * 2 + ["arctan"] * 2,
    ),
}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(params=list(CASES))
def case(request, rng):
    return naive.random_case(rng, **CASES[request.param])


def assert_same(got, want, rtol=1e-11):
    """Gradients (or weights) agree; 1e-11 of the largest entry leaves room for 100 float64 steps in another order."""
    for name in naive.NAMES:
        assert_allclose(got[name], want[name], rtol=rtol, atol=rtol * np.abs(want[name]).max(), err_msg=name)


def distance(a, b, name="w_in"):
    return np.linalg.norm(a[name] - b[name]) / np.linalg.norm(b[name])


# ------------------------------------------------------------------------------------------------- numbers by hand
@pytest.fixture
def one_neuron():
    """An adaptive neuron with a synapse onto itself: net, weights, trial."""
    net = naive.Net(
        alpha=0.5, thr=1.0, conn_rec=[[True]], conn_in=[[True]], n_out=1, rho=0.5, beta=0.2, gamma=0.5, kappa=0.5, delay=1
    )
    w = dict(w_in=[[1.2]], w_rec=[[1.4]], w_out=[[2.0]], b_out=[0.1])
    return net, w, dict(x=np.array([[1.0], [0.0], [1.0]]), target=np.array([[2.0], [1.0], [2.0]]))


def test_trajectory_by_hand(one_neuron):
    net, w, trial = one_neuron
    f = naive.forward(net, w, trial["x"])
    assert_allclose(f.v[:, 0], [1.2, 1.0, 1.7])  # 1.2;  0.5 1.2 + 1.4 - 1;  0.5 1.0 + 1.2
    assert_allclose(f.a[:, 0], [0.0, 1.0, 0.5])
    assert_allclose(f.A[:, 0], [1.0, 1.2, 1.1])
    assert_allclose(f.psi[:, 0], [0.4, 0.4, 0.2])  # 0.5 (1 - |0.2|), 0.5 (1 - |-0.2|), 0.5 (1 - |0.6|)
    assert_array_equal(f.z[:, 0], [1, 0, 1])
    assert_allclose(f.y[:, 0], [2.1, 1.15, 2.675])
    assert_array_equal(f.pre, [[1, 0], [0, 1], [1, 0]])


def test_eprop_by_hand(one_neuron):
    net, w, trial = one_neuron
    result = naive.eprop(net, w, **trial)
    assert_allclose(result.loss, 0.2440625)  # errors 0.1, 0.15, 0.675
    # e of w_in: 0.4 1, 0.4 (0.5 - 0.2 0.4), 0.2 (1.25 - 0.2 0.368); ebar 0.4, 0.368, 0.41928; L = 0.2, 0.3, 1.35
    assert_allclose(result.steps["w_in"][:, 0, 0], [0.08, 0.1104, 0.566028])
    assert_allclose(result.gradient["w_in"], [[0.756428]])
    assert_allclose(result.gradient["w_rec"], [[0.5034]])  # ebar 0, 0.4, 0.284
    assert_allclose(result.gradient["w_out"], [[1.01875]])  # s = 1, 0.5, 1.25
    assert_allclose(result.gradient["b_out"], [1.50625])  # c = 1, 1.5, 1.75
    assert_allclose(result.traces.ebar[0], [0.41928])


@pytest.mark.parametrize("method", ["adjoint", "influence"])
def test_bptt_by_hand(one_neuron, method):
    """Pz = 0.4 1, 0.4 (0.66 - 0.2 0.4), 0.2 (1.4228 - 0.2 0.432); Py = 0.8, 0.864, 0.96656."""
    net, w, trial = one_neuron
    assert_allclose(naive.bptt(net, w, **trial, method=method).gradient["w_in"], [[0.862028]])


def test_delay_refractoriness_and_initial_values_by_hand():
    def run(n_ref, delay):
        net = naive.Net(
            alpha=0.5,
            thr=1.0,
            conn_rec=[[True]],
            conn_in=[[True]],
            n_out=1,
            n_ref=n_ref,
            delay=delay,
            rho=0.5,
            current=1.0,
            v0=2.0,
            a0=0.4,
        )
        return naive.forward(net, dict(w_in=[[1.0]], w_rec=[[4.0]], w_out=[[1.0]], b_out=[0.0]), np.zeros((5, 1)))

    f = run(n_ref=0, delay=2)
    assert_allclose(f.v[:, 0], [2.0, 1.0, 5.5, 2.75 + 1 - 1, 1.375 + 1 + 4 - 1])  # v = 1.0 is not above 1: no spike at step 1
    assert_allclose(f.a[:, 0], [0.2, 1.1, 0.55, 1.275, 1.6375])
    assert_array_equal(f.z[:, 0], [1, 0, 1, 1, 1])
    f = run(n_ref=2, delay=1)
    assert_allclose(f.v[:, 0], [2.0, 5.0, 3.5, 2.75, 1.375 + 1 + 4 - 1])
    assert_array_equal(f.z[:, 0], [1, 0, 0, 1, 0])
    assert_array_equal(f.psi[[1, 2, 4], 0], [0, 0, 0])


def test_each_neuron_has_its_own_refractoriness():
    net = naive.Net(
        alpha=[0.5, 0.5, 0.5], thr=1.0, conn_rec=np.zeros((3, 3)), conn_in=np.ones((1, 3)), n_out=1, n_ref=[0, 1, 3], current=9.0
    )
    f = naive.forward(
        net, dict(w_in=np.zeros((1, 3)), w_rec=np.zeros((3, 3)), w_out=np.ones((3, 1)), b_out=[0.0]), np.zeros((5, 1))
    )
    assert_array_equal(f.z.T, [[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 0, 0, 0, 1]])


def test_surrogates_by_hand():
    shapes = {"piecewise_linear": 0.5, "exponential": np.exp(-0.5), "fast_sigmoid": 1 / 2.25, "arctan": 0.8}
    for name, value in shapes.items():
        assert_allclose([naive.surrogate_shape(name, x) for x in (0.0, 0.5, -0.5)], [1.0, value, value])
    assert naive.surrogate_shape("piecewise_linear", 1.5) == 0.0


def test_cross_entropy_by_hand():
    err, loss = naive.errors(np.log([[1.0, 3.0], [1.0, 1.0]]), [0, 1], [1.0, 2.0], "ce")
    assert_allclose(err, [[-0.75, 0.75], [1.0, -1.0]])
    assert_allclose(loss, np.log(4.0) + 2.0 * np.log(2.0))
    assert_array_equal(naive.errors(np.ones((2, 3)), 2, kind="ce")[0], naive.errors(np.ones((2, 3)), [2, 2], kind="ce")[0])


def test_rate_signal_by_hand():
    z = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    reg, energy = naive.rate_signal(z, strength=2.0, target=100.0, dt=0.5)
    assert_allclose(reg, np.tile([2.0 * 0.9 / 2.0, 2.0 * -0.1 / 2.0], (4, 1)))  # 0.5 spikes per step = 1 per ms, wanted 0.1
    assert_allclose(energy, 0.81 + 0.01)
    decay = np.exp(-0.25)
    r = (1 - decay) * np.array([1, 1 + decay, decay + decay**2, decay**2 + decay**3])
    reg, energy = naive.rate_signal(z, strength=2.0, target=100.0, dt=0.5, tau=2.0)
    assert_allclose(reg[:, 0], 2.0 * (r / 0.5 - 0.1) * 0.25)
    assert_allclose(reg[:, 1], -2.0 * 0.1 * 0.25)
    assert np.isnan(energy)


# --------------------------------------------------------------------------------------------- one way against another
@pytest.mark.parametrize("reset_gradient", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_adjoints_equal_influence(case, reset_gradient, replaced):
    options = dict(reset_gradient=reset_gradient, feedback=case.feedback if replaced else None)
    backward = naive.bptt(case.net, case.w, **case.trial, **options)
    forward = naive.bptt(case.net, case.w, **case.trial, **options, method="influence")
    naive.assert_live(backward.gradient, backward.forward.z)
    assert_same(backward.gradient, forward.gradient)
    other = naive.bptt(case.net, case.w, **case.trial, reset_gradient=not reset_gradient)
    assert distance(other.gradient, backward.gradient) > 1e-3


@pytest.mark.parametrize("reset_gradient", [False, True])
def test_eprop_without_recurrence_is_exact(case, reset_gradient):
    """Also for recurrent synapses, as long as their weight is 0."""
    w = case.w | {"w_rec": np.zeros_like(case.w["w_rec"]), "w_in": 1.3 * case.w["w_in"]}
    got = naive.eprop(case.net, w, **case.trial, reset_gradient=reset_gradient, feedback=case.feedback)
    naive.assert_live(got.gradient, got.forward.z)
    assert_same(
        got.gradient, naive.bptt(case.net, w, **case.trial, reset_gradient=reset_gradient, feedback=case.feedback).gradient
    )


def test_eprop_with_recurrence_is_not_exact(case):
    got = naive.eprop(case.net, case.w, **case.trial, reset_gradient=True).gradient
    exact = naive.bptt(case.net, case.w, **case.trial).gradient
    assert distance(got, exact) > 1e-2
    assert_allclose(got["w_out"], exact["w_out"])


@pytest.mark.parametrize("name", ["piecewise_linear", "exponential", "fast_sigmoid", "arctan"])
def test_bptt_of_the_smooth_model_is_the_derivative(rng, name):
    """Where a spike is the integral of the surrogate, BPTT with the reset differentiated has no approximation in it."""
    case = naive.random_case(
        rng,
        kind="mixed",
        heterogeneous=True,
        delay=2,
        normalize_input=True,
        normalize_readout=True,
        initial=True,
        surrogate=name,
        T=15,
    )
    got = naive.bptt(case.net, case.w, **case.trial, smooth=True).gradient

    def energy(w):
        f = naive.forward(case.net, w, case.x, smooth=True)
        return naive.errors(f.y, case.target, case.mask, case.kind)[1] + naive.rate_signal(f.z, *case.reg)[1]

    for k in naive.NAMES:
        direction = rng.standard_normal(case.w[k].shape)
        plus, minus = (energy(case.w | {k: case.w[k] + h * direction}) for h in (1e-5, -1e-5))
        assert_allclose(np.sum(got[k] * direction), (plus - minus) / 2e-5, rtol=1e-5)


def test_noise_is_a_current(rng):
    """Noise enters like an input of weight 1, before the scaling by zeta."""
    case = naive.random_case(rng, normalize_input=True, heterogeneous=True)
    noise = 0.3 * rng.standard_normal((len(case.x), case.net.n))
    wide = naive.Net(**(vars(case.net) | {"conn_in": np.vstack([case.net.conn_in, np.eye(case.net.n, dtype=bool)])}))
    w = case.w | {"w_in": np.vstack([case.w["w_in"], np.eye(case.net.n)])}
    got, want = naive.forward(case.net, case.w, case.x, noise), naive.forward(wide, w, np.hstack([case.x, noise]))
    assert_allclose(got.v, want.v, rtol=1e-12, atol=1e-12)
    assert np.abs(got.v - naive.forward(case.net, case.w, case.x).v).max() > 0.01


# ------------------------------------------------------------------------------------------------------ online learning
def test_one_update_per_trial_is_one_gradient_step(case):
    gradient = naive.eprop(case.net, case.w, **case.trial)
    for update_every in (None, len(case.x)):
        run = naive.train(case.net, case.w, **case.trial, optimizer=naive.SGD(0.01), update_every=update_every)
        assert_same(run.gradients[0], gradient.gradient)
        assert_same(run.w, {name: case.w[name] - 0.01 * gradient.gradient[name] for name in naive.NAMES})
        assert_allclose([run.loss, run.regularization], [gradient.loss, gradient.regularization])
        assert_array_equal(run.z, gradient.forward.z)


def test_a_batch_averages_its_trials(rng):
    case = naive.random_case(rng, n_trials=3, kind="alif")
    run = naive.train(case.net, case.w, **case.trial, optimizer=naive.SGD(0.01))
    results = [naive.eprop(case.net, case.w, **case.one(b).trial) for b in range(3)]
    assert_same(run.gradients[0], naive.average([r.gradient for r in results]))
    assert_allclose(run.losses, [r.loss for r in results])
    assert_allclose(
        [run.loss, run.regularization], [np.mean([getattr(r, k) for r in results]) for k in ("loss", "regularization")]
    )
    assert run.z.shape == (3, *results[0].forward.z.shape)


def test_intervals_are_pieces_of_the_gradient(case):
    """With weights that do not move, the gradients of the intervals add up to that of the trial, at any K."""
    running = case.reg._replace(tau=20.0)
    trial = case.trial | {"reg": running}
    whole = naive.eprop(case.net, case.w, **trial, reset_gradient=True)
    for every, count in ((1, 40), (7, 6), (40, 1), (100, 1)):
        run = naive.train(case.net, case.w, **trial, optimizer=naive.SGD(0.0), update_every=every, reset_gradient=True)
        assert len(run.gradients) == count
        assert_same({name: sum(g[name] for g in run.gradients) for name in naive.NAMES}, whole.gradient)
        assert_same(run.gradients[0], {name: whole.steps[name][:every].sum(0) for name in naive.NAMES})
        assert_same(run.w, case.w)


def test_updates_act_from_the_next_step_on(case):
    trial = case.trial | {"reg": None}
    moving = naive.train(case.net, case.w, **trial, optimizer=naive.SGD(0.01), update_every=10)
    still = naive.train(case.net, case.w, **trial, optimizer=naive.SGD(0.0), update_every=10)
    assert_array_equal(moving.y[:10], still.y[:10])
    assert_same(moving.gradients[0], still.gradients[0])
    assert np.abs(moving.y[10:] - still.y[10:]).max() > 1e-6
    change = {name: -0.01 * sum(g[name] for g in moving.gradients) for name in naive.NAMES}
    assert_same(moving.w, {name: case.w[name] + change[name] for name in naive.NAMES})


@pytest.mark.parametrize("adaptive", [False, True])
def test_pieces_of_a_stream_equal_the_whole(case, adaptive):
    """Pieces need not end where intervals do; delay, traces, running rate and the open interval are carried."""
    reg = case.reg._replace(tau=20.0)
    options = dict(kind=case.kind, reg=reg, update_every=6, feedback_decay=0.01, adaptive=adaptive, reset_gradient=True)
    whole = naive.train(
        case.net, case.w, case.x, case.target, case.mask, optimizer=naive.Adam(0.01), feedback=case.feedback, **options
    )
    optimizer, w, feedback, carry, parts = naive.Adam(0.01), case.w, case.feedback, None, []
    for first, end in ((0, 1), (1, 15), (15, 31), (31, 40)):
        part = slice(first, end)
        run = naive.train(
            case.net,
            w,
            case.x[part],
            case.target[part],
            case.mask[part],
            optimizer=optimizer,
            feedback=feedback,
            carry=carry,
            finish=end == 40,
            **options,
        )
        w, feedback, carry = run.w, run.feedback, run.carry
        parts.append(run)
    assert_same(w, whole.w)
    assert_allclose(feedback, whole.feedback)
    assert_array_equal(np.concatenate([run.y for run in parts]), whole.y)
    assert_allclose(sum(run.loss for run in parts), whole.loss)
    assert sum(len(run.gradients) for run in parts) == len(whole.gradients) == 7
    assert distance(w, case.w) > 1e-3


def test_a_carry_can_be_used_twice(case):
    half = slice(0, 20)
    first = naive.train(
        case.net, case.w, case.x[half], case.target[half], kind=case.kind, optimizer=naive.SGD(0.0), update_every=9, finish=False
    )
    runs = [
        naive.train(
            case.net,
            first.w,
            case.x[20:],
            case.target[20:],
            kind=case.kind,
            optimizer=naive.SGD(0.0),
            update_every=9,
            carry=first.carry,
        )
        for _ in range(2)
    ]
    assert_array_equal(runs[0].y, runs[1].y)
    assert_same(runs[0].gradients[0], runs[1].gradients[0])


def test_the_mean_rate_of_a_trial_needs_one_update_per_trial(case):
    for options in (dict(update_every=5), dict(finish=False)):
        with pytest.raises(ValueError, match="mean rate"):
            naive.train(case.net, case.w, **case.trial, optimizer=naive.SGD(0.1), **options)


def test_adaptive_feedback_converges_to_the_readout(rng):
    """B and w_out take the same steps and shrink together, so that their difference shrinks at the rate of the decay."""
    case = naive.random_case(rng)
    options = dict(feedback=case.feedback, adaptive=True, feedback_decay=0.1, update_every=4)
    run = naive.train(case.net, case.w, **case.trial | {"reg": None}, optimizer=naive.SGD(0.01, momentum=0.5), **options)
    assert_allclose(run.feedback - run.w["w_out"], 0.9**10 * (case.feedback - case.w["w_out"]))
    assert np.abs(run.feedback - 0.9**10 * case.feedback).max() > 1e-3


# ----------------------------------------------------------------------------------------------------------- optimizers
@pytest.fixture
def two_synapses():
    """One neuron with an input and no recurrent synapse; w_out and b_out of 2 and 1."""
    net = naive.Net(alpha=0.5, thr=1.0, conn_rec=[[False]], conn_in=[[True]], n_out=1)
    return net, dict(w_in=np.array([[1.0]]), w_rec=np.zeros((1, 1)), w_out=np.array([[2.0]]), b_out=np.array([1.0]))


def gradient_of(w_in, w_out=0.0, b_out=0.0):
    return dict(w_in=np.array([[w_in]]), w_rec=np.zeros((1, 1)), w_out=np.array([[w_out]]), b_out=np.array([b_out]))


def test_sgd_by_hand(two_synapses):
    net, w = two_synapses
    sgd = naive.SGD(lambda k: [0.1, 0.2][k], momentum=0.5, weight_decay=0.5)
    w, _ = sgd.update(net, w, gradient_of(1.0, 2.0, 3.0))
    assert_allclose([w["w_in"][0, 0], w["w_out"][0, 0], w["b_out"][0]], [1 - 0.1 - 0.05, 2 - 0.2 - 0.1, 1 - 0.3])
    w, _ = sgd.update(net, w, gradient_of(1.0))
    assert_allclose([w["w_in"][0, 0], w["w_out"][0, 0], w["b_out"][0]], [0.85 - 0.3 - 0.085, 1.7 - 0.2 - 0.17, 0.7 - 0.3])


def test_clipping_is_global_and_bounds_come_last(two_synapses):
    net, w = two_synapses
    clipped, _ = naive.SGD(1.0, clip_norm=1.0).update(net, w, gradient_of(2.0, 1.0, 2.0))  # norm 3
    assert_allclose([clipped["w_in"][0, 0], clipped["w_out"][0, 0], clipped["b_out"][0]], [1 - 2 / 3, 2 - 1 / 3, 1 - 2 / 3])
    small, _ = naive.SGD(1.0, clip_norm=10.0).update(net, w, gradient_of(2.0))
    assert_allclose(small["w_in"], [[-1.0]])
    bounded, _ = naive.SGD(1.0, bounds=(0.5, 1.5)).update(net, w, gradient_of(2.0, -1.0, 3.0))
    assert_allclose([bounded["w_in"][0, 0], bounded["w_out"][0, 0], bounded["b_out"][0]], [0.5, 1.5, -2.0])
    assert bounded["w_rec"][0, 0] == 0.0  # absent, and stays 0 outside the bounds
    named, _ = naive.SGD(1.0, bounds={"b_out": (-1.0, 1.0)}).update(net, w, gradient_of(2.0, -1.0, 3.0))
    assert_allclose([named["w_in"][0, 0], named["w_out"][0, 0], named["b_out"][0]], [-1.0, 3.0, -1.0])


def test_adam_by_hand(two_synapses):
    net, w = two_synapses
    for form, first, second in (
        # after gradients 2 and 1: m = 0.2, 0.28; v = 0.004, 0.004996; both corrected by 0.1 and 0.19, 0.001 and 0.001999
        ("standard", 2.0 / (2.0 + 0.5), 0.28 / 0.19 / (np.sqrt(0.004996 / 0.001999) + 0.5)),
        (
            "tensorflow",
            np.sqrt(0.001) / 0.1 * 0.2 / (np.sqrt(0.004) + 0.5),
            np.sqrt(0.001999) / 0.19 * 0.28 / (np.sqrt(0.004996) + 0.5),
        ),
    ):
        adam = naive.Adam(0.1, epsilon=0.5, epsilon_form=form)
        once, _ = adam.update(net, w, gradient_of(2.0))
        twice, _ = adam.update(net, once, gradient_of(1.0))
        assert_allclose(once["w_in"], [[1.0 - 0.1 * first]])
        assert_allclose(twice["w_in"], [[1.0 - 0.1 * (first + second)]])


def test_no_bias_no_change(rng):
    case = naive.random_case(rng, bias=False)
    run = naive.train(case.net, case.w, **case.trial, optimizer=naive.Adam(0.1))
    assert not run.w["b_out"].any() and not run.gradients[0]["b_out"].any()


def test_absent_synapses_stay_absent(rng):
    case = naive.random_case(rng, n=10, density=0.4, density_in=0.5)
    run = naive.train(case.net, case.w, **case.trial, optimizer=naive.Adam(0.1))
    for name, conn in (("w_in", case.net.conn_in), ("w_rec", case.net.conn_rec)):
        assert not run.w[name][~conn].any() and not run.gradients[0][name][~conn].any()
        assert np.abs(run.w[name] - case.w[name])[conn].max() > 0.01


# ------------------------------------------------------------------------------------------------------------- material
def test_random_cases_are_live_and_repeatable(case, request):
    f = naive.forward(case.net, case.w, case.x)
    assert f.z.sum() >= 6 and np.abs(f.v - f.A).min() > 1e-6
    again = naive.random_case(np.random.default_rng(7), **CASES[request.node.callspec.params["case"]])
    assert_array_equal(again.w["w_in"], case.w["w_in"])
    assert_array_equal(again.x, case.x)
    assert not (case.w["w_rec"] != 0)[~case.net.conn_rec].any()


def test_assert_live_refuses_silence_and_zero_gradients(case):
    result = naive.eprop(case.net, case.w, **case.trial)
    naive.assert_live(result.gradient, result.forward.z)
    with pytest.raises(AssertionError, match="fire"):
        naive.assert_live(result.gradient, np.zeros((5, 6)))
    with pytest.raises(AssertionError, match="w_rec vanishes"):
        naive.assert_live(result.gradient | {"w_rec": np.zeros((6, 6))}, result.forward.z)
