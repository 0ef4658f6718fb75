"""Small files in the layouts of event data sets, written byte by byte here and by nothing of the package."""

import h5py
import numpy as np

SILENT = (np.empty(0), np.empty(0, int))


def write_shd(path, samples, labels, keys=None, time=np.float16):
    """samples : (times in s, units) of each"""
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(samples),), h5py.vlen_dtype(time))
        units = file.create_dataset("spikes/units", (len(samples),), h5py.vlen_dtype(np.uint16))
        for i, (t, unit) in enumerate(samples):
            times[i], units[i] = np.asarray(t, time), np.asarray(unit, np.uint16)
        file["labels"] = np.asarray(labels, np.uint16)
        if keys is not None:
            file["extra/keys"] = np.array(keys, "S")
            file["extra/speaker"] = np.zeros(len(samples), np.uint16)
    return path


def sweeps(path, n, seed, classes=3, keys=("low", "middle", "high")):
    """An SHD file that can be learnt: each class is a sweep over its own range of channels, over 40 .. 60 ms."""
    rng, samples = np.random.default_rng(seed), []
    labels = np.arange(n) % classes
    for label in labels:
        t = np.sort(rng.uniform(0.0, rng.uniform(0.04, 0.06), 60))
        samples.append((t, (700 // classes * (label + t / 0.06) + rng.integers(0, 20, t.size)).clip(0, 699).astype(int)))
    return write_shd(path, samples, labels, keys[:classes])


def aer_bytes(events):
    """events : (x, y, p, t in us) of each, as 5 bytes"""
    data = bytearray()
    for x, y, p, t in events:
        word = (x << 32) | (y << 24) | (p << 23) | t
        data += word.to_bytes(5, "big")
    return bytes(data)


def write_nmnist(root, per_class=2, seed=0):
    """Folders 0 .. 9 with `per_class` files, and their events in the order of a reader."""
    rng, written = np.random.default_rng(seed), []
    for digit in range(10):
        folder = root / str(digit)
        folder.mkdir(parents=True)
        for k in range(per_class):
            t = np.sort(rng.integers(0, 300_000, 30))
            events = [(*rng.integers(0, 34, 2).tolist(), int(rng.integers(2)), int(time)) for time in t]
            (folder / f"{10 * k + digit:05d}.bin").write_bytes(aer_bytes(events))
            written.append((events, digit))
    return written
