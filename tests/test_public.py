"""The public surface stands in `__all__` of the package and of its public parts: every object is documented, examples run."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import snnlearn as sl

PACKAGE = Path(sl.__file__).parent
PARTS = ("neurons", "rules", "recording", "interop")  # public, but not among the names of the package itself
MODULES = [sl, *(getattr(sl, n) for n in sl.__all__ if n != "plot" and isinstance(getattr(sl, n), types.ModuleType))]
MODULES += [importlib.import_module(f"snnlearn.{part}") for part in (*PARTS, "plot")]
LONG_LIVED = (sl.Simulator, sl.Recorder, sl.Recording, sl.Network, sl.Events)  # whose methods' arguments are documented too
INTERNAL = {  # methods that the package calls, not its users
    "Network": {"arrays", "initial_hidden"},
    "Recorder": {"open", "row", "event", "snapshot", "selection", "checkpoint", "ended"},
    "Recording": {"read_entries"},
}
SKIPPED = {"self", "cls", "args", "kwargs"}
PLAIN = {"path", "recording", "ax", "net", "weights", "data", "values", "seed"}  # mean the same everywhere in the package


def names_of(module):
    """Its public names: `__all__`, or what it defines itself."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def surface():
    """(name, object) of every public class and function, once."""
    found = {}
    for module in MODULES:
        for name in names_of(module):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                found.setdefault(id(value), (f"{module.__name__.removeprefix('snnlearn.')}.{name}", value))
    return [pytest.param(name, value, id=name) for name, value in found.values()]


def doc_of(value):
    """The docstrings of an object and, for a class, of those that it is made from."""
    classes = [c for c in value.__mro__ if c.__module__.startswith("snnlearn")] if inspect.isclass(value) else [value]
    return "\n".join(c.__doc__ or "" for c in classes)


def unnamed(function, doc):
    """Parameters of a signature that its documentation does not name."""
    names = [p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    return [n for n in names if n not in SKIPPED | PLAIN and not n.startswith("_") and not re.search(rf"\b{re.escape(n)}\b", doc)]


def checks_input(value):
    """Whether an object raises the package's own errors."""
    functions = [inspect.unwrap(value)]
    if inspect.isclass(value):
        functions = [f for name in ("__init__", "__post_init__") if inspect.isfunction(f := vars(value).get(name))]
    functions = [f for f in functions if f.__code__.co_filename != "<string>"]  # made by dataclass
    return any(re.search(r"(\bfail|_check\.\w+|\braise \w+Error)\(", inspect.getsource(f)) for f in functions)


def test_all_is_sorted_and_complete():
    assert len(surface()) > 60
    assert all(hasattr(getattr(sl, owner), name) for owner, names in INTERNAL.items() for name in names)
    for module in MODULES:
        names = names_of(module)
        assert names and len(set(names)) == len(names)
        assert all(hasattr(module, name) for name in names), module.__name__
        assert inspect.getdoc(module), f"{module.__name__} has no docstring"


@pytest.mark.parametrize(("name", "value"), surface())
def test_documented(name, value):
    """A docstring that names every parameter, and the errors where the object raises its own."""
    own = inspect.getdoc(value)
    assert own and not own.startswith(f"{value.__name__}("), f"{name} has no docstring"
    record = inspect.isclass(value) and issubclass(value, (tuple, BaseException))  # a tuple's fields have comments in the source
    doc = doc_of(value)
    if not record:
        assert not (missing := unnamed(value, doc)), f"the docstring of {name} does not name {', '.join(missing)}"
    if checks_input(value):
        assert re.search(r"[Rr]aises|\b\w*Error\b", doc), f"the docstring of {name} does not say what it raises"
    if inspect.isclass(value):
        for key, method in vars(value).items():
            method = getattr(method, "fget", None) or getattr(method, "__func__", method)
            if key.startswith("_") or not inspect.isfunction(method):
                continue
            documented = next((vars(c)[key].__doc__ for c in value.__mro__ if key in vars(c) and vars(c)[key].__doc__), None)
            assert documented, f"{name}.{key} has no docstring"
            if value in LONG_LIVED and key not in INTERNAL.get(value.__name__, ()):
                missing = unnamed(method, documented)
                assert not missing, f"the docstring of {name}.{key} does not name {', '.join(missing)}"


def test_examples_of_docstrings_run(tmp_path):
    """In a process without the JIT, where they take a second in all; in an empty folder, where they may write."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", "--doctest-modules", str(PACKAGE)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert found.returncode == 0, found.stdout + found.stderr
    n_passed = re.search(r"(\d+) passed", found.stdout)
    assert n_passed and int(n_passed.group(1)) >= 4
    for name in ("Network", "Simulator", "simulate", "gradient"):
        assert ">>> " in getattr(sl, name).__doc__


def test_nothing_says_to_install_by_a_name_that_anyone_could_register():
    places = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "docs").rglob("*.md"), PACKAGE.parent / "README.md"]
    assert [str(place) for place in places if "snnlearn[" in place.read_text(encoding="utf-8")] == []
    assert [str(place) for place in places if "pip install snnlearn" in place.read_text(encoding="utf-8")] == []
