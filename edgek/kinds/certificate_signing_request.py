"""CertificateSigningRequest: a request for a client or serving certificate."""

from edgek.kinds.kind import STATUS, Kind, Subresource

CERTIFICATE_SIGNING_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    short_names=("csr",),
    namespaced=False,
    subresources=(
        STATUS,
        Subresource(name="approval"),
    ),
)
