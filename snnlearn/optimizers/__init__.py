"""SGD and Adam: the one place where weights change; schedules of learning rates.

May import compiler and network.
"""

from .optimizers import SGD, Adam, Optimizer
from .rewiring import DeepR
from .schedules import CosineDecay, ExponentialDecay, StepDecay

__all__ = ["SGD", "Adam", "CosineDecay", "DeepR", "ExponentialDecay", "Optimizer", "StepDecay"]
