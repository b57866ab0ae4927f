"""Every volume type that this agent has; one it has not is refused by name.

Types that need parts from elsewhere (``csi``) are handed to ``build_pod_sync`` beside these.
"""

from agent.pods.tokens import Tokens
from agent.pods.volumes.cephfs import CephFs
from agent.pods.volumes.daemons import Daemons
from agent.pods.volumes.empty_dir import EmptyDir
from agent.pods.volumes.glusterfs import GlusterFs
from agent.pods.volumes.host_path import HostPath
from agent.pods.volumes.image import ImageVolume
from agent.pods.volumes.local import Local
from agent.pods.volumes.local_path import LocalPath
from agent.pods.volumes.nfs import Nfs
from agent.pods.volumes.nfs_directory import NfsDirectory
from agent.pods.volumes.objects import ObjectVolumes
from agent.pods.volumes.plugin import Mounter, VolumePlugin


def volume_plugins(
    *,
    tokens: Tokens,
    mount: Mounter,
    daemons: Daemons,
    local: LocalPath,
    shares: NfsDirectory,
    image: ImageVolume,
) -> tuple[VolumePlugin, ...]:
    return (
        ObjectVolumes(tokens),
        EmptyDir(mount),
        HostPath(local),
        Local(local, mount=mount),
        Nfs(shares, mount=mount),
        CephFs(daemons, mount=mount),
        GlusterFs(daemons),
        image,
    )
