"""What was recorded of CuPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SURFACE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "cupy_surface.json").read_text())
