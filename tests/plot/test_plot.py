"""Plots: the artists hold the recorded numbers, and what was not recorded is left out."""

import sys
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("matplotlib")
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

import snnlearn as sl
from snnlearn import plot
from snnlearn.plot.learning import running_mean
from snnlearn.recording import Recorder, open_recording

N, T, DT, UPDATES = 6, 40, 0.5, 30
GROUPS = [{"type": "LIF", "n": 4, "threshold": 0.5}, {"type": "ALIF", "n": 2, "threshold": [0.6, 0.7]}]
SELECTED = [0, 3, 5]


class Weights(NamedTuple):
    w_in: Any
    w_rec: Any
    w_out: Any
    b_out: Any


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture
def make(tmp_path, rng):
    """make(kind, ...): an open recording of trials 0 and 1, with everything that the options do not leave out."""
    opened = []

    def make(kind="classification", v=True, threshold=False, raw=True, tables=True, snapshots=True, config=None, **signals):
        n_out = 3 if kind == "classification" else 2
        default = {
            "network": {"n_inputs": 8, "neurons": GROUPS},
            "rule": {"type": "EProp"},
            "optimizer": {"type": "Adam", "lr": 0.01},
            "task": {"name": "toy", "kind": kind, "labels": ["a", "b", "c"] if kind == "classification" else None},
        }
        chosen = {name: SELECTED for name, wanted in (("v", v), ("threshold", threshold)) if wanted}
        weights = Weights(rng.normal(size=(8, N)), rng.normal(size=(N, N)), rng.normal(size=(N, n_out)), np.zeros(n_out))
        np.fill_diagonal(weights.w_rec, 0.0)
        path = tmp_path / f"{len(opened)}.h5"
        with Recorder(path, weights_every=10 if snapshots else None, **chosen, **signals) as recorder:
            sizes = {"n_neurons": N, "n_outputs": n_out, "dt": DT, "variables": ("v", "threshold"), "weights": weights}
            recorder.open(default if config is None else config, **sizes)
            for trial in range(2 if raw else 0):
                step, neuron = np.nonzero(rng.random((T, N)) < 0.2)
                traces = {name: rng.normal(size=(T, 3)) for name in chosen}
                y = rng.normal(size=(T, n_out))
                target = np.where(np.arange(T) < 30, -1, 2) if kind == "classification" else y + 0.1
                shown = {name: x for name, x in (("readout", y), ("target", target)) if signals.get(name, True)}
                recorder.block(trial, 0, step, neuron, traces, **shown)
            for update in range(UPDATES if tables else 0):
                numbers = {"loss": 1 / (update + 1), "score": 0.5, "rate": 10.0, "wall_time": 0.1 * update}
                recorder.row("updates", update=update, **numbers)
            for k in range(2 if tables else 0):
                recorder.row("evaluations", update=10 * k, loss=0.5, score=0.25 + k / 2)
                if kind == "classification":
                    recorder.row("predictions", evaluation=np.full(4, k), label=[0, 1, 2, 2], prediction=[0, 1, 2, 2 * k])
            for update in (0, 10, 20):
                recorder.snapshot(update, weights._replace(w_rec=weights.w_rec * (1 + update)))
        opened.append(open_recording(path))
        return opened[-1]

    yield make
    for recording in opened:
        recording.close()


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("trial", [None, 0])
def test_raster_has_every_spike_in_its_group(make, ax, trial):
    recording = make()
    spikes = recording.spikes(1 if trial is None else trial)
    lif, alif = (line for line in plot.raster(recording, trial, ax).lines if line.get_marker() == "|")
    assert spikes.step.size > 20
    np.testing.assert_array_equal(lif.get_ydata(), spikes.neuron[spikes.neuron < 4])
    np.testing.assert_array_equal(alif.get_xdata(), spikes.step[spikes.neuron >= 4] * DT)
    assert lif.get_color() != alif.get_color()
    assert texts(ax) == ["LIF\n4", "ALIF\n2"]
    assert ax.get_xlim() == (0, T * DT)


def test_raster_without_known_groups(make, ax):
    assert texts(plot.raster(make(config={}), ax=ax)) == ["neurons\n6"]


