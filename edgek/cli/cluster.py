"""From the command line to a server: the options all verbs share, one connection, one way to fail.

``cluster_command`` makes a click command of an async function that takes a ``Cluster`` first.
Whatever fails becomes one line on stderr and exit code 1; a wrong command line is click's and 2.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import click

from edgek.api.errors import ApiError, Unauthorized
from edgek.roles import UsageError

if TYPE_CHECKING:
    from edgek.client.client import Client
    from edgek.client.http import HttpTransport
    from edgek.client.kubeconfig import Kubeconfig

P = ParamSpec("P")
FIELD_MANAGER = "kubectl-client-side-apply"
"""kubectl's name for the same work: fields that either has applied can then be taken over by
``kubectl apply --server-side`` without a conflict."""
_META = "edgek.cluster"


class Failure(Exception):
    """What the user must know, in one line."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One server as one user. ``namespace`` is the chosen one; ``namespace_given`` tells that
    the command line named it."""

    client: "Client"
    transport: "HttpTransport"
    config: "Kubeconfig"
    namespace: str
    namespace_given: bool


def cluster_options(command: Any) -> Any:
    """--kubeconfig, --context, --namespace: for ``edgek`` itself and behind every verb."""
    for names, metavar, text in (
        (("-n", "--namespace"), "NAME", "The namespace to work in."),
        (("--context",), "NAME", "The kubeconfig's context to use."),
        (("--kubeconfig",), "FILE", "The kubeconfig to use."),
    ):
        command = click.option(
            *names, metavar=metavar, help=text, expose_value=False, callback=_remember
        )(command)
    return command


def _remember(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta.setdefault(_META, {})[option.name] = value


def cluster_command(
    function: Callable[Concatenate[Cluster, P], Coroutine[Any, Any, None]],
) -> Callable[P, None]:
    """Runs ``function`` with the cluster that the options name."""

    @cluster_options
    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        options = chosen()

        async def work() -> None:
            async with connected(**options) as cluster:
                await function(cluster, *args, **kwargs)

        run(work())

    return command  # type: ignore[no-any-return]


def chosen() -> dict[str, str]:
    """What the shared options say: the arguments of ``connected``."""
    options: dict[str, str] = click.get_current_context().meta.get(_META, {})
    return options


@asynccontextmanager
async def connected(
    kubeconfig: str = "", context: str = "", namespace: str = ""
) -> AsyncIterator[Cluster]:
    from edgek.client.client import Client
    from edgek.client.http import HttpTransport
    from edgek.client.kubeconfig import load_kubeconfig

    config = load_kubeconfig(kubeconfig, context=context)
    transport = HttpTransport(config.access, on_warning=warn)
    try:
        yield Cluster(
            client=Client(transport, field_manager=FIELD_MANAGER),
            transport=transport,
            config=config,
            namespace=namespace or config.namespace,
            namespace_given=bool(namespace),
        )
    finally:
        await transport.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    """To the end of ``work``, or to one line that says why not."""
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ApiError, UsageError, Failure) as err:
        fail(_text(err))
    except BaseExceptionGroup as group:
        fail(_text(_first(group)))


def fail(message: str, *, code: int = 1) -> None:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    raise SystemExit(code)


def note(message: str) -> None:
    """Something for the eye only: never where the output goes."""
    click.echo(message, err=True)


def warn(message: str) -> None:
    note(f"Warning: {message}")


def _text(err: BaseException) -> str:
    if isinstance(err, Unauthorized):
        return "the server does not accept these credentials (Unauthorized); check the kubeconfig"
    return str(err)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first that is not a group; what we do not know goes on as it is."""
    inner = group.exceptions[0]
    if isinstance(inner, BaseExceptionGroup):
        return _first(inner)
    if not isinstance(inner, ApiError | UsageError | Failure):
        raise group
    return inner
