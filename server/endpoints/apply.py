"""PATCH with application/apply-patch+yaml: server-side apply of an object or of its status.

The merge itself, and who owns what, is in server/fieldmanager; here the body is read and the
options are checked. As apiserver handlers/patch.go applyPatcher.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from edgek.schema.decode import decode_json
from edgek.schema.decode_yaml import decode_yaml
from server.authz.authorizer import Decision
from server.endpoints.body import complete
from server.endpoints.env import Env
from server.endpoints.negotiate import negotiate
from server.endpoints.query import flag, write_context
from server.endpoints.route import Target
from server.filters.authorization import forbidden
from server.registry.write import Application, How
from server.request.model import Request, Response

APPLY = "application/apply-patch+yaml"
ConfigFor = Callable[[Obj | None], Obj]


async def apply(env: Env, request: Request, target: Target, how: How) -> Response:
    view = negotiate(env, request, target.kind)
    context = write_context(request, apply=True)
    config = read_config(request)
    application = application_of(env, request, target.kind, lambda stored: config)
    entry, created = await env.registry.apply(
        target.kind, target.key, application, context, how=how
    )
    return view.one(entry, status=201 if created else 200)


def application_of(env: Env, request: Request, kind: Kind, config_for: ConfigFor) -> Application:
    before = len(request.warnings)

    def finish(obj: Obj) -> Obj:
        del request.warnings[before:]  # those of a try that lost against another write
        return complete(request, kind, obj)

    async def may_create() -> None:
        check_may_create(env, request)

    force = flag(request.query, "force")
    return Application(config_for=config_for, finish=finish, may_create=may_create, force=force)


def check_may_create(env: Env, request: Request) -> None:
    """Who patches or puts what is not there creates it, and needs the right to. Raises
    Forbidden."""
    info = replace(request.info, verb="create")
    verdict = env.authorizer.authorize(request.user, info)
    if verdict.decision is not Decision.ALLOW:
        raise forbidden(request.user, info, verdict.reason)


def read_config(request: Request) -> Obj:
    """The body, YAML or JSON. Raises BadRequest."""
    config, twice = request.body, list[str]()
    if config is None:
        config, twice = _decode(request.raw_body)
    if not isinstance(config, dict):
        raise errors.BadRequest(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
            "unmarshal the body into Go value of type map[string]interface {}"
        )
    if twice:
        _tell_twice(request, twice)
    return config


def _decode(raw: bytes) -> tuple[Any, list[str]]:
    try:
        if raw.lstrip()[:1] == b"{":
            try:
                return decode_json(raw)
            except errors.BadRequest:
                pass  # YAML in flow style looks like JSON
        return decode_yaml(raw)
    except errors.BadRequest as err:
        raise errors.BadRequest(f"error decoding YAML: {err.message}") from None


def _tell_twice(request: Request, twice: list[str]) -> None:
    lines = "\n".join(f'  key "{key}" already set in map' for key in twice)
    text = f"error converting YAML to JSON: yaml: unmarshal errors:\n{lines}"
    wanted = request.query.get("fieldValidation", "") or "Warn"
    if wanted == "Strict":
        raise errors.BadRequest(f"error strict decoding YAML: {text}")
    if wanted == "Warn":
        request.warnings.append(text)
