"""Docstrings of the package as Markdown: `name : text` becomes a list, a field's comment its description."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe

ENTRY = re.compile(r"^(\*{0,2}\w[\w, *]*?) : (.*)$")


class Docstrings(griffe.Extension):
    """Rewrites docstrings while the package is read."""

    def on_instance(self, *, obj: Any, **kwargs: Any) -> None:
        if obj.docstring is None:
            return
        if (
            "{options}" in obj.docstring.value
        ):  # which are filled in when the package is imported
            module, _, name = obj.path.rpartition(".")
            obj.docstring.value = inspect.getdoc(
                getattr(importlib.import_module(module), name)
            )
        obj.docstring.value = to_markdown(obj.docstring.value)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """The comment behind a field."""
        if (
            attr.docstring is None
            and attr.parent is not None
            and attr.parent.is_class
            and attr.lineno
        ):
            try:
                line = attr.lines_collection[attr.filepath][
                    (attr.endlineno or attr.lineno) - 1
                ]
            except KeyError:
                return
            comment = re.search(r"  # (?!type:|noqa)(.*)$", line)
            if comment:
                attr.docstring = griffe.Docstring(
                    escape(comment.group(1)), lineno=attr.lineno, parent=attr
                )


def to_markdown(text: str) -> str:
    """A docstring's parameters as a list, its headings in bold, its examples as code; indented equations stay as they are."""
    result: list[str] = []
    lines, k = text.split("\n"), 0
    while k < len(lines):
        line = "" if lines[k] == "::" else lines[k]
        following = lines[k + 1] if k + 1 < len(lines) else ""
        entry = ENTRY.match(line)
        if re.fullmatch(r"-{3,}", following.strip()) and line.strip():
            result += [f"**{line.strip()}**", ""]
            k += 1
        elif line.startswith(">>> "):
            result.append("```pycon")
            while k < len(lines) and lines[k].strip():
                result.append(lines[k])
                k += 1
            result.append("```")
            continue
        elif entry:
            if (
                result
                and result[-1].strip()
                and not result[-1].startswith(("- ", "  "))
            ):
                result.append("")
            result.append(f"- `{entry.group(1)}`: {escape(entry.group(2))}")
            while (
                k + 1 < len(lines)
                and lines[k + 1].startswith("    ")
                and lines[k + 1].strip()
            ):
                k += 1
                result.append(f"  {escape(lines[k].strip())}")
        else:
            if (
                line.strip()
                and not line.startswith(" ")
                and result
                and result[-1].startswith(("- ", "  "))
            ):
                result.append("")
            result.append(line if line.startswith("    ") else escape(line))
        k += 1
    return "\n".join(result)


ENTITIES = str.maketrans(
    {"[": "&#91;", "]": "&#93;", "<": "&lt;", ">": "&gt;", "*": "&#42;", "_": "&#95;"}
)


def escape(line: str) -> str:
    """Outside of code, what Markdown takes for markup stands for itself."""
    parts = re.split(r"(``[^`]*``|`[^`]*`)", line)
    return "".join(
        part if k % 2 else part.translate(ENTITIES) for k, part in enumerate(parts)
    )
