"""Files that earlier releases wrote are read, resumed and replayed to the numbers that those releases got.

What a file holds must come back to the last bit. What is computed from it must too, on a processor like the one that wrote it
and with the same Numba and NumPy; elsewhere fused operations and other orders of vector sums round differently.
"""

import importlib.util
import json
import zipfile

import numpy as np
import pytest
from paths import DATA

spec = importlib.util.spec_from_file_location("golden_make", DATA / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

ARCHIVES = sorted(DATA.glob("*.zip"))
DOUBLE = ("training.h5",)  # cases in float64


def cases(what):
    """Each case of each archive that has it, of those that read or compute something."""
    found = []
    for path in ARCHIVES:
        with zipfile.ZipFile(path) as packed:
            there = {name.partition("/")[0] for name in packed.namelist()}
        wanted = [name for name, case in make.CASES.items() if getattr(case, what) not in (None, make.nothing)]
        found += [pytest.param(path, name, id=f"{path.stem}-{name}") for name in wanted if name in there]
    return pytest.mark.parametrize(("archive", "file"), found)


def opened(archive, folder):
    """Copy the files of a release into a folder; its numbers."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    with np.load(folder / "expected.npz") as expected:
        return dict(expected)


def agree(got, expected, prefix, tolerance):
    """Assert that these numbers, and no others, came out; equal where the tolerance is None."""
    expected = {name.removeprefix(prefix): x for name, x in expected.items() if name.startswith(prefix)}
    if tolerance is not None:  # bits of a replay have to be those of the run
        expected = {name: x for name, x in expected.items() if not name.startswith("replay.")}
    assert expected.keys() <= got.keys()
    for name, wanted in expected.items():
        value = np.asarray(got[name])
        assert value.shape == wanted.shape and value.dtype.kind == wanted.dtype.kind, name
        if tolerance is None or wanted.dtype.kind != "f":
            np.testing.assert_array_equal(value, wanted, err_msg=name)
        else:
            finite = np.abs(wanted[np.isfinite(wanted)])
            scale = max(1.0, finite.max(initial=0.0))
            np.testing.assert_allclose(value, wanted, rtol=0, atol=tolerance * scale, err_msg=name)


@cases("reads")
def test_what_a_file_holds_comes_back(archive, file, tmp_path):
    expected = opened(archive, tmp_path)
    agree(make.CASES[file].reads(tmp_path / file), expected, f"{file}/reads/", None)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # without the JIT, 64-bit hashes wrap with a warning
@cases("computes")
def test_a_run_goes_on_as_it_would_have(archive, file, tmp_path):
    expected = opened(archive, tmp_path)
    alike = make.machine() == json.loads(str(expected["machine"]))
    tolerance = None if alike else 1e-12 if file in DOUBLE else 1e-6
    agree(make.CASES[file].computes(tmp_path / file), expected, f"{file}/computes/", tolerance)


def test_the_archives_are_there_and_small():
    assert {path.stem for path in ARCHIVES} >= {"format-1.2", "format-1.3"}
    assert sum(path.stat().st_size for path in ARCHIVES) < 1e6
