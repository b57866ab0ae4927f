"""subPath: a path inside a volume, made where it is missing."""

from pathlib import Path

from agent.pods.volumes.plugin import VolumeError


def sub_path(volume_dir: Path, relative: str) -> Path:
    """Links may not lead out of the volume."""
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise VolumeError(f"failed to prepare subPath {relative}: must stay inside the volume")
    root = volume_dir.resolve()
    target = (volume_dir / relative).resolve()
    if target != root and root not in target.parents:
        raise VolumeError(f"failed to prepare subPath {relative}: it leads out of the volume")
    if not target.exists():
        target.mkdir(mode=0o755, parents=True)
    return target
