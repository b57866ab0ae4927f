"""Which requests an admission configuration is about: rules, exclusions and selectors.

Shared by policies (``matchConstraints``, ``matchResources``) and webhooks (``rules`` and the same
selectors). Pure: a ``Matcher`` is made once per configuration and asked per request. As apiserver
pkg/admission/plugin/policy/matching and plugin/webhook/predicates. Match conditions, which are
CEL, are in server/admission/match_conditions.py.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.errors import NotFound
from edgek.api.meta import Obj, get_path
from edgek.api.selectors import EVERYTHING, Selector, from_label_selector
from edgek.kinds.kind import Kind
from edgek.kinds.namespace import NAMESPACE
from server.admission.chain import Attributes

EXEMPT_GROUP = "admissionregistration.k8s.io"
EXEMPT = frozenset(
    (
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    )
)
"""Nothing of these may depend on what they configure, or nobody could repair it."""

GetNamespace = Callable[[str], Obj | None]


def is_exempt(attributes: Attributes) -> bool:
    """Admission configurations themselves, which no policy and no webhook sees."""
    kind = attributes.kind
    return kind.group == EXEMPT_GROUP and kind.plural in EXEMPT


class Equivalents:
    """The same objects, served in other versions or groups (matchPolicy Equivalent). ``kinds``
    gives all that are served; they are looked through once, for as long as they are the same."""

    def __init__(self, kinds: Callable[[], Sequence[Kind]]) -> None:
        self._kinds = kinds
        self._seen: Sequence[Kind] = ()
        self._known: dict[Kind, Sequence[Kind]] = {}

    def of(self, kind: Kind) -> Sequence[Kind]:
        kinds = self._kinds()
        if kinds is not self._seen:
            self._seen, self._known = kinds, {}
        found = self._known.get(kind)
        if found is None:
            same = (k for k in kinds if k.storage_prefix == kind.storage_prefix)
            found = self._known[kind] = [k for k in same if k != kind and not k.virtual]
        return found


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One RuleWithOperations; ``names`` are a policy's resourceNames (empty: all)."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str
    names: frozenset[str]

    def matches(self, attributes: Attributes, kind: Kind) -> bool:
        """``kind``: as which kind the request's object is looked at."""
        return (
            _has(self.operations, attributes.operation)
            and _has(self.groups, kind.group)
            and _has(self.versions, kind.version)
            and self._is_resource(kind.plural, attributes.subresource)
            and self._in_scope(attributes)
            and (not self.names or attributes.name in self.names)
        )

    def _is_resource(self, plural: str, subresource: str) -> bool:
        return any(r in ("*", plural) and s in ("*", subresource) for r, s in self.resources)

    def _in_scope(self, attributes: Attributes) -> bool:
        if self.scope == "*":
            return True
        namespaced = bool(attributes.namespace) and attributes.kind.plural != NAMESPACE.plural
        return namespaced is (self.scope == "Namespaced")


def _has(allowed: Collection[str], value: str) -> bool:
    return value in allowed or "*" in allowed


def rule_of(rule: Obj) -> Rule:
    resources = (text.partition("/") for text in rule.get("resources") or ())
    return Rule(
        operations=frozenset(rule.get("operations") or ()),
        groups=frozenset(rule.get("apiGroups") or ()),
        versions=frozenset(rule.get("apiVersions") or ()),
        resources=tuple((resource, sub) for resource, _, sub in resources),
        scope=rule.get("scope") or "*",
        names=frozenset(rule.get("resourceNames") or ()),
    )


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """``rules`` None: every request that is not excluded."""

    rules: tuple[Rule, ...] | None
    excluded: tuple[Rule, ...] = ()
    namespaces: Selector = EVERYTHING
    objects: Selector = EVERYTHING
    exact: bool = False

    def match(
        self,
        attributes: Attributes,
        get_namespace: GetNamespace,
        equivalents: Sequence[Kind] = (),
    ) -> Kind | None:
        """As which kind the request matches, or None. ``equivalents`` are the other versions in
        which the kind is served. Raises NotFound where the namespace to look at is missing."""
        also = () if self.exact else equivalents
        if _first(self.excluded, attributes, also) is not None:
            return None
        kind = attributes.kind if self.rules is None else _first(self.rules, attributes, also)
        if kind is None or not self._takes_object(attributes):
            return None
        return kind if self._takes_namespace(attributes, get_namespace) else None

    def _takes_object(self, attributes: Attributes) -> bool:
        """The new object or the old one."""
        if not self.objects:
            return True
        return any(
            obj is not None and self.objects.matches(_labels(obj))
            for obj in (attributes.obj, attributes.old)
        )

    def _takes_namespace(self, attributes: Attributes, get_namespace: GetNamespace) -> bool:
        """What is in no namespace is taken; a Namespace is judged by its own labels."""
        if not self.namespaces:
            return True
        if attributes.kind == NAMESPACE and not attributes.subresource:
            own = attributes.obj if attributes.operation != "DELETE" else attributes.old
            return self.namespaces.matches(_labels(own))
        if not attributes.namespace or attributes.kind == NAMESPACE:
            return True
        namespace = get_namespace(attributes.namespace)
        if namespace is None:
            raise NotFound.of(NAMESPACE, attributes.namespace)
        return self.namespaces.matches(_labels(namespace))


def _first(rules: Iterable[Rule], attributes: Attributes, also: Sequence[Kind]) -> Kind | None:
    """The request's own kind if any rule takes it, else the first equivalent that one takes."""
    rules = tuple(rules)
    kinds = (attributes.kind, *also)
    return next((k for k in kinds if any(rule.matches(attributes, k) for rule in rules)), None)


def _labels(obj: Any) -> dict[str, str]:
    labels = get_path(obj, "metadata", "labels", default={}) if isinstance(obj, dict) else {}
    return labels if isinstance(labels, dict) else {}


def matcher_of(constraints: Obj | None, rules: Sequence[Obj] | None = None) -> Matcher:
    """From MatchResources, or from a webhook (whose rules are given apart). None of it: all."""
    given = constraints or {}
    named = (given.get("resourceRules") or None) if rules is None else rules
    return Matcher(
        rules=None if named is None else tuple(rule_of(r) for r in named),
        excluded=tuple(rule_of(r) for r in given.get("excludeResourceRules") or ()),
        namespaces=_selector(given.get("namespaceSelector")),
        objects=_selector(given.get("objectSelector")),
        exact=given.get("matchPolicy") == "Exact",
    )


def _selector(selector: Obj | None) -> Selector:
    return from_label_selector(selector) if selector else EVERYTHING
