"""Identities between the rules over random networks, each where the mathematics guarantees it, with negative controls.

hypothesis draws what a network and its trial are; every case first proves that it is live. The surrogate stays piecewise
linear and the storage either dense (or masked) or sparse, so that few kernels need compiling.

Gradients agree to 1e-12 in the norm of each matrix (`twin.assert_same`): they are float64 sums over 24 steps, up to 7 neurons
and a few orders in another order of summation, each term right to some 1e-16; the worst of some hundred is about 1e-14, in
b_out, where the errors of the steps cancel. The rest is room for other draws.
"""

from typing import NamedTuple

import naive
import naive_rules
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from twin import assert_same, distance, draw, library, simulator

import snnlearn as sl

STEPS = 24
SETTINGS = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # kernels compile
)


class Drawn(NamedTuple):
    """A live case, how it is stored, and whether its regulariser is on. Shown as what was drawn, without arrays."""

    case: naive.Case
    as_csr: bool
    regularised: bool
    options: dict

    def __repr__(self):
        return f"Drawn(as_csr={self.as_csr}, regularised={self.regularised}, {self.options})"


@st.composite
def cases(draw_from, **fixed):
    """A live case of any kind that `naive.random_case` draws, as `Drawn`."""
    options = {
        "kind": st.sampled_from(["lif", "alif", "mixed"]),
        "n": st.integers(4, 7),
        "n_in": st.integers(2, 5),
        "n_out": st.integers(1, 3),
        "density": st.sampled_from([0.4, 0.7, 1.0]),
        "density_in": st.sampled_from([0.6, 1.0]),
        "self_connections": st.booleans(),
        "delay": st.integers(1, 3),
        "n_ref": st.integers(0, 3),
        "heterogeneous": st.booleans(),
        "kappa": st.sampled_from([0.0, 0.6, 0.9]),
        "loss": st.sampled_from(["mse", "ce"]),
        "normalize_input": st.booleans(),
        "normalize_readout": st.booleans(),
        "bias": st.booleans(),
        "initial": st.booleans(),
        "analog": st.booleans(),
        "dt": st.sampled_from([0.5, 1.0]),
    }
    drawn = {key: draw_from(strategy) for key, strategy in options.items() if key not in fixed} | fixed
    if drawn["loss"] == "ce":
        drawn["n_out"] = max(2, drawn["n_out"])  # the softmax of one output has no gradient
    seed, as_csr, regularised = draw_from(st.integers(0, 2**20)), draw_from(st.booleans()), draw_from(st.booleans())
    try:
        case = draw(seed, T=STEPS, **drawn)
    except RuntimeError:  # 500 draws were silent
        case = None
    assume(case is not None and is_live(case))  # hypothesis fails where most are not
    return Drawn(case, as_csr, regularised, {"seed": seed} | drawn)


def is_live(case):
    """Whether half the neurons fire and no matrix's gradient vanishes, in e-prop and in BPTT."""
    names = ["w_in", "w_out"] + ["w_rec"] * bool(case.net.conn_rec.any())
    try:
        for rule in (naive.eprop, naive.bptt):
            found = rule(case.net, case.w, **case.trial | {"reg": None})
            naive.assert_live(found.gradient, found.forward.z, names)
    except AssertionError:
        return False
    return True


class Problem:
    """A case with the package's gradients of it; `reset_gradient` of all its rules, which share a feedback."""

    def __init__(self, drawn, reset_gradient, feedback):
        self.case, self.reset_gradient = drawn.case, reset_gradient
        self.feedback = self.case.feedback if feedback else None
        self.net, self.weights, self.trial = library(self.case, sparse_rec=drawn.as_csr, sparse_in=drawn.as_csr)
        self.naive_trial = self.case.trial
        if not drawn.regularised:
            self.trial["regularizer"] = self.naive_trial["reg"] = None

    def twin(self, rule, **options):
        if rule is not naive_rules.rflo:
            options["reset_gradient"] = self.reset_gradient
        return rule(self.case.net, self.case.w, **self.naive_trial, feedback=self.feedback, **options)

    def gradient(self, rule, *args, **options):
        if rule is not sl.RFLO:
            options["reset_gradient"] = self.reset_gradient
        feedback = "symmetric" if self.feedback is None else self.feedback
        return sl.gradient(self.net, self.weights, rule=rule(*args, feedback=feedback, **options), **self.trial)


