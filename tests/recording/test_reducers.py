"""Reducers: what they leave of a run is what NumPy makes of the whole of it, in a size that does not depend on its steps."""

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from kills import KINDS, PIECE, PIECES, begin, contents, differing, pieces
from numpy.testing import assert_allclose, assert_array_equal
from recording_twin import DT, TRIALS, N, T, dense_weights, record, start
from training_case import TASK, simulator

import snnlearn as sl
from snnlearn import plot
from snnlearn.recording import Recorder, open_recording
from snnlearn.recording.reducers import CV_EDGES, REDUCERS, Ended
from snnlearn.recording.reductions import check_reduce

matplotlib.use("Agg")
EVERY = {name: 20 * DT for name in REDUCERS if name != "gradient_norms"}


def ended(recorder, trial, update, weights, loss=1.0):
    recorder.ended(trial, update, Ended(np.array([loss]), np.array([0.5]), weights, None, None, T))


def reduce_twin(path, twin, cut, **options):
    """The twin's trials one after the other, in blocks of `cut` steps; whether raw data are kept or not."""
    weights = dense_weights(np.random.default_rng(0))
    with start(Recorder(path, v=True, reduce=EVERY | {"rates": 7 * DT}, **options), weights=weights) as recorder:
        for trial in range(TRIALS):
            for low in range(0, T, cut):
                record(recorder, twin, trial, low, min(low + cut, T))
            ended(recorder, trial, trial + 1, weights, loss=float(trial))
    return weights


@pytest.mark.parametrize("cut", [T, 9, 1])
def test_rates_and_histograms(path, twin, cut):
    reduce_twin(path, twin, cut, raw=cut == T)
    z, v = twin.z.reshape(-1, N), twin.v.reshape(-1, N)
    with open_recording(path) as rec:
        rates = rec.reduction("rates")
        bounds = np.append(np.arange(0, len(z), 7), len(z))
        assert_allclose(rates.time, bounds[1:] * DT)
        assert_array_equal(rates.spikes, [z[a:b].sum() for a, b in pairwise(bounds)])
        assert_allclose(rates.rate[0], z[:7].sum() / (N * 7 * DT * 1e-3))
        bounds = np.append(np.arange(0, len(z), 20), len(z))
        each = rec.reduction("neuron_rates")
        assert_array_equal(each.spikes, [z[a:b].sum(0) for a, b in pairwise(bounds)])
        variables = rec.reduction("variables")
        edges = np.concatenate(([-np.inf], variables.edges_v, [np.inf]))
        for row, (a, b) in enumerate(pairwise(bounds)):
            assert abs(np.histogram(v[a:b], edges)[0] - variables.v[row]).sum() <= 2  # a value on an edge
        assert variables.v.sum() == v.size
        assert rec.n_trials == (TRIALS if cut == T else 0)


def test_reductions_as_frames(path, twin):
    pytest.importorskip("pandas")
    reduce_twin(path, twin, T)
    with open_recording(path) as rec:
        found, frames = rec.reduction("intervals"), rec.to_pandas()
        assert {f"reduced/{name}" for name in rec.reduced} < set(frames)
        frame = frames["reduced/intervals"]
        assert_array_equal(frame.time, found.time)
        assert_array_equal(frame[[f"intervals[{k}]" for k in range(found.intervals.shape[1])]], found.intervals)
        assert not any("edges" in name for name in frame)
        assert_array_equal(rec.to_pandas("reduced/rates").rate, rec.reduction("rates").rate)
        with pytest.raises(KeyError, match="'reduced/rates'"):
            rec.to_pandas("rates")


