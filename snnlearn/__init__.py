"""Recurrent spiking networks that learn online.

The package, in the order in which its parts build on each other:

    compiler       Numba's private parts, each with a way without it: kernels and their dispatch, calls, threads that meet
    surrogate      pseudo-derivatives of a spike
    neurons        LIF, ALIF, CubaLIF: equations, parameters, one step forward and backward
    drawing        random structures of sparse matrices
    connectivity   Dense, Masked, Sparse; rows by presynaptic neuron
    network        Network, Readout, Weights
    events         sparse input
    losses         MeanSquaredError, CrossEntropy, RateRegularizer
    tape           what the forward simulation of a block leaves to the rules
    rules          what a rule adds to the gradient: EProp, BPTT, RTRL, ... on two engines, adjoint and influence
    schedules      learning rates that change: ExponentialDecay, StepDecay, CosineDecay
    optimizers     SGD, Adam
    block          the compiled loop; its docstring is the timeline of a step
    job            what that loop runs and gives back
    parts          arrays of threads that run one trial together; stretches: projections onto some of the neurons
    layout         how a job is cut up: directions, blocks, tapes, trials at a time
    lanes          the arrays on which a thread runs some trials
    engine         threads and calls of that loop
    intake         what a caller gives, checked, as a job
    spec           specs as plain values and back
    interrupts     Ctrl-C and SIGTERM between two batches
    recording      Recorder, open_recording: HDF5
    analysis       rates, intervals, responses to classes, of a recording
    interop        export: recordings as SONATA, NWB, CSV; networks as NIR and back
    watch          how a run goes on, as text
    datasets       recorded events: SHD, SSC, N-MNIST, others' objects
    tasks          what to learn
    functional     simulate, gradient
    eligibility    e-prop's traces of chosen synapses, for recordings and to look at
    synapse_traces e-prop's traces and learning signals of single synapses, to look at
    family         taxonomy: what each rule follows, can do and costs; names of rules
    compare        rules side by side
    report         Run, Alignment: what a run reports
    guards         what goes wrong while a network learns, with the likely remedy
    record         what of a simulator's runs goes into a recording
    batches        trials of a task, checked, as a batch
    training       learning a task, evaluation, History
    checkpoint     the state of a simulator, as arrays and back
    stepping       single steps of a stream, prepared
    simulator      Simulator
    resume         resume: going on from a file
    forking        fork: going on differently, from any point of a run
    memory         bytes that a run needs, and what fits instead
    planning       plan: memory, time and kernels of a run before it runs
    bench          what this machine gives
    replay         replay: a window of a run again, with more recorded; replaying: its trials, batches or pieces
    published      a training whose losses other simulators print
    verification   verify: identities between rules, reference cases, published losses
    recipes        settings that learn the tasks
    conventions    parameters of NEST and of the TensorFlow e-prop code
    config         Config, load_config: a run as one value, and as TOML
    sweeps         sweep, run: many configurations, by processes or Dask
    plot, cli      figures (needs matplotlib), the command line

Arrays are indexed [pre, post]; times are in ms, rates in Hz.
"""

from . import _startup as _startup  # first: Ctrl-C from here on

# isort: split
from . import analysis, conventions, datasets, tasks
from ._version import __version__
from .compare import Comparison, compare
from .config import Config, InitialWeights, TrainingPlan, load_config
from .connectivity import Dense, Masked, Sparse
from .events import Events
from .family import Taxonomy, taxonomy
from .forking import fork
from .functional import Gradient, Simulation, gradient, simulate
from .guards import RunWarning, SilentNetworkWarning
from .interop import export
from .job import Divergence
from .losses import CrossEntropy, MeanSquaredError, RateRegularizer
from .network import Network, Readout, Weights
from .neurons import ALIF, LIF, CubaLIF
from .optimizers import SGD, Adam
from .planning import RunPlan, plan
from .recording import Recorder, Recording, open_recording
from .replay import Replay, replay
from .report import Alignment, Evaluation, Run, Step
from .resume import resume
from .rules import BPTT, RFLO, RTRL, UORO, EProp, SnAp, TruncatedBPTT
from .schedules import CosineDecay, ExponentialDecay, StepDecay
from .simulator import Simulator
from .surrogate import ArcTan, Exponential, FastSigmoid, PiecewiseLinear
from .sweeps import SweepResult, run, sweep
from .synapse_traces import Eligibility, synapse_traces
from .training import History
from .verification import Verification, verify

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
    "export",
    "fork",
    "gradient",
    "load_config",
    "open_recording",
    "plan",
    "plot",
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
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """`snnlearn.plot` is imported on first use."""
    if name == "plot":
        from importlib import import_module

        return import_module(".plot", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
