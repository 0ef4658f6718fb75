"""A run as one value, and as a TOML file.

configuration.py   Config, load_config
settings.py        its parts that are no specs of their own: TrainingPlan, InitialWeights
reading.py         plain values to a Config, with errors that name the key and its line
writing.py         a Config as plain values, and as TOML with comments
toml.py            texts of TOML and the lines of its keys
grid.py            what a sweep varies
"""

from .configuration import Config, load_config
from .settings import InitialWeights, TrainingPlan

__all__ = ["Config", "InitialWeights", "TrainingPlan", "load_config"]
