"""What one version of a CustomResourceDefinition says of its objects.

Read from the definition when first asked for: a cluster has hundreds of definitions and uses a
few. Pruning, defaults and validation of a custom kind are here; kinds/custom.py makes the Kind.
"""

from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Any, Protocol

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath
from edgek.schema.check import Checker
from edgek.schema.schema import Schema
from edgek.schema.structural import Props, Structural, holds_rules, read_structural
from edgek.schema.structural_default import fill_defaults
from edgek.schema.structural_prune import Pruner
from edgek.schema.structural_validate import StructuralValidator
from edgek.schema.to_schema import to_schema

Gvk = tuple[str, str, str]


class Rules(Protocol):
    """The expressions in a schema (server/registry/custom_rules.py)."""

    def check(self, obj: Obj, old: Any, errors: FieldErrors) -> Iterator[None]:
        """A step for each expression. ``old`` is NOTHING for a new object."""


RulesFor = Callable[[Structural], Rules | None]
BLOCKING = ("FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid")
REPEATED = "FieldValueDuplicate"


def no_rules(schema: Structural) -> None:
    """For those who do not validate."""


@cache
def _checker() -> Checker:
    """Of metadata, which is of one shape for all."""
    return Checker()


class CustomShape:
    """Implements Shape. ``load`` gives the openAPIV3Schema, as often as it is asked."""

    def __init__(
        self,
        load: Callable[[], Props],
        *,
        gvk: Gvk,
        digest: str,
        rules_for: RulesFor = no_rules,
    ) -> None:
        self._load = load
        self._rules_for = rules_for
        self._gvk = gvk
        self.digest = digest

    @property
    def name(self) -> str:
        """As upstream names the type in OpenAPI: the group backwards, version and kind."""
        group, version, kind = self._gvk
        return ".".join((*reversed(group.split(".")), version, kind))

    @cached_property
    def structural(self) -> Structural:
        return read_structural(self._load())

    @cached_property
    def schema(self) -> Schema:
        return to_schema(self.structural, name=self.name, gvk=self._gvk)

    @cached_property
    def rules(self) -> Rules | None:
        return self._rules_for(self.structural) if holds_rules(self._load()) else None

    def document(self) -> Obj:
        return dict(self._load())

    def prune(self, obj: Obj) -> list[str]:
        pruner = Pruner(_checker())
        _, version, kind = self._gvk
        pruner.object(obj, self.structural, version=version, kind=kind)
        return pruner.unknown

    def default(self, obj: Obj) -> None:
        fill_defaults(obj, self.structural)

    def validate(self, obj: Obj, errors: FieldErrors) -> None:
        StructuralValidator(errors).check(obj, self.structural)

    def validate_update(self, new: Obj, old: Obj, errors: FieldErrors) -> None:
        """What was wrong before and is as it was stays accepted; so does a list that holds
        things twice if any did, as customresource/strategy.go has it."""
        found = FieldErrors()
        StructuralValidator(found).check(new, self.structural, old=old)
        if any(e.reason == REPEATED for e in found):
            before = FieldErrors()
            StructuralValidator(before).check(old, self.structural)
            if any(e.reason == REPEATED for e in before):
                found.errors = [e for e in found if e.reason != REPEATED]
        errors.errors += found.errors

    def check_rules(self, obj: Obj, old: Any, errors: FieldErrors) -> Iterator[None]:
        """After all else, in steps, because expressions may take long. As
        customresource/validator.go: not on an object that rules could stumble over."""
        if self.rules is None:
            return
        if any(e.reason in BLOCKING for e in errors):
            text = (
                "some validation rules were not checked because the object was invalid; correct "
                "the existing errors to complete validation"
            )
            errors.invalid(FieldPath(), "null", text)
            return
        yield from self.rules.check(obj, old, errors)


def check_replicas(obj: Obj, path: str, errors: FieldErrors) -> None:
    """As customresource/validator.go: what /scale writes is a number of replicas."""
    count = get_path(obj, *path.split("."))
    if isinstance(count, int) and count < 0:
        errors.invalid(FieldPath(path), count, "should be a non-negative integer")