def test_membrane_draws_v_the_threshold_and_spikes(make, ax):
    recording = make()
    plot.membrane(recording, 0, neurons=[3, 5], ax=ax)
    v, limit, ticks = ax.lines[:3]
    assert len(ax.lines) == 6
    assert np.corrcoef(v.get_ydata(), recording["v"].read(0, neurons=3)[:, 0])[0, 1] == pytest.approx(1)
    np.testing.assert_array_equal(ticks.get_xdata(), recording.spikes(0, neurons=3).step * DT)
    assert np.ptp(limit.get_ydata()) == 0
    assert texts(ax) == ["LIF\n#3", "ALIF\n#5"]
    assert legend(ax) == ["v", "threshold at rest", "spike"]
    scale = np.interp(limit.get_ydata()[0], np.sort(v.get_ydata()), np.sort(recording["v"].read(0, neurons=3)[:, 0]))
    assert scale == pytest.approx(0.5, abs=0.05)  # interpolated between 40 values


def test_membrane_prefers_the_recorded_threshold(make, ax):
    recording = make(threshold=True)
    plot.membrane(recording, 0, ax=ax)
    assert legend(ax) == ["v", "threshold", "spike"]
    limit = ax.lines[1].get_ydata()
    assert np.corrcoef(limit, recording["threshold"].read(0, neurons=0)[:, 0])[0, 1] == pytest.approx(1)


def test_membrane_shows_neurons_that_fire(tmp_path, ax):
    """Also where a whole group is silent."""
    net = sl.Network(1, [sl.LIF(4, threshold=0.5), sl.LIF(2, threshold=0.5)], 1)
    weights = net.init_weights()._replace(w_in=np.array([[0.0, 0.2, 0.6, 0.9, 0.0, 0.0]]), w_rec=np.zeros((N, N)))
    sim = sl.Simulator(net, weights)
    with Recorder(tmp_path / "run.h5", v=True) as recorder:
        sim.run(np.ones((T, 1)), recorder=recorder)
    with open_recording(tmp_path / "run.h5") as recording:
        plot.membrane(recording, ax=ax)
        fired = np.bincount(recording.spikes(0).neuron, minlength=N)
    assert (fired == 0).sum() == 3
    assert texts(ax) == ["LIF\n#1", "LIF\n#2", "LIF\n#3"]


def test_spikes_of_a_sparse_raster_are_large(make):
    few, many = Figure().add_subplot(), Figure(figsize=(1, 1)).add_subplot()
    for ax in (few, many):  # as many spikes in less room are smaller
        plot.raster(make(), 0, ax=ax)
    assert few.lines[0].get_markersize() > 1.5 * many.lines[0].get_markersize() > 4.5


def test_recipes_record_neurons_of_each_group():
    from snnlearn.experiments.recipes import RECIPES

    shown = RECIPES["digits"]().shown
    assert len(shown) == 40 and np.sum(np.array(shown) < 100) == 20


def test_membrane_without_threshold_and_spikes(make, ax):
    plot.membrane(make(config={}, spikes=False), ax=ax)
    assert legend(ax) == ["v"]
    assert len(ax.lines) == 3


def test_readout_of_classes_is_a_softmax_that_names_the_label(make, ax):
    recording = make()
    plot.readout(recording, 1, ax)
    y = np.array([line.get_ydata() for line in ax.lines])
    np.testing.assert_allclose(y.sum(axis=0), 1, rtol=1e-12)
    expected = np.exp(recording["readout"][1].astype(float))
    np.testing.assert_allclose(y[-1], expected[:, 2] / expected.sum(axis=1), rtol=1e-6)  # the label is drawn last
    assert ax.get_title(loc="left") == "Readout: label c"
    assert legend(ax)[0] == "c" and set(legend(ax)) == {"a", "b", "c"}
    assert len(ax.collections) == 1  # the steps that have a label are shaded


def test_readout_of_regression_has_dashed_targets(make, ax):
    recording = make("regression")
    plot.readout(recording, 0, ax)
    dashed = [line for line in ax.lines if line.is_dashed()]
    assert len(ax.lines) == 4
    for k, line in enumerate(dashed):
        np.testing.assert_allclose(line.get_ydata(), recording["target"][0][:, k])
    assert legend(ax) == ["readout 0", "readout 1", "target"]
    plot.readout(make("regression", target=False), 0, other := Figure().add_subplot())
    assert other.get_title(loc="left") == "Readout" and len(other.lines) == 2


@pytest.mark.parametrize(
    ("kind", "scale", "name"), [("classification", "linear", "accuracy"), ("regression", "log", "normalised MSE")]
)
def test_learning_curve_has_loss_and_score(make, ax, kind, scale, name):
    plot.learning_curve(make(kind), ax)
    raw, smooth, points = ax.lines
    np.testing.assert_allclose(raw.get_ydata(), 1 / (np.arange(UPDATES) + 1))
    assert smooth.get_xdata().size == UPDATES
    np.testing.assert_array_equal(points.get_xdata(), [0, 10])
    score = ax.score_axes
    np.testing.assert_array_equal(score.lines[-1].get_ydata(), [0.25, 0.75])
    assert (score.get_ylabel(), score.get_yscale(), ax.get_yscale()) == (name, scale, scale)
    assert legend(ax) == ["training", "evaluation"]


