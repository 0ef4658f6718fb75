"""Time in the recording of a stream: it goes on from piece to piece, whatever reads it."""

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stream_case import DT, LENGTHS, STEPS, fed, simulator

import snnlearn as sl
from snnlearn import analysis
from snnlearn.recording.pieces import iter_batches


def record(path, **options):
    with sl.Recorder(path, v=[4, 1], **options) as recorder:
        simulator().run(iter(fed()), recorder=recorder)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The whole stream in one piece."""
    path = tmp_path_factory.mktemp("whole") / "run.h5"
    x, y = (np.concatenate(part) for part in zip(*fed(), strict=True))
    with sl.Recorder(path, v=[4, 1]) as recorder:
        simulator().run(iter([(x, y)]), recorder=recorder)
    with sl.open_recording(path) as rec:
        yield rec


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    with sl.open_recording(record(tmp_path_factory.mktemp("pieces") / "run.h5", keep_every=2)) as rec:
        yield rec


def test_steps_and_times_are_those_of_the_stream(rec, whole):
    assert rec.is_stream and rec.trials.tolist() == [0, 1, 2, 3, 4] and "a stream in 5 pieces, 50 steps" in repr(rec)
    assert_array_equal(rec.spikes().step, whole.spikes().step)
    assert rec.n_spikes > 20 and set(rec.spikes().trial) > {0, 2}
    for time in ((None, None), (3.0, 4.0), (10.0, 21.0), (None, 2.0), (24.0, None)):
        for a, b in zip(rec.spikes(time=time)[1:], whole.spikes(time=time)[1:], strict=True):
            assert_array_equal(a, b)
        assert_array_equal(rec["v"].read(time=time, neurons=[1]), whole["v"].read(0, time, 1))
        assert rec["v"].steps(time=time) == whole["v"].steps(0, time)
    assert_array_equal(rec["v"][2], whole["v"][20:40])  # a piece
    assert_array_equal(rec["v"].read([1, 2]), whole["v"][7:40])
    assert rec["v"].steps(2) == range(20, 40)


@pytest.mark.parametrize(
    "key", [slice(None), slice(5, 25), slice(-10, None), slice(None, None, -1), slice(3, 40, 4), slice(44, 2, -6)]
)
def test_a_signal_takes_slices_of_steps(rec, whole, key):
    values = whole["readout"].read(0)
    assert_array_equal(rec["readout"][key], values[key])
    assert_array_equal(rec["readout"][key, 1], values[key, 1])
    assert not rec["readout"][key].flags.writeable


@pytest.mark.parametrize(
    ("key", "error", "sentence"),
    [
        (slice(0.5, 2.0), TypeError, r"readout\[a:b\] must be a slice of steps, whole numbers \(got '0.5:2.0'\); read\(time="),
        (slice(None, None, 0.5), TypeError, r"readout\[a:b\] must be a slice of steps, whole numbers \(got '::0.5'\)"),
        (slice(None, None, 0), ValueError, r"readout\[a:b\] must be a slice of steps, not every 0th \(got '::0'\)"),
        (-1, IndexError, r"readout\[trial\] must be among 0, 1, 2, 3, 4 \(got -1\); readout\[-1:\] is the last step"),
        (
            [3, 1],
            TypeError,
            r"readout\[trial\] must be the number of a piece, .* \(got \[3, 1\]\); read\(\[...\]\) takes several",
        ),
        (1.0, TypeError, r"readout\[trial\] must be the number of a piece, or a slice of steps \(got 1.0\)"),
    ],
)
def test_other_indices_are_one_sentence(rec, key, error, sentence):
    for index in (key, (key, 1)):
        with pytest.raises(error, match=sentence):
            rec["readout"][index]


def test_numpy_takes_a_signal(rec, whole, path):
    values = whole["readout"].read(0)
    assert_array_equal(np.asarray(rec["readout"]), values)
    assert np.asarray(rec["readout"], np.float64).dtype == np.float64
    assert_array_equal(np.mean(rec["readout"], axis=0), values.mean(axis=0))
    assert_array_equal(np.array(rec["readout"])[[5, 3], -1], values[[5, 3], -1])
    with pytest.raises(ValueError, match=r"np.asarray\(readout\) must be a copy"):
        rec["readout"].__array__(copy=False)


def test_so_do_the_steps_of_the_only_trial_but_not_of_several(path):
    sim = simulator()
    with sl.Recorder(path) as recorder:
        sim.run(*fed()[2], recorder=recorder)
        recorder.flush()
        with sl.open_recording(path) as rec:
            assert_array_equal(rec["readout"][3:9], rec["readout"][0][3:9])
        sim.run(*fed()[1], recorder=recorder)
    with sl.open_recording(path) as rec:
        with pytest.raises(ValueError, match=r"readout.read.trial must be one trial, or pieces of one stream \(got '2 trials'\)"):
            rec["readout"][3:9]


def test_what_was_not_recorded_is_told(rec):
    with pytest.raises(
        IndexError, match=r"Recording.time must overlap with what was recorded, 0 to 25 ms \(got \(450000, 450100\)\)"
    ):
        rec.spikes(time=(450_000, 450_100))
    with pytest.raises(IndexError, match="overlap with what was recorded, 10 to 20 ms"):
        rec.spikes(2, time=(1.0, 2.0))
    for key in (slice(50, 60), slice(99, None)):
        with pytest.raises(IndexError, match=r"readout\[a:b\] must overlap with the steps that were recorded, 0:50"):
            rec["readout"][key]
    with pytest.raises(IndexError, match=r"readout\[trial\] must be among 0, 1, 2, 3, 4 \(got 50\)"):
        rec["readout"][50]
    assert rec["readout"][5:5].shape == (0, 2) and rec.spikes(time=(3.0, 3.0)).step.size == 0


def test_windows_go_across_pieces(rec, whole):
    windows = list(rec.iter_windows(6.0))
    assert [x.time for x in windows] == [(0.0, 6.0), (6.0, 12.0), (12.0, 18.0), (18.0, 24.0), (24.0, 25.0)]
    assert [x.trial for x in windows] == [0, 1, 2, 2, 4]
    assert_array_equal(np.concatenate([x["v"] for x in windows]), whole["v"][:])
    assert_array_equal(np.concatenate([x.spikes().step for x in windows]), whole.spikes().step)
    assert [len(piece.steps) for piece in rec.iter_trials()] == LENGTHS
    assert [piece.spikes().step.size for piece in rec.iter_trials()] == np.bincount(rec.spikes().trial, minlength=5).tolist()
    for entries in (1, 8, 30, 1000):
        parts = [rec.spikes(batch.trials, batch.time(DT)).step for batch in iter_batches(rec, entries)]
        assert_array_equal(np.concatenate(parts), whole.spikes().step)


def test_analysis_goes_across_pieces(rec, whole):
    for a, b in ((analysis.rates(x, bin=4.0, each=True) for x in (rec, whole)), (analysis.intervals(x) for x in (rec, whole))):
        for x, y in zip(a, b, strict=True):
            assert_array_equal(x, y)
    found = analysis.psth(rec, bin=0.5, label=np.array([0, 0, 1, 0, 0]))
    assert found.time.size == 20 and found.n_trials.tolist() == [4, 1]
    assert_array_equal(
        found.rate[1] > 0,
        np.array([np.bincount(rec.spikes(2).neuron[rec.spikes(2).step == 20 + t], minlength=6) > 0 for t in range(20)]),
    )


def test_a_stream_has_no_trials_to_average_over(rec, path):
    need = r"analysis.psth.label must be given for a stream, which has no trials: .* \(got None\); rates and intervals take"
    with pytest.raises(ValueError, match=need):
        analysis.psth(rec, bin=0.5)
    with pytest.raises(ValueError, match=need):
        analysis.psth(rec, bin=0.5, trials=2)
    net = sl.Network(3, sl.LIF(6, threshold=0.4, tau_m=10.0), sl.Readout(2, tau=5.0), dt=DT, delay=DT)
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-4), loss=sl.CrossEntropy(), seed=2)
    with sl.Recorder(path) as recorder:
        sim.run([(x, k % 2) for k, (x, _) in enumerate(fed())], recorder=recorder)
    with sl.open_recording(path) as labelled:  # each piece has a class: that is said
        assert labelled.is_stream and analysis.psth(labelled, bin=0.5).n_trials.tolist() == [3, 2]


def test_exports_have_one_axis(rec, whole, tmp_path):
    data, one = rec.to_xarray(), whole.to_xarray()
    assert data.sizes["trial"] == 1 and data.sizes["time"] == STEPS
    for name in ("v", "readout", "target", "spike_time"):
        assert_array_equal(data[name].values, one[name].values)
    block = rec.to_neo()
    assert [segment.name for segment in block.segments] == ["stream 0"] and len(block.segments[0].analogsignals) == 3
    assert_array_equal(block.segments[0].analogsignals[0].magnitude, whole["v"][:])
    assert float(block.segments[0].spiketrains[0].t_stop) == 25.0
    frame = rec.to_pandas("v", time=(3.0, 6.0))
    assert frame.index.get_level_values("trial").tolist() == [0, 1, 1, 1, 1, 1]
    assert frame.index.get_level_values("time").tolist() == [3.0, 3.5, 4.0, 4.5, 5.0, 5.5]
    for kind in ("csv", "sonata"):
        for name, source in (("pieces", rec), ("whole", whole)):
            sl.export(source, kind, tmp_path / kind / name)
    csv = [np.loadtxt(tmp_path / "csv" / name / "v.csv", delimiter=",", skiprows=1)[:, 1:] for name in ("pieces", "whole")]
    assert_array_equal(*csv)
    for name in ("spikes.h5", "v_report.h5"):
        with h5py.File(tmp_path / "sonata" / "pieces" / name) as a, h5py.File(tmp_path / "sonata" / "whole" / name) as b:
            for key in ("spikes/neurons/timestamps", "spikes/neurons/node_ids") if "spikes" in a else ("report/neurons/data",):
                assert_array_equal(a[key], b[key])
    assert (tmp_path / "sonata" / "pieces" / "trials.csv").read_text().splitlines()[3] == "2,10,20"


def test_a_recording_of_windows_has_their_times(path):
    record(path, windows=[(2.0, 6.0), (20.0, None)])
    with sl.open_recording(path) as rec:
        assert rec["v"].steps(time=(None, 8.0)) == range(4, 12)
        assert rec["v"].read(time=(5.0, 8.0)).shape == (2, 2)
        with pytest.raises(IndexError, match="overlap with what was recorded, 2 to 6 ms, 20 to 25 ms"):
            rec.spikes(time=(10.0, 12.0))
        with pytest.raises(ValueError, match="the stream has no v from step 12 to 40"):
            rec["v"][:]
        data = rec.to_xarray("v")
        assert data.sizes["time"] == 46 and np.isnan(data.v.sel(time=10.0)).all()
        windows = list(rec.iter_windows(8.0))
        assert [len(x.steps) for x in windows] == [16, 16, 14]
        assert len(rec.to_neo().segments[0].analogsignals) == 6
        gap = "the stream has no {} from step {}; choose a time on one side of it"
        for time in ((2.0, 21.0), (None, None)):  # the same sentence, whatever is read
            for name, read in (("spikes", rec.spikes), ("v", rec["v"].read), ("readout", rec["readout"].read)):
                with pytest.raises(ValueError, match=gap.format(name, "12 to 40")):
                    read(time=time)
        for piece, span in zip(windows, ("12 to 20", "20 to 36", "36 to 40"), strict=True):
            for name, read in (("spikes", piece.spikes), ("v", lambda piece=piece: piece["v"])):
                with pytest.raises(ValueError, match=gap.format(name, span)):
                    read()
        assert rec.spikes().step.size == rec.n_spikes > rec.spikes(time=(20.0, 25.0)).step.size > 0
        assert analysis.rates(rec, 23.0).rate.size == 1  # what counts spikes takes those that there are


def test_rows_of_every_so_many_steps_count_within_the_piece(path, whole):
    record(path, every_steps=4)
    with sl.open_recording(path) as rec:
        steps = np.concatenate([a + np.arange(0, n, 4) for a, n in zip(np.cumsum([0, *LENGTHS]), LENGTHS, strict=False)])
        assert_array_equal(rec["v"].steps(), steps)
        assert_array_equal(rec["v"][:], whole["v"][:][steps])
        assert_array_equal(rec["v"][10:30], whole["v"][:][steps[(steps >= 10) & (steps < 30)]])
        assert rec["v"].steps(2) == range(20, 40, 4)


def test_trials_and_streams_in_one_file(path):
    """Each trial and each stream has its own time."""
    sim = simulator()
    with sl.Recorder(path, v=[1]) as recorder:
        sim.run(*fed()[2], recorder=recorder)
        sim.run(iter(fed()[:2]), recorder=recorder)
        sim.reset()
        sim.run(iter(fed()[:3]), recorder=recorder)
        sim.run(*fed()[1], recorder=recorder)
    with sl.open_recording(path) as rec:
        assert not rec.is_stream and rec.segments.streams
        assert rec.segments.line.tolist() == [0, 1, 1, 3, 3, 3, 6] and rec.segments.origin.tolist() == [0, 0, 7, 0, 7, 20, 0]
        assert rec["v"].steps(slice(3, 6)) == range(40) and rec["v"].steps(6) == range(13)
        assert rec.to_xarray("v").trial.values.tolist() == [0, 1, 3, 6]
        with pytest.raises(ValueError, match="one trial, or pieces of one stream"):
            rec["v"].read([0, 1])


def old(path, checkpoint):
    """As snnlearn 0.1 wrote it: version 1.2, without the column."""
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = "1.2"
        del file["segments/stream"]
        if not checkpoint and "checkpoint" in file:
            del file["checkpoint"]


@pytest.mark.parametrize("checkpoint", [True, False])
def test_files_of_version_1_2_read_the_same_way(path, whole, checkpoint):
    record(path, keep_every=2)
    old(path, checkpoint)
    with sl.open_recording(path, None if checkpoint else True) as rec:
        assert rec.is_stream
        assert_array_equal(rec.spikes(time=(8.0, 21.0)).step, whole.spikes(time=(8.0, 21.0)).step)
        assert_array_equal(rec["v"][3:44], whole["v"][3:44])
    with sl.open_recording(path, False) as rec:
        assert not rec.is_stream and rec["v"].steps(2) == range(20)
    if not checkpoint:
        with sl.open_recording(path) as rec, pytest.raises(IndexError, match=r"open_recording\(path, stream=True\) says so"):
            rec.spikes(time=(15.0, 20.0))


def test_an_old_stream_goes_on_in_stream_time(path, whole):
    with sl.Recorder(path, v=[4, 1], checkpoint_every=1) as recorder:
        simulator().run(iter(fed()[:3]), recorder=recorder)
        recorder.close("interrupted")
    old(path, True)
    sim = sl.resume(path)
    with sim.recorder as recorder:
        sim.run(iter(fed(first=sim.trials_done)), recorder=recorder)
    with sl.open_recording(path) as rec:
        assert rec.is_stream
        assert_array_equal(rec["v"][:], whole["v"][:])
        assert_array_equal(rec.spikes().step, whole.spikes().step)


def test_a_replay_agrees(path, whole):
    record(path, keep_every=1)
    again = sl.replay(path, 15, 37, ("v",), inputs=lambda sim: iter(fed(first=sim.trials_done)))
    assert_array_equal(again["v"][:, [4, 1]], whole["v"][15:37])
    assert_array_equal(again.spikes.step, whole.spikes(time=(15 * DT, 37 * DT)).step)


def test_a_stream_is_replayed_from_the_inputs_in_its_file(path, whole):
    record(path, keep_every=2, inputs=True)
    again = sl.replay(path, 21, 45, {"v": [4, 1], "inputs": True})
    assert_array_equal(again["v"], whole["v"][21:45])
    assert_array_equal(again["inputs"], np.concatenate([x for x, _ in fed()])[21:45])
    with sl.open_recording(path) as rec:
        assert again.compared_losses == 3 and rec.inputs(time=(10.5, 22.5)).n_steps == 24
    record(path, keep_every=2, inputs=True, windows=[(0.0, 12.0)], overwrite=True)
    with pytest.raises(ValueError, match=r"replay.inputs must be recorded of all steps of piece 2 \(got 'some of them'\)"):
        sl.replay(path, 21, 45)
