"""Recurrent spiking networks that learn online.

The package, in the order in which its parts build on each other; each imports only what stands above it:

    _version, _check, _interrupts: checks of what comes in; Ctrl-C and SIGTERM
    compiler       Numba's private parts, each with a way without it: kernels and their dispatch, calls, threads that meet
    neurons        LIF, ALIF, CubaLIF: equations, parameters, one step forward and backward; surrogate derivatives
    events         sparse input
    encode         analog series as currents or spikes: Current, Window, GaussianFields, Poisson, Latency, Delta
    losses         MeanSquaredError, CrossEntropy, RateRegularizer
    network        Network, Readout, Weights; Dense, Masked, Sparse connectivity
    optimizers     SGD, Adam; schedules of the learning rate; DeepR
    rules          what a rule adds to the gradient: EProp, BPTT, RTRL, ...; rules/engines computes it
    spec           specs as plain values and back
    engine         the compiled loop (engine/block_loop.py is the timeline of a step), its batches and threads; simulate, gradient
    storage        HDF5 files that survive kills; knows no neurons
    recording      Recorder, MemoryRecorder, open_recording, watch
    datasets       recorded events: SHD, SSC, N-MNIST, others' objects
    tasks          what to learn
    simulator      Simulator: run, train, evaluate, step
    runs           resume, fork, replay
    analysis       rates, intervals, responses; compare; synapse_traces
    verification   verify: identities between rules, reference cases, published losses; check_neuron, check_rule
    extend         what people import who add a neuron model or a rule
    interop        export: SONATA, NWB, CSV, NIR; conventions of other simulators
    experiments    Config, load_config, plan, sweep, recipes
    estimators     SpikingClassifier, SpikingRegressor (need scikit-learn)
    torch          spiking networks as modules of PyTorch (needs torch)
    plot           figures (needs matplotlib)
    cli            the command line

Arrays are indexed [pre, post]; times are in ms, rates in Hz.
"""

from . import _interrupts as _interrupts  # first: Ctrl-C from here on

# isort: split
from .compiler import dispatch as dispatch  # which imports Numba: deep in a chain of imports that takes 0.1 s more in Python 3.11

# isort: split
from typing import TYPE_CHECKING

from . import analysis, datasets, encode, extend, tasks
from ._version import __version__
from .analysis.compare import Comparison, compare
from .analysis.metrics import metrics
from .analysis.synapse_traces import Eligibility, synapse_traces
from .engine.batch import Divergence
from .engine.functional import Gradient, Simulation, gradient, simulate
from .events import Events
from .experiments import Config, InitialWeights, TrainingPlan, load_config, profiles
from .experiments.plan import RunPlan, plan
from .experiments.results import SweepResult
from .experiments.sweep import run, sweep
from .extend import moved
from .interop import conventions, export
from .losses import CrossEntropy, MeanSquaredError, RateRegularizer
from .network.connectivity import Dense, Masked, Sparse
from .network.network import Network, Readout
from .network.weights import Weights
from .neurons import ALIF, LIF, CubaLIF
from .neurons.surrogate import ArcTan, Exponential, FastSigmoid, PiecewiseLinear
from .optimizers.optimizers import SGD, Adam
from .optimizers.rewiring import DeepR
from .optimizers.schedules import CosineDecay, ExponentialDecay, StepDecay
from .recording import MemoryRecorder, Recorder, Recording, open_recording
from .rules import BPTT, RFLO, RTRL, UORO, EProp, SnAp, TruncatedBPTT
from .rules.taxonomy import Taxonomy, taxonomy
from .runs.fork import fork
from .runs.replay import Replay, replay
from .runs.resume import resume
from .simulator.guards import RunWarning, SilentNetworkWarning
from .simulator.history import History
from .simulator.results import Alignment, Evaluation, Run, Step
from .simulator.simulator import Simulator
from .verification.verify import Verification, verify

if TYPE_CHECKING:
    from .estimators import SpikingClassifier, SpikingRegressor

moved.install()

__all__ = [
    "ALIF",
    "BPTT",
    "LIF",
    "RFLO",
    "RTRL",
    "SGD",
    "UORO",
    "Adam",
    "Alignment",
    "ArcTan",
    "Comparison",
    "Config",
    "CosineDecay",
    "CrossEntropy",
    "CubaLIF",
    "DeepR",
    "Dense",
    "Divergence",
    "EProp",
    "Eligibility",
    "Evaluation",
    "Events",
    "Exponential",
    "ExponentialDecay",
    "FastSigmoid",
    "Gradient",
    "History",
    "InitialWeights",
    "Masked",
    "MeanSquaredError",
    "MemoryRecorder",
    "Network",
    "PiecewiseLinear",
    "RateRegularizer",
    "Readout",
    "Recorder",
    "Recording",
    "Replay",
    "Run",
    "RunPlan",
    "RunWarning",
    "SilentNetworkWarning",
    "Simulation",
    "Simulator",
    "SnAp",
    "Sparse",
    "SpikingClassifier",
    "SpikingRegressor",
    "Step",
    "StepDecay",
    "SweepResult",
    "Taxonomy",
    "TrainingPlan",
    "TruncatedBPTT",
    "Verification",
    "Weights",
    "__version__",
    "analysis",
    "compare",
    "conventions",
    "datasets",
    "encode",
    "export",
    "extend",
    "fork",
    "gradient",
    "load_config",
    "metrics",
    "open_recording",
    "plan",
    "plot",
    "profiles",
    "replay",
    "resume",
    "run",
    "simulate",
    "sweep",
    "synapse_traces",
    "tasks",
    "taxonomy",
    "verify",
]


def __dir__() -> list[str]:
    return sorted((*__all__, "torch"))


def __getattr__(name: str) -> object:
    """What needs other packages is imported on first use."""
    from importlib import import_module

    if name in ("plot", "torch"):
        return import_module(f".{name}", __name__)
    if name in ("SpikingClassifier", "SpikingRegressor"):
        return getattr(import_module(".estimators", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
