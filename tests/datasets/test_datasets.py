"""Readers of event data: what was written comes back, lazily, and what is not sound is named."""

import gzip
import io
import pickle
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from event_files import SILENT, aer_bytes, sweeps, write_nmnist, write_shd
from numpy.testing import assert_allclose, assert_array_equal

import snnlearn as sl
from snnlearn import datasets
from snnlearn.datasets import base

SAMPLES = [([0.0005, 0.25, 1.375], [699, 0, 340]), SILENT, ([0.125], [5])]


@pytest.fixture
def shd(tmp_path):
    return datasets.SHD(write_shd(tmp_path / "shd.h5", SAMPLES, [2, 0, 1], ["null", "eins", "zwei"]))


def test_shd_reads_what_was_written(shd):
    assert (len(shd), shd.sensor, shd.classes) == (3, (700, 1, 1), ("null", "eins", "zwei"))
    assert_array_equal(shd.targets, [2, 0, 1])
    first, silent, last = shd
    assert_allclose(first.t, np.array([0.0005, 0.25, 1.375], np.float16).astype(float) * 1000, rtol=1e-15)
    assert_array_equal(first.x, [699, 0, 340])
    assert not first.y.any() and not first.p.any() and first.label == 2
    assert silent.t.size == 0 and silent.label == 0
    assert shd[-1].t == last.t == 125.0
    assert list(shd.ends()) == [1375.0, 0.0, 125.0]
    with pytest.raises(IndexError, match=r"SHD\('.*shd.h5'\)\[index\] must be in 0 \.\. 2 \(got 3\)"):
        shd[3]


def test_half_precision_seconds_do_not_overflow(tmp_path):
    data = datasets.SHD(write_shd(tmp_path / "long.h5", [([70.0], [1])], [0]))
    assert data[0].t == 70_000.0
    assert data.classes == tuple(str(k) for k in range(20))


def test_ssc_has_its_own_classes(tmp_path):
    path = write_shd(tmp_path / "ssc.h5", SAMPLES, [34, 0, 1], time=np.float32)
    assert len(datasets.SSC(path).classes) == 35
    with pytest.raises(ValueError, match=r"SHD\('.*ssc.h5'\), labels must be in 0 \.\. 19 \(got 34\)"):
        datasets.SHD(path)


def test_events_come_in_the_order_of_time(tmp_path):
    data = datasets.SHD(write_shd(tmp_path / "shd.h5", [([0.5, 0.125, 0.25], [1, 2, 3])], [0]))
    assert_array_equal(data[0].t, [125.0, 250.0, 500.0])
    assert_array_equal(data[0].x, [2, 3, 1])


def test_nothing_but_labels_is_held(tmp_path):
    n, events = 40, 20_000
    t = np.linspace(0, 1, events)
    data = datasets.SHD(write_shd(tmp_path / "big.h5", [(t, np.arange(events) % 700)] * n, [0] * n, time=np.float32))
    tracemalloc.start()
    for _ in data:
        pass
    assert tracemalloc.get_traced_memory()[1] < n * events * 6 / 4  # bytes, of the events in the file
    tracemalloc.stop()


def test_open_files_are_pickled_by_their_path(shd):
    again = pickle.loads(pickle.dumps(shd))
    assert again == shd and hash(again) == hash(shd)
    assert_array_equal(again[0].x, shd[0].x)


def test_nmnist_reads_what_was_written(tmp_path):
    written = write_nmnist(tmp_path / "Train")
    data = datasets.NMNIST(tmp_path / "Train")
    assert (len(data), data.sensor, data.classes) == (20, (34, 34, 2), tuple("0123456789"))
    for sample, (events, digit) in zip(data, written, strict=True):
        x, y, p, t = np.array(events).T
        assert_array_equal(np.stack([sample.x, sample.y, sample.p]), [x, y, p])
        assert_allclose(sample.t, t / 1000, rtol=1e-15)
        assert sample.label == digit
    assert data.file(3).name == "00011.bin"
    assert [len(d) for d in datasets.base.make_splits("nmnist", tmp_path / "Train") if d is not None] == [20]
    write_nmnist(tmp_path / "Test", per_class=1)
    train, test = datasets.base.make_splits("nmnist", tmp_path)
    assert (len(train), len(test)) == (20, 10)


def test_aer_clock_wraps(tmp_path):
    path = tmp_path / "long.bin"
    path.write_bytes(aer_bytes([(1, 2, 1, 8000), (0, 240, 0, 8191), (3, 4, 0, 5), (0, 240, 0, 0), (239, 179, 1, 1)]))
    sample = datasets.read_aer(path, (240, 180, 2))
    assert_allclose(sample.t * 1000, [8000, 5 + 8192, 1 + 2 * 8192], rtol=1e-12)
    assert_array_equal(np.stack([sample.x, sample.y, sample.p]), [[1, 3, 239], [2, 4, 179], [1, 0, 1]])


