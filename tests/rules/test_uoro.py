"""UORO: its mean over random signs is RTRL's gradient, whatever the trial, the feedback and the neurons."""

import naive
import numpy as np
import pytest
from twin import distance, draw, library, simulator

import snnlearn as sl

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # without the JIT, 64-bit hashes wrap with a warning
SAMPLES, GROUPS = 4000, 25


def many(trial, n):
    """The same trial n times: each has signs of its own."""
    return trial | {key: np.repeat(trial[key][None], n, axis=0) for key in ("inputs", "targets", "mask")}


@pytest.fixture(scope="module")
def problem():
    case = draw(n=4, n_in=3, T=12, kind="alif", delay=2, n_ref=1)
    net, weights, trial = library(case)
    exact = sl.gradient(net, weights, rule=sl.RTRL(), **trial)
    naive.assert_live(exact, naive.forward(case.net, case.w, case.x).z)
    return case, net, weights, trial


@pytest.mark.parametrize("reset_gradient", [True, False], ids=["attached", "detached"])
@pytest.mark.parametrize("given", [False, True], ids=["symmetric", "given"])
def test_the_mean_is_rtrl(problem, reset_gradient, given):
    """Every entry within its confidence interval: 25 groups of 4000 samples, Student's t, two-sided, Bonferroni."""
    case, net, weights, trial = problem
    options = {"feedback": case.feedback if given else "symmetric", "reset_gradient": reset_gradient}
    batch = many(trial, SAMPLES)
    groups = [sl.gradient(net, weights, rule=sl.UORO(seed, **options), **batch) for seed in range(GROUPS)]
    exact, eprop = (sl.gradient(net, weights, rule=rule(**options), **trial) for rule in (sl.RTRL, sl.EProp))
    apart = 0.0
    for name in ("w_in", "w_rec"):
        samples, want = np.array([getattr(g, name) for g in groups]), getattr(exact, name)
        error = samples.std(axis=0, ddof=1) / np.sqrt(GROUPS)
        there = error > 0
        assert there.any()
        off = (samples.mean(axis=0) - want)[there] / error[there]
        assert np.abs(off).max() < 4.6  # t(24) at p = 1e-4 / 2: a 0.3 % test over 28 entries
        apart = max(apart, np.abs((getattr(eprop, name) - want)[there] / error[there]).max())
    assert apart > 10, "negative control: the test could not tell e-prop from RTRL"
    for found in groups:
        np.testing.assert_allclose(found.w_out, exact.w_out, rtol=1e-10)


def test_a_sample_is_a_pure_function_of_seed_and_trial(problem):
    _, net, weights, trial = problem
    batch = many(trial, 6)
    one, two = (sl.gradient(net, weights, rule=sl.UORO(3), threads=k, **batch) for k in (1, 2))
    for a, b in zip(one[:4], two[:4], strict=True):
        np.testing.assert_array_equal(a, b)
    assert distance(sl.gradient(net, weights, rule=sl.UORO(4), **batch), one) > 1e-3
    first = sl.gradient(net, weights, rule=sl.UORO(3), **trial)
    assert distance(first, one) > 1e-3  # the other five trials had other signs


def test_streams_do_not_depend_on_pieces(problem):
    case, *_ = problem
    found = []
    for cuts in ([(0, 12)], [(0, 5), (5, 6), (6, 12)]):
        sim, trial = simulator(case, sl.UORO(1), sl.SGD(1e-3), update_every=4)
        sim.run((trial["inputs"][a:b], trial["targets"][a:b], trial["mask"][a:b]) for a, b in cuts)
        found.append(naive.plain(sim.weights))
    np.testing.assert_array_equal(found[0]["w_rec"], found[1]["w_rec"])
    assert np.abs(found[0]["w_rec"] - case.w["w_rec"]).max() > 1e-6


def test_bad_options():
    with pytest.raises(TypeError, match=r"UORO\.reset_gradient must be True or False"):
        sl.UORO(reset_gradient="yes")
    with pytest.raises(ValueError, match=r"UORO\.seed"):
        sl.UORO(-1)
    net = sl.Network(2, sl.LIF(3), 1)
    sim = sl.Simulator(net, rule=sl.UORO(), optimizer=sl.SGD(0.1))
    with pytest.raises(ValueError, match="UORO must get targets or an error"):
        sim.run(np.zeros((4, 2)), learning_signal=np.zeros((4, 3)))
