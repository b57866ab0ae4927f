"""The functions of the language and of Kubernetes, one file each.

LIBRARIES is every overload there is; OPAQUE the types that are no JSON. As
apiserver pkg/cel/environment/base.go at compatibility version 1.37.
"""

from server.cel import operators
from server.cel.library import (
    authorizer,
    formats,
    lists,
    network,
    optional,
    quantity,
    regex,
    semver,
    sets,
    standard,
    strings,
    url,
)
from server.cel.overload import Overload
from server.cel.values import Opaque

LIBRARIES: tuple[Overload, ...] = (
    *operators.OVERLOADS,
    *standard.OVERLOADS,
    *optional.OVERLOADS,
    *strings.OVERLOADS,
    *sets.OVERLOADS,
    *lists.OVERLOADS,
    *regex.OVERLOADS,
    *url.OVERLOADS,
    *quantity.OVERLOADS,
    *network.OVERLOADS,
    *formats.OVERLOADS,
    *semver.OVERLOADS,
    *authorizer.OVERLOADS,
)
OPAQUE: tuple[type[Opaque], ...] = (
    *authorizer.OPAQUE,
    formats.Format,
    network.Ip,
    network.Cidr,
    quantity.Quantity,
    semver.Semver,
    url.Url,
)
