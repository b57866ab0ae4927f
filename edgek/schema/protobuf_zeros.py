"""Which zero values on the wire mean something.

Gogo writes every field that is not a pointer, so ``hostPort: 0`` mostly means "not set", and
JSON upstream would leave it out. The wire does not say which fields are pointers; these names
do. Required fields keep their zeros and need no mention.
"""

POINTERS = frozenset(
    """
    activeDeadlineSeconds averageUtilization backoffLimit backoffLimitPerIndex completedIndexes
    completions defaultMode deletionGracePeriodSeconds expirationSeconds failedJobsHistoryLimit
    fsGroup gracePeriodSeconds leaseDurationSeconds leaseTransitions maxFailedIndexes maxItems
    maxLength maxProperties maxSurge maxUnavailable maximum minAvailable minDomains minItems
    minLength minProperties minReplicas minimum mode parallelism partition port priority
    progressDeadlineSeconds ready replicas revisionHistoryLimit runAsGroup runAsUser
    startingDeadlineSeconds storageClassName successfulJobsHistoryLimit
    targetAverageUtilization terminationGracePeriodSeconds terminating timeoutSeconds
    tolerationSeconds ttlSecondsAfterFinished ttlSecondsUntilFinished volumeAttributesClassName
    """.split()  # noqa: SIM905 (forty quoted words are harder to read)
)
"""Optional pointers to numbers and texts whose 0 or "" a client wrote on purpose."""

PLAIN = frozenset(
    {"Probe.timeoutSeconds", "DeploymentStatus.replicas", "CustomResourceColumnDefinition.priority"}
)
"""Fields of such a name that are no pointers in that type."""

PLAIN_BOOLS = frozenset(
    """
    deprecated exclusiveMaximum exclusiveMinimum hostIPC hostNetwork hostPID insecureSkipTLSVerify
    nullable paused preserveUnknownFields publishNotReadyAddresses readOnly stdin stdinOnce tty
    uniqueItems unschedulable x-kubernetes-embedded-resource x-kubernetes-int-or-string
    """.split()  # noqa: SIM905
)
"""An explicit false of any other bool may be a pointer's and is kept."""


def keeps_zero(message: str, name: str, kind: str) -> bool:
    """Whether the optional field ``name`` of a message (short name) keeps 0, "" or false."""
    if kind.rpartition(".")[2] in ("JSON", "JSONSchemaPropsOrBool"):
        return True
    if kind == "bool":
        return name not in PLAIN_BOOLS
    return name in POINTERS and f"{message}.{name}" not in PLAIN
