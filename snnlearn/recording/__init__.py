"""Recordings: `Recorder` streams a run to HDF5, `open_recording` reads it, `describe` tells what a file holds.

schema.py     the documented layout
options.py    what a recorder can be asked for: one list, from which docstrings, checks, checkpoints and configurations come
protocol.py   RunRecorder: what a simulator calls of a recorder, and when
streams.py    raw data, tables and snapshots of weights, as they are written
reducers.py   what is summed up while a run goes on; reductions.py cuts it into bins
writing.py    RecordingWriter: a run into HDF5
recorder.py   Recorder: to a file, with checkpoints; state.py is its part of them
memory.py     MemoryRecorder: in memory, read as a recording
raw.py        an open file: its index (index.py), spikes and inputs
signal.py     one recorded signal, read on demand
pieces.py     trials, windows and batches
summaries.py  tables, weights, sums and events
readable.py   all of these together
convert.py    xarray, pandas, neo
recording.py  open_recording, Recording
describe.py   a recording as text
watch.py      a recording that is being written, as text
reopen.py     going on with a recording; repairing one whose process was killed

What a file is made of stands in `snnlearn.storage`.
"""

from .describe import describe
from .memory import MemoryRecorder
from .protocol import RunRecorder
from .recorder import Recorder
from .recording import Recording, open_recording

__all__ = ["MemoryRecorder", "Recorder", "Recording", "RunRecorder", "describe", "open_recording"]
