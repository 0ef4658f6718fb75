"""Panels of weights, connectivity, eligibility and seeds: what they draw is what they were given."""

import numpy as np
import pytest
from scipy import sparse

import snnlearn as sl
from snnlearn.analysis.synapse_traces import Eligibility

pytest.importorskip("matplotlib")
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from snnlearn.plot.style import COLORS


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def weights(n=30, **options):
    net = sl.Network(4, sl.LIF(n), 2, **options)
    return net.init_weights(seed=1)


def test_weight_matrix_of_any_source():
    w = weights()
    ax = sl.plot.weight_matrix(w, matrix="w_in")
    shown = ax.images[0].get_array()
    assert shown.shape == (4, 30) and ax.get_title(loc="left") == "Input weights"
    np.testing.assert_array_equal(shown, w.w_in)
    low, high = ax.images[0].get_clim()
    assert low == -high  # white is zero
    recurrent = sl.plot.weight_matrix(w).images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(recurrent)).sum() == 30  # no neuron has a synapse onto itself
    own = plt.subplots()[1]
    assert sl.plot.weight_matrix(w.w_out, own) is own
    assert sl.plot.weight_matrix(np.zeros((3, 3))).images[0].get_clim() == (-1.0, 1.0)


def test_connectivity_marks_synapses_and_never_makes_them_dense():
    w = weights(recurrent=sl.Sparse(indegree=5)).w_rec
    ax = sl.plot.connectivity(w)
    post, pre = ax.lines[0].get_data()
    assert {*zip(pre.tolist(), post.tolist(), strict=True)} == {*zip(*(x.tolist() for x in w.nonzero()), strict=True)}
    assert ax.get_title(loc="left") == "Synapses: 150, 0.17 of all, 5 a neuron"
    assert ax.get_ylim() == (29.5, -0.5)  # from top to bottom, as the matrix is written
    rng = np.random.default_rng(0)
    huge = sparse.csr_array(
        (np.ones(40_000), (rng.integers(0, 10**6, 40_000), rng.integers(0, 10**6, 40_000))), shape=(10**6, 10**6)
    )
    density = sl.plot.connectivity(huge)
    assert density.images[0].get_array().shape == (200, 200) and not density.lines


@pytest.mark.parametrize("panel", ["weight_matrix", "connectivity"])
def test_bad_sources(panel):
    draw = getattr(sl.plot, panel)
    with pytest.raises(ValueError, match=rf"plot\.{panel}\.source must be Weights, a recording or a matrix"):
        draw(np.zeros(3))
    with pytest.raises(ValueError, match=rf"plot\.{panel}\.matrix must be w_in, w_rec or w_out"):
        draw(weights(), matrix="b_out")
    if panel == "weight_matrix":
        with pytest.raises(ValueError, match="at most 4000 rows and columns"):
            draw(sparse.csr_array((5000, 5000)))


def test_learning_curves_of_seeds():
    runs = {"a": [np.linspace(0, 1, 200), np.linspace(0.2, 0.8, 150)], "b": sl.History(score=[0.5] * 100)}
    ax = sl.plot.learning_curves(runs, window=10)
    first, second = ax.lines
    assert [to_hex(line.get_color()) for line in (first, second)] == [c.lower() for c in COLORS[:2]]
    np.testing.assert_array_equal(first.get_xdata(), np.arange(10, 151))  # as far as the shortest, from the first full window
    a, b = runs["a"]
    np.testing.assert_allclose(first.get_ydata()[0], (a[:10].mean() + b[:10].mean()) / 2)
    assert len(ax.collections) == 1  # a band where there are several
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a (2)", "b (1)"]
    assert sl.plot.learning_curves([sl.History(loss=[1.0, 2.0])], column="loss").get_ylabel() == "loss"


@pytest.mark.parametrize(
    ("runs", "column", "match"),
    [
        ({"a": []}, "score", "have a run of each kind"),
        ([np.ones(3)], "speed", "must be one of 'score', 'loss', 'rate'"),
        ([np.ones((3, 2))], "score", "be histories, recordings or arrays"),
    ],
)
def test_learning_curves_of_nothing(runs, column, match):
    with pytest.raises(ValueError, match=match):
        sl.plot.learning_curves(runs, column=column)


def traces(slow=True):
    rng = np.random.default_rng(0)
    columns = {name: rng.standard_normal((50, 2)) for name in ("v", "psi", "eps_v", "eps_a", "e", "ebar", "signal")}
    columns["pre"], columns["spikes"] = (rng.random((50, 2)) < 0.2).astype(float), rng.random((50, 2)) < 0.1
    columns["threshold"], columns["gradient"] = np.full((50, 2), 1.5), np.array([0.25, -0.5])
    if not slow:
        columns["eps_a"][:] = 0.0
    return Eligibility(synapses=((3, 4), (5, 6)), source="inputs", dt=0.5, **columns)


def test_eligibility_has_a_row_for_each_trace():
    ax = sl.plot.eligibility(traces(), synapse=1)
    assert ax.get_title(loc="left") == "From input 5 to neuron 6: gradient -0.5"
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert len(labels) == 8 and labels[0].startswith("presynaptic")
    assert len(sl.plot.eligibility(traces(slow=False)).get_yticklabels()) == 7  # LIF has no slow trace
    assert ax.get_xlim() == (0.0, 25.0)
    with pytest.raises(ValueError, match=r"plot\.eligibility\.synapse must be a number below 2"):
        sl.plot.eligibility(traces(), synapse=2)
