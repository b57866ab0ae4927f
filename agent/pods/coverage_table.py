"""The table of docs/pod-coverage.md: every field of a pod's spec, see coverage.py.

What is honoured is named leaf by leaf, so that a field of a later Kubernetes is not covered by
accident; what the server acts on or nobody does may be named as a whole.
"""

from agent.pods.coverage import Rule, State

SECURITY = "tests/host/test_security.py"
PODS = "tests/host/test_pods.py"
CLUSTER = "tests/host/test_cluster.py"
SYNC = "tests/agent/pods/test_sync.py"
LIFECYCLE = "tests/agent/pods/test_life.py"
CONTEXT = "tests/agent/pods/test_security.py"
SPEC = "tests/agent/pods/test_translation.py"
ETC = "tests/agent/pods/test_etc.py"
PROBES = "tests/agent/pods/test_probes.py"
ENV_FILES = "tests/agent/pods/test_env_files.py"
OWNERS = SPEC
VOLUMES_HOST = "tests/host/test_volumes.py"
MODES = "tests/host/test_volume_modes.py"
CLUSTER_FS = "tests/agent/pods/volumes/test_cluster_fs.py"
ATTEMPTS = "tests/agent/pods/test_probe_attempt.py"
ADMISSION = "tests/agent/pods/test_admission.py"
COVERAGE = "tests/agent/pods/test_coverage.py"
OFF = "alpha upstream and off there by default"


def _kept(prefix: str, leaves: str, note: str = "", proof: str = SYNC) -> Rule:
    return Rule(
        prefix=prefix, leaves=tuple(leaves.split()), state=State.HONOURED, note=note, proof=proof
    )


def _server(prefix: str, leaves: str, note: str, proof: str = "") -> Rule:
    return Rule(
        prefix=prefix, leaves=tuple(leaves.split()), state=State.SERVER, note=note, proof=proof
    )


def _refused(prefix: str, leaves: str, note: str, proof: str = COVERAGE) -> Rule:
    return Rule(
        prefix=prefix, leaves=tuple(leaves.split()), state=State.REFUSED, note=note, proof=proof
    )


def _no_volume(types: str, note: str) -> Rule:
    return Rule(
        prefix="volumes", leaves=tuple(types.split()), state=State.VOLUME, note=note, proof=COVERAGE
    )


def _no_meaning(prefix: str, note: str) -> Rule:
    return Rule(prefix=prefix, state=State.LINUX, note=note)


SELINUX = "taken over where the kernel has SELinux; elsewhere without effect, as upstream"

POD = (
    _kept("", "activeDeadlineSeconds restartPolicy", proof=LIFECYCLE),
    _kept("", "terminationGracePeriodSeconds", proof=PODS),
    _kept("", "hostNetwork", proof=SECURITY),
    _kept("", "hostname subdomain hostnameOverride setHostnameAsFQDN dnsPolicy",
          proof=ETC),
    _kept("", "enableServiceLinks", proof=SPEC),
    _kept("", "hostPID hostIPC", proof=SECURITY),
    _kept("", "hostUsers", "false needs Linux 6.3, and no shareProcessNamespace", SECURITY),
    _kept("", "shareProcessNamespace", "with users of its own: refused", SECURITY),
    _kept("", "runtimeClassName", "handlers: the OCI runtimes of the machine", SECURITY),
    _kept("", "nodeName", "only pods of this node are run", CLUSTER),
    _kept("dnsConfig", "nameservers searches options.name options.value", proof=ETC),
    _kept("hostAliases", "ip hostnames", proof=ETC),
    _kept("imagePullSecrets", "name", proof="tests/host/test_registry.py"),
    _kept("os", "name", "another system than linux: refused (PodOSNotSupported)", ADMISSION),
    _kept("", "overhead", "counted, and part of the pod's cgroup", SPEC),
    _kept("", "nodeSelector", "looked at again by the node", ADMISSION),
    _kept("readinessGates", "conditionType", proof="tests/agent/pods/test_status.py"),
    _kept("tolerations", "effect key operator value",
          "the node looks at NoExecute taints again", ADMISSION),
    _server("tolerations", "tolerationSeconds", "the taint manager"),
    _kept("", "priority", "whom the node evicts or makes room for", ADMISSION),
    _kept("resources", "limits requests", "the pod's cgroup", LIFECYCLE),
    _server("", "priorityClassName preemptionPolicy schedulerName", "scheduler"),
    _server("", "serviceAccountName serviceAccount automountServiceAccountToken",
            "admission makes a volume of it"),
    _server("schedulingGates", "name", "a pod with gates gets no node"),
    _server("affinity", "", "scheduler; required node affinity is looked at again by the node"),
    _server("topologySpreadConstraints", "", "scheduler"),
    _refused("resources", "claims", "dynamic resource allocation is not supported"),
    _refused("", "resourceClaims", "dynamic resource allocation is not supported"),
    _refused("", "schedulingGroup", "groups of pods are not scheduled together here"),
    _refused("", "evictionResponders", OFF),
)  # fmt: skip

