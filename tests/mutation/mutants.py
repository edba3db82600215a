"""Small wrong changes to a module, one at a time, and how one is put into the running program.

1. A mutant changes one place of the syntax tree: a comparison, an operator, a number, a condition,
   a statement that goes. Texts, annotations, decorators, defaults and `strict=` are left alone, and
   so are numbers below `TINY`, which are tolerances of rounding.
2. It is planted without importing anything anew: the code of the module's functions is exchanged in
   place, so that whoever imported them has the mutant; so are the module's plain constants.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

TINY: Final = 1e-5

_COMPARE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BINARY: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}
_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_PLAIN: Final = (int, float, str, tuple, frozenset)


@dataclass(frozen=True, slots=True)
class Mutant:
    """The `number`-th change of a module. `scope`: the function it is in; empty: none."""

    module: str
    number: int
    line: int
    scope: str
    kind: str
    before: str
    after: str

    @property
    def id(self) -> str:
        """Name it, for as long as the module stays as it is."""
        return f"{self.module}:{self.number}"

    def __str__(self) -> str:
        """Say it on one line."""
        return f"{self.module}:{self.line} {self.kind}: {self.before}  ->  {self.after}"


@dataclass(frozen=True, slots=True)
class _Place:
    """A node to change, with what changes it in place."""

    node: ast.AST
    kind: str
    scope: str
    change: Callable[[], None]
    show: Callable[[], str]


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Give every mutant of a module, in the order of its text."""
    found = []
    for number in range(_count(source)):
        place = _nth(ast.parse(source), number)
        before = place.show()
        place.change()
        found.append(
            Mutant(
                module=module,
                number=number,
                line=getattr(place.node, "lineno", 0),
                scope=place.scope,
                kind=place.kind,
                before=_short(before),
                after=_short(place.show()),
            )
        )
    return found


def plant(module: ModuleType, source: str, number: int) -> bool:
    """Put the mutant into the program; False where that cannot be done while it runs."""
    tree = ast.parse(source)
    place = _nth(tree, number)
    place.change()
    code = compile(ast.fix_missing_locations(tree), module.__file__ or module.__name__, "exec")
    if place.scope:
        return _exchange_code(module, dict(_codes(code)))
    return _exchange_constants(module, code)


def _exchange_code(module: ModuleType, codes: dict[str, CodeType]) -> bool:
    changed = False
    for function in _functions(module):
        code = codes.get(function.__code__.co_qualname)
        if code is not None and code != function.__code__:
            function.__code__ = code
            changed = True
    return changed


def _exchange_constants(module: ModuleType, code: CodeType) -> bool:
    """Run the changed module aside, and take over the constants that came out otherwise."""
    aside: dict[str, Any] = {"__name__": module.__name__, "__file__": module.__file__}
    exec(code, aside)
    changed = False
    for name, value in aside.items():
        known = vars(module).get(name)
        if not isinstance(value, _PLAIN) or type(known) is not type(value) or known == value:
            continue
        for other in list(sys.modules.values()):
            if getattr(other, "__dict__", {}).get(name) is known:
                setattr(other, name, value)
        changed = True
    return changed


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Every function that the module itself made."""
    for value in list(vars(module).values()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for member in vars(value).values():
                inner = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if isinstance(inner, FunctionType):
                    yield inner


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const.co_qualname, const
            yield from _codes(const)


def _count(source: str) -> int:
    return sum(1 for _ in _places(ast.parse(source)))


def _nth(tree: ast.Module, number: int) -> _Place:
    return next(place for k, place in enumerate(_places(tree)) if k == number)


def _places(tree: ast.Module) -> Iterator[_Place]:
    yield from _in_body(tree.body, "")


def _in_body(body: list[ast.stmt], scope: str) -> Iterator[_Place]:
    for k, statement in enumerate(body):
        if scope and _can_go(statement):
            gone = ast.copy_location(ast.Pass(), statement)
            yield _Place(statement, "statement", scope, *_exchanged(body, k, gone))
        yield from _in_node(statement, scope)


def _in_node(node: ast.AST, scope: str) -> Iterator[_Place]:
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.arguments():
            return
        case ast.keyword(arg="strict"):
            return
        case ast.ClassDef():
            # Defaults of fields are part of what the class was made of and cannot be exchanged.
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    yield from _in_node(part, _within(scope, node.name))
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _in_body(node.body, _within(scope, node.name))
        case _:
            yield from _own_places(node, scope)
            yield from _in_fields(node, scope)


def _in_fields(node: ast.AST, scope: str) -> Iterator[_Place]:
    for name, value in ast.iter_fields(node):
        if name == "annotation":
            continue
        if name in {"body", "orelse", "finalbody"} and isinstance(value, list):
            yield from _in_body(value, scope)
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield from _in_node(part, scope)


def _own_places(node: ast.AST, scope: str) -> Iterator[_Place]:
    def place(kind: str, name: str, value: Any, *, on: ast.AST = node) -> _Place:
        return _Place(
            node, kind, scope, lambda: setattr(on, name, value), lambda: ast.unparse(node)
        )

    yield from _conditions(node, scope)
    match node:
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _BINARY:
            yield place("operator", "op", _BINARY[type(node.op)]())
        case ast.BoolOp(op=ast.And()):
            yield place("and/or", "op", ast.Or())
        case ast.BoolOp():
            yield place("and/or", "op", ast.And())
        case ast.UnaryOp(op=ast.USub()):
            yield place("sign", "op", ast.UAdd())
        case ast.Constant(value=bool(value)):
            yield place("constant", "value", not value)
        case ast.Constant(value=int(value) | float(value)) if value == 0 or abs(value) >= TINY:
            yield place("constant", "value", _other(value))
        case ast.Call(func=ast.Name(id=name) as function) if name in _CALLS:
            yield place("call", "id", _CALLS[name], on=function)


def _conditions(node: ast.AST, scope: str) -> Iterator[_Place]:
    match node:
        case ast.Compare():
            for k, op in enumerate(node.ops):
                change, _ = _exchanged(node.ops, k, _COMPARE[type(op)]())
                yield _Place(node, "comparison", scope, change, lambda: ast.unparse(node))
        case ast.If() | ast.IfExp() | ast.While():
            negated = _not(node.test)
            yield _Place(
                node.test,
                "condition",
                scope,
                lambda: setattr(node, "test", negated),
                lambda: ast.unparse(node.test),
            )
        case ast.comprehension():
            for k, test in enumerate(node.ifs):
                yield _Place(test, "condition", scope, *_exchanged(node.ifs, k, _not(test)))


def _exchanged(
    where: list[Any], k: int, value: ast.AST
) -> tuple[Callable[[], None], Callable[[], str]]:
    """How to put `value` into its place in a list, and how to show what is there."""
    return (lambda: where.__setitem__(k, value)), (lambda: ast.unparse(where[k]))


def _within(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _can_go(statement: ast.stmt) -> bool:
    match statement:
        case ast.AugAssign() | ast.Continue() | ast.Break():
            return True
        case ast.Expr(value=ast.Call() | ast.YieldFrom() | ast.Yield()):
            return True
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            return True
    return False


def _not(test: ast.expr) -> ast.expr:
    return ast.copy_location(ast.UnaryOp(op=ast.Not(), operand=test), test)


def _other(value: Any) -> Any:
    """Twice a number, and 1 for 0: wrong enough that somebody should notice."""
    return type(value)(1) if value == 0 else value * 2


def _short(text: str, width: int = 70) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
