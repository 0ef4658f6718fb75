"""Numba's private parts may go: without each name the package is imported, and results are the same bits (`without.py`)."""

import ast
import json
import os
import pathlib
import subprocess
import sys

import numba
import numpy as np
import pytest
from paths import TESTS

import snnlearn as sl
from snnlearn.compiler import fallback, instructions, intrinsics
from snnlearn.compiler.compilations import Counter

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
HERE, ROOT = TESTS, pathlib.Path(sl.__file__).parents[1]
PRIVATE = ("numba.core", "numba.extending", "numba.np", "llvmlite")


def names():
    """Names of Numba's private parts that the package uses, as "module:name": those that it imports, and attributes of those."""
    found = set()
    for path in (ROOT / "snnlearn" / "compiler").glob("*.py"):
        tree, local = ast.parse(path.read_text(encoding="utf-8")), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level and node.module.startswith(PRIVATE):
                local |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        found |= {":".join(name.rsplit(".", 1)) for name in local.values()}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = local.get(node.value.id)
                if module in ("llvmlite.ir", "numba.core.cgutils", "numba.core.types"):
                    found.add(f"{module}:{node.attr}")
    return sorted(found)


def without(tmp_path, *arguments):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, str(HERE / "without.py"), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process for each name takes too long")
def test_each_name_may_go(tmp_path):
    """Something is done without it, and says so; a kernel gives what it should."""
    wanted = names()
    assert len(wanted) > 25
    lines = map(json.loads, without(tmp_path, "names", *wanted).splitlines())
    found = {name: list(lost) for name, lost in lines}
    assert found.keys() == set(wanted), set(wanted) - found.keys()
    unnoticed = {name for name, lost in found.items() if not lost}
    assert not unnoticed
    assert len({use for lost in found.values() for use in lost}) == 11


HELPERS = "helpers that are compiled with their kernels"
SMALL = {
    "numba.core.cpu:CPUTargetOptions": "kernels without reference counts",
    "numba.extending:intrinsic": "prefetching",
    "llvmlite.ir:Constant": "calls with prepared arguments",
    "numba.core.caching:FunctionCache": "kernels on disk with an index for each state of the sources",
    "numba.core.event:Listener": "word of what compiles",
}
CASES = {
    "helpers": (["numba.core.codegen:JITCodeLibrary"], {HELPERS}),
    "inside of helpers": (["inside"], {HELPERS}),
    "all else": (list(SMALL), set(SMALL.values())),
    "compilation": (["numba.extending:overload"], {"compiled kernels"}),
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    out = tmp_path_factory.mktemp("usual") / "out.npz"
    without(out.parent, "run", str(out))
    return np.load(out)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_results_are_the_same_bits(tmp_path, usual, name):
    out = tmp_path / "out.npz"
    names, lost = CASES[name]
    without(tmp_path, "run", str(out), *names)
    got = np.load(out)
    assert lost <= set(got["lost"]) and not usual["lost"].size
    assert usual["spikes"].sum() > 50 and np.abs(usual["readout"]).max() > 0.1
    if name == "compilation":  # plain Python, where sums are not fused
        np.testing.assert_allclose(got["readout"], usual["readout"], rtol=1e-4, atol=1e-5)
    else:
        for key in ("spikes", "readout", "rate"):
            np.testing.assert_array_equal(got[key], usual[key])


def test_a_processor_whose_registers_are_not_known(monkeypatch):
    """Goes on with denormal numbers."""

    def halved():
        @numba.njit
        def halve(x):
            register = instructions.control(1, 0)
            x[0] = np.float32(0.5) * x[0]
            instructions.control(2, register)
            return register

        x = np.full(1, np.finfo(np.float32).tiny)
        return halve(x), x[0]

    assert halved()[1] == 0
    monkeypatch.setattr(instructions, "REGISTERS", {})
    register, half = halved()
    assert register == 0 and half > 0


def test_each_loss_is_told_of_once(monkeypatch):
    monkeypatch.setattr(fallback, "LOST", {})

    @fallback.tried("a use")
    def works():
        raise ImportError("cannot import name 'x' from 'numba' (/some/where.py)")

    with pytest.warns(
        RuntimeWarning, match="does without a use on Numba .* [(]ImportError: cannot import name 'x' from 'numba'[)]: slower"
    ) as told:
        assert not works() and not works()
    assert len(told) == 1


def test_what_is_tried_is_not_told_of_as_a_kernel(capfd):
    intrinsics._meets.cache_clear()
    with Counter() as counter:
        assert intrinsics.can_meet()
    assert counter.count == 0 and capfd.readouterr().err == ""
