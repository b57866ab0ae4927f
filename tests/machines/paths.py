"""Where the emulated machines keep their files: outside the working copy, and safe to delete.

``SUITE=trixie`` in the environment makes machines of Debian 13 instead of Debian 12.
"""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("EDGEK_MACHINES_CACHE") or Path.home() / ".cache/edgek-machines")
SUITE = os.environ.get("SUITE") or "bookworm"
IMAGE = CACHE / ("image" if SUITE == "bookworm" else f"image-{SUITE}")
PAYLOAD = CACHE / "payload.ext4"
RUN = CACHE / "run"