_CONTEXT = "containers.securityContext"
_BOTH = "runAsUser runAsGroup runAsNonRoot seccompProfile.type seccompProfile.localhostProfile"
_APPARMOR = "appArmorProfile.type appArmorProfile.localhostProfile"
_LABELS = "seLinuxOptions.level seLinuxOptions.role seLinuxOptions.type seLinuxOptions.user"

CONTEXTS = (
    _kept("securityContext", _BOTH, proof=SECURITY),
    _kept("securityContext", "fsGroup supplementalGroups",
          "with runAsGroup, those of the image are left out", SECURITY),
    _kept("securityContext", "supplementalGroupsPolicy",
          "Strict: refused (SupplementalGroupsPolicyNotSupported)", ADMISSION),
    _kept("securityContext", "fsGroupChangePolicy", proof=MODES),
    _kept("securityContext", "sysctls.name sysctls.value",
          "safe ones, others by --allowed-unsafe-sysctls", SECURITY),
    _kept("securityContext", _APPARMOR, "without AppArmor in the kernel: the pod fails", CONTEXT),
    _kept("securityContext", _LABELS, SELINUX, CONTEXT),
    _no_meaning("securityContext.seLinuxChangePolicy", "volumes are not relabelled"),
    _refused("securityContext", "windowsOptions", "this node runs Linux"),
    _kept(_CONTEXT, _BOTH, proof=SECURITY),
    _kept(_CONTEXT, "allowPrivilegeEscalation", proof=SECURITY),
    _kept(_CONTEXT, "capabilities.add capabilities.drop",
          "added ones are ambient for users other than root", SECURITY),
    _kept(_CONTEXT, "privileged readOnlyRootFilesystem", proof=SECURITY),
    _kept(_CONTEXT, "procMount", proof=CONTEXT),
    _kept(_CONTEXT, _APPARMOR, "without AppArmor in the kernel: the pod fails", CONTEXT),
    _kept(_CONTEXT, _LABELS, SELINUX, CONTEXT),
    _refused(_CONTEXT, "windowsOptions", "this node runs Linux"),
)  # fmt: skip

_HTTP = "host httpHeaders.name httpHeaders.value path port scheme"
_ASKED = "grpc.port grpc.service tcpSocket.host tcpSocket.port"
_BEAT = "failureThreshold initialDelaySeconds periodSeconds successThreshold timeoutSeconds"
_PROBES = tuple(f"containers.{kind}Probe" for kind in ("liveness", "readiness", "startup"))
_HOOKS = tuple(f"containers.lifecycle.{kind}" for kind in ("postStart", "preStop"))

CONTAINER = (
    _kept("containers", "name image command args workingDir", proof=SPEC),
    _kept("containers", "imagePullPolicy", proof="tests/host/test_registry.py"),
    _kept("containers", "stdin stdinOnce tty terminationMessagePath", proof=SPEC),
    _kept("containers", "terminationMessagePolicy", proof=PODS),
    _kept("containers", "restartPolicy restartPolicyRules.action "
          "restartPolicyRules.exitCodes.operator restartPolicyRules.exitCodes.values",
          proof=LIFECYCLE),
    _kept("containers", "resizePolicy.resourceName resizePolicy.restartPolicy", proof=LIFECYCLE),
    _kept("containers", "targetContainerName", "of ephemeral containers", LIFECYCLE),
    _kept("containers.env", "name value", proof=SPEC),
    _kept("containers.env.valueFrom", "configMapKeyRef.key configMapKeyRef.name "
          "configMapKeyRef.optional secretKeyRef.key secretKeyRef.name secretKeyRef.optional "
          "fieldRef.apiVersion fieldRef.fieldPath resourceFieldRef.containerName "
          "resourceFieldRef.divisor resourceFieldRef.resource", proof=SPEC),
    _kept("containers.env.valueFrom", "fileKeyRef.key fileKeyRef.optional fileKeyRef.path "
          "fileKeyRef.volumeName", proof=ENV_FILES),
    _kept("containers.envFrom", "prefix configMapRef.name configMapRef.optional secretRef.name "
          "secretRef.optional", proof=SPEC),
    _kept("containers.ports", "containerPort hostIP hostPort name protocol",
          proof="tests/agent/network/test_translate.py"),
    _kept("containers.resources", "limits requests", proof=SPEC),
    _refused("containers.resources", "claims", "dynamic resource allocation is not supported"),
    _kept("containers.volumeMounts", "mountPath name readOnly subPath subPathExpr", proof=SPEC),
    _kept("containers.volumeMounts", "mountPropagation", "on shared mounts of the node", MODES),
    _refused("containers.volumeMounts", "bindMountOptions", OFF),
    _kept("containers.volumeMounts", "recursiveReadOnly",
          "needs Linux 5.12", MODES),
    _kept("containers.volumeDevices", "devicePath name", proof=SPEC),
    *(_kept(at, "exec.command", proof=PODS) for at in _PROBES),
    *(_kept(at, _ASKED, proof=ATTEMPTS) for at in _PROBES),
    *(_kept(at, _BEAT, proof=PROBES) for at in _PROBES),
    *(_kept(at, "terminationGracePeriodSeconds", proof=SPEC) for at in _PROBES),
    *(_refused(at, "grpc.mode httpGet.protocol", OFF) for at in _PROBES),
    *(_kept(f"{at}.httpGet", _HTTP, proof=SPEC)
      for at in _PROBES),
    *(_kept(at, "exec.command sleep.seconds", proof=LIFECYCLE)
      for at in _HOOKS),
    *(_kept(f"{at}.httpGet", _HTTP, proof=SPEC) for at in _HOOKS),
    *(_refused(at, "tcpSocket", "hooks cannot, upstream neither") for at in _HOOKS),
    *(_refused(at, "httpGet.protocol", OFF) for at in _HOOKS),
    _kept("containers.lifecycle", "stopSignal", proof=SPEC),
)  # fmt: skip

