"""Where the emulated machines keep their files: outside the working copy, and safe to delete."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("EDGEK_MACHINES_CACHE") or Path.home() / ".cache/edgek-machines")
IMAGE = CACHE / "image"
PAYLOAD = CACHE / "payload.ext4"
RUN = CACHE / "run"
