"""Data sets: recorded events, and series that others have measured.

Recorded events: lazy readers of the real formats, binning to steps, caches, splits, batches.

    SHD, SSC         spoken digits and commands, HDF5                       one file
    NMNIST, AER      event cameras, 5 bytes an event                        a folder, one file a sample
    Wrapped          whatever has __len__ and __getitem__ -> (events, label), as the data sets of tonic
    split            two disjoint parts, each with its share of every class
    Binned, Batch    time steps and channels; padded batches with masks

`sl.tasks.Classification(train, test=...)` is the task that learns them, and `snnlearn train --data shd shd_train.h5 --test
shd_test.h5` the command. A new format is a subclass of `FileDataset` with a name in `format`.

Series: `load(name)` gives one of `SERIES`, drawn by this package or read from another one that is installed, divided into what is
learnt from and the test; `sl.tasks.Suite(data=name)` is its task.

base.py      Dataset, FileDataset, split, digests         hdf5.py, aer.py, wrapped.py    one file a format
formats.py   files of other formats, for errors
binned.py    steps, channels, batches                     cache.py                       binned events on disk
generated.py MNIST-1D, Yin-Yang, Mackey-Glass       installed.py, suite.py         series of other packages; names and splits
"""

from .aer import AER, NMNIST, read_aer
from .base import FORMATS, Dataset, FileDataset, Sample, Subset, from_dict, make, split
from .binned import Batch, Binned
from .generated import mackey_glass, mnist1d, yin_yang
from .hdf5 import SHD, SSC
from .suite import SERIES, SeriesData, load
from .wrapped import Wrapped

__all__ = [
    "AER",
    "FORMATS",
    "NMNIST",
    "SERIES",
    "SHD",
    "SSC",
    "Batch",
    "Binned",
    "Dataset",
    "FileDataset",
    "Sample",
    "SeriesData",
    "Subset",
    "Wrapped",
    "from_dict",
    "load",
    "mackey_glass",
    "make",
    "mnist1d",
    "read_aer",
    "split",
    "yin_yang",
]