_ITEMS = "items.key items.mode items.path name optional"
_REF = "fieldRef.apiVersion fieldRef.fieldPath mode path"
_AMOUNT = "resourceFieldRef.containerName resourceFieldRef.divisor resourceFieldRef.resource"
_WRITTEN = " ".join(f"items.{part}" for part in (*_REF.split(), *_AMOUNT.split()))
_SOURCES = "volumes.projected.sources"

VOLUMES = (
    _kept("volumes", "name", proof=PODS),
    _kept("volumes.configMap", f"{_ITEMS} defaultMode", proof=SPEC),
    _kept("volumes.secret", "items.key items.mode items.path optional secretName defaultMode",
          proof=SPEC),
    _kept("volumes.downwardAPI", f"{_WRITTEN} defaultMode", proof=SPEC),
    _kept("volumes.projected", "defaultMode", proof=SPEC),
    _kept(f"{_SOURCES}.configMap", _ITEMS, proof=SPEC),
    _kept(f"{_SOURCES}.secret", _ITEMS, proof=SPEC),
    _kept(f"{_SOURCES}.downwardAPI", _WRITTEN, proof=SPEC),
    _kept(f"{_SOURCES}.serviceAccountToken", "audience expirationSeconds path", proof=SPEC),
    *(_refused(f"volumes.{at}", "defaultUser items.user", OFF)
      for at in ("configMap", "secret", "downwardAPI")),
    _refused("volumes.projected", "defaultUser", OFF),
    *(_refused(f"{_SOURCES}.{at}", "items.user", OFF)
      for at in ("configMap", "secret", "downwardAPI")),
    *(_refused(f"{_SOURCES}.{at}", "user", OFF)
      for at in ("serviceAccountToken", "clusterTrustBundle")),
    _kept("volumes.emptyDir", "medium sizeLimit", proof=PODS),
    _refused("volumes.emptyDir", "mode", OFF),
    _kept("volumes.hostPath", "path type", proof=PODS),
    _kept("volumes.nfs", "path readOnly server", proof=CLUSTER_FS),
    _kept("volumes.persistentVolumeClaim", "claimName readOnly",
          proof="tests/host/test_volumes.py"),
    _server("volumes.ephemeral", "", "a controller makes a claim of it", MODES),
    _kept("volumes.image", "reference pullPolicy", proof=MODES),
    _kept("volumes.cephfs", "monitors path readOnly secretFile secretRef.name user",
          proof="tests/agent/pods/volumes/test_cluster_fs.py"),
    _kept("volumes.glusterfs", "endpoints path readOnly",
          proof="tests/agent/pods/volumes/test_cluster_fs.py"),
    _no_volume("iscsi", "not supported by this agent"),
    _kept("volumes.csi", "driver fsType nodePublishSecretRef.name readOnly volumeAttributes",
          proof="tests/agent/csi/test_csi.py"),
    _kept(f"{_SOURCES}.clusterTrustBundle",
          "name optional path signerName labelSelector.matchLabels "
          "labelSelector.matchExpressions.key labelSelector.matchExpressions.operator "
          "labelSelector.matchExpressions.values",
          proof="tests/agent/pods/test_trust_bundles.py"),
    _no_volume("projected.sources.podCertificate", "not supported by this agent"),
    _no_volume(
        "awsElasticBlockStore azureDisk azureFile cinder fc flexVolume flocker "
        "gcePersistentDisk gitRepo photonPersistentDisk portworxVolume quobyte rbd "
        "scaleIO storageos vsphereVolume",
        "removed or deprecated upstream: use a CSI driver",
    ),
)  # fmt: skip

TABLE: tuple[Rule, ...] = (*POD, *CONTEXTS, *CONTAINER, *VOLUMES)