def test_running_mean_keeps_constants_and_length():
    y = running_mean(np.r_[np.full(500, 2.0), np.full(500, 4.0)])
    assert y.size == 1000 and y[0] == 2 and y[-1] == 4
    assert 2 < y[500] < 4  # the step is smoothed


def test_confusion_matrix_counts_the_last_evaluation(make, ax):
    plot.confusion_matrix(make(), ax)
    assert {(t.get_position(), t.get_text()) for t in ax.texts} == {((0, 0), "1"), ((1, 1), "1"), ((2, 2), "2")}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert "100.0% of 4" in ax.get_title(loc="left")


def test_weights_histogram_compares_first_and_last(make, ax):
    recording = make()
    plot.weights_histogram(recording, ax)
    assert legend(ax) == ["update 0", "update 20"]
    first, last = (patch.get_xy() for patch in ax.patches)
    assert np.ptp(first[first[:, 1] > 0, 0]) < np.ptp(last[last[:, 1] > 0, 0])  # they have grown by a factor of 21
    final = recording.weights(20).w_rec
    assert last[:, 0].min() == pytest.approx(final.min()) and last[:, 0].max() == pytest.approx(final.max())
    plot.weights_histogram(make(), other := Figure().add_subplot(), matrix="w_in")
    assert other.get_title(loc="left") == "Input weights"


def test_story_shows_everything(make):
    figure = plot.story(make().path)
    expected = ["Spikes of trial 1", "Membrane potentials", "Readout: label c", "Learning", "Last evaluation"]
    assert all(t.startswith(e) for t, e in zip(titles(figure), expected, strict=True))
    headline = figure.get_suptitle()
    for part in ("toy", "EProp with Adam, lr 0.01", "8 in → 4 LIF + 2 ALIF → 3 out", "accuracy 0.75"):
        assert part in headline
    figure.canvas.draw()  # lays out without a warning
    assert not pyplot.get_fignums()  # works without a window


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"v": False}, ["Spikes of trial 1", "Readout against", "Learning", "Recurrent"]),
        ({"spikes": False, "readout": False}, ["Membrane", "Learning", "Recurrent"]),
        ({"raw": False}, ["Learning", "Recurrent"]),
        ({"snapshots": False}, ["Spikes of trial 1", "Membrane", "Readout against", "Learning", "Firing rate"]),
        ({"tables": False, "snapshots": False}, ["Spikes of trial 1", "Membrane", "Readout against"]),
        ({"config": {}, "v": False}, ["Spikes of trial 1", "Readout against", "Learning", "Recurrent"]),
    ],
)
def test_story_leaves_out_what_is_missing(make, options, expected):
    figure = plot.story(make("regression", **options))
    assert all(t.startswith(e) for t, e in zip(titles(figure), expected, strict=True))
    figure.canvas.draw()


def test_errors_tell_what_is_missing(make, ax):
    empty = make(raw=False, tables=False, snapshots=False)
    with pytest.raises(ValueError, match=r"story\.recording must hold something to plot"):
        plot.story(empty)
    with pytest.raises(ValueError, match="must have a trial with raw data"):
        plot.raster(empty, ax=ax)
    with pytest.raises(IndexError, match=r"plot.trial must be among the trials with raw data, 0, 1 \(got 7\)"):
        plot.story(make(), trial=7)
    with pytest.raises(KeyError, match="has no 'v'"):
        plot.membrane(make(v=False), ax=ax)
    with pytest.raises(KeyError, match="no updates"):
        plot.learning_curve(empty, ax)


@pytest.fixture
def table(rng):
    """Four rules, one exact and one without figures."""
    error = rng.uniform(0.2, 3.0, (4, 3))
    error[0], error[3] = 1e-15, np.nan
    cosine = np.where(np.isnan(error), np.nan, 1 - 0.1 * error)
    cost = np.array([2e-3, 4e-2, 1.5, np.nan])
    notes = ("", "", "", "RTRL needs 11.1 GB for its influence of weights (n_rec=200), limit 1.1 GB")
    figures = (cosine, cosine, error, cosine, cost, 1e7 * cost)
    return sl.Comparison(("BPTT()", "EProp()", "SnAp(n=2)", "RTRL()"), ("w_in", "w_rec", "w_out"), *figures, notes)


