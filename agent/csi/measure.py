"""How full a volume is, as its driver says: NodeGetVolumeStats.

As pkg/volume/csi/csi_metrics.go. Drivers that do not tell it leave it to the file system.
"""

from agent.csi.driver import Drivers
from agent.csi.messages import BYTES, GET_STATS, INODES
from agent.csi.places import Record
from agent.grpc.messages import Message
from agent.pods.volumes.plugin import VolumeError
from agent.stats.usage import Filesystem

SECONDS = 5.0


async def measure(drivers: Drivers, record: Record) -> Filesystem | None:
    try:
        driver = drivers.get(record.driver)
        if not await driver.can(GET_STATS):
            return None
        answer = await driver.node(
            "NodeGetVolumeStats", seconds=SECONDS, volume_id=record.handle,
            volume_path=record.target, staging_target_path=record.staging,
        )  # fmt: skip
    except VolumeError:
        return None
    return filesystem_of(answer)


def filesystem_of(answer: Message) -> Filesystem | None:
    """None where the driver names no bytes."""
    by_unit = {usage.get("unit", 0): usage for usage in answer.get("usage") or ()}
    if (bytes_ := by_unit.get(BYTES)) is None:
        return None
    inodes = by_unit.get(INODES, {})
    return Filesystem(
        capacity=bytes_.get("total", 0),
        available=bytes_.get("available", 0),
        used=bytes_.get("used", 0),
        inodes=inodes.get("total", 0),
        inodes_free=inodes.get("available", 0),
        inodes_used=inodes.get("used", 0),
    )