def test_an_event_that_looks_like_the_beginning_of_an_archive_is_one(tmp_path):
    (tmp_path / "a.bin").write_bytes(aer_bytes([(31, 139, 0, 5), (37, 32, 0, 9)]))  # 1f 8b begins a gzip file
    assert datasets.read_aer(tmp_path / "a.bin", (240, 180, 2)).x.tolist() == [31, 37]


def test_hidden_files_are_no_samples_and_empty_files_are_samples_without_events(tmp_path):
    write_nmnist(tmp_path, per_class=2)
    expected = datasets.NMNIST(tmp_path)
    targets, digest = expected.targets.tolist(), expected.digest()
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".git").mkdir()
    for place in (tmp_path / "3", tmp_path / ".git"):
        (place / "._00000.bin").write_bytes(b"\0\5\x16\7")
    found = datasets.NMNIST(tmp_path)
    assert found.targets.tolist() == targets and found.digest() == digest
    assert datasets.AER(tmp_path, (34, 34, 2)).classes == tuple("0123456789")
    (tmp_path / "4" / "99999.bin").write_bytes(b"")
    still = datasets.NMNIST(tmp_path)[10]
    assert still.t.size == 0 and still.label == 4
    assert datasets.Binned(datasets.NMNIST(tmp_path), 10.0)[10][0].n_steps == 1


