"""Recurrent spiking networks that learn online."""

from .connectivity import Dense, Masked, Sparse
from .engine import Divergence
from .events import Events
from .losses import CrossEntropy, MeanSquaredError, RateRegularizer
from .network import Network, Readout, Weights
from .neurons import ALIF, LIF
from .optimizers import SGD, Adam, CosineDecay, ExponentialDecay, StepDecay
from .rules import BPTT, EProp
from .simulator import Gradient, Run, SilentNetworkWarning, Simulation, Simulator, gradient, simulate
from .surrogate import ArcTan, Exponential, FastSigmoid, PiecewiseLinear
