"""Hooks: what the stored webhook configurations say, read again only when one has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj, name
from edgek.kinds.kind import Kind
from server.admission.matching import Matcher, matcher_of
from server.request.reader import Reader


@dataclass(frozen=True, kw_only=True)
class Hook:
    """One webhook of one configuration. ``uid`` tells it from all others of its kind."""

    uid: str
    name: str
    configuration: str
    client_config: Obj
    matcher: Matcher
    match_conditions: tuple[str, ...]
    """Expressions; compiled when first asked (server/admission/webhooks/match.py)."""
    ignores_failure: bool
    reinvoked_if_needed: bool
    side_effects: str
    timeout: float
    review_versions: Sequence[str]


def hook_of(configuration: str, webhook: Obj, number: int) -> Hook:
    """``number`` counts webhooks of one name within the configuration."""
    found = webhook.get("name") or ""
    return Hook(
        uid=f"{configuration}/{found}/{number}",
        name=found,
        configuration=configuration,
        client_config=webhook.get("clientConfig") or {},
        matcher=matcher_of(webhook, webhook.get("rules") or ()),
        match_conditions=tuple(
            c.get("expression") or "" for c in webhook.get("matchConditions") or ()
        ),
        ignores_failure=webhook.get("failurePolicy") == "Ignore",
        reinvoked_if_needed=webhook.get("reinvocationPolicy") == "IfNeeded",
        side_effects=webhook.get("sideEffects") or "",
        timeout=float(webhook.get("timeoutSeconds") or 10),
        review_versions=tuple(webhook.get("admissionReviewVersions") or ()),
    )


def hooks_of(configurations: Sequence[Obj]) -> Sequence[Hook]:
    """In the order in which they are asked: by the configurations' names, then as listed."""
    found: list[Hook] = []
    for configuration in sorted(configurations, key=name):
        seen: dict[Any, int] = {}
        for webhook in configuration.get("webhooks") or ():
            number = seen.get(webhook.get("name"), 0)
            seen[webhook.get("name")] = number + 1
            found.append(hook_of(name(configuration), webhook, number))
    return tuple(found)


class HookSource:
    """The hooks of one kind of configuration. While none changes, asking costs one look."""

    def __init__(self, reader: Reader, kind: Kind) -> None:
        self._reader = reader
        self._kind = kind
        self._freshness = reader.freshness(kind)
        self._hooks: Sequence[Hook] = ()

    def hooks(self) -> Sequence[Hook]:
        if self._freshness.stale:
            self._hooks = hooks_of(list(self._reader.list(self._kind)))
            self._freshness.stale = False
        return self._hooks
