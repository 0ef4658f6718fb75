"""What panels draw from: a path, a recording, a Run or a History; and a stream, whose time goes on."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from stream_case import LENGTHS, fed, simulator

import snnlearn as sl
from snnlearn import plot

TASK = sl.tasks.EvidenceAccumulation(n_cues=1, delay=20.0, seed=1)
PANELS = [plot.raster, plot.membrane, plot.readout, plot.learning_curve, plot.confusion_matrix, plot.alignment]


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """The path of the recording of a stream, and its report."""
    path = tmp_path_factory.mktemp("stream") / "run.h5"
    with sl.Recorder(path, v=[0, 2]) as recorder:
        run = simulator().run(iter(fed()), recorder=recorder)
    return path, run


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """The path of the recording of a training, and its history."""
    path = tmp_path_factory.mktemp("training") / "run.h5"
    net = sl.Network(TASK.n_inputs, sl.LIF(6, threshold=0.3), sl.Readout(TASK.n_outputs, tau=5.0))
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-3), loss=sl.CrossEntropy(), seed=1, passive=[sl.RFLO()])
    with sl.Recorder(path, v=True, weights_every=1) as recorder:
        history = sim.train(TASK, trials=12, batch=4, recorder=recorder, evaluate_every=1, evaluate_trials=6)
    return path, history


def lines(ax):
    """What an Axes and its second scale show."""
    scales = [ax, *([ax.score_axes] if getattr(ax, "score_axes", None) is not None else [])]
    return [np.array(line.get_xydata(), float) for axes in scales for line in axes.lines]


def same(a, b):
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, equal_nan=True)


@pytest.mark.parametrize(
    "draw", [plot.raster, plot.membrane, plot.readout, plot.learning_curve, plot.confusion_matrix, plot.alignment]
)
def test_a_path_is_as_good_as_a_recording(training, draw):
    path, _ = training
    with sl.open_recording(path) as recording:
        a, b, c = (draw(source, ax=Figure().add_subplot()) for source in (path, str(path), recording))
    assert a.get_title(loc="left") == b.get_title(loc="left") == c.get_title(loc="left")
    if a.lines:
        same(lines(a), lines(c))


def test_a_path_is_as_good_for_weights_and_reductions(training, tmp_path, ax):
    for draw in (plot.weights_histogram, plot.weight_matrix, plot.connectivity):
        assert "ecurrent" in draw(training[0], ax=Figure().add_subplot()).get_title(loc="left")
    with sl.Recorder(tmp_path / "reduced.h5", reduce={"rates": 5.0, "losses": 5.0}) as recorder:
        simulator().run(iter(fed()), recorder=recorder)
    for draw in (plot.rates, plot.losses):
        assert draw(tmp_path / "reduced.h5", ax=Figure().add_subplot()).lines


def test_a_history_draws_the_curves_of_its_recording(training):
    path, history = training
    for draw in (plot.learning_curve, plot.alignment, lambda source, ax: plot.learning_curves([source], ax=ax)):
        same(lines(draw(history, ax=Figure().add_subplot())), lines(draw(path, ax=Figure().add_subplot())))
    a, b = (plot.confusion_matrix(source, ax=Figure().add_subplot()) for source in training)
    np.testing.assert_array_equal(a.images[0].get_array(), b.images[0].get_array())
    assert a.get_title(loc="left") == b.get_title(loc="left")
    titles = [axes.get_title(loc="left") for axes in plot.story(history).axes]
    assert "Learning" in titles and any(title.startswith("Last evaluation") for title in titles)


def test_a_run_draws_its_losses(stream, ax):
    _, run = stream
    plot.learning_curve(run, ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), run.losses)
    assert ax.get_xlabel() == "trials or pieces" and ax.score_axes.get_ylabel() == "normalised MSE"


def test_the_learning_curve_of_a_stream_is_against_its_time(stream, ax):
    path, run = stream
    plot.learning_curve(path, ax=ax)
    assert ax.get_xlabel() == "stream time (ms)"
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.cumsum(LENGTHS) * 0.5)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), run.losses)
    titles = [axes.get_title(loc="left") for axes in plot.story(path).axes]
    assert "Learning" in titles and "Firing rate" in titles and any(title.startswith("Spikes of the stream") for title in titles)


def test_the_curve_of_a_recording_that_begins_within_a_stream(tmp_path, ax):
    sim = simulator()
    sim.run(iter(fed()[:2]))
    with sl.Recorder(tmp_path / "run.h5", every=3) as recorder:
        sim.run(iter(fed()[2:]), recorder=recorder)  # raw data of piece 3 alone
    plot.learning_curve(tmp_path / "run.h5", ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.cumsum(LENGTHS)[2:] * 0.5)


def test_trials_that_a_program_has_fed_have_a_curve_too(tmp_path, ax):
    sim = simulator()
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        losses = [sim.run(*fed()[2], recorder=recorder).loss for _ in range(4)]
    plot.learning_curve(tmp_path / "run.h5", ax=ax)
    assert ax.get_xlabel() == "trials"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), losses)


def test_panels_of_a_stream_show_a_time_a_piece_or_its_end(stream, monkeypatch):
    path, _ = stream
    for draw in (plot.raster, plot.membrane, plot.readout):
        assert draw(path, ax=Figure().add_subplot()).get_xlim() == (0.0, 25.0)
        assert draw(path, ax=Figure().add_subplot(), time=(3.0, 12.0)).get_xlim() == (3.0, 12.0)
        assert draw(path, 2, ax=Figure().add_subplot()).get_xlim() == (10.0, 20.0)
    assert plot.raster(path, 2, ax=Figure().add_subplot()).get_title(loc="left").startswith("Spikes of piece 2")
    monkeypatch.setattr("snnlearn.plot.about.SHOWN_STEPS", 10)
    assert plot.readout(path, ax=Figure().add_subplot()).get_xlim() == (20.0, 25.0)


def test_what_a_report_does_not_have_is_told(stream, training):
    with pytest.raises(TypeError, match=r"plot.raster must get a recording or its path \(got 'a Run, which holds no raw data"):
        plot.raster(stream[1])
    with pytest.raises(TypeError, match=r"plot.weights_histogram must get a recording or its path \(got 'a History, which"):
        plot.weights_histogram(training[1])
    with pytest.raises(TypeError, match=r"plot.membrane must get a recording, its path, a Run or a History \(got 3\)"):
        plot.membrane(3)
    with pytest.raises(KeyError, match="the Run has no predictions"):
        plot.confusion_matrix(stream[1])
    with pytest.raises(KeyError, match="the run has no alignments"):
        plot.alignment(stream[1])
