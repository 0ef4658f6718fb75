"""Recordings: `Recorder` streams a run to HDF5, `open_recording` reads it, `describe` tells what a file holds.

schema.py     the documented layout
store.py      data sets that grow, are written in chunks and committed: column.py one of them, encoding.py its chunks, compressed
              by a thread, journal.py the file that a kill does not tear, slots.py checkpoints in it,
              integrity.py checksums
sections.py   raw data, tables and snapshots of weights, as they are written
reducers.py   what is summed up while a run goes on; reductions.py cuts it into bins
choices.py    what a recorder can be asked for; asked.py: what it was asked for, and what is due
writer.py     Recorder
pulse.py      counters by which a file can be read while it is written
access.py     opening a file for reading; choosing trials, neurons and times
signal.py     one recorded signal, read on demand
reduced.py    what reducers left
pieces.py     trials, windows and batches
convert.py    xarray, pandas, neo
reader.py     open_recording, Recording
summaries.py  its tables, weights, sums and events
describe.py   a recording as text
repair.py     a file whose process was killed, for other HDF5 readers
"""

from .describe import describe
from .recorder import Recorder
from .recording import Recording, open_recording

__all__ = ["Recorder", "Recording", "describe", "open_recording"]
