"""What every verb works with, in one frozen value."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgek.aio.clock import Clock
from server.authz.authorizer import Authorizer
from server.registry.kind_table import KindTable
from server.registry.registry import Registry

if TYPE_CHECKING:
    from server.endpoints.pages import Pages


@dataclass(frozen=True, kw_only=True)
class Env:
    kinds: KindTable
    registry: Registry
    clock: Clock
    pages: "Pages"
    authorizer: Authorizer
