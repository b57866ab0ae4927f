"""Whose the claims of a StatefulSet's pods are: persistentVolumeClaimRetentionPolicy.

Pure. Claims are deleted by the garbage collector alone, through the owners they are given here:
the set, where they shall go with it (whenDeleted), and a pod that was scaled away, where they
shall go with that (whenScaled). A claim that another controller has is never touched. As
pkg/controller/statefulset/stateful_set_utils.go isClaimOwnerUpToDate.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edgek.api.meta import Obj, get_path, is_deleting, name, owner_reference, owner_references, uid
from server.controllers.statefulset_identity import (
    claim_name,
    claim_templates,
    new_claims,
    ordinal_of,
    ordinals,
)

Claims = Callable[[str], Obj | None]
"""The claim of a name in the set's namespace, if there is one."""


@dataclass(frozen=True, kw_only=True)
class ClaimWork:
    """What a pod's claims need. ``make`` are new, ``own`` have other owners than they should,
    ``conflicting`` names those that belong to others, ``going`` those that are being deleted."""

    make: tuple[Obj, ...] = ()
    own: tuple[Obj, ...] = ()
    conflicting: tuple[str, ...] = ()
    going: tuple[str, ...] = ()


def deletes(stateful_set: Obj, when: str) -> bool:
    """``when`` is whenDeleted or whenScaled."""
    policy = get_path(stateful_set, "spec", "persistentVolumeClaimRetentionPolicy", default={})
    return bool(policy.get(when) == "Delete")


def plan_claims_of(
    stateful_set: Obj, pod: Obj, claims: Claims, *, missing: bool = False
) -> ClaimWork:
    """``missing``: claims that are not there are made, too."""
    make, own, conflicting, going = [], [], [], []
    for wanted in new_claims(stateful_set, ordinal_of(pod)) if missing else ():
        found = claims(name(wanted))
        if found is None:
            refs = _wanted_refs(stateful_set, pod)
            meta = {**wanted["metadata"]} | ({"ownerReferences": refs} if refs else {})
            make.append({**wanted, "metadata": meta})
        elif is_deleting(found):
            going.append(name(found))
    for claim in claims_of(stateful_set, pod, claims):
        if _others(stateful_set, pod, claim):
            conflicting.append(name(claim))
        if not is_up_to_date(stateful_set, pod, claim):
            refs = owners_of_claim(stateful_set, pod, claim)
            own.append({**claim, "metadata": {**claim["metadata"], "ownerReferences": refs}})
    return ClaimWork(
        make=tuple(make), own=tuple(own), conflicting=tuple(conflicting), going=tuple(going)
    )


def claims_of(stateful_set: Obj, pod: Obj, claims: Claims) -> list[Obj]:
    """The pod's claims that exist."""
    ordinal = ordinal_of(pod)
    names = (claim_name(stateful_set, t, ordinal) for t in claim_templates(stateful_set))
    return [claim for claim in map(claims, names) if claim is not None]


def is_stale(stateful_set: Obj, pod: Obj, claims: Claims) -> bool:
    """Whether a claim still goes with an earlier pod of the name: a new one has to wait."""
    if not deletes(stateful_set, "whenScaled"):
        return False
    return any(_is_past(claim, pod) for claim in claims_of(stateful_set, pod, claims))


def is_up_to_date(stateful_set: Obj, pod: Obj, claim: Obj) -> bool:
    """Whether the claim's owners are right, or not ours to change."""
    if _is_past(claim, stateful_set) or _is_past(claim, pod):
        return True
    ours = [r for r in owner_references(claim) if r.get("uid") in (uid(stateful_set), uid(pod))]
    if _others(stateful_set, pod, claim):
        return not ours
    if not all(ref.get("controller") for ref in ours):
        return False
    wanted = {ref["uid"] for ref in _wanted_refs(stateful_set, pod)}
    return {ref["uid"] for ref in ours} == wanted


def owners_of_claim(stateful_set: Obj, pod: Obj, claim: Obj) -> list[Obj]:
    kept = [r for r in owner_references(claim) if not (_names(r, stateful_set) or _names(r, pod))]
    if _others(stateful_set, pod, claim):
        return kept
    return kept + _wanted_refs(stateful_set, pod)


def _wanted_refs(stateful_set: Obj, pod: Obj) -> list[Obj]:
    if ordinal_of(pod) not in ordinals(stateful_set) and deletes(stateful_set, "whenScaled"):
        return [owner_reference(pod)]
    return [owner_reference(stateful_set)] if deletes(stateful_set, "whenDeleted") else []


def _names(ref: Obj, owner: Obj) -> bool:
    """Whether the reference speaks of ``owner``'s name and kind, of whatever life."""
    said = (ref.get("apiVersion"), ref.get("kind"), ref.get("name"))
    return said == (owner["apiVersion"], owner["kind"], name(owner))


def _is_past(claim: Obj, owner: Obj) -> bool:
    """Whether the claim names an earlier object of ``owner``'s name."""
    found = next((r for r in owner_references(claim) if _names(r, owner)), None)
    return found is not None and found.get("uid") != uid(owner)


def _others(stateful_set: Obj, pod: Obj, claim: Obj) -> bool:
    """Whether somebody else controls the claim, where a policy would have us own it."""
    if not (deletes(stateful_set, "whenScaled") or deletes(stateful_set, "whenDeleted")):
        return False
    if _is_past(claim, stateful_set) or _is_past(claim, pod):
        return True
    return any(
        ref.get("controller") and not (_names(ref, stateful_set) or _names(ref, pod))
        for ref in owner_references(claim)
    )
