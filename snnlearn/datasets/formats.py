"""What a file is by its first bytes, for errors: formats that this package does not read, and what reads or unpacks them.

AEDAT 1 .. 4         #!AER-DAT4.0                           iniVation: jAER, DV
Prophesee .raw       % ... evt 3.0, % ... format EVT3       EVT2, EVT2.1, EVT3
Prophesee .dat       % Data file containing CD events
packed               gzip, zip, bzip2, xz, zstd, 7z, rar; tar
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD = 4096  # bytes that are looked at
PACKED = {
    b"\x1f\x8b\x08": ("a gzip file", "gunzip it first"),
    b"PK\x03\x04": ("a zip file", "unzip it first"),
    b"BZh": ("a bzip2 file", "bunzip2 it first"),
    b"\xfd7zXZ\x00": ("an xz file", "unxz it first"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "unzstd it first"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z file", "unpack it first"),
    b"Rar!": ("a rar file", "unpack it first"),
}
WRAP = "and wrap them: sl.datasets.Wrapped([(events, label), ...], sensor)"


class Known(NamedTuple):
    """A format that errors name."""

    what: str  # "a zip file"
    hint: str  # what reads or unpacks it


def recognised(head: bytes) -> Known | None:
    """The format of a file that begins with `head`, HEAD bytes of it, where it is one that is known but not read here."""
    for magic, known in PACKED.items():
        if head.startswith(magic):
            return Known(*known)
    if head[257:262] == b"ustar":
        return Known("a tar file", "untar it first")
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return Known("an HDF5 file", "sl.datasets.SHD and SSC read those in the layout of SHD")
    if head.startswith(b"#!AER-DAT"):
        version = head[9:12].decode("latin-1").rstrip("\r\n. ")
        reader = "aedat or evlib" if version.startswith("4") else "evlib"
        return Known(f"an AEDAT {version} file", f"read its events with {reader} {WRAP}")
    return _prophesee(head) if head.startswith(b"% ") else None


def _prophesee(head: bytes) -> Known | None:
    """By the lines of the header, which begin with "% "."""
    lines = re.match(rb"(?:% [^\n]*\n)*(?:% [^\n]*)?", head)
    text = "" if lines is None else lines[0].decode("latin-1").lower()
    encoding = re.search(r"evt ?([0-9](?:\.[1-9])?)", text)
    if encoding:
        return Known(f"a Prophesee .raw file (EVT{encoding[1]})", f"read its events with evlib {WRAP}")
    if "data file containing" in text or "version 2" in text or "width" in text:
        return Known("a Prophesee .dat file", f"read its events with faery or the Metavision SDK {WRAP}")
    return None