PROBLEMS = given(drawn=cases(), reset_gradient=st.booleans(), feedback=st.booleans())


# ---------------------------------------------------------------------------------------- random networks, the package
@SETTINGS
@PROBLEMS
def test_exact_rules(drawn, reset_gradient, feedback):
    """BPTT = RTRL = SnAp saturated = truncated BPTT(T) = e-prop of all orders = order >= T, in both directions."""
    problem = Problem(drawn, reset_gradient, feedback)
    exact = problem.twin(naive_rules.snap)
    assert_same(problem.twin(naive.bptt).gradient, exact.gradient)
    enough = (STEPS - 1) // problem.case.net.delay + 1  # no path crosses more often
    for rule, args, options in (
        (sl.BPTT, (), {}),
        (sl.RTRL, (), {}),
        (sl.SnAp, (problem.case.net.n,), {}),
        (sl.TruncatedBPTT, (STEPS,), {}),
        (sl.EProp, (None,), {"method": "forward"}),
        (sl.EProp, (None,), {"method": "adjoint"}),
    ):
        assert_same(problem.gradient(rule, *args, **options), exact.gradient)
    for order in (enough, STEPS + 3):
        assert_same(problem.gradient(sl.EProp, order), exact.gradient)
    got = problem.gradient(sl.EProp)
    assert got.loss == pytest.approx(exact.loss, rel=1e-12)
    assert got.regularization == pytest.approx(exact.regularization, rel=1e-12)


@SETTINGS
@PROBLEMS
def test_first_order(drawn, reset_gradient, feedback):
    """Order 1 carried forward, in place or factorised, = order 1 as adjoints = the twin; SnAp-1 and RFLO beside it."""
    problem = Problem(drawn, reset_gradient, feedback)
    net = problem.case.net
    want = problem.twin(naive_rules.order_m, order=1)
    assert_same(problem.twin(naive.eprop).gradient, want.gradient)
    for method in ("forward", "adjoint"):
        assert_same(problem.gradient(sl.EProp, method=method), want.gradient)
    snap = problem.twin(naive_rules.snap, n=1)
    assert_same(problem.gradient(sl.SnAp, 1), snap.gradient)
    if not net.conn_rec.diagonal().any():
        assert_same(problem.gradient(sl.SnAp, 1), want.gradient)
    leak = problem.twin(naive_rules.rflo)
    for method in ("forward", "adjoint"):
        assert_same(problem.gradient(sl.RFLO, method=method), leak.gradient)
    if not net.beta.any() and not reset_gradient:
        assert_same(leak.gradient, want.gradient)


@SETTINGS
@PROBLEMS
def test_between_first_order_and_exact(drawn, reset_gradient, feedback):
    """Order m in both directions, SnAp-n and truncated BPTT against their twins."""
    problem = Problem(drawn, reset_gradient, feedback)
    for order in (2, 3):
        want = problem.twin(naive_rules.order_m, order=order)
        for method in ("forward", "adjoint"):
            assert_same(problem.gradient(sl.EProp, order, method=method), want.gradient)
        want = problem.twin(naive_rules.snap, n=order)
        assert_same(problem.gradient(sl.SnAp, order), want.gradient)
    for window in (1, 5, 12):
        want = problem.twin(naive_rules.truncated, window=window)
        assert_same(problem.gradient(sl.TruncatedBPTT, window), want.gradient)


@SETTINGS
@PROBLEMS
def test_without_recurrence_all_are_exact(drawn, reset_gradient, feedback):
    """Where no spike acts on a neuron, in whatever way, there is nothing that e-prop could leave out."""
    case = drawn.case
    silent = case._replace(w=case.w | {"w_rec": np.zeros_like(case.w["w_rec"]), "w_in": 1.5 * np.abs(case.w["w_in"])})
    assume(is_live(silent))
    problem = Problem(drawn._replace(case=silent), reset_gradient, feedback)
    exact = problem.twin(naive_rules.snap)
    for rule, args in ((sl.BPTT, ()), (sl.EProp, ()), (sl.EProp, (3,)), (sl.SnAp, (1,)), (sl.RTRL, ())):
        assert_same(problem.gradient(rule, *args), exact.gradient)


