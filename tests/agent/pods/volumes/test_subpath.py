"""subPath never leaves its volume, whatever a container in the same volume does meanwhile."""

import ctypes
import os
import threading
from pathlib import Path

import pytest

from agent.pods.volumes.plugin import VolumeError
from agent.pods.volumes.subpath import bind_sub_path, open_beneath


def where(handle: int) -> Path:
    found = Path(os.readlink(f"/proc/self/fd/{handle}"))
    os.close(handle)
    return found


def test_a_missing_sub_path_is_made_with_the_mode_of_its_volume(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o2770)
    assert where(open_beneath(volume, "a/b")) == volume / "a/b"
    assert {(volume / p).stat().st_mode & 0o7777 for p in ("a", "a/b")} == {0o2770}


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "v/real").mkdir(parents=True)
    (tmp_path / "v/link").symlink_to("real")
    assert where(open_beneath(tmp_path / "v", "link/x")) == tmp_path / "v/real/x"


@pytest.mark.parametrize("relative", ["/etc", "../outside", "a/../../outside", "link", "up/x"])
def test_what_leads_out_is_refused(tmp_path: Path, relative: str) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "v/link").symlink_to(tmp_path / "outside")
    (tmp_path / "v/up").symlink_to("..")
    with pytest.raises(VolumeError):
        open_beneath(tmp_path / "v", relative)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_directory_swapped_for_a_link_again_and_again_gives_nothing_outside(
    tmp_path: Path,
) -> None:
    volume, outside = tmp_path / "v", tmp_path / "outside"
    (volume / "dir").mkdir(parents=True)
    outside.mkdir()
    (volume / "link").symlink_to(outside)
    done = threading.Event()

    def swap() -> None:
        libc, here, exchange = ctypes.CDLL(None), -100, 2
        names = [os.fsencode(volume / name) for name in ("dir", "link")]
        while not done.is_set():
            libc.renameat2(here, names[0], here, names[1], exchange)

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        for _ in range(300):
            try:
                found = where(open_beneath(volume, "dir/x"))
            except (VolumeError, OSError):
                continue
            assert volume in found.parents
    finally:
        done.set()
        attacker.join()
    assert list(outside.iterdir()) == []


def test_the_target_is_a_file_where_the_sub_path_is_one(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/conf").write_text("x")
    held = []
    target = tmp_path / "pod/volume-subpaths/v/main-0"

    def bind(handle: int, target: Path, *, read_only: bool) -> None:
        held.append((target, read_only))

    bind_sub_path(tmp_path / "v", "conf", target, bind=bind)
    assert target.is_file()
    bind_sub_path(tmp_path / "v/conf", "", target, bind=bind, read_only=True)
    assert held == [(target, False), (target, True)]
