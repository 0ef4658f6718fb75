"""The layout of a recording, version 1.3: a plain HDF5 file that any HDF5 reader opens.

::

    /                       attributes: format, version, status ("running", "complete", "interrupted", "failed: ..."),
                            created, closed (ISO 8601, UTC), versions (JSON: snnlearn, python, numpy, numba, h5py),
                            dt (ms), dt_units, n_neurons, n_outputs, every, every_steps, weights_every (0: no weights),
                            seed (where the configuration has one)
    /configuration          the full configuration, JSON text; attribute "digest": BLAKE2b, 16 bytes, hexadecimal
    /segments/<column>      one entry per block of steps: trial, start, n_steps, row, spike, n_spikes; stream, input and
                            n_inputs where there are any
    /spikes/step, neuron    [spikes], in the order of the segments
    /traces/<variable>      [rows, selected], one row per recorded step
    /neurons/<variable>     [selected], the neuron of each column of /traces/<variable>
    /pairs/<trace>          [selected, 2], the synapse (pre, post) of each column of an eligibility trace, /traces/<trace>
    /inputs/step, channel   [entries], what reached the network, in the order of the segments; attribute "channels": how many
    /inputs/value           [entries], where any is not 1 (NaN: 1, of entries before the first such one)
    /readout                [rows, n_outputs]
    /target                 [rows, n_outputs] numbers, or [rows] class labels
    /weights/update         [snapshots], the number of updates before each snapshot
    /weights/<matrix>       dense [snapshots, pre, post]; sparse [snapshots, synapses], the values of a CSR matrix
    /weights/<matrix>_indptr, <matrix>_indices     rows (pre) and columns (post) of a sparse matrix, attribute "shape"
                            where synapses move (`Simulator(rewiring=...)`) [snapshots, ...], else alike for all
    /rewiring/<column>      births and deaths of synapses, in order: update, matrix (0: w_in, 1: w_rec), pre, post, born (1, or 0:
                            died), sign (of one that is born, else 0)
    /synapses/update        [rows], the number of updates before each row
    /synapses/<matrix>      [rows, chosen], weights of the synapses /synapses/<matrix>_pairs [chosen, 2]
    /reduced/<reducer>/<column>     [bins, ...] sums over bins of simulated time (attributes "bin", "bin_units"); "stop" is the
                            step at a bin's end, edges of histograms stand beside (`snnlearn.recording.reducers`)
    /tables/<table>/<column>    trials, updates, evaluations, predictions, alignment, gradient_norms: one value per row
    /events/time, kind, message     what happened during the run, as text of fixed width, which goes on in the next row where
                            /events/continues says 1
    /checkpoint/slot<number>        [bytes] a state from which the run goes on exactly, see below
    /checkpoint/kept/<number>       [bytes] states kept for replays and forks, as in a slot, without a training's history;
                            attributes "trials", "steps" (of a stream) and "updates" before it
    /checkpoint/arrays/<digest>     arrays of the configuration that checkpoints refer to

A segment is a contiguous piece of one trial: steps `start` to `start + n_steps` are the rows from `row` of traces, readout
and target, and the `n_spikes` spikes from `spike` (and `n_inputs` entries of inputs from `input`). With every_steps = k > 1
only the steps 0, k, 2 k, ... of a trial have rows: a segment then has ceil((start + n_steps) / k) - ceil(start / k) of them.
Pieces of different trials may alternate. A step is counted within its trial; step t is the time t * dt. Within a step neurons
advance (v before the reset, a, threshold, psi, spikes), then come readout, error and learning signal, then the update. Where
a piece has no readout or target, its rows hold NaN (-1 for labels).

The pieces of a stream are numbered as trials are. "stream" is the step of the stream with which a piece begins (-1: a trial,
which is no piece), so that start + stream counts from the beginning of the stream, as readers do. The column is there from the
first piece on; files before version 1.3 lack it.

Groups that grow have the attribute "committed": so many entries are valid, and with a segment its rows and spikes. It is
written after the data, so that entries beyond it, left by a run that was killed, are not looked at.

A checkpoint holds all that the simulator carries, and the length of every group that grows, to which the recording is cut back
when the run goes on; the attribute "resumed" then lists when (JSON). Two slots alternate; the newest one whose digests are right
counts. Sums of reducers and traces of chosen synapses go on in arrays named recorder.*. A slot is bytes, numbers little-endian:

    0 .. 47        "snnckpt1"; sequence number, length of the JSON text, length of the payload (u8 each); BLAKE2b digest of
                   the payload (16 bytes)
    48 .. 63       digest of bytes 0 .. 47
    4096 ..        the payload: JSON, then arrays. JSON "arrays" gives the type, shape and place in the payload of each,
                   "constants" the digests of those under /checkpoint/arrays

The JSON holds "kind" "snnlearn-state", "version", the parts of the configuration (as `snnlearn.spec` writes them), dtype, seed,
update_every, counters (trials_done, stream_steps, ...), the state of the noise's generator, how the stream's rules run,
"training" (plan, cursor, task, history) and "recorder" (options and lengths). Arrays, flat as kernels see them: weights.<matrix>
and weights.feedback; first.*, second.* (moments), done (updates); gradient.*, total.*, passive<k>.* (open intervals); state.*
(hidden, z, refractory, history: spikes in flight, readout, running, counts) and traces.<k> of the stream; history.*. Arrays of
zeros are left out.

A file whose last bytes are a journal (`snnlearn.storage.journal`) was killed in the middle of a commit; the package's reader
sees it as if it had been applied, and whoever writes it next applies it, as `snnlearn repair` does.

Bytes that were changed are not read as if they had been written: the file has the formats of HDF5 1.10, in which headers,
groups and indices carry checksums; data sets in chunks, compressed or not, the filter Fletcher32; the rest has digests. Texts
are UTF-8 of fixed size, also in attributes, where h5py gives bytes. Files before version 1.3 have none of this, and texts of
variable size.

Data sets have the attributes "units" ("1": a pure number) and "description". Weights, traces and signals have no physical
unit: they are in units of the membrane potential v, in which the threshold is given.

The first 512 bytes of the file are a user block, which HDF5 leaves alone: two counters there tell readers whether a flush is
under way (`seqlock`). A file without them can be read once it is closed.

A reader accepts any minor version of a major version that it knows; new data sets and attributes are minor.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from .._check import fail
from .._version import __version__
from ..storage.column import Entry

FORMAT = "snnlearn-recording"
VERSION = "1.3"
FINAL_STATUS = ("complete", "interrupted", "failed: ...")


NAMES: dict[str, Entry] = {
    # raw data
    "start": Entry("steps", "first step of the segment, counted within its trial", "i8"),
    "n_steps": Entry("steps", "length", "i8"),
    "row": Entry("1", "first row of the segment in traces, readout and target", "i8"),
    "spike": Entry("1", "first spike of the segment", "i8"),
    "stream": Entry("steps", "steps of the stream before the piece, -1 of a trial", "i8"),
    "n_spikes": Entry("1", "number of spikes", "i8"),
    "step": Entry("steps", "step of the spike, counted within its trial; the time is step * dt", "u4"),
    "neuron": Entry("1", "index of the neuron that spiked"),
    "v": Entry("1", "membrane potential, before the reset of the step's spike"),
    "a": Entry("1", "threshold adaptation variable"),
    "psi": Entry("1", "pseudo-derivative dz/dv"),
    "threshold": Entry("1", "threshold that v had to exceed at this step, in units of v"),
    "learning_signal": Entry("1", "learning signal, the loss's derivative by the neuron's spike as the rule sees it"),
    "readout": Entry("1", "readout y"),
    "target": Entry("1", "target of the readout; NaN, or -1 for class labels: none given"),
    # inputs
    "input": Entry("1", "first entry of the segment in inputs", "i8"),
    "n_inputs": Entry("1", "number of entries in inputs", "i8"),
    "channel": Entry("1", "input channel"),
    "value": Entry("1", "value of the input, 1 of a spike"),
    # eligibility traces of chosen synapses
    **{
        f"{name}_{matrix}": Entry("1", f"{text} of chosen synapses of {matrix}")
        for matrix in ("w_in", "w_rec")
        for name, text in (
            ("eligibility", "eligibility trace e"),
            ("filtered_eligibility", "eligibility trace e through the readout's filter"),
            ("eligibility_vector_v", "derivative of v by the weight"),
            ("eligibility_vector_a", "derivative of a by the weight"),
        )
    },
    # reducers
    "stop": Entry("steps", "simulated steps at the end of the bin", "i8"),
    "spikes": Entry("1", "spikes in the bin, of all neurons or of each"),
    "intervals": Entry("1", "interspike intervals that ended in the bin, by length"),
    "edges": Entry("ms", "edges of the histogram's bins"),
    "cv": Entry("1", "neurons by the coefficient of variation of their interspike intervals"),
    "cv_edges": Entry("1", "edges of the histogram's bins"),
    "count": Entry("1", "trials, pieces, updates or alignments of which this is the mean"),
    "norm": Entry("1", "mean norm of the gradients of w_in, w_rec, w_out, b_out"),
    "largest": Entry("1", "largest norm of the gradients of w_in, w_rec, w_out, b_out"),
    "cosine": Entry("1", "mean cosine of passive rules' gradients of w_in, w_rec, w_out [rules, matrices]"),
    **{f"{matrix}_mean": Entry("1", f"mean of {matrix} at the end of the bin") for matrix in ("w_in", "w_rec", "w_out")},
    **{f"{matrix}_deviation": Entry("1", f"standard deviation of {matrix}") for matrix in ("w_in", "w_rec", "w_out")},
    # weights
    "w_in": Entry("1", "input weights [pre, post]"),
    "w_rec": Entry("1", "recurrent weights [pre, post]"),
    "w_out": Entry("1", "readout weights [pre, post]"),
    "b_out": Entry("1", "readout bias"),
    # rewiring
    "matrix": Entry("1", "matrix of the synapse, 0: w_in, 1: w_rec", "i1"),
    "pre": Entry("1", "presynaptic input or neuron of the synapse", "i4"),
    "post": Entry("1", "postsynaptic neuron of the synapse", "i4"),
    "born": Entry("1", "1: the synapse is born, 0: it dies", "i1"),
    "sign": Entry("1", "sign that a new synapse keeps; 0 of one that dies", "i1"),
    **{
        f"{name}_{part}": Entry("1", f"{part} of the CSR matrix {name} of the snapshot")
        for name in ("w_in", "w_rec")
        for part in ("indptr", "indices")
    },
    # tables
    "trial": Entry("1", "number of the trial", "i8"),
    "update": Entry("1", "number of weight updates so far", "i8"),
    "evaluation": Entry("1", "number of the evaluation", "i8"),
    "loss": Entry("1", "task loss, summed over steps, with the weights before the update", "f8"),
    "regularization": Entry("1", "regularization loss", "f8"),
    "score": Entry("1", "score of the task", "f8"),
    "rate": Entry("Hz", "mean firing rate of the neurons", "f8"),
    "learning_rate": Entry("1", "learning rate of the optimizer", "f8"),
    "wall_time": Entry("s", "time since the run began", "f8"),
    "label": Entry("1", "class label", "i8"),
    "rule": Entry("1", "number of the passive rule in the configuration, from 0", "i8"),
    "cosine_w_in": Entry("1", "cosine of a passive rule's gradient of w_in to the updating rule's", "f8"),
    "cosine_w_rec": Entry("1", "the same for w_rec", "f8"),
    "cosine_w_out": Entry("1", "the same for w_out", "f8"),
    "norm_ratio_w_in": Entry("1", "norm of a passive rule's gradient of w_in over the updating rule's", "f8"),
    "norm_ratio_w_rec": Entry("1", "the same for w_rec", "f8"),
    "norm_ratio_w_out": Entry("1", "the same for w_out", "f8"),
    **{f"norm_{name}": Entry("1", f"norm of the gradient of {name}", "f8") for name in ("w_in", "w_rec", "w_out", "b_out")},
    "prediction": Entry("1", "class that the readout chose", "i8"),
    # events
    "time": Entry("ISO 8601, UTC", "moment of the event"),
    "kind": Entry("text", "kind of the event"),
    "message": Entry("text", "what happened"),
    "continues": Entry("1", "1: the texts of the row before go on, which did not fit into it"),
}

UNKNOWN = Entry("1", "")
SIGNALS = ("readout", "target")


def entry(name: str) -> Entry:
    """Unit and description of a data set; "1" and an empty description for names the layout does not know."""
    return NAMES.get(name, UNKNOWN)


def check_format(path: Any, attributes: Mapping[str, Any]) -> None:
    """Raise ValueError unless these are the root attributes of a recording that this version reads."""
    found = attributes.get("format")
    if found != FORMAT:
        raise fail("open_recording.path", "be a recording written by snnlearn", str(path), f"its format is {found!r}")
    version = str(attributes.get("version", ""))
    major = version.partition(".")[0]
    if not major.isdigit():
        raise fail("open_recording.path", "be a recording with a version", str(path), f"its version is {version!r}")
    if int(major) > int(VERSION.partition(".")[0]):
        hint = f"its version is {version}; a newer snnlearn reads it"
        raise fail("open_recording.path", f"be a recording of version {VERSION} or older", str(path), hint)


def versions() -> dict[str, str]:
    """Versions of the software that a result depends on."""
    result = {"snnlearn": __version__, "python": platform.python_version()}
    for name in ("numpy", "numba", "h5py"):
        try:
            result[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            result[name] = "not installed"
    return result
