"""Reads a source tree as syntax: which module imports what, and which names it uses."""

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One imported module; for `from a import b` both `a` and `a.b`, for b may be a module."""

    name: str
    line: int


@dataclass(frozen=True)
class Use:
    """One use of a foreign name, with its aliases resolved, such as `time.time`."""

    name: str
    line: int


@dataclass(frozen=True)
class Module:
    """One source file. `path` is relative to the tree's root, such as `edgectl/cli/main.py`."""

    path: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield Import(base, node.lineno)
                for alias in node.names:
                    yield Import(f"{base}.{alias.name}", node.lineno)

    def uses(self) -> Iterator[Use]:
        """Dotted names whose first part was imported, and built-in names as they stand."""
        aliases = self._aliases()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute | ast.Name):
                parts = _dotted(node)
                if parts and parts[0] in aliases:
                    yield Use(".".join((aliases[parts[0]], *parts[1:])), node.lineno)
                elif len(parts) == 1 and hasattr(builtins, parts[0]):
                    yield Use(parts[0], node.lineno)

    def calls_of(self, method: str) -> Iterator[ast.Call]:
        """Calls of a method by its name, whatever it is called on."""
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == method
            ):
                yield node

    def switched_rules(self) -> Iterator[tuple[int, str]]:
        """Where a set of rules is made that need not be whole, or given to `assemble`."""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).split(".")[-1]
            given = [keyword.arg for keyword in node.keywords]
            if called == "Rules" and (node.args or node.keywords):
                yield node.lineno, "makes rules of its own"
            elif called == "assemble" and "rules" in given:
                yield node.lineno, "gives rules to assemble"
            elif called == "replace" and any(_is_rule(name) for name in given):
                yield node.lineno, "changes the rules"

    def asserts(self) -> Iterator[int]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assert):
                yield node.lineno

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = self.name.split(".")
        package = here if self.path.endswith("/__init__.py") else here[:-1]
        base = package[: len(package) - (node.level - 1)]
        return ".".join((*base, node.module)) if node.module else ".".join(base)

    def _aliases(self) -> dict[str, str]:
        aliases: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    aliases[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    aliases[alias.asname or alias.name] = f"{base}.{alias.name}"
        return aliases


def read_tree(root: Path, *folders: str) -> list[Module]:
    """Every module below the folders, in the order of their paths."""
    modules = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root).as_posix()
            modules.append(Module(relative, ast.parse(path.read_text(), filename=relative)))
    return modules


def _dotted(node: ast.expr) -> list[str]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return []
    return [node.id, *reversed(parts)]


def _is_rule(name: str | None) -> bool:
    """Whether a keyword names rules, or the switch of one, such as `s4_base`."""
    return name is not None and (name == "rules" or re.match(r"s\d+_", name) is not None)