def test_intervals(path, twin):
    reduce_twin(path, twin, 9)
    with open_recording(path) as rec:
        found = rec.reduction("intervals")
    count = np.zeros_like(found.intervals)
    cvs = [np.zeros((N, 3)) for _ in found.time]
    for trial in range(TRIALS):
        for j in range(N):
            step = np.flatnonzero(twin.z[trial, :, j])
            for a, b in pairwise(step):
                row = min((trial * T + b) // 20, len(found.time) - 1)
                count[row, np.searchsorted(found.edges, (b - a) * DT, side="right") - 1] += 1
                cvs[row][j] += ((b - a) * DT) ** np.arange(3)
    assert_array_equal(found.intervals, count)
    assert count.sum() > 20
    for row, sums in enumerate(cvs):
        n, mean = sums[:, 0], sums[:, 1] / np.maximum(sums[:, 0], 1)
        use = n >= 3
        cv = np.sqrt(np.maximum(sums[use, 2] / n[use] - mean[use] ** 2, 0)) / mean[use]
        assert found.cv[row].sum() == use.sum() and abs(found.cv[row] - np.histogram(cv, CV_EDGES)[0]).sum() <= 2


def test_weights_and_losses(path, twin):
    weights = reduce_twin(path, twin, T)
    with open_recording(path) as rec:
        found, losses = rec.reduction("weights"), rec.reduction("losses")
        assert_allclose(found.w_rec_mean, weights.w_rec.mean(dtype=float))
        assert_allclose(found.w_rec_deviation, weights.w_rec.std(dtype=float))
        assert found.w_rec[0].sum() == weights.w_rec.size and found.w_rec[0, [0, -1]].sum() == 0
        assert losses.update[-1] == TRIALS and losses.trial[-1] == TRIALS - 1
        assert_allclose(losses.loss @ losses.count / TRIALS, np.arange(TRIALS).mean())
        with pytest.raises(KeyError, match="has no reduction 'isi'; it has 'alignment', 'intervals', "):
            rec.reduction("isi")


def test_a_stream_goes_on_exactly_and_leaves_no_more_with_more_steps(tmp_path):
    def recorder(name):
        options = {"raw": False, "tables": False, "checkpoint_every": 1, "v": [0, 3], "psi": True}
        return Recorder(tmp_path / name, reduce={name: 300.0 for name in EVERY}, **options)

    kind = KINDS["eprop-stream"]
    with recorder("whole.h5") as whole:
        begin(kind, 1).run(pieces(0), recorder=whole)
    cut = recorder("cut.h5")
    sim = begin(kind, 1)
    sim.run([piece for piece, _ in zip(pieces(0), range(17), strict=False)], recorder=cut)
    cut.close("interrupted")
    sim = sl.resume(tmp_path / "cut.h5")
    with sim.recorder as rest:
        sim.run(pieces(sim.trials_done), recorder=rest)
    assert not differing(contents(tmp_path / "cut.h5", False), contents(tmp_path / "whole.h5", False), False)
    with open_recording(tmp_path / "whole.h5") as rec:
        assert rec.n_trials == 0 and rec.tables == () and rec.names == ()
        steps = PIECES * PIECE
        assert all(rec.reduction(name).time.size == steps // 300 for name in EVERY)
        assert rec.reduction("intervals").intervals.sum() > 100
        assert set(rec.reduction("variables")._fields) >= {"v", "psi", "edges_v", "edges_psi"}


def test_a_training_with_passive_rules(tmp_path):
    path = tmp_path / "run.h5"
    sim = simulator(passive=[sl.EProp(feedback="random")])
    with Recorder(path, reduce={"alignment": 150.0, "gradient_norms": 150.0, "losses": 150.0}, gradient_norms=True) as recorder:
        history = sim.train(TASK, 24, 4, recorder)
    with open_recording(path) as rec:
        found, table = rec.reduction("alignment"), rec.table("alignment")
        assert found.cosine.shape == (4, 1, 3) and found.update.tolist() == [2, 3, 5, 6]
        assert_allclose(found.cosine[0, 0, 0], table.cosine_w_in[:2].mean())
        norms, each = rec.reduction("gradient_norms"), rec.table("gradient_norms")
        assert_allclose(norms.norm[0, 1], each.norm_w_rec[:2].mean())
        assert_allclose(norms.largest[0, 1], each.norm_w_rec[:2].max())
        losses = rec.reduction("losses")
        assert_allclose(losses.loss @ losses.count / 24, np.mean(history.loss))


def test_plots(path, twin, tmp_path):
    reduce_twin(path, twin, T, raw=False)
    with open_recording(path) as rec:
        for draw in (plot.rates, plot.neuron_rates, plot.intervals, plot.histogram):
            ax = draw(rec)
            assert ax.get_title(loc="left") and ax.get_xlabel()
            matplotlib.pyplot.close(ax.get_figure())
        assert plot.histogram(rec, "v").get_ylabel() == "v"
        with pytest.raises(KeyError, match="has no histograms of 'a'; it has 'w_in', 'w_rec', 'w_out', 'v'"):
            plot.histogram(rec, "a")
        with pytest.raises(KeyError, match="has no norms of gradients"):
            plot.gradient_norms(rec)
        matplotlib.pyplot.close("all")


def test_plots_of_losses_and_alignment(tmp_path):
    """What a run without tables leaves is drawn, and stands on its page."""
    path, bins = tmp_path / "run.h5", {"alignment": 150.0, "gradient_norms": 150.0, "losses": 150.0}
    sim = simulator(passive=[sl.EProp(feedback="random"), sl.BPTT()])
    with Recorder(path, raw=False, tables=False, reduce=bins, gradient_norms=True) as recorder:
        sim.train(TASK, 24, 4, recorder)
    with open_recording(path) as rec:
        found = rec.reduction("losses")
        ax = plot.losses(rec)
        for axes, column in ((ax, "loss"), (ax.score_axes, "score")):
            assert_array_equal(axes.lines[0].get_ydata()[:-1], getattr(found, column))
        assert ax.score_axes.get_ylabel() == "accuracy" and ax.get_xlabel() == "simulated time (ms)"
        ax = plot.alignment(rec, matrices="w_rec")
        drawn = [line for line in ax.lines if line.get_alpha() is not None]  # a faint line a rule
        for k, line in enumerate(drawn):
            assert_array_equal(line.get_xdata(), rec.reduction("alignment").update)
            assert_array_equal(line.get_ydata(), rec.reduction("alignment").cosine[:, k, 1])
        assert len(drawn) == 2
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["EProp(feedback='random')", "BPTT"]
        titles = [axes.get_title(loc="left") for axes in plot.story(rec).axes]
        matplotlib.pyplot.close("all")
    assert [title for title in titles if title] == ["Losses", "Gradient norms", "Alignment of passive rules"]


@pytest.mark.parametrize("options", [{"raw": False, "tables": False}, {"every": 3}, {}], ids=["nothing", "some", "all"])
def test_bins_do_not_depend_on_what_else_is_recorded(options, tmp_path):
    """Losses, weights and gradients need no block of a trial, and time goes on without one."""
    found = []
    for name, more in (("alone", ()), ("beside", ("rates",))):
        with Recorder(tmp_path / f"{name}.h5", reduce=dict.fromkeys(("losses", "weights", *more), 150.0), **options) as recorder:
            simulator().train(TASK, 24, 4, recorder)
        with open_recording(tmp_path / f"{name}.h5") as rec:
            found.append([rec.reduction("losses"), rec.reduction("weights")])
    assert found[0][0].time.tolist() == [200.0, 300.0, 500.0, 600.0]  # batches of 4 trials of 25 ms
    for alone, beside in zip(*found, strict=True):
        for x, y in zip(alone, beside, strict=True):
            assert_array_equal(x, y)


def test_plots_of_losses_without_scores(path, twin):
    weights = dense_weights(np.random.default_rng(0))
    with start(Recorder(path, raw=False, reduce={"losses": 20 * DT}), weights=weights) as recorder:
        for trial in range(2):
            record(recorder, twin, trial, 0, T)
            recorder.ended(trial, trial + 1, Ended(np.array([2.0]), np.array([np.nan]), weights, None, None, T))
    with open_recording(path) as rec:
        ax = plot.losses(rec)
        assert ax.score_axes is None and ax.get_yscale() == "log"
        matplotlib.pyplot.close("all")
        with pytest.raises(KeyError, match="has no alignments with passive rules"):
            plot.alignment(rec)


def test_names_and_defaults():
    assert check_reduce(("rates", "intervals")) == {"rates": 1000.0, "intervals": 60_000.0}
    assert check_reduce("weights") == {"weights": 60_000.0} and check_reduce(None) == {}
    with pytest.raises(TypeError, match=r"Recorder\.reduce must be names of reducers"):
        check_reduce(3)


def test_a_page_without_raw_data(path, twin):
    reduce_twin(path, twin, T, raw=False)
    figure = plot.story(path)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert {"Firing rate", "Interspike intervals", "Histogram of v", "Histogram of w_rec"} <= set(titles)


def test_a_stream_that_begins_anew(tmp_path):
    """No interval leads from before `reset` to after it."""
    sim, fed = begin(KINDS["eprop-stream"], 1), [next(pieces(k)) for k in range(3)]
    with Recorder(tmp_path / "run.h5", reduce={"intervals": 30.0}) as recorder:
        sim.run(fed, recorder=recorder)
        sim.reset()
        sim.run(fed, recorder=recorder, learn=False)
    with open_recording(tmp_path / "run.h5") as rec:
        s, found = rec.spikes(), rec.reduction("intervals")
        count = 0
        for half in (s.trial < 3, s.trial >= 3):
            count += half.sum() - np.unique(s.neuron[half]).size
        assert found.intervals.sum() == count > 20
