"""Nothing of CEL is loaded before something is written in it, and everything works then."""

import subprocess
import sys
from typing import Any

from edgek.api.errors import Invalid
from edgek.api.meta import Obj
from edgek.kinds import CONFIG_MAP, VALIDATING_ADMISSION_POLICY
from server.admission.chain import Attributes
from server.expressions import Late
from server.request.fake import FakeReader
from server.request.model import User


def test_a_server_starts_without_the_language() -> None:
    code = "import sys, server.run; print([m for m in sys.modules if m.startswith('server.cel')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Refusing:
    async def admit(self, attributes: Attributes) -> None:
        attributes.warnings.append("admitted")

    async def validate(self, attributes: Attributes) -> None:
        raise Invalid("refused")


async def test_a_late_plugin_is_made_once_with_the_first_object_it_is_about() -> None:
    reader, made = FakeReader(), []

    def make() -> Refusing:
        made.append(1)
        return Refusing()

    late = Late(reader, VALIDATING_ADMISSION_POLICY, make)
    about: Any = {"operation": "CREATE", "namespace": "default", "name": "a"}
    attributes = Attributes(kind=CONFIG_MAP, user=User(name="u"), **about)
    await late.admit(attributes)
    await late.validate(attributes)
    assert not made
    policy: Obj = {"metadata": {"name": "p"}}
    reader.put(VALIDATING_ADMISSION_POLICY, policy)
    for _ in range(2):
        await late.admit(attributes)
    assert attributes.warnings == ["admitted"] * 2
    assert made == [1]
