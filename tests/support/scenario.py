"""Scenarios: scripts that read like a session with kubectl, on a cluster in virtual time.

A scenario is a text of steps. ``# ...`` tells; ``$ command`` acts; ``| ...`` below it is what the
command reads; what follows is what it must print. In expected lines ``*`` stands for any run of
characters, and a line ``...`` for any lines. Each command takes a second. To write down what a
cluster really says, after reading it over:

    EDGEK_TEST_WRITE_SCENARIOS=1 pytest tests/scenarios
"""

import fnmatch
import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from edgek.api.errors import ApiError
from edgek.api.meta import Key, Obj, get_path
from edgek.kinds import ALL, EVENT, NODE, POD
from edgek.kinds.kind import Kind
from tests.support.cluster_in_memory import ClusterInMemory, status_of
from tests.support.raw import TABLE
from tests.support.raw import get as ask

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass
class Step:
    """``told``: the lines before it that only tell."""

    told: list[str]
    command: str
    given: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)


def parse(text: str) -> Iterator[Step]:
    told: list[str] = []
    step: Step | None = None
    for line in text.splitlines():
        if line.startswith("$ "):
            if step is not None:
                yield step
            step, told = Step(told, line[2:]), []
        elif step is None or line.startswith("#"):
            told.append(line)
        elif line.startswith("|"):
            step.given.append(line[2:])
        elif line.strip() or told:
            (told if told else step.expected).append(line)
    if step is not None:
        yield step


def written(steps: Iterable[Step]) -> str:
    """The text of steps, as ``parse`` reads it."""
    blocks = []
    for step in steps:
        lines = [*step.told, f"$ {step.command}", *(f"| {g}".rstrip() for g in step.given)]
        blocks.append("\n".join([*lines, *step.expected]))
    return "\n\n".join(blocks) + "\n"


def matches(expected: Sequence[str], printed: Sequence[str]) -> bool:
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(matches(expected[1:], printed[n:]) for n in range(len(printed) + 1))
    if not printed or not _fits(expected[0], printed[0]):
        return False
    return matches(expected[1:], printed[1:])


def _fits(pattern: str, line: str) -> bool:
    parts = (re.escape(part) for part in " ".join(pattern.split()).split("*"))
    return re.fullmatch(".*".join(parts), " ".join(line.split())) is not None


Command = Callable[["Session", list[str], str], Awaitable[str]]


@dataclass(kw_only=True)
class Session:
    """Who types: commands of ``COMMANDS`` against one cluster, in namespace default but where
    ``-n NAME`` follows."""

    cluster: ClusterInMemory
    namespace: str = "default"
    written: int = 0

    async def run(self, step: Step) -> list[str]:
        """What the step prints; refusals too."""
        words = shlex.split(step.command)
        self.namespace = "default"
        if "-n" in words:
            at = words.index("-n")
            self.namespace = words[at + 1]
            del words[at : at + 2]
        try:
            text = await COMMANDS[words[0]](self, words[1:], "\n".join(step.given))
        except ApiError as err:
            text = f"Error from server ({err.reason}): {err.message}"
        await self.cluster.settle()
        return [line.rstrip() for line in text.splitlines()]

    def kind(self, word: str) -> Kind:
        found = [k for k in ALL if word in (k.plural, k.singular, *k.short_names)]
        return found[0]

    def key(self, kind: Kind, name: str) -> Key:
        return Key(self.namespace if kind.namespaced else "", name)

    async def one(self, kind: Kind, name: str) -> Obj:
        return await self.cluster.client.get(kind, self.key(kind, name))

    async def names(self, kind: Kind, pattern: str) -> list[str]:
        """Of the objects that fit; a name without a pattern stands for itself."""
        if not set(pattern) & set("*?["):
            return [pattern]
        listed = await self.cluster.client.list(kind, namespace=self.key(kind, "").namespace)
        found = [o["metadata"]["name"] for o in listed.items]
        return sorted(fnmatch.filter(found, pattern))


