"""`watch` in a notebook: the text of `snnlearn watch` and the learning curve, refreshed in place."""

from __future__ import annotations

import io
import os
from typing import Any

from ..recording.watch import Progress, View, looks
from ..recording.watch import watch as watch_terminal
from .about import curves
from .learning import learning_curve
from .style import STYLE, need_matplotlib


class _Shown:
    """Text and figure, as a notebook shows them."""

    def __init__(self, view: View, curve: bool):
        self.text = view.text()
        self.png = _png(view) if curve else None

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from base64 import b64encode
        from html import escape

        picture = "" if self.png is None else f'<img src="data:image/png;base64,{b64encode(self.png).decode()}"/>'
        return {"text/plain": self.text, "text/html": f"<pre>{escape(self.text)}</pre>{picture}"}


def watch(path: str | os.PathLike[str], interval: float = 1.0, timeout: float | None = None, curve: bool = True) -> Progress:
    """Show in a notebook how a run goes on, refreshed in place, until it has ended; returns its last state.

    path : the recording, of a run that goes on or has ended
    interval : s between two looks
    timeout : stop after so many seconds; None: when the run ends
    curve : draw the learning curve below the text

    Outside of a notebook it writes to the terminal, as `snnlearn watch`. Interrupting the cell ends the view, not the run.
    """
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return watch_terminal(path, interval, timeout)
    if get_ipython() is None:
        return watch_terminal(path, interval, timeout)
    handle = progress = None
    try:
        for view in looks(path, interval, timeout):
            progress, shown = view.progress, _Shown(view, curve)
            handle = display(shown, display_id=True) if handle is None else handle.update(shown) or handle
    except KeyboardInterrupt:
        if progress is None:
            raise
    assert progress is not None
    return progress


def _png(view: View) -> bytes | None:
    rec = view.recording
    if not curves(rec).tables:
        return None
    matplotlib = need_matplotlib()
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3), dpi=90, layout="constrained")
        learning_curve(rec, figure.add_subplot())
        figure.savefig(buffer, format="png")
    return buffer.getvalue()
