"""Recordings: `Recorder` streams a run to HDF5, `MemoryRecorder` keeps it, `open_recording` reads it, `describe` tells of a file.

May import storage, spec, network and below. schema.py is the documented layout; protocol.py says what a simulator tells a
recorder; recorder.py writes (options, streams, reducers), recording.py reads (raw, summaries, signal, pieces, readable, convert).
"""

from .describe import describe
from .memory import MemoryRecorder
from .recorder import Recorder
from .recording import Recording, open_recording

__all__ = ["MemoryRecorder", "Recorder", "Recording", "describe", "open_recording"]