async def apply(session: Session, words: list[str], given: str) -> str:
    """Server-side, as user kubectl; each document in turn."""
    lines = []
    for obj in yaml.safe_load_all(given):
        kind = next(k for k in ALL if (k.api_version, k.kind) == (obj["apiVersion"], obj["kind"]))
        session.namespace = obj["metadata"].get("namespace", session.namespace)
        key = session.key(kind, obj["metadata"]["name"])
        await session.cluster.client.patch(kind, key, obj, patch_type="apply", force=True)
        lines.append(f"{kind.singular}{'.' if kind.group else ''}{kind.group}/{key.name} applied")
    return "\n".join(lines)


async def get(session: Session, words: list[str], given: str) -> str:
    """``get KIND [NAME] [-l SELECTOR] [-o wide | -o .path]``: a table, or YAML of one field."""
    kind, options = session.kind(words[0]), _options(words[1:])
    name = next(iter(options["names"]), "")
    if options["o"].startswith("."):
        path = options["o"].strip(".").split(".")
        return _yaml(get_path(await session.one(kind, name), *path))
    path = kind.path(*session.key(kind, name))
    query = {"labelSelector": options["l"]} if options["l"] else {}
    answer = await ask(session.cluster.api, path, accept=TABLE, **query)
    return _table(answer, wide=options["o"] == "wide", where=session.key(kind, "").namespace)


def _options(words: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"l": "", "o": "", "names": []}
    rest = iter(words)
    for word in rest:
        if word in ("-l", "-o"):
            found[word[1:]] = next(rest)
        else:
            found["names"].append(word)
    return found


def _yaml(value: Any) -> str:
    if isinstance(value, dict | list) and value:
        return yaml.safe_dump(value, sort_keys=True, width=200).rstrip()
    return "" if value is None else str(value)


