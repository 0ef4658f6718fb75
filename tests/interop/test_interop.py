"""Exports, read back with the reference readers."""

import csv
import sys

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from recording_twin import DT, N_OUT, N, T, record, start

import snnlearn.interop.common as common
from snnlearn.interop import export
from snnlearn.recording import Recorder, index, open_recording, raw, summaries
from snnlearn.storage import open_file

LENGTH = T + 25 + T  # steps of the axis


@pytest.fixture(params=[1 << 20, 64])
def run(request, path, twin, monkeypatch):
    """Trials 0, 3 and 6 of 40, 25 and 40 steps, one with a gap, in pieces that alternate; exported at once or in small pieces."""
    monkeypatch.setattr(common, "ENTRIES", request.param)
    config = {"network": {"neurons": [{"type": "LIF", "n": 5}, {"type": "ALIF", "n": 7}]}}
    with start(Recorder(path, v=[5, 2], psi=True), config) as recorder:
        record(recorder, twin, 0, 0, 20)
        record(recorder, twin, 1, 5, 30, 3)
        record(recorder, twin, 0, 20, T)
        record(recorder, twin, 2, 0, 10, 6)
        record(recorder, twin, 2, 20, T, 6)
        for trial in (0, 3, 6):
            recorder.row("trials", trial=trial, label=trial, loss=0.5)
        recorder.event("note", 'a "comma", here')
    return path


def axis_of(twin):
    """Spikes and v as they stand on the axis."""
    z = np.concatenate([twin.z[0], twin.z[1][5:30], twin.z[2]])
    v = np.concatenate([twin.v[0], twin.v[1][5:30], twin.v[2]])
    gap = slice(T + 25 + 10, T + 25 + 20)
    z[gap], v[gap] = False, np.nan
    return z, v


def test_sonata_is_read_by_libsonata(run, twin, tmp_path):
    libsonata = pytest.importorskip("libsonata")
    paths = export(run, "sonata", tmp_path / "out")
    assert {p.name for p in paths} == {
        "spikes.h5",
        "psi_report.h5",
        "v_report.h5",
        "readout_report.h5",
        "target_report.h5",
        "trials.csv",
    }
    z, v = axis_of(twin)
    recording = libsonata.SpikeReader(str(tmp_path / "out/spikes.h5"))
    assert recording.get_population_names() == ["neurons"]
    spikes = recording["neurons"]
    assert spikes.sorting == "by_time"
    found = spikes.get_dict()
    assert_array_equal(found["timestamps"], np.nonzero(z)[0] * DT)
    assert_array_equal(found["node_ids"], np.nonzero(z)[1])
    some = spikes.get(node_ids=[3], tstart=5.0, tstop=30.0)
    assert_array_equal([t for _, t in some], [t for t in np.flatnonzero(z[:, 3]) * DT if 5.0 <= t <= 30.0])
    report = libsonata.SomaReportReader(str(tmp_path / "out/v_report.h5"))["neurons"]
    assert report.times == (0.0, LENGTH * DT, DT) and report.time_units == "ms"
    assert list(report.get_node_ids()) == [2, 5]
    assert_array_equal(report.get().data, v[:, [2, 5]])
    assert_array_equal(report.get(node_ids=[5], tstart=2.0, tstop=9.0).data[:, 0], v[4:19, 5])
    outputs = libsonata.ElementReportReader(str(tmp_path / "out/readout_report.h5"))["readout"]
    assert outputs.get().data.shape == (LENGTH, N_OUT)
    with open(tmp_path / "out/trials.csv") as file:
        rows = list(csv.reader(file))
    assert rows == [["trial", "start_ms", "stop_ms"], ["0", "0", "20"], ["3", "20", "32.5"], ["6", "32.5", "52.5"]]


def test_sonata_files_are_plain(run, tmp_path):
    """libsonata reads neither gzip nor newer layouts."""
    export(run, "sonata", tmp_path, trials=[3])
    for name in ("spikes.h5", "psi_report.h5"):
        with h5py.File(tmp_path / name) as file:
            assert file.libver[0] == "earliest" and file.attrs["magic"] == 0x0A7A
            file.visititems(lambda _, item: None if isinstance(item, h5py.Group) else check_plain(item))


def check_plain(dataset):
    assert dataset.compression is None and dataset.chunks is None


@pytest.mark.filterwarnings("default")
def test_nwb_is_valid(run, twin, tmp_path):
    pynwb = pytest.importorskip("pynwb")
    (out,) = export(run, "nwb", tmp_path / "run.nwb")
    assert not pynwb.validate(path=str(out))
    z, v = axis_of(twin)
    with pynwb.NWBHDF5IO(str(out), "r") as io:
        nwb = io.read()
        for neuron in range(N):
            assert_allclose(nwb.units["spike_times"][neuron], np.flatnonzero(z[:, neuron]) * DT / 1000, rtol=1e-12)
        assert list(nwb.units["model"][:]) == ["LIF"] * 5 + ["ALIF"] * 7
        series = nwb.acquisition["v"]
        assert_array_equal(series.data[:], v[:, [5, 2]])
        assert series.rate == 1000 / DT and "[5, 2]" in series.comments
        trials = nwb.trials.to_dataframe()
        assert trials.number.tolist() == [0, 3, 6] and trials.label.tolist() == [0, 3, 6]
        assert_allclose(trials.stop_time, [0.02, 0.0325, 0.0525])


