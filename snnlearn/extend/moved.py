"""Modules that pages of an earlier release told to import from: they work for one release more, with a DeprecationWarning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SINCE = "0.3"  # the first release in which they are gone
MOVED = {  # what the pages named, and where it is now: modules apart by a space, the first one is what a warning names
    "snnlearn.compare": "snnlearn.analysis.compare snnlearn.rules.closeness",
    "snnlearn.connectivity": "snnlearn.extend snnlearn",
    "snnlearn.family": "snnlearn.rules.taxonomy",
    "snnlearn.conventions": "snnlearn.interop.conventions",
    "snnlearn.recipes": "snnlearn.experiments.recipes",
    "snnlearn.config": "snnlearn.experiments",
    "snnlearn.sweeps": "snnlearn.experiments.sweep",
    "snnlearn.surrogate": "snnlearn.neurons.surrogate",
    "snnlearn.schedules": "snnlearn.optimizers.schedules",
    "snnlearn.guards": "snnlearn.simulator.guards",
    "snnlearn.training": "snnlearn.simulator.training",
    "snnlearn.synapse_traces": "snnlearn.analysis.synapse_traces",
}


class _Module(ModuleType):
    """A module by its old name: callable, as importing it puts it in the place of a function of the package with that name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        if not callable(vars(self).get(name)):
            raise TypeError(f"{self.__name__!r} is a module and cannot be called")
        return vars(self)[name](*args, **kwargs)


class _Moved(MetaPathFinder, Loader):
    """Finds a moved module by its old name."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        places = MOVED[spec.name].split()
        warnings.warn(f"{spec.name} is {places[0]} now; its old name goes with {SINCE}", DeprecationWarning, stacklevel=2)
        module = _Module(spec.name, f"{spec.name}, which is {places[0]} now.")
        for place in reversed(places):
            found = vars(importlib.import_module(place))
            vars(module).update({name: value for name, value in found.items() if not name.startswith("__")})
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


def install() -> None:
    """Have Python find modules by their old names."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
