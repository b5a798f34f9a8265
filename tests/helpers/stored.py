"""What runs in a results store say of themselves."""

import json
from pathlib import Path
from typing import Any


def provenance_of(folder: Path) -> dict[str, Any]:
    """How the run in a folder was made."""
    return json.loads((folder / "provenance.json").read_bytes())