@pytest.mark.filterwarnings("default")
def test_neo_reads_exported_nwb(run, twin, tmp_path):
    neo = pytest.importorskip("neo")
    pytest.importorskip("pynwb")
    export(run, "nwb", tmp_path / "run.nwb")
    recording = neo.io.NWBIO(str(tmp_path / "run.nwb"), "r")
    (block,) = recording.read_all_blocks()
    (segment,) = block.segments
    z, v = axis_of(twin)
    for neuron, train in enumerate(segment.spiketrains):
        assert_allclose(train.rescale("ms").magnitude, np.flatnonzero(z[:, neuron]) * DT)
        assert float(train.t_start) == 0.0 and float(train.t_stop.rescale("ms")) == LENGTH * DT
    signals = {signal.name: signal for signal in segment.analogsignals}
    assert_array_equal(signals["v"].magnitude, v[:, [5, 2]].astype(np.float32))
    assert float(signals["v"].sampling_rate.rescale("kHz")) == 1 / DT and len(segment.spiketrains) == N
    recording.close()


@pytest.mark.filterwarnings("default")
def test_many_trials_are_read_at_once(path, tmp_path, monkeypatch):
    """One read of each kind for runs of trials, not one a trial."""
    n = 400
    with start(Recorder(path, v=[1, 2])) as recorder:
        for trial in range(n):
            spikes = np.array([0, 1, 3]), np.array([1, 0, 2])
            recorder.block(trial, 0, *spikes, {"v": np.full((5, 2), trial, np.float32)}, readout=np.zeros((5, N_OUT)))
            recorder.row("trials", trial=trial, loss=0.5)
    reads = []
    entries = open_file.entries
    for module in (index, raw, summaries):
        monkeypatch.setattr(module, "entries", lambda h5, name, *part: reads.append(name) or entries(h5, name, *part))
    with open_recording(path) as rec:
        for do in (
            rec.to_xarray,
            rec.to_neo,
            rec.to_pandas,
            lambda: rec.to_pandas("v"),
            *(lambda kind=kind: export(rec, kind, tmp_path / kind) for kind in ("csv", "sonata", "nwb")),
        ):
            reads.clear()
            do()
            assert len(reads) < 30, do
        assert_array_equal(rec.to_xarray().v.values[:, 0, 0], np.arange(n))
        assert [float(x.analogsignals[0][4, 1]) for x in rec.to_neo(trials=[7, 300]).segments] == [7, 300]
        assert [train.size for train in rec.to_neo(trials=3).segments[0].spiketrains][:4] == [1, 1, 1, 0]


def test_csv(run, twin, tmp_path):
    paths = export(run, "csv", tmp_path)
    assert [p.name for p in paths] == [
        "spikes.csv",
        "psi.csv",
        "v.csv",
        "readout.csv",
        "target.csv",
        "table_trials.csv",
        "events.csv",
    ]
    spikes = np.loadtxt(tmp_path / "spikes.csv", delimiter=",", skiprows=1)
    with open_recording(run) as rec:
        expected = rec.spikes()
    assert_array_equal(spikes, np.column_stack([expected.trial, expected.step * DT, expected.neuron]))
    v = np.loadtxt(tmp_path / "v.csv", delimiter=",", skiprows=1)
    assert_array_equal(v[v[:, 0] == 3][:, 2:].astype(np.float32), twin.v[1][5:30, [5, 2]])
    assert (tmp_path / "v.csv").read_text().startswith("trial,time_ms,neuron_5,neuron_2\n")
    rows = list(csv.reader((tmp_path / "table_trials.csv").read_text().splitlines()))
    assert rows[:2] == [["trial", "label", "loss"], ["0", "0", "0.5"]]
    assert list(csv.reader((tmp_path / "events.csv").read_text().splitlines()))[1][2] == 'a "comma", here'


def test_some_trials_and_errors(run, tmp_path, monkeypatch):
    export(run, "csv", tmp_path, trials=slice(3, None))
    assert set(np.loadtxt(tmp_path / "spikes.csv", delimiter=",", skiprows=1)[:, 0]) == {3, 6}
    with pytest.raises(FileExistsError, match=r"export.out must name new files .*it exists; overwrite=True replaces it"):
        export(run, "csv", tmp_path)
    export(run, "csv", tmp_path, overwrite=True)
    with pytest.raises(ValueError, match=r"export.format must be one of 'sonata', 'nwb', 'csv', 'nir' \(got 'mat'\)"):
        export(run, "mat", tmp_path)
    with pytest.raises(IsADirectoryError, match=r"export.out must be a file, not a folder"):
        export(run, "nwb", tmp_path)
    with pytest.raises(IndexError, match=r"Recording.trials must be among 0, 3, 6 \(got 1\)"):
        export(run, "csv", tmp_path / "b", trials=1)
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(ImportError, match=r'export\(format="nwb"\) needs pynwb: pip install pynwb'):
        export(run, "nwb", tmp_path / "a.nwb")


def test_nothing_to_export(path, tmp_path):
    with start(Recorder(path)):
        pass
    with pytest.raises(ValueError, match=r"export.recording must have trials with raw data"):
        export(path, "csv", tmp_path / "out")
