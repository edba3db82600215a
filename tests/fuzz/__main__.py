"""`python -m tests.fuzz [--inputs N] [--seed S]`: fuzz the command path; prints the answers."""

import argparse
import asyncio
import sys
import time

import structlog

from tests.fuzz.command_path import Range


def _say(count: int) -> None:
    sys.stderr.write(f"{count} inputs\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began_s = time.monotonic()
    fired = Range(args.seed)
    asyncio.run(fired.run(args.inputs, _say))
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"{args.inputs} inputs from seed {args.seed} in {took_s:.0f} s, no finding\n")
    for name, count in sorted(fired.counts.items()):
        sys.stdout.write(f"{count:>9}  {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
