"""Where compiled kernels are kept: beside the package, or where the user can write, or nowhere; never an error."""

import os
import pathlib
import stat
import subprocess
import sys

import numba
import pytest

import snnlearn as sl
from snnlearn.compiler import cache

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
caching = pytest.importorskip("numba.core.caching")
LOCATORS = [kind for name, kind in vars(caching).items() if name.endswith("Locator") and isinstance(kind, type)]


def add_one(x):
    return x + 1


def refuse(self):
    raise OSError(30, "Read-only file system")


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """The temporary directory, where Numba finds no folder of its own."""
    for kind in LOCATORS:
        if kind.__name__.lstrip("_") not in ("UserProvidedCacheLocator", "CacheLocator"):  # the latter is all others' base
            monkeypatch.setattr(kind, "ensure_cache_path", refuse)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cache, "_told", set())
    cache._temporary.cache_clear()
    yield tmp_path / f"snnlearn-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    cache._temporary.cache_clear()


def test_kernels_go_to_a_folder_of_the_user_in_the_temporary_directory(temporary):
    with pytest.warns(RuntimeWarning, match=f"are kept in {temporary}.*NUMBA_CACHE_DIR") as told:
        kernels = [cache.cached(add_one) for _ in range(2)]
    assert len(told) == 1 and numba.config.CACHE_DIR == ""
    assert kernels[0](2) == 3 and list(temporary.rglob("*.nbc"))
    assert kernels[1](2) == 3 and sum(kernels[1].stats.cache_hits.values()) == 1
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700 or os.name == "nt"


@pytest.mark.skipif(os.name == "nt", reason="there, the temporary directory is the user's own")
@pytest.mark.parametrize("found", ["of all", "of another", "link", "file", "none"])
def test_a_folder_that_others_can_write_is_not_used(temporary, monkeypatch, found):
    """Its files are code. Kernels are then compiled by each process."""
    if found == "of all":
        temporary.mkdir()
        temporary.chmod(0o777)
    elif found == "of another":
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        temporary.with_name("snnlearn-12345").mkdir(mode=0o700)
        if os.geteuid() == 12345:
            pytest.skip("that is this user")
    elif found == "link":
        other = temporary.with_name("other")
        other.mkdir(mode=0o700)
        temporary.symlink_to(other)
    elif found == "file":
        temporary.touch()
    else:
        monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: refuse(None))
    with pytest.warns(RuntimeWarning, match="are compiled anew by each process.*NUMBA_CACHE_DIR"):
        kernel = cache.cached(add_one)
    assert kernel(2) == 3
    assert not list(temporary.parent.rglob("*.nb?"))


def test_the_package_is_imported_where_nothing_can_be_written():
    """One warning, and no error."""
    code = """
import numba.core.caching as caching
def refuse(self):
    raise OSError(30, "Read-only file system")
for name, kind in vars(caching).items():
    if name.endswith("Locator") and isinstance(kind, type):
        kind.ensure_cache_path = refuse
import snnlearn
print(snnlearn.__version__)
"""
    path = os.pathsep.join([str(pathlib.Path(sl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert run.stdout.strip() == sl.__version__, run.stderr
    assert run.stderr.count("RuntimeWarning") == 1 and "NUMBA_CACHE_DIR" in run.stderr


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_told", set())
    return tmp_path


def test_a_disk_that_is_full_costs_no_run(folder, monkeypatch):
    def full(self, name, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_data", full)
    kernel = cache.cached(add_one)
    with pytest.warns(RuntimeWarning, match="cannot be kept in .* [(]No space left on device[)]"):
        assert kernel(2) == 3
    assert kernel(2.0) == 3.0  # and is told of once


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage"])
def test_a_damaged_file_of_the_cache_compiles_anew(folder, ending, content):
    assert cache.cached(add_one)(2) == 3
    for path in folder.rglob(f"*.{ending}"):
        path.write_bytes(content)
    kernel = cache.cached(add_one)
    try:
        assert kernel(2) == 3
    finally:
        assert not kernel.stats.cache_hits
    assert cache.cached(add_one)(2) == 3
