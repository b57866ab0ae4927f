"""``python -m bench [NAME [OPTIONS]]``; without a name all, in their short form."""

import sys
from collections.abc import Callable, Sequence

from bench import agent, api, change, memory, scale, scheduler, start

BENCHMARKS: tuple[tuple[str, Callable[[Sequence[str]], None]], ...] = (
    ("memory", memory.main),
    ("agent", agent.main),
    ("start", start.main),
    ("api", api.main),
    ("scale", scale.main),
    ("change", change.main),
    ("scheduler", scheduler.main),
)


def main(argv: Sequence[str]) -> int:
    known = dict(BENCHMARKS)
    if argv and argv[0] not in known:
        print(f"usage: python -m bench [{'|'.join(known)}] [--help]", file=sys.stderr)
        return 2
    for name, run in BENCHMARKS:
        if not argv or argv[0] == name:
            print(f"== {name}")
            run(argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
