"""What the rules of a definition's schema may cost at worst, and the sentences where it is more.

As apiextensions-apiserver pkg/apis/apiextensions/validation: validation.go getCostErrorMessage,
cel_validation.go TotalCost and extractMaxElements.
"""

from dataclasses import dataclass, field

from edgek.api.validation import FieldErrors, FieldPath
from edgek.schema.structural import Structural
from server.cel.ranges import MOST

RULE_LIMIT = 10_000_000
SCHEMA_LIMIT = 100_000_000
_TOLD = 4
_HELP = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, "
    "maps, and strings are declared)"
)


@dataclass(kw_only=True)
class SchemaCost:
    """All rules of one schema together."""

    total: int = 0
    _dear: list[tuple[int, FieldPath]] = field(default_factory=list)

    def add(self, name: str, cost: int, at: FieldPath, errors: FieldErrors) -> None:
        """One expression; ``name`` is what upstream calls its cost."""
        if cost > RULE_LIMIT:
            errors.forbidden(at, _exceeds(name, cost, RULE_LIMIT))
        self.total = min(self.total + cost, MOST)
        if cost >= SCHEMA_LIMIT // 100:
            self._dear.append((cost, at))

    def check(self, path: FieldPath, errors: FieldErrors) -> None:
        if self.total <= SCHEMA_LIMIT:
            return
        for _, at in sorted(self._dear, key=lambda dear: -dear[0])[:_TOLD]:
            text = "contributed to estimated rule cost total exceeding cost limit for entire "
            errors.forbidden(at, text + "OpenAPIv3 schema")
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        errors.forbidden(path, _exceeds(name, self.total, SCHEMA_LIMIT))


def times_below(times: int | None, schema: Structural) -> int | None:
    """How often what is below ``schema`` can be in one object, if ``schema`` can be there
    ``times``; None: without a bound."""
    if schema.type == "array":
        most = schema.limits.get("maxItems")
    elif schema.type == "object" and schema.additional is not None:
        most = schema.limits.get("maxProperties")
    else:
        return times
    return None if times is None or most is None else min(times * max(most, 0), MOST)


def _exceeds(name: str, cost: int, limit: int) -> str:
    factor = cost / limit
    if factor > 100:
        shown = "more than 100x"
    else:
        shown = f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{name} exceeds budget by factor of {shown} {_HELP}"
