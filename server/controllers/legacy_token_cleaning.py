"""Token Secrets nobody uses: invalid after a year, and deleted after another.

Those that were made for an account (it lists them) and that no pod mounts; Secrets that people
made for themselves stay. Use is known only since it is watched for, so nothing happens in the
first year of that, which starts when this first ran. As
pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go, by timers; only under
--legacy-service-account-tokens.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from edgek.api.errors import AlreadyExists, Conflict, NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, labels, name, namespace, uid
from edgek.api.time import parse_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Reads, Result, Watch
from edgek.kinds import CONFIG_MAP, POD, SECRET, SERVICE_ACCOUNT
from server.authn.legacy import INVALID_SINCE, TOKEN_TYPE, account_key
from server.controllers.deadline import LONGEST_WAIT, wait_until
from server.controllers.legacy_token_usage import LAST_USED

YEAR = timedelta(days=365)
TRACKING = Key("kube-system", "kube-apiserver-legacy-service-account-token-tracking")
SINCE = "since"
_ONLY = f"type={TOKEN_TYPE}"


def day_of(text: str) -> datetime | None:
    """A day as labels have it; None for what is none."""
    try:
        return parse_time(f"{text}T00:00:00Z")
    except ValueError:
        return None


def plan_idle(secret: Obj, *, tracked: datetime) -> datetime:
    """When a year without use is over, for all that is known."""
    used = day_of(labels(secret).get(LAST_USED, ""))
    made = parse_time(secret["metadata"]["creationTimestamp"])
    # A day counts to its end: the label has no hours.
    moments = [tracked, made, *([used + timedelta(days=1)] if used else [])]
    return max(moments) + YEAR


def mounted(pod: Obj) -> Iterable[str]:
    """Names of Secrets that the pod's volumes hold."""
    for volume in get_path(pod, "spec", "volumes", default=()):
        if found := (volume.get("secret") or {}).get("secretName"):
            yield found


def listed(account: Obj) -> list[Key]:
    return [Key(namespace(account), r.get("name") or "") for r in account.get("secrets") or ()]


def _lists_others(old: Obj | None, new: Obj | None) -> bool:
    return (old or {}).get("secrets") != (new or {}).get("secrets")


class LegacyTokenCleaner:
    name = "legacy-serviceaccount-token-cleaner-controller"
    kind = SECRET

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._secrets = context.informers.get(SECRET, field_selector=_ONLY)
        self._accounts = context.informers.get(SERVICE_ACCOUNT)
        self._pods = context.informers.get(POD)
        self.watches: Sequence[Watch] = (
            ForKind(SECRET, field_selector=_ONLY),
            Mapped(SERVICE_ACCOUNT, listed, when=_lists_others),
            Reads(POD),
        )

    async def reconcile(self, key: Key) -> Result:
        secret = self._secrets.get(key)
        if secret is None or is_deleting(secret) or not self._is_generated(secret):
            return DONE
        now = self._clock.now()
        if wait := wait_until(plan_idle(secret, tracked=await self._tracked(now)), now=now):
            return Result(requeue_after=wait)
        if self._is_mounted(secret):  # a pod that goes says nothing: look again
            return Result(requeue_after=LONGEST_WAIT)
        return await self._retire(secret, now)

    async def _retire(self, secret: Obj, now: datetime) -> Result:
        since = day_of(labels(secret).get(INVALID_SINCE, ""))
        key = Key(namespace(secret), name(secret))
        if since is None:
            marks = {INVALID_SINCE: now.strftime("%Y-%m-%d")}
            meta = {"labels": marks, "resourceVersion": secret["metadata"]["resourceVersion"]}
            await self._client.patch(SECRET, key, {"metadata": meta})
            return DONE  # comes back by its own change
        if wait := wait_until(since + timedelta(days=1) + YEAR, now=now):
            return Result(requeue_after=wait)
        version = secret["metadata"]["resourceVersion"]
        with suppress(NotFound, Conflict):  # Conflict: somebody has used it just now
            only = {"uid": uid(secret), "resourceVersion": version}
            await self._client.delete(SECRET, key, preconditions=only)
        return DONE

    def _is_generated(self, secret: Obj) -> bool:
        account = self._accounts.get(account_key(secret))
        refs = (account or {}).get("secrets") or ()
        return any(ref.get("name") == name(secret) for ref in refs)

    def _is_mounted(self, secret: Obj) -> bool:
        return any(name(secret) in mounted(pod) for pod in self._pods.list(namespace(secret)))

    async def _tracked(self, now: datetime) -> datetime:
        """Since when use is written down; today, where nobody knows."""
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            found = await self._client.get(CONFIG_MAP, TRACKING)
            return day_of((found.get("data") or {}).get(SINCE, "")) or today
        except NotFound:
            meta = {"name": TRACKING.name, "namespace": TRACKING.namespace}
            data = {SINCE: now.strftime("%Y-%m-%d")}
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
            with suppress(AlreadyExists):
                await self._client.create(CONFIG_MAP, made)
            return today


def build(context: Context) -> LegacyTokenCleaner:
    return LegacyTokenCleaner(context)
