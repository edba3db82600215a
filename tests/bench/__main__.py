"""`python -m tests.bench [WORD ...]`: one line per figure of the modules named like a word."""

import importlib
import pkgutil
import sys

import tests.bench


def main(words: list[str]) -> int:
    names = sorted(
        module.name
        for module in pkgutil.iter_modules(tests.bench.__path__)
        if module.name.startswith("bench_")
    )
    chosen = [name for name in names if not words or any(word in name for word in words)]
    if not chosen:
        sys.stderr.write(f"no benchmark is named like that; there are: {', '.join(names)}\n")
        return 2
    for name in chosen:
        for figure in importlib.import_module(f"tests.bench.{name}").figures():
            sys.stdout.write(f"{figure}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
