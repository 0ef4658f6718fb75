"""Whole experiments: a run as one value and as TOML, plans of memory and time, sweeps over many runs.

May import everything but plot and cli.
"""

from .config import Config, load_config
from .settings import InitialWeights, TrainingPlan

__all__ = ["Config", "InitialWeights", "TrainingPlan", "load_config"]
