"""Plain values as TOML text with comments, and where in a text a key stands.

`tomllib` reads TOML; this writes the few forms that a configuration has: scalars, lists, tables, tables within lists. What
stands deeper than a section is written in one line. None, which TOML lacks, is the text "none".
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

NONE = "none"
WIDTH = 120
Path = tuple[Any, ...]  # of keys and positions, as ("network", "neurons", 0, "tau_m")


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
    bare = name.isascii() and name.replace("_", "").replace("-", "a").isalnum()
    return name if bare else json.dumps(name, ensure_ascii=False)


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

    A key within a value of several lines is found at the line in which the value begins.
    """
    found, depth = None, 0
    for number, here in _keys(text):
        if len(here) > depth and here == path[: len(here)]:
            found, depth = number, len(here)
    return found


def _keys(text: str) -> Iterator[tuple[int, Path]]:
    """Paths of all tables and keys of a TOML text, each with the line in which its statement begins.

    A statement is as many lines as it takes for TOML; a key's own table is that of the last header.
    """
    counts: dict[Path, int] = {}  # of lists of tables: the position of the last one
    table: Path = ()
    begin, statement = 1, ""
    for number, content in enumerate(text.split("\n"), 1):
        statement += content + "\n"
        try:
            values = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:  # a value that goes on
            continue
        if values and statement.lstrip().startswith("["):
            table = _header(values, counts)
            yield begin, table
        else:
            yield from ((begin, (*table, *inside)) for inside in _inside(values))
        begin, statement = number + 1, ""


def _header(values: Any, counts: dict[Path, int]) -> Path:
    """The path of a header, which alone is tables of one key; a header within a list of tables belongs to the last of them."""
    path: Path = ()
    while values:
        ((name, values),) = values.items()
        path = (*path, name)
        if isinstance(values, list):  # [[name]]
            counts[path] = counts.get(path, -1) + 1
            return (*path, counts[path])
        if path in counts:
            path = (*path, counts[path])
    return path


def _inside(value: Any) -> Iterator[Path]:
    """Paths of all that a value holds."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, x in items:
        yield (name,)
        yield from ((name, *rest) for rest in _inside(x))
