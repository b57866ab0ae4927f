"""Between the versions of a custom kind: by apiVersion alone, or by a webhook.

As apiextensions-apiserver pkg/apiserver/conversion. What comes out of storage is also pruned and
defaulted by the schema that is served, which may be another one than it was written under.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from edgek.api.errors import InternalError
from edgek.api.meta import Obj, get_path
from edgek.kinds.custom import ConversionFor, storage_version
from edgek.kinds.kind import Conversion, Kind
from edgek.kinds.webhook_client_config import REVIEW_VERSIONS
from server.registry.registry import copy_of
from server.webhooks.client import CallFailed

TIMEOUT = 30.0
GROUP = "apiextensions.k8s.io"


class Caller(Protocol):
    """Asks a webhook. Raises CallFailed."""

    async def call(self, client_config: Obj, request_body: Any, *, timeout: float) -> Obj: ...


Convert = Callable[[Sequence[Obj], str], Awaitable[Sequence[Obj]]]
"""Objects, and the apiVersion to have them in."""


class CustomConversion:
    """Of one served version. ``convert`` is the way between versions."""

    def __init__(self, kind: Kind, *, stored_as: str, convert: Convert) -> None:
        self._kind = kind
        self._stored_as = stored_as
        self._convert = convert

    async def serve(self, objs: Sequence[Obj]) -> Sequence[Obj]:
        wanted = self._kind.api_version
        foreign = [o for o in objs if o["apiVersion"] != wanted]
        converted = iter(await self._convert(foreign, wanted) if foreign else ())
        mine = (next(converted) if o["apiVersion"] != wanted else o for o in objs)
        return [self._tidy(o) for o in mine]

    async def store(self, obj: Obj) -> Obj:
        if obj["apiVersion"] == self._stored_as:
            return obj
        [stored] = await self._convert([obj], self._stored_as)
        return stored

    def _tidy(self, obj: Obj) -> Obj:
        """``obj`` itself where it is as this version wants it."""
        fresh = copy_of(obj)
        if self._kind.shape is not None:
            self._kind.shape.prune(fresh)
        self._kind.default(fresh)
        return obj if fresh == obj else fresh


async def swap_version(objs: Sequence[Obj], wanted: str) -> Sequence[Obj]:
    """Strategy None: versions differ in name only."""
    return [{**o, "apiVersion": wanted} for o in objs]


class WebhookConversion:
    """Strategy Webhook."""

    def __init__(self, caller: Caller, webhook: Obj) -> None:
        self._caller = caller
        self._config = webhook.get("clientConfig") or {}
        asked = webhook.get("conversionReviewVersions") or ()
        self._review = next((v for v in asked if v in REVIEW_VERSIONS), "v1")

    async def convert(self, objs: Sequence[Obj], wanted: str) -> Sequence[Obj]:
        """All in one call. Raises InternalError."""
        group, _, version = objs[0]["apiVersion"].rpartition("/")
        what = f"{group}/{version}, Kind={objs[0]['kind']}"
        try:
            return await self._ask(objs, wanted)
        except (CallFailed, BadAnswer) as err:
            raise InternalError(f"conversion webhook for {what} failed: {err}") from err

    async def _ask(self, objs: Sequence[Obj], wanted: str) -> Sequence[Obj]:
        uid = str(uuid.uuid4())
        review = {
            "kind": "ConversionReview",
            "apiVersion": f"{GROUP}/{self._review}",
            "request": {"uid": uid, "desiredAPIVersion": wanted, "objects": list(objs)},
        }
        answer = await self._caller.call(self._config, review, timeout=TIMEOUT)
        converted = read_review(answer, uid=uid, api_version=review["apiVersion"])
        return check_converted(objs, converted, wanted)


class BadAnswer(Exception):
    """A webhook answered, but not what it was asked."""


def read_review(answer: Any, *, uid: str, api_version: Any) -> list[Any]:
    """The objects of a ConversionReview's response. Raises BadAnswer."""
    if not isinstance(answer, dict):
        raise BadAnswer("the answer is no ConversionReview")
    kind, version = answer.get("kind"), answer.get("apiVersion")
    if (kind, version) != ("ConversionReview", api_version):
        raise BadAnswer(
            f"expected webhook response of {api_version}, Kind=ConversionReview, got "
            f"{version}, Kind={kind}"
        )
    response = answer.get("response")
    if not isinstance(response, dict):
        raise BadAnswer("no response provided")
    if response.get("uid") != uid:
        raise BadAnswer(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    status = get_path(response, "result", "status", default="")
    if status != "Success":
        message = get_path(response, "result", "message")
        raise BadAnswer(message or f"response.result.status was '{status}', not 'Success'")
    found = response.get("convertedObjects")
    return found if isinstance(found, list) else []


def check_converted(objs: Sequence[Obj], converted: list[Any], wanted: str) -> list[Obj]:
    """The converted objects with the metadata of the given ones, of which a webhook may change
    labels and annotations only. Raises BadAnswer."""
    if len(converted) != len(objs):
        raise BadAnswer(f"webhook returned {len(converted)} objects, expected {len(objs)}")
    return [_checked(i, *pair, wanted) for i, pair in enumerate(zip(objs, converted, strict=True))]


def _checked(index: int, given: Obj, got: Any, wanted: str) -> Obj:
    where = f"returned invalid converted object at index {index}"
    if not isinstance(got, dict) or not isinstance(got.get("metadata"), dict):
        raise BadAnswer(f"{where}: metadata: Required value")
    if got.get("apiVersion") != wanted:
        received = got.get("apiVersion")
        raise BadAnswer(f"{where}: invalid groupVersion (expected {wanted}, received {received})")
    meta, had = got["metadata"], given["metadata"]
    for field, new, old in (
        ("kind", got.get("kind"), given["kind"]),
        *((f, meta.get(f), had.get(f)) for f in ("name", "namespace", "uid")),
    ):
        if (new or "") != (old or ""):
            field = "UID" if field == "uid" else field
            raise BadAnswer(f"{where}: must have the same {field}: {old} != {new}")
    kept = {k: v for k, v in had.items() if k not in ("labels", "annotations")}
    kept |= {k: meta[k] for k in ("labels", "annotations") if meta.get(k)}
    for field in ("labels", "annotations"):
        _check_texts(kept.get(field) or {}, f"{where}: metadata.{field}")
    return {**got, "metadata": kept}


def _check_texts(values: Any, where: str) -> None:
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise BadAnswer(f"{where}: Invalid value: must be a map of strings")


def conversions(caller: Caller) -> ConversionFor:
    """None where what is stored can only be what is served."""

    def conversion_for(crd: Obj, kind: Kind) -> Conversion | None:
        versions = crd["spec"]["versions"]
        if len(versions) == 1 and (crd["metadata"].get("generation") or 0) <= 1:
            return None
        said = crd["spec"].get("conversion") or {}
        convert: Convert = swap_version
        if said.get("strategy") == "Webhook":
            convert = WebhookConversion(caller, said.get("webhook") or {}).convert
        stored_as = f"{kind.group}/{storage_version(crd)['name']}"
        return CustomConversion(kind, stored_as=stored_as, convert=convert)

    return conversion_for
