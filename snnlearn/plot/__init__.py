"""Plots: panels of a recording, `story`, which puts them on a page, and `comparison` of rules. They need matplotlib.
`watch` shows in a notebook how a run goes on.

    fig = story("run.h5")
    fig.savefig("run.png")

Panels take an open recording or its path; those of learning also a `Run` or a `History`. They take `ax`, matplotlib Axes to draw
into (None: a new pyplot figure), and return it. Nothing is shown by itself.
Raises ImportError without matplotlib, KeyError for what the file does not have, IndexError for a trial that it does not have.
"""

from .costs import costs
from .learning import alignment, confusion_matrix, learning_curve, weights_histogram
from .page import story
from .reduced import gradient_norms, histogram, intervals, losses, neuron_rates, rates
from .rules import comparison
from .seeds import learning_curves
from .traces import eligibility
from .trial import membrane, raster, readout
from .watching import watch
from .weights import connectivity, weight_matrix

__all__ = [
    "alignment",
    "comparison",
    "confusion_matrix",
    "connectivity",
    "costs",
    "eligibility",
    "gradient_norms",
    "histogram",
    "intervals",
    "learning_curve",
    "learning_curves",
    "losses",
    "membrane",
    "neuron_rates",
    "raster",
    "rates",
    "readout",
    "story",
    "watch",
    "weight_matrix",
    "weights_histogram",
]
