"""Podman's own files on a disk: what is remembered of images holds until their list is replaced."""

from pathlib import Path

from agent.runtime.runtime import Image
from agent.runtime.store_files import MAX_IMAGES, StoreFiles

IMAGE = Image(id="1" * 64, names=("app:1",))


def store(root: Path) -> StoreFiles:
    for directory in ("overlay-images", "run/overlay-containers/abc/userdata"):
        (root / directory).mkdir(parents=True)
    (root / "overlay-images/images.json").write_text("[]")
    (root / "run/overlay-containers/abc/userdata/pidfile").write_text("77")
    files = StoreFiles()
    files.learn({
        "Driver": "overlay",
        "StaticDir": str(root / "overlay-containers/abc/userdata"),
        "PidFile": str(root / "run/overlay-containers/abc/userdata/pidfile"),
    })  # fmt: skip
    return files


def test_nothing_is_known_before_podman_told_where_its_files_are() -> None:
    files = StoreFiles()
    files.keep("app:1", IMAGE, files.stamp())
    assert (files.image("app:1"), files.pid("abc")) == (None, 0)


def test_an_image_is_known_until_the_list_of_images_is_replaced(tmp_path: Path) -> None:
    files = store(tmp_path)
    files.keep("app:1", IMAGE, files.stamp())
    assert files.image("app:1") == IMAGE
    fresh = tmp_path / "overlay-images/new"
    fresh.write_text("[]")
    fresh.replace(tmp_path / "overlay-images/images.json")
    assert files.image("app:1") is None


def test_an_answer_that_a_change_overtook_is_not_kept_as_the_newer(tmp_path: Path) -> None:
    files = store(tmp_path)
    before = files.stamp()
    (tmp_path / "overlay-images/images.json").write_text("[{}]")
    files.keep("app:1", IMAGE, before)
    assert files.image("app:1") is None


def test_an_image_in_doubt_is_asked_for_again(tmp_path: Path) -> None:
    files = store(tmp_path)
    files.keep("app:1", IMAGE, files.stamp())
    files.doubt()
    assert files.image("app:1") is None


def test_what_is_known_is_bounded(tmp_path: Path) -> None:
    files = store(tmp_path)
    for number in range(MAX_IMAGES + 1):
        files.keep(f"app:{number}", IMAGE, files.stamp())
    assert (files.image("app:0"), files.image(f"app:{MAX_IMAGES}")) == (None, IMAGE)


def test_the_pid_is_what_podman_wrote(tmp_path: Path) -> None:
    files = store(tmp_path)
    assert (files.pid("abc"), files.pid("other")) == (77, 0)
