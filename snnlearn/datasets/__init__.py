"""Recorded events as data sets: lazy readers of the real formats, binning to steps, caches, splits, batches.

    SHD, SSC         spoken digits and commands, HDF5                       one file
    NMNIST, AER      event cameras, 5 bytes an event                        a folder, one file a sample
    Wrapped          whatever has __len__ and __getitem__ -> (events, label), as the data sets of tonic
    split            two disjoint parts, each with its share of every class
    Binned, Batch    time steps and channels; padded batches with masks

`sl.tasks.Classification(train, test=...)` is the task that learns them, and `snnlearn train --data shd shd_train.h5 --test
shd_test.h5` the command. A new format is a subclass of `FileDataset` with a name in `format`.

base.py      Dataset, FileDataset, split, digests         hdf5.py, aer.py, wrapped.py    one file a format
formats.py   files of other formats, for errors
binned.py    steps, channels, batches                     cache.py                       binned events on disk
"""

from .aer import AER, NMNIST, read_aer
from .base import FORMATS, Dataset, FileDataset, Sample, Subset, from_dict, make, split
from .binned import Batch, Binned
from .hdf5 import SHD, SSC
from .wrapped import Wrapped

__all__ = [
    "AER",
    "FORMATS",
    "NMNIST",
    "SHD",
    "SSC",
    "Batch",
    "Binned",
    "Dataset",
    "FileDataset",
    "Sample",
    "Subset",
    "Wrapped",
    "from_dict",
    "make",
    "read_aer",
    "split",
]
