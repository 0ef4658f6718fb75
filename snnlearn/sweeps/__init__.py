"""Many configurations: rules x seeds x parameters.

sweep.py   sweep, run: what is left to do, attempts, progress
pools.py   who does it: local processes, Dask, any executor
table.py   SweepResult: what came out
"""

from .sweep import run, sweep
from .table import SweepResult

__all__ = ["SweepResult", "run", "sweep"]
