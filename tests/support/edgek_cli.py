"""The ``edgek`` command as its users run it: a process of its own, against a given kubeconfig."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / ".venv/bin/edgek"


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Edgek:
    kubeconfig: Path
    home: Path

    @asynccontextmanager
    async def running(self, *argv: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process with pipes on all three ends; dead at the end."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *argv, env=self.env, stdin=pipe, stdout=pipe, stderr=pipe
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)}

    async def run(self, *argv: str, stdin: str = "", seconds: float = 30) -> Done:
        async with self.running(*argv) as process, asyncio.timeout(seconds):
            out, err = await process.communicate(stdin.encode())
            code = process.returncode
        assert code is not None
        done = Done(code=code, out=out.decode(), err=err.decode())
        assert "Traceback" not in done.err, done.err
        return done

    async def __call__(self, *argv: str, stdin: str = "") -> str:
        """Standard output of a command that succeeds."""
        done = await self.run(*argv, stdin=stdin)
        assert done.code == 0, f"edgek {argv}: {done}"
        return done.out

    async def fails(self, *argv: str, stdin: str = "", code: int = 1) -> str:
        """The last line of what a failing command says; there is an ``error:`` in it."""
        done = await self.run(*argv, stdin=stdin)
        assert done.code == code, f"edgek {argv}: {done}"
        last = done.err.splitlines()[-1]
        assert last.startswith("error: "), done
        return last.removeprefix("error: ")
