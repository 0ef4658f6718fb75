"""Modules that pages of an earlier release told to import from: they work for one release more, with a DeprecationWarning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

SINCE = "0.3"  # the first release in which they are gone
MOVED = {  # what the pages named, and where it is now
    "snnlearn.connectivity": "snnlearn.extend",
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


class _Moved(MetaPathFinder, Loader):
    """Finds a moved module by its old name."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(f"{spec.name} is {new} now; its old name goes with {SINCE}", DeprecationWarning, stacklevel=2)
        found, module = importlib.import_module(new), ModuleType(spec.name, f"{spec.name}, which is {new} now.")
        vars(module).update({name: value for name, value in vars(found).items() if not name.startswith("__")})
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""


def install() -> None:
    """Have Python find modules by their old names."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
