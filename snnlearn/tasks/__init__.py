"""Tasks: endless, seeded, redrawable trials.

    PatternGeneration      sums of sines from a frozen input             regression
    EvidenceAccumulation   the side with more cues                       one label per trial
    DelayedRecall          store and recall of a bit                     labels per step
    Copy                   reproduce a sequence of symbols               labels per step
    Digits                 real handwritten digits, by rows or at once   one label per trial
    Classification         recorded events, of `snnlearn.datasets`       one label per trial
    Suite                  series that others have measured         one label per trial, or regression
    Arrays                 own series of any lengths, in memory          labels, labels per step, or regression

`make(name, **params)` builds one from its name, `names()` lists them, `Task.from_dict(task.to_dict())` gives a task back.
A new task is a subclass of `Task` in a file of its own.
"""

from .arrays import Arrays
from .base import SPLITS, Task, Trial, make, names
from .classification import Classification
from .copy_task import Copy
from .digits import DigitImages, Digits, digit_images
from .evidence import EvidenceAccumulation
from .pattern import PatternGeneration
from .recall import DelayedRecall
from .suite import Suite

__all__ = [
    "SPLITS",
    "Arrays",
    "Classification",
    "Copy",
    "DelayedRecall",
    "DigitImages",
    "Digits",
    "EvidenceAccumulation",
    "PatternGeneration",
    "Suite",
    "Task",
    "Trial",
    "digit_images",
    "make",
    "names",
]
