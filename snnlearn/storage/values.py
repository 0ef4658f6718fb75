"""Values as JSON text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._check import fail


def to_json(values: Mapping[str, Any], where: str) -> str:
    """JSON text of values among which may be arrays and paths; TypeError, naming `where`, for anything else."""

    def plain(value: Any) -> Any:
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist()
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise fail(where, "hold JSON values and arrays only", value, error=TypeError)

    return json.dumps(values, default=plain)
