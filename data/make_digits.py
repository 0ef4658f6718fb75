"""Writes digits.h5 from the copy of the data that scikit-learn ships: ``python make_digits.py [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np

ATTRIBUTES = {
    "title": "Optical Recognition of Handwritten Digits, the 1797 digits of its test set (13 writers)",
    "source": "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    "doi": "10.24432/C50P49",
    "obtained_from": "sklearn.datasets.load_digits",
    "licence": "CC BY 4.0",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "attribution": "E. Alpaydin and C. Kaynak, UCI Machine Learning Repository",
    "citation": (
        "Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning Repository. "
        "https://doi.org/10.24432/C50P49"
    ),
    "changes": "pixels stored as integers 0 .. 16; a stratified split into 1437 training and 360 test images added",
}


def split_of(labels: np.ndarray) -> np.ndarray:
    """[n] 0 train, 1 test: every fifth image of a shuffled list sorted by class, so each class gives a fifth, +- 1."""
    shuffled = np.random.default_rng(0).permutation(labels.size)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    split = np.zeros(labels.size, np.uint8)
    split[by_class[::5]] = 1
    return split


def write(path: Path) -> None:
    """Create the file, replacing one that exists."""
    from sklearn.datasets import load_digits

    source = load_digits()
    labels = source.target.astype(np.uint8)
    arrays = {"images": source.images.astype(np.uint8), "labels": labels, "split": split_of(labels)}
    meaning = {"images": "ink of 8 x 8 pixels, 0 .. 16, row 0 on top", "labels": "the digit, 0 .. 9", "split": "0 train, 1 test"}
    with h5py.File(path, "w") as file:
        file.attrs.update(ATTRIBUTES)
        for name, array in arrays.items():
            data = file.create_dataset(name, data=array, compression="gzip", compression_opts=9, shuffle=True)
            data.attrs["meaning"] = meaning[name]


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("digits.h5"))
