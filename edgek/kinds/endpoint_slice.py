"""EndpointSlice: the addresses behind a Service."""

from edgek.kinds.kind import Kind

ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
)