@SETTINGS
@given(drawn=cases(density=1.0, kind="mixed"), reset_gradient=st.booleans(), order=st.integers(1, 4))
def test_snap_n_is_order_n_on_a_chain(drawn, reset_gradient, order):
    """Where at most one path leads from neuron to neuron, those within n - 1 synapses are those that cross n - 1."""
    case, n = drawn.case, drawn.case.net.n
    chain = np.eye(n, k=1, dtype=bool)
    case = case._replace(
        net=naive.Net(**vars(case.net) | {"conn_rec": chain}),
        w=case.w | {"w_rec": case.w["w_rec"] * chain, "w_in": 1.5 * case.w["w_in"]},
    )
    assume(is_live(case))
    problem = Problem(drawn._replace(case=case), reset_gradient, False)
    want = problem.twin(naive_rules.order_m, order=order)
    assert_same(problem.gradient(sl.SnAp, order), want.gradient)
    assert_same(problem.gradient(sl.EProp, order), want.gradient)


# --------------------------------------------------------------------------------------------------- update intervals
RULES = {"EProp": (), "EProp-2": (2,), "RTRL": (), "SnAp": (2,), "RFLO": ()}
LR = 2.0**12  # lifts the change of a weight above the rounding of the weight


def interval_gradients(case, rule, every):
    """What each interval adds to the gradient, with weights that have not moved: one run per interval, in which only its
    update has a learning rate. Gradient dicts; the regulariser is the online one."""
    found, before = [], naive.plain(case.w)
    for k in range(-(-len(case.x) // every)):
        sim, trial = simulator(case, rule, sl.SGD(lambda u, k=k: LR * (u == k)), update_every=every, reg=case.reg)
        sim.run(trial["inputs"][: (k + 1) * every], trial["targets"][: (k + 1) * every], trial["mask"][: (k + 1) * every])
        after = naive.plain(sim.weights)
        found.append({name: (before[name] - after[name]) / LR for name in naive.NAMES})
    return found


@pytest.mark.filterwarnings("ignore::snnlearn.SilentNetworkWarning")  # some of the runs last one step
@settings(SETTINGS, max_examples=15)
@given(
    drawn=cases(kind="mixed"),
    name=st.sampled_from(list(RULES)),
    every=st.sampled_from([1, 5, STEPS]),
    reset_gradient=st.booleans(),
)
def test_intervals_add_up_to_the_trial(drawn, name, every, reset_gradient):
    """Causal rules give the same sum for any update interval, as long as no weight moves; online regulariser included."""
    case = drawn.case._replace(reg=drawn.case.reg._replace(tau=15.0))
    options = {} if name == "RFLO" else {"reset_gradient": reset_gradient}
    rule = getattr(sl, name.split("-")[0])(*RULES[name], **options)
    twin = {
        "EProp": lambda **o: naive_rules.order_m(order=1, **o),
        "EProp-2": lambda **o: naive_rules.order_m(order=2, **o),
        "RTRL": naive_rules.snap,
        "SnAp": lambda **o: naive_rules.snap(n=2, **o),
        "RFLO": naive_rules.rflo,
    }[name]
    want = twin(net=case.net, w=case.w, **case.trial, **options)
    parts = interval_gradients(case, rule, every)
    _assert_same_steps(case, {key: sum(part[key] for part in parts) for key in naive.NAMES}, want.gradient, len(parts))
    steps = naive.eprop(case.net, case.w, **case.trial, **options).steps if name == "EProp" else None
    for k, part in enumerate(parts if steps else ()):
        _assert_same_steps(case, part, {key: steps[key][k * every : (k + 1) * every].sum(0) for key in naive.NAMES}, 1)


def _assert_same_steps(case, got, want, updates):
    """As `assert_same`, with the rounding of w - lr g, which counts where an interval earns next to nothing."""
    for key in naive.NAMES:
        rounding = updates * np.finfo(float).eps * np.linalg.norm(case.w[key]) / LR
        assert np.linalg.norm(got[key] - want[key]) <= 1e-12 * np.linalg.norm(want[key]) + rounding, key


# ------------------------------------------------------------------------------------------------- finite differences
@settings(SETTINGS, max_examples=30)
@given(drawn=cases(n_ref=0, surrogate="arctan"), direction_seed=st.integers(0, 99))
def test_exact_rules_are_the_derivative_of_the_smooth_model(drawn, direction_seed):
    """Where a spike is the integral of the surrogate there is no approximation left: BPTT and RTRL meet finite differences.

    Arctan is smooth; central differences at h and 2h extrapolate to h^4 = 1e-14, rounding is 1e-16 / h = 1e-12 of E.
    """
    case, rng = drawn.case, np.random.default_rng(direction_seed)
    for rule in (naive.bptt, naive_rules.snap):
        got = rule(case.net, case.w, **case.trial, smooth=True).gradient
        for name in naive.NAMES:
            way = rng.standard_normal(case.w[name].shape) * (case.net.bias if name == "b_out" else 1.0)
            way *= {"w_in": case.net.conn_in, "w_rec": case.net.conn_rec}.get(name, 1.0)
            slope = {h: (_energy(case, name, h * way) - _energy(case, name, -h * way)) / (2.0 * h) for h in (3e-4, 6e-4)}
            want = (4.0 * slope[3e-4] - slope[6e-4]) / 3.0
            terms = np.linalg.norm(got[name]) * np.linalg.norm(way)
            assert abs(np.sum(got[name] * way) - want) <= 1e-6 * terms, name


def _energy(case, name, change):
    f = naive.forward(case.net, case.w | {name: case.w[name] + change}, case.x, smooth=True)
    energy = naive.errors(f.y, case.target, case.mask, case.kind)[1]
    return energy + naive.rate_signal(f.z, *case.reg)[1]


# --------------------------------------------------------------------------------------------------- negative controls
FULL = {
    "lif": dict(kind="lif"),
    "alif": dict(kind="alif", n_ref=1, delay=2),
    "mixed": dict(kind="mixed", density=0.5, self_connections=False, heterogeneous=True),
}


@pytest.mark.parametrize("name", FULL)
def test_the_rules_differ(name):
    """The identities could tell: what should differ does, by far more than their tolerance."""
    case = draw(T=30, n=5, n_in=3, seed=11, **FULL[name])
    net, weights, trial = library(case)
    rules = [
        sl.EProp(reset_gradient=True),
        sl.EProp(reset_gradient=False),
        sl.EProp(order=2),
        sl.EProp(order=3),
        sl.BPTT(),
        sl.BPTT(reset_gradient=False),
        sl.BPTT(case.feedback),
        sl.TruncatedBPTT(3),
        sl.TruncatedBPTT(4),
    ]
    rules += [sl.RFLO()] * bool(case.net.beta.any())  # for LIF it is e-prop with a detached reset
    rules += [sl.SnAp(1)] * bool(case.net.conn_rec.diagonal().any())  # without self-connections it is e-prop
    rules += [sl.SnAp(2)] * (not case.net.conn_rec.all())  # on a full network it is RTRL
    found = [sl.gradient(net, weights, rule=rule, **trial) for rule in rules]
    naive.assert_live(found[0], naive.forward(case.net, case.w, case.x).z)
    for i, a in enumerate(found):
        for b in found[:i]:
            assert distance(a, b, "w_rec") > 1e-6


def test_one_trace_per_source_or_per_synapse_is_the_same():
    """A time constant that differs in its last digits makes the traces of all synapses separate; nothing else changes."""
    case = draw(kind="alif", delay=2, n_ref=1)
    net, weights, trial = library(case)
    separate = case._replace(tau_m=case.tau_m * (1.0 + 1e-15 * np.arange(case.net.n)))
    assert len(set(np.exp(-1.0 / separate.tau_m))) > 1
    other, _, _ = library(separate)
    rule = sl.EProp(method="forward", reset_gradient=False)
    want = naive_rules.order_m(case.net, case.w, **case.trial, order=1, reset_gradient=False)
    for n in (net, other):
        assert_same(sl.gradient(n, weights, rule=rule, **trial), want.gradient)
