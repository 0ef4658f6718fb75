"""Plain values as TOML text with comments, and where in a text a key stands.

`tomllib` reads TOML; this writes the few forms that a configuration has: scalars, lists, tables, tables within lists. What
stands deeper than a section is written in one line. None, which TOML lacks, is the text "none".
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

NONE = "none"
WIDTH = 120
Path = tuple[Any, ...]  # of keys and positions, as ("network", "neurons", 0, "tau_m")

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*((?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=")


def parse(text: str) -> dict[str, Any]:
    """The values of a TOML text. ValueError for what is none, is nested too deeply, or has a number of thousands of digits."""
    try:
        values = tomllib.loads(text)
        json.dumps(values, default=str)
    except RecursionError:
        raise ValueError("its tables or lists are nested too deeply") from None
    except ValueError as error:
        raise ValueError(str(error).partition("; use sys.")[0]) from None
    return values


def value(x: Any) -> str:
    """A value in one line."""
    if x is None:
        return json.dumps(NONE)
    if isinstance(x, bool):
        return "true" if x else "false"
    if isinstance(x, float):
        return repr(x) if math.isfinite(x) else "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"
    if isinstance(x, int):
        return str(x)
    if isinstance(x, str):
        return json.dumps(x, ensure_ascii=False)
    if isinstance(x, (list, tuple)):
        return "[" + ", ".join(map(value, x)) + "]"
    if isinstance(x, Mapping):
        return "{" + ", ".join(f"{key(k)} = {value(item)}" for k, item in x.items()) + "}"
    raise TypeError(f"a TOML value must be a number, text, list or table (got {x!r})")


def key(name: str) -> str:
    """A key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def line(name: str, x: Any, comment: str = "", off: bool = False) -> list[str]:
    """`name = x  # comment` as one line, or two where that is too long. off : the line is commented out"""
    text = ("# " if off else "") + f"{key(name)} = {value(x)}"
    if not comment:
        return [text]
    if len(text) + len(comment) + 4 <= WIDTH:
        return [f"{text:<28}  # {comment}"]
    return [f"# {comment}", text]


def name_of(path: Path) -> str:
    """A path as text: network.neurons[0].tau_m."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def line_of(text: str, path: Path) -> int | None:
    """The number of the line in which a key stands, or, where it is not written, the table that lacks it; None for neither.

    Exact for keys that begin a line; a key within an inline table is found at the line of the table.
    """
    found, depth = None, 0
    for number, here in _keys(text):
        common = len(here)
        if common > depth and here == path[:common]:
            found, depth = number, common
    return found


def _keys(text: str) -> Iterator[tuple[int, Path]]:
    """Lines that begin with a key or a header, and the path of each."""
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, content in enumerate(text.splitlines(), 1):
        header = _HEADER.match(content)
        if header and "=" not in content.partition("#")[0]:
            names = _split(header[2])
            if header[1] == "[[":
                at = _placed(names, counts)
                counts[at] = counts.get(at, -1) + 1
                table = (*at, counts[at])
            else:
                table = _placed(names, counts)
            yield number, table
            continue
        found = _KEY.match(content)
        if found and not content.lstrip().startswith("#"):
            yield number, (*table, *_split(found[1]))


def _placed(names: Path, counts: Mapping[Path, int]) -> Path:
    """The path of a header: tables of a list are counted, and a header within one belongs to the last."""
    path: Path = ()
    for k, name in enumerate(names):
        path = (*path, name)
        if path in counts and k < len(names) - 1:
            path = (*path, counts[path])
    return path


def _split(dotted: str) -> Path:
    parts = re.findall(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)", dotted)
    return tuple(next(part for part in options if part) if any(options) else "" for options in parts)