def _table(table: Obj, *, wide: bool, where: str) -> str:
    if table["kind"] == "Status":
        return f"Error from server ({table['reason']}): {table['message']}"
    shown = [n for n, c in enumerate(table["columnDefinitions"]) if wide or not c["priority"]]
    rows = [[str(table["columnDefinitions"][n]["name"]).upper() for n in shown]]
    rows += [[_cell(row["cells"][n]) for n in shown] for row in table["rows"]]
    if len(rows) == 1:
        return f"No resources found in {where} namespace." if where else "No resources found"
    widths = [max(len(row[n]) for row in rows) for n in range(len(shown))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cell(value: Any) -> str:
    return "<none>" if value is None else str(value)


async def delete(session: Session, words: list[str], given: str) -> str:
    """``delete KIND PATTERN [--cascade=orphan|foreground|background] [--now]``."""
    kind = session.kind(words[0])
    policy = next((w.partition("=")[2] for w in words if w.startswith("--cascade=")), "background")
    grace = 0 if "--now" in words else None
    names = await session.names(kind, words[1])
    for name in names:
        await session.cluster.client.delete(
            kind, session.key(kind, name), propagation_policy=policy.capitalize(),
            grace_period_seconds=grace,
        )  # fmt: skip
    return "\n".join(f'{kind.singular} "{name}" deleted' for name in names)


async def patch(session: Session, words: list[str], given: str) -> str:
    """``patch KIND NAME [--subresource=status]`` with a strategic merge patch in YAML."""
    kind, name = session.kind(words[0]), words[1]
    part = next((w.partition("=")[2] for w in words if w.startswith("--subresource=")), "")
    await session.cluster.client.patch(
        kind, session.key(kind, name), yaml.safe_load(given), patch_type="strategic",
        subresource=part,
    )  # fmt: skip
    return f"{kind.singular}/{name} patched"


async def scale(session: Session, words: list[str], given: str) -> str:
    """``scale KIND NAME REPLICAS``, through /scale."""
    kind, name, replicas = session.kind(words[0]), words[1], int(words[2])
    body = {"spec": {"replicas": replicas}}
    await session.cluster.client.patch(kind, session.key(kind, name), body, subresource="scale")
    return f"{kind.singular}/{name} scaled"


async def sleep(session: Session, words: list[str], given: str) -> str:
    """``sleep 90s``, also 5m, 2h, 1d."""
    await session.cluster.settle(float(words[0][:-1]) * UNITS[words[0][-1]])
    return ""


async def node(session: Session, words: list[str], given: str) -> str:
    """``node add NAME [cpu=8] [memory=1Gi] [LABEL=VALUE]``, ``node down|up|remove NAME``."""
    action, name, *rest = words
    if action == "add":
        pairs = dict(word.split("=", 1) for word in rest)
        sizes: Obj = {k: pairs.pop(k) for k in ("cpu", "memory", "pods") if k in pairs}
        await session.cluster.add_node(name, sizes, **pairs)
    elif action == "remove":
        session.cluster.stop_node(name)
        await session.cluster.client.delete(NODE, Key("", name))
    elif action == "up":
        await session.cluster.start_node(name)
    else:
        session.cluster.stop_node(name)
    return ""


async def pod(session: Session, words: list[str], given: str) -> str:
    """``pod PATTERN good|bad|done|fail|exit-N``: from now on it does what that image would."""
    pattern, image = words
    for name in await session.names(POD, pattern):
        container = (await session.one(POD, name))["spec"]["containers"][0]["name"]
        told = {"spec": {"containers": [{"name": container, "image": image}]}}
        body = {"status": status_of(told, now=session.cluster.now)}
        await session.cluster.client.patch(
            POD, session.key(POD, name), body, patch_type="strategic", subresource="status"
        )
    return ""


async def events(session: Session, words: list[str], given: str) -> str:
    """``events KIND/NAME``: what was said about it, in the order in which it was first said."""
    singular, _, name = words[0].partition("/")
    wanted = session.kind(singular).kind
    found = [
        e
        for e in (await session.cluster.client.list(EVENT)).items
        if e["involvedObject"].get("kind") == wanted
        and fnmatch.fnmatch(e["involvedObject"].get("name", ""), name)
    ]
    found.sort(key=lambda e: (e.get("firstTimestamp") or "", e["metadata"]["name"][-16:]))
    return "\n".join(f"{e['type']} {e['reason']}: {e['message']}{_times(e)}" for e in found)


def _times(event: Obj) -> str:
    count = event.get("count") or 1
    return f" (x{count})" if count > 1 else ""


async def evict(session: Session, words: list[str], given: str) -> str:
    """``evict PATTERN``: what drain asks for, one after the other."""
    lines = []
    for name in await session.names(POD, words[0]):
        meta = {"name": name, "namespace": session.namespace}
        body: Obj = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        try:
            await session.cluster.client.create(POD, body, subresource="eviction", name=name)
            lines.append(f"pod/{name} evicted")
        except ApiError as err:
            lines.append(f"pod/{name}: {err.message}")
    return "\n".join(lines)


async def own(session: Session, words: list[str], given: str) -> str:
    """``own KIND/NAME OWNER-KIND/NAME [--block]``: gives it one more owner."""
    (kind, name), (owner_kind, owner_name) = (_named(session, word) for word in words[:2])
    owner = await session.one(owner_kind, owner_name)
    reference: Obj = {"apiVersion": owner_kind.api_version, "kind": owner_kind.kind}
    reference |= {"name": owner_name, "uid": owner["metadata"]["uid"]}
    reference["blockOwnerDeletion"] = "--block" in words
    body = {"metadata": {"ownerReferences": [reference]}}
    key = session.key(kind, name)
    await session.cluster.client.patch(kind, key, body, patch_type="strategic")
    return ""


def _named(session: Session, word: str) -> tuple[Kind, str]:
    singular, _, name = word.partition("/")
    return session.kind(singular), name


async def writes(session: Session, words: list[str], given: str) -> str:
    """How often controllers and scheduler asked for a write since the last ``writes``."""
    since, session.written = session.written, session.cluster.writes.count
    return str(session.written - since)


async def clock(session: Session, words: list[str], given: str) -> str:
    """``clock jump +3h|-3h``: somebody sets the wall clock; timers run on."""
    step = words[1]
    session.cluster.clock.jump(float(step[:-1]) * UNITS[step[-1]])
    return ""


COMMANDS: Mapping[str, Command] = {
    "apply": apply,
    "get": get,
    "delete": delete,
    "patch": patch,
    "scale": scale,
    "sleep": sleep,
    "node": node,
    "pod": pod,
    "events": events,
    "evict": evict,
    "own": own,
    "writes": writes,
    "clock": clock,
}