def test_aer_of_any_classes(tmp_path):
    for name in ("cat", "ant"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.bin").write_bytes(aer_bytes([(1, 2, 1, 10)]))
    data = datasets.AER(tmp_path, (240, 180, 2))
    assert data.classes == ("ant", "cat") and data.targets.tolist() == [0, 1]


class Tonic:
    """As tonic's data sets: structured events in microseconds."""

    sensor_size = (4, 3, 2)
    classes = ("a", "b")
    dtype = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.array([(3, 2, 1500, True), (0, 1, 2500 + index, False)], self.dtype), index


def test_wrapped_objects():
    data = datasets.Wrapped(Tonic())
    assert (len(data), data.sensor, data.classes, data.targets.tolist()) == (2, (4, 3, 2), ("a", "b"), [0, 1])
    sample = data[1]
    assert_allclose(sample.t, [1.5, 2.501])
    assert_array_equal(np.stack([sample.x, sample.y, sample.p]), [[3, 0], [2, 1], [1, 0]])
    flat = [(np.array([(7, 2)], [("t", int), ("x", int)]), k) for k in (0, 1, 1)]
    data = datasets.Wrapped(flat, (4, 1, 1), unit=1.0)
    assert data.classes == ("0", "1") and data[2].t == 7.0 and data[2].p == 0


def test_labels_may_be_floats_booleans_or_names():
    class Labelled(Tonic):
        def __init__(self, labels, classes):
            self.labels, self.classes = labels, classes

        def __len__(self):
            return len(self.labels)

        def __getitem__(self, index):
            return super().__getitem__(index)[0], self.labels[index]

    for labels in ([0.0, 1.0], [False, True], np.array([0, 1], np.float32), ["cat", "dog"], [b"cat", np.str_("dog")]):
        data = datasets.Wrapped(Labelled(labels, ["cat", "dog"]))
        assert data.targets.tolist() == [0, 1] and data[1].label == 1
    for labels, classes, message in (
        (["cat", "cow"], ["cat", "dog"], r"label of sample 1 must be one of 'cat', 'dog' \(got 'cow'\)"),
        (["cat"], None, r"label of sample 0 must be a whole number, not negative \(got 'cat'\); classes="),
        ([0, 0.5], None, r"label of sample 1 must be a whole number, not negative \(got 0.5\)"),
        ([np.nan], None, r"label of sample 0 must be a whole number"),
        ([np.inf], None, r"label of sample 0 must be a whole number"),
        ([1j], None, r"label of sample 0 must be a whole number"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            _ = datasets.Wrapped(Labelled(labels, classes)).targets


def test_polarity_by_the_names_of_libraries():
    for name in ("p", "on", "polarity"):
        events = np.array([(1, 2, 1), (2, 3, 0)], [("t", "u8"), ("x", "u2"), (name, "?")])
        assert datasets.Wrapped([(events, 0)], (4, 1, 2))[0].p.tolist() == [1, 0]


def test_split_is_disjoint_stratified_and_fixed(tmp_path):
    data = datasets.SHD(sweeps(tmp_path / "shd.h5", 30, 1))
    train, test = datasets.split(data, 0.2, seed=4)
    assert_array_equal(np.sort(np.concatenate([train.indices, test.indices])), np.arange(30))
    assert np.bincount(test.targets).tolist() == [2, 2, 2]
    assert_array_equal(datasets.split(data, 0.2, seed=4)[1].indices, test.indices)
    assert not np.array_equal(datasets.split(data, 0.2, seed=5)[1].indices, test.indices)
    assert_array_equal(test[0].x, data[int(test.indices[0])].x)
    again = datasets.from_dict(test.to_dict())
    assert again == test and again.digest() == test.digest() != train.digest()
    with pytest.raises(ValueError, match=r"split fraction must be a fraction above 0 and below 1 \(got 1.0\)"):
        datasets.split(data, 1.0)


def test_descriptions_come_back_or_tell_why_not(shd):
    values = shd.to_dict()
    assert datasets.from_dict(values) == shd
    shd.path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"shd.h5' must be where it was \(got 'nothing at this path'\); where it has moved"
    ):
        datasets.from_dict(values)
    write_shd(shd.path, SAMPLES, [1, 0, 1], ["null", "eins", "zwei"])
    with pytest.raises(ValueError, match=r"shd.h5' must be unchanged since the run began \(got 'content digest .*, not "):
        datasets.from_dict(values)


def test_digest_tells_content_and_not_place(tmp_path):
    write_nmnist(tmp_path / "a")
    write_nmnist(tmp_path / "b")
    a, b = (datasets.NMNIST(tmp_path / name) for name in "ab")
    assert a.digest() == b.digest()
    with open(b.file(7), "r+b") as file:
        file.write(b"\x00")
    assert a.digest() != b.digest()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def zipped(path):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.write(path)
    return held.getvalue()


def damaged(change):
    def apply(path):
        with h5py.File(path, "a") as file:
            change(file)

    return apply


def replaced(key, value):
    def change(file):
        del file[key]
        if value is not None:
            file[key] = value

    return damaged(change)


def unit_of_sample(file):
    file["spikes/units"][0] = np.array([1, 2, 700], np.uint16)


def units_of_sample(file):
    file["spikes/units"][0] = np.array([1, 2], np.uint16)


def time_of_sample(value):
    def change(file):
        file["spikes/times"][0] = np.array([0, value, 1], np.float16)

    return change


BAD_SHD = {
    "gone": (lambda p: p.unlink(), FileNotFoundError, r"must be a file \(got 'nothing at this path'\)"),
    "folder": (lambda p: (p.unlink(), p.mkdir()), IsADirectoryError, r"must be an HDF5 file \(got 'a folder'\)"),
    "empty": (lambda p: p.write_bytes(b""), OSError, r"must be an HDF5 file \(got 'an empty file'\)"),
    "text": (lambda p: p.write_bytes(b"no events" * 99), OSError, r"must be an HDF5 file that can be read"),
    "packed": (lambda p: p.write_bytes(gzip.compress(p.read_bytes())), OSError, r"HDF5 file .*'a gzip file'\); gunzip it first"),
    "zipped": (lambda p: p.write_bytes(zipped(p)), OSError, r"HDF5 file .*'a zip file'\); unzip it first"),
    "truncated": (truncate, OSError, r"must be an HDF5 file that can be read \(got 'a truncated file'\)"),
    "another layout": (replaced("spikes/units", None), ValueError, r"must hold the data sets .* \(got 'no spikes/units'\)"),
    "no labels": (replaced("labels", None), ValueError, r"must hold the data sets .* \(got 'no labels'\)"),
    "not a list": (replaced("spikes/times", np.zeros(3)), ValueError, r"spikes/times must hold one array of variable length"),
    "too few labels": (replaced("labels", [1]), ValueError, r"must have as many times and units as labels, one a sample"),
    "labels": (replaced("labels", [0, 3, 0]), ValueError, r"labels must be in 0 \.\. 2 \(got 3\)"),
    "float labels": (replaced("labels", [0.0, 1, 0]), ValueError, r"labels must be whole numbers \(got 'dtype float64'\)"),
    "unit": (damaged(unit_of_sample), ValueError, r"sample 0, x must be in 0 \.\. 699 \(got 700\)"),
    "units": (damaged(units_of_sample), ValueError, r"sample 0 must have as many times as units \(got '3 and 2'\)"),
    "negative": (damaged(time_of_sample(-1)), ValueError, r"sample 0, times must be finite and not negative \(got -1000.0\)"),
    "nan": (damaged(time_of_sample(np.nan)), ValueError, r"sample 0, times must be finite and not negative \(got nan\)"),
}


@pytest.mark.parametrize("case", BAD_SHD)
def test_bad_hdf5_is_named(case, tmp_path):
    spoil, error, message = BAD_SHD[case]
    path = write_shd(tmp_path / "shd.h5", SAMPLES, [2, 0, 1], ["a", "b", "c"])
    spoil(path)
    with pytest.raises(error, match=r"^SHD\('.*shd\.h5'\).*" + message):
        datasets.SHD(path)[0]


def test_no_samples_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"must have samples \(got 'none'\)"):
        datasets.SHD(write_shd(tmp_path / "shd.h5", [], []))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"#!AER-DAT2.0\r\n" + bytes(80),
            r"must be a file of 5 bytes an event \(got 'an AEDAT 2.0 file'\); read .* evlib",
        ),
        (b"#!AER-DAT3.1\r\n#Format: RAW\r\n", r"\(got 'an AEDAT 3.1 file'\)"),
        (b"#!AER-DAT4.0\r\n" + bytes(77), r"\(got 'an AEDAT 4.0 file'\); read its events with aedat or evlib and wrap them"),
        (b"% Data file containing CD events\n% Version 2\n\x00\x08", r"\(got 'a Prophesee .dat file'\); read .* with faery"),
        (b"% date 2023-01-01 10:00:00\n% evt 3.0\n% geometry 1280x720\n\x00", r"\(got 'a Prophesee .raw file \(EVT3\)'\)"),
        (b"% camera x\n% format EVT2;height=720;width=1280\n% end\n\x00", r"\(got 'a Prophesee .raw file \(EVT2\)'\)"),
        (b"PK\x03\x04" + bytes(26), r"\(got 'a zip file'\); unzip it first"),
        (aer_bytes([(1, 1, 1, 5)])[:4], r"must be a whole number of events of 5 bytes \(got '4 bytes'\); truncated\?"),
        (aer_bytes([(34, 1, 1, 5)]), r"x must be in 0 \.\. 33 \(got 34\)"),
    ],
)
def test_bad_aer_is_named(content, message, tmp_path):
    write_nmnist(tmp_path)
    (tmp_path / "0" / "00000.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"^AER file '.*00000\.bin'.*" + message):
        datasets.NMNIST(tmp_path)[0]


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be a folder with the folders 0 \.\. 9 \(got 'nothing at this path'\)"):
        datasets.NMNIST(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"AER file '.*' must be a file of 5 bytes an event"):
        datasets.read_aer(tmp_path / "gone.bin")
    (tmp_path / "Train").mkdir()
    with pytest.raises(ValueError, match=r"\(got 'none for 0, 1, .*'\); choose its folder Train or Test"):
        datasets.NMNIST(tmp_path)
    with pytest.raises(ValueError, match=r"must have a folder a class with files \*\.bin \(got 'none'\)"):
        datasets.AER(tmp_path, (34, 34, 2))
    with pytest.raises(ValueError, match=r"AER.sensor must be \(width, height, 2\) \(got \(34, 34\)\)"):
        datasets.AER(tmp_path, (34, 34))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: datasets.Wrapped(3), "Wrapped.data must have __len__ and __getitem__ (got 3)"),
        (lambda: datasets.Wrapped([]), "Wrapped.data must have samples (got 'none')"),
        (lambda: datasets.Wrapped([1]), "Wrapped.sensor must be (width, height, polarities) (got None)"),
        (lambda: datasets.Wrapped([1], (1, 1, 1))[0], "Wrapped(list), sample 0 must be (events, label) (got 1)"),
        (lambda: datasets.Wrapped([(np.zeros(3), 0)], (1, 1, 1))[0], "Wrapped(list), sample 0, events must be a structured"),
        (lambda: datasets.Wrapped([(0, 0.5)], (1, 1, 1)).targets, "Wrapped(list), label of sample 0 must be a whole number"),
        (lambda: datasets.Wrapped(Tonic(), (3, 3, 2))[0], "Wrapped(Tonic), sample 0, x must be in 0 .. 2 (got 3)"),
        (lambda: datasets.Wrapped(Tonic(), classes=["a"]).classes, "Wrapped(Tonic), labels must be in 0 .. 0 (got 1)"),
        (lambda: base.make("mnist", "x"), "data format must be one of 'nmnist', 'shd', 'ssc' (got 'mnist')"),
        (lambda: base.from_dict(3), "data set must be a Dataset, or a dict as its to_dict returns (got 3)"),
        (lambda: base.from_dict({"foreign": "a.B"}), "data set must be one that lies in files"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert str(error.value).startswith(message)


def test_public_names():
    assert sl.datasets is datasets
    assert all(getattr(datasets, name).__doc__ for name in datasets.__all__ if name != "FORMATS")
