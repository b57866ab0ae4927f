"""The images of tests, built once for a machine and kept while the recipe is the same."""

import hashlib
import tempfile
from pathlib import Path

from scripts import make_image

BUSYBOX = make_image.BUSYBOX_IMAGE.tag
HELLO_1, HELLO_2 = (image.tag for image in make_image.IMAGES[1:])


def image_archive() -> Path:
    """A tar for ``podman load`` with all of them."""
    recipe = Path(make_image.__file__).read_bytes() + make_image.BUSYBOX.read_bytes()
    name = f"edgek-images-{hashlib.sha256(recipe).hexdigest()[:16]}.tar"
    path = Path(tempfile.gettempdir()) / name
    if not path.exists():
        make_image.write_archive(path)
    return path
