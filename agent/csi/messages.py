"""The messages of CSI 1.x and of plugin registration: field numbers as in csi.proto and
pluginregistration/v1/api.proto. Only what a node needs, and only fields that are read or sent.
"""

from functools import cache

from agent.grpc.messages import Messages, Table

REGISTRATION: Table = {
    "InfoRequest": {},
    "PluginInfo": {
        1: "type string", 2: "name string", 3: "endpoint string", 4: "supported_versions string*",
    },
    "RegistrationStatus": {1: "plugin_registered bool", 2: "error string"},
    "RegistrationStatusResponse": {},
}  # fmt: skip
CSI: Table = {
    "NodeGetCapabilitiesRequest": {},
    "NodeGetCapabilitiesResponse": {1: "capabilities NodeServiceCapability*"},
    "NodeServiceCapability": {1: "rpc RpcCapability"},
    "RpcCapability": {1: "type int32"},
    "NodeGetInfoRequest": {},
    "NodeGetInfoResponse": {
        1: "node_id string", 2: "max_volumes_per_node int64", 3: "accessible_topology Topology",
    },
    "Topology": {1: "segments map<string,string>"},
    "BlockVolume": {},
    "MountVolume": {
        1: "fs_type string", 2: "mount_flags string*", 3: "volume_mount_group string",
    },
    "AccessMode": {1: "mode int32"},
    "VolumeCapability": {
        1: "block BlockVolume", 2: "mount MountVolume", 3: "access_mode AccessMode",
    },
    "NodeStageVolumeRequest": {
        1: "volume_id string", 2: "publish_context map<string,string>",
        3: "staging_target_path string", 4: "volume_capability VolumeCapability",
        5: "secrets map<string,string>", 6: "volume_context map<string,string>",
    },
    "NodeStageVolumeResponse": {},
    "NodeUnstageVolumeRequest": {1: "volume_id string", 2: "staging_target_path string"},
    "NodeUnstageVolumeResponse": {},
    "NodePublishVolumeRequest": {
        1: "volume_id string", 2: "publish_context map<string,string>",
        3: "staging_target_path string", 4: "target_path string",
        5: "volume_capability VolumeCapability", 6: "readonly bool",
        7: "secrets map<string,string>", 8: "volume_context map<string,string>",
    },
    "NodePublishVolumeResponse": {},
    "NodeUnpublishVolumeRequest": {1: "volume_id string", 2: "target_path string"},
    "NodeUnpublishVolumeResponse": {},
    "CapacityRange": {1: "required_bytes int64", 2: "limit_bytes int64"},
    "NodeExpandVolumeRequest": {
        1: "volume_id string", 2: "volume_path string", 3: "capacity_range CapacityRange",
        4: "staging_target_path string", 5: "volume_capability VolumeCapability",
        6: "secrets map<string,string>",
    },
    "NodeExpandVolumeResponse": {1: "capacity_bytes int64"},
    "NodeGetVolumeStatsRequest": {
        1: "volume_id string", 2: "volume_path string", 3: "staging_target_path string",
    },
    "NodeGetVolumeStatsResponse": {
        1: "usage VolumeUsage*", 2: "volume_condition VolumeCondition",
    },
    "VolumeUsage": {1: "available int64", 2: "total int64", 3: "used int64", 4: "unit int32"},
    "VolumeCondition": {1: "abnormal bool", 2: "message string"},
}  # fmt: skip

# NodeServiceCapability.RPC.Type
STAGE_UNSTAGE, GET_STATS, EXPAND, SINGLE_NODE_MULTI_WRITER, MOUNT_GROUP = 1, 2, 3, 5, 6
# VolumeUsage.Unit
BYTES, INODES = 1, 2


@cache
def csi_messages() -> Messages:
    """Built when the first driver is there."""
    return Messages(REGISTRATION, CSI)