def test_comparison_shows_the_table(table):
    figure = plot.comparison(table)
    assert titles(figure) == ["Cosine", "Relative error", "Time", "Memory"]
    assert figure.get_suptitle() == "Gradients of learning rules against BPTT"
    cosine, error, seconds, memory = figure.axes
    drawn = [np.array([line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 4]).T for ax in (cosine, error)]
    np.testing.assert_array_equal(drawn[0], table.cosine)
    np.testing.assert_array_equal(drawn[1], np.maximum(table.relative_error, 1e-4))
    assert [label.get_text() for label in cosine.get_yticklabels()] == ["BPTT", "EProp", "SnAp(n=2)", "RTRL"]
    assert texts(cosine) == ["RTRL needs 11.1 GB"]
    assert texts(seconds) == ["2", "40", "1500"] and texts(memory) == ["0.02", "0.4", "15"]
    assert seconds.get_xscale() == memory.get_xscale() == error.get_xscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["input", "recurrent", "readout"]
    figure.canvas.draw()
    assert not pyplot.get_fignums()


def test_comparison_keeps_labels_apart(table):
    """Ticks of an axis do not overlap, whatever the range of costs."""
    for scale in (1.0, 1e-6, 1e6):
        wide = table._replace(seconds=np.array([1e-3, 1e-3 * scale, 1.1e-3, np.nan]))
        figure = plot.comparison(wide, "a title")
        figure.canvas.draw()
        for ax in figure.axes:
            boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
            left, right = ax.get_window_extent().x0, ax.get_window_extent().x1
            shown = sorted((b for b in boxes if left - 1 <= (b.x0 + b.x1) / 2 <= right + 1), key=lambda b: b.x0)
            assert len(shown) >= 2
            assert all(a.x1 < b.x0 for a, b in pairwise(shown))


def test_comparison_where_no_rule_has_figures(table):
    nothing = table._replace(**{name: np.full_like(getattr(table, name), np.nan) for name in table._fields[2:8]})
    plot.comparison(nothing._replace(notes=("too large",) * 4)).canvas.draw()


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    """A history with two passive rules, and the path of its recording."""
    task = sl.tasks.DelayedRecall(n_per_group=4, seed=1)
    net = sl.Network(task.n_inputs, sl.LIF(8, threshold=0.3), sl.Readout(task.n_outputs), dt=task.dt, delay=task.dt)
    passive = [sl.BPTT(), sl.EProp(2)]
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(1e-2), loss=sl.CrossEntropy(), passive=passive, passive_every=2)
    path = tmp_path_factory.mktemp("aligned") / "run.h5"
    with sl.Recorder(path) as recorder:
        return sim.train(task, 6, recorder=recorder), path


def test_alignment_draws_history_and_recording_alike(aligned, ax):
    history, path = aligned
    with open_recording(path) as recording:
        recorded = plot.alignment(recording, Figure().add_subplot())
    drawn = plot.alignment(history, ax)
    assert len(history.alignment) == 3 and np.isfinite([a.cosine for a in history.alignment]).all()
    for lines, other in zip(drawn.lines[:8:2], recorded.lines[:8:2], strict=True):
        np.testing.assert_allclose(lines.get_xydata(), other.get_xydata())
    second_rec = np.array([(a.updates, a.cosine[1, 1]) for a in history.alignment])
    np.testing.assert_allclose(drawn.lines[6].get_xydata(), second_rec)
    assert legend(drawn) == legend(recorded) == ["BPTT", "EProp(order=2)", "w_in", "w_rec"]
    drawn.figure.canvas.draw()


def test_alignment_of_one_matrix_and_of_none(aligned, make, ax):
    history, _ = aligned
    assert legend(plot.alignment(history, ax, "w_out")) == ["BPTT", "EProp(order=2)"]
    with pytest.raises(ValueError, match=r"plot\.alignment\.matrices must be among w_in, w_rec, w_out \(got 'w'\)"):
        plot.alignment(history, ax, ["w"])
    with pytest.raises(KeyError, match="no alignments"):
        plot.alignment(sl.History(), ax)
    with pytest.raises(KeyError, match="no alignments"):
        plot.alignment(make(), ax)


def test_new_axes_come_from_pyplot(make):
    made = plot.raster(make())
    assert pyplot.fignum_exists(made.figure.number)
    pyplot.close(made.figure)


@pytest.mark.parametrize(
    "draw", [plot.story, plot.raster, plot.membrane, plot.readout, plot.learning_curve, plot.confusion_matrix]
)
def test_message_without_matplotlib(make, monkeypatch, draw):
    recording = make()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="plotting needs matplotlib: pip install matplotlib"):
        draw(recording)
