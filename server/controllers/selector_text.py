"""A label selector as Go prints it: some of upstream's sentences have one in them."""

from typing import Any

from edgek.api.meta import Obj


def go_selector(selector: Obj | None) -> str:
    """As metav1.LabelSelector's String."""
    if selector is None:
        return "nil"
    pairs = sorted((selector.get("matchLabels") or {}).items())
    labels = "".join(f"{key}: {value}," for key, value in pairs)
    terms = "".join(map(_requirement, selector.get("matchExpressions") or ()))
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{terms}}},}}"
    )


def _requirement(term: dict[str, Any]) -> str:
    values = " ".join(term.get("values") or ())
    return (
        f"LabelSelectorRequirement{{Key:{term['key']},Operator:{term['operator']},"
        f"Values:[{values}],}},"
    )
