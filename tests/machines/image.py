"""What the machines boot from: the Debian image, and the disk with everything of the project.

The image is made once, and again when its scripts change. The payload is a read-only file system
with ``wheels/`` (edgek and all it depends on), ``checkout/`` (the files git knows, and new ones)
and ``images.tar`` (the example's container images), made anew at every run, in seconds.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from paths import CACHE, HERE, IMAGE, PAYLOAD, ROOT, SUITE

SCRIPTS = ("build-image.sh", "configure-rootfs.sh", "make-initrd.sh")
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64",
             "manylinux_2_34_x86_64")  # fmt: skip
BUILD = ("setuptools>=68", "wheel")
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}[SUITE]


def ensure_image() -> None:
    stamp = IMAGE / "stamp"
    wanted = _hash(*((HERE / name).read_bytes() for name in SCRIPTS))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    IMAGE.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    with open(CACHE / "build.log", "wb") as log:
        done = subprocess.run(
            [HERE / SCRIPTS[0], IMAGE],
            env=os.environ | {"SUITE": SUITE},
            stdout=log,
            stderr=log,
            check=False,
        )
    if done.returncode:
        tail = (CACHE / "build.log").read_text(errors="replace")[-2000:]
        raise SystemExit(f"the image cannot be built ({CACHE}/build.log):\n{tail}")
    stamp.write_text(wanted)


def make_payload() -> None:
    tree = CACHE / "payload"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "wheels").mkdir(parents=True)
    _copy_checkout(tree / "checkout")
    for wheel in _dependencies().iterdir():
        os.link(wheel, tree / "wheels" / wheel.name)
    # From a copy: building writes into the sources.
    _copy_checkout(CACHE / "build")
    _pip("wheel", "--no-deps", "--wheel-dir", tree / "wheels", CACHE / "build")
    make_image = [sys.executable, ROOT / "scripts/make_image.py", tree / "images.tar"]
    subprocess.run(make_image, check=True)
    new = PAYLOAD.with_suffix(".new")
    new.unlink(missing_ok=True)
    with new.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-d", tree, new], check=True)
    new.replace(PAYLOAD)


def _dependencies() -> Path:
    """A directory with the wheels of what edgek needs at run time, for the image's Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *BUILD]
    folder = CACHE / "wheels" / _hash(PYTHON.encode(), *(text.encode() for text in wanted))
    if folder.exists():
        return folder
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    _pip("download", "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp",
         *platforms, "--dest", new, *wanted)  # fmt: skip
    new.rename(folder)
    return folder


def _copy_checkout(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    listing = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():  # git still lists what was deleted and not committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def _pip(*words: str | Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"pip {words[0]} failed:\n{done.stderr[-2000:]}")


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
