"""The rules of the house as data, each with its reason; the checkers that apply them to a tree.

A rule that matches nothing any more is reported as well: it would give a false sense of order.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.architecture.tree import Module


@dataclass(frozen=True)
class Room:
    """Part of the tree. `third_parties`: foreign packages that it may import."""

    prefix: str
    floor: int
    reason: str
    third_parties: frozenset[str] = frozenset()

    def holds(self, path: str) -> bool:
        return path == self.prefix or (self.prefix.endswith("/") and path.startswith(self.prefix))


ROOMS = (
    Room("edgectl/__init__.py", 0, "the version is read by everybody, so it needs nobody"),
    Room("edgectl/units.py", 0, "words need nothing to be understood"),
    Room("edgectl/errors.py", 0, "words need nothing to be understood"),
    Room("edgectl/clock.py", 0, "a moment is a value; reading a clock is an adapter's work"),
    Room("edgectl/model/", 1, "facts do not know who judges, reads or carries them"),
    Room("edgectl/control/", 2, "the judgement is replayed bit for bit: it knows facts alone"),
    Room("edgectl/devices/", 2, "a device type is data and arithmetic, whatever carries its words"),
    Room("edgectl/grid/", 2, "events become ceilings by arithmetic, whatever carried them"),
    Room(
        "edgectl/indicators/",
        2,
        "figures that a region is paid or judged by are arithmetic over what was seen, whatever "
        "stores and sends them",
    ),
    Room("edgectl/planning/", 2, "a plan is arithmetic over facts"),
    Room(
        "edgectl/sitefile/",
        3,
        "reads and checks files; it must not need a broker or a device to do so",
        frozenset({"pydantic", "pydantic_core", "yaml"}),
    ),
    Room(
        "edgectl/contract/",
        3,
        "says what goes out; how it is carried may change without it",
        frozenset({"pydantic"}),
    ),
    Room(
        "edgectl/adapters/",
        4,
        "each wraps one outside thing behind its port; rules live below, wiring above",
        frozenset({"pymodbus", "aiomqtt", "paho", "h11", "structlog", "cryptography"}),
    ),
    Room(
        "edgectl/daemon/",
        5,
        "the shell runs on a virtual clock with ports in memory: no transport may be in it",
        frozenset({"structlog"}),
    ),
    Room(
        "edgectl/cli/",
        6,
        "the technician's tool; it must start quickly over a slow SSH session",
        frozenset({"structlog"}),
    ),
    Room(
        "edgectl/simulator/",
        6,
        "plays the outside world; nobody below may need it",
        frozenset({"pymodbus", "aiomqtt", "amqtt", "yaml"}),
    ),
)


@dataclass(frozen=True)
class Gate:
    """An import across a wall that the walls alone would refuse."""

    importer: str
    imported: str
    reason: str


EXCEPTIONS = (
    Gate(
        "edgectl/cli/demo.py",
        "edgectl.simulator",
        "`edgectl demo` is the simulator's door for a person; the simulator itself prints nothing "
        "of the tool's",
    ),
    Gate(
        "edgectl/cli/simulate.py",
        "edgectl.simulator",
        "`edgectl simulate` brings the real control and the simulated yard together: the yard may "
        "not know the control",
    ),
)


@dataclass(frozen=True)
class Wall:
    """Modules in `where` must not import `forbidden`, but for those in `but`."""

    where: str
    forbidden: tuple[str, ...]
    reason: str
    but: tuple[str, ...] = ()


PURE = (
    "edgectl/__init__.py",
    "edgectl/units.py",
    "edgectl/errors.py",
    "edgectl/clock.py",
    "edgectl/model/",
    "edgectl/control/",
    "edgectl/devices/",
    "edgectl/grid/",
    "edgectl/indicators/",
    "edgectl/planning/",
)

_OUTSIDE_WORLD = (
    "asyncio",
    "logging",
    "socket",
    "ssl",
    "sqlite3",
    "subprocess",
    "threading",
    "multiprocessing",
    "concurrent",
    "signal",
    "selectors",
    "select",
    "os",
    "tempfile",
    "shutil",
    "pathlib",
    "urllib",
    "http",
    "time",
    "random",
    "secrets",
    "uuid",
)

WALLS = (
    *(
        Wall(
            room,
            _OUTSIDE_WORLD,
            "values in, values out: time, randomness and I/O come in as arguments, or a replay on "
            "another machine would give something else",
        )
        for room in PURE
    ),
    Wall(
        "edgectl/",
        ("edgectl._kernel",),
        "the kernel takes flat arrays without checking their meaning; its one typed wrapper "
        "validates before and verifies after",
        but=("edgectl/control/kernel.py",),
    ),
    Wall(
        "edgectl/",
        ("edgectl.control._drawn",),
        "it sums whatever it is given; what the sums mean is said in one place",
        but=("edgectl/control/drawn.py",),
    ),
    Wall(
        "edgectl/daemon/",
        ("numpy", "scipy", "amqtt", "rich", "typer", "textual", "highspy", "aiohttp"),
        "the daemon stays below 80 MB on a small gateway; a plan is computed in its own process",
    ),
    Wall(
        "edgectl/daemon/",
        ("pymodbus", "aiomqtt", "paho", "h11", "sqlite3", "socket", "edgectl.adapters"),
        "the shell gets its ports from whoever assembles it, real ones or those in memory",
    ),
    Wall(
        "edgectl/cli/",
        ("edgectl.daemon", "edgectl.adapters", "structlog"),
        "the tool talks to the daemon through its local API; only `run` starts one, and `alone` "
        "asks a device where no daemon runs; `dr` proves the evidence without the daemon's word",
        but=("edgectl/cli/run.py", "edgectl/cli/alone.py", "edgectl/cli/dr.py"),
    ),
    Wall(
        "edgectl/simulator/",
        ("edgectl.control", "edgectl.devices", "edgectl.planning"),
        "what judges the product may share nothing with it, or both would be wrong together",
    ),
)


@dataclass(frozen=True)
class Ban:
    """Names that may be used only in `but`, each of which must still use one of them."""

    names: tuple[str, ...]
    reason: str
    but: tuple[str, ...] = ()


_GLOBAL_RANDOM = (
    "SystemRandom",
    "betavariate",
    "choice",
    "choices",
    "expovariate",
    "gauss",
    "getrandbits",
    "lognormvariate",
    "normalvariate",
    "randbytes",
    "randint",
    "random",
    "randrange",
    "sample",
    "seed",
    "shuffle",
    "triangular",
    "uniform",
)

BANS = (
    Ban(
        (
            "time.time",
            "time.time_ns",
            "time.monotonic",
            "time.monotonic_ns",
            "time.perf_counter",
            "time.perf_counter_ns",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        "time comes from the Clock port, or the daemon could not run on a virtual clock",
        but=("edgectl/adapters/", "edgectl/simulator/"),
    ),
    Ban(
        ("asyncio.sleep", "time.sleep"),
        "sleeping is the Clock port's, or a simulated hour would take an hour",
        but=("edgectl/adapters/", "edgectl/simulator/"),
    ),
    Ban(
        ("asyncio.create_task", "asyncio.ensure_future"),
        "a task belongs to a TaskGroup: a lone one dies unseen and outlives the shutdown",
    ),
    Ban(
        ("print",),
        "a daemon logs; only the tool and the simulated depot speak to a person",
        but=("edgectl/cli/",),
    ),
    Ban(
        (
            *(f"random.{name}" for name in _GLOBAL_RANDOM),
            "secrets",
            "uuid.uuid1",
            "uuid.uuid4",
            "os.urandom",
        ),
        "randomness comes in as an argument, or a seed would not repeat a run",
        but=("edgectl/adapters/",),
    ),
    Ban(
        ("sys.exit", "os._exit", "exit", "quit"),
        "a fault is a value or an exception; whoever ends the process skips the safe decision",
        but=("edgectl/cli/",),
    ),
    Ban(
        ("os.environ", "os.getenv"),
        "settings come from the site file and from arguments, so that a run can be repeated",
        but=("edgectl/cli/", "edgectl/simulator/demo/broker.py"),
    ),
)

INEXACT_MODULES = frozenset({"cmath", "statistics"})

EXACT_MATH = frozenset(
    {
        "sqrt",
        "isfinite",
        "isnan",
        "isinf",
        "inf",
        "nan",
        "floor",
        "ceil",
        "trunc",
        "fabs",
        "copysign",
        "isclose",
        "nextafter",
        "ulp",
        "frexp",
        "ldexp",
        "modf",
        "gcd",
    }
)


@dataclass(frozen=True)
class Violation:
    """Where a rule is broken, and why the rule exists."""

    path: str
    line: int
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}; {self.reason}"


def check_floors(
    modules: Iterable[Module],
    rooms: tuple[Room, ...] = ROOMS,
    exceptions: tuple[Gate, ...] = EXCEPTIONS,
) -> list[Violation]:
    """Imports go downwards or stay in their room; foreign packages only where they are allowed."""
    found: list[Violation] = []
    used_rooms: set[str] = set()
    used_parties: set[tuple[str, str]] = set()
    used_exceptions: set[Gate] = set()
    for module in modules:
        room = _room_of(module.path, rooms)
        if room is None:
            found.append(
                Violation(module.path, 1, "is in no room", "every file has one floor; see DESIGN")
            )
            continue
        used_rooms.add(room.prefix)
        for one in module.imports():
            top = one.name.split(".")[0]
            if top == "edgectl":
                exception = _exception_of(module.path, one.name, exceptions)
                if exception is not None:
                    used_exceptions.add(exception)
                    continue
                found.extend(_upwards(module, room, one.name, one.line, rooms))
            elif top not in sys.stdlib_module_names:
                used_parties.add((room.prefix, top))
                if top not in room.third_parties:
                    found.append(
                        Violation(module.path, one.line, f"imports {one.name}", room.reason)
                    )
    found.extend(_unused_rules(rooms, exceptions, used_rooms, used_parties, used_exceptions))
    return found


def check_walls(modules: list[Module], walls: tuple[Wall, ...] = WALLS) -> list[Violation]:
    """Nobody in a wall's room imports what it forbids, but for those that it names."""
    found: list[Violation] = []
    for wall in walls:
        inside = [module for module in modules if _within(module.path, (wall.where,))]
        if not inside:
            found.append(_stale(wall.where, "this wall stands around nothing"))
        needed = set[str]()
        for module in inside:
            for one in module.imports():
                if not _is_any(one.name, wall.forbidden):
                    continue
                if _within(module.path, wall.but):
                    needed.update(but for but in wall.but if _within(module.path, (but,)))
                else:
                    found.append(
                        Violation(module.path, one.line, f"imports {one.name}", wall.reason)
                    )
        found.extend(
            _stale(but, f"it needs no gate to {wall.forbidden[0]} any more")
            for but in wall.but
            if but not in needed
        )
    return found


def check_bans(modules: list[Module], bans: tuple[Ban, ...] = BANS) -> list[Violation]:
    """Banned names are used only where the ban says so."""
    found: list[Violation] = []
    for ban in bans:
        needed = set[str]()
        for module in modules:
            for use in module.uses():
                if not _is_any(use.name, ban.names):
                    continue
                if _within(module.path, ban.but):
                    needed.update(but for but in ban.but if _within(module.path, (but,)))
                else:
                    found.append(Violation(module.path, use.line, f"uses {use.name}", ban.reason))
        found.extend(
            _stale(but, f"it does not use {', '.join(ban.names)} any more")
            for but in ban.but
            if but not in needed
        )
    return found


def check_asserts(modules: list[Module]) -> list[Violation]:
    """The product has no `assert`."""
    reason = "`python -O` removes it; use edgectl.errors.invariant"
    return [
        Violation(module.path, line, "uses assert", reason)
        for module in modules
        for line in module.asserts()
    ]


def check_tasks(modules: list[Module]) -> list[Violation]:
    """Every task is named, and belongs to a group rather than to the loop."""
    found: list[Violation] = []
    for module in modules:
        for call in module.calls_of("create_task"):
            if not any(keyword.arg == "name" for keyword in call.keywords):
                found.append(
                    Violation(
                        module.path,
                        call.lineno,
                        "creates a task without a name",
                        "at three in the morning a stack dump must say whose task it is",
                    )
                )
            if "loop" in _receiver(call):
                found.append(
                    Violation(
                        module.path,
                        call.lineno,
                        "creates a task on the loop",
                        "a task belongs to a TaskGroup: a lone one dies unseen",
                    )
                )
    return found


def check_switches(modules: list[Module], but: str = "edgectl/simulator/trial/") -> list[Violation]:
    """Every rule of safety is on, but in the simulation that shows what each is good for."""
    reason = (
        "a rule that is off in the product is a rule that is not there; only a trial of the"
        " simulator may switch one off"
    )
    found: list[Violation] = []
    needed = False
    for module in modules:
        for line, what in module.switched_rules():
            if _within(module.path, (but,)):
                needed = True
            else:
                found.append(Violation(module.path, line, what, reason))
    return found if needed else [*found, _stale(but, "it switches no rule off any more")]


def check_math(modules: list[Module], where: str = "edgectl/control/") -> list[Violation]:
    """The judgement uses no mathematics that may differ between machines."""
    inside = [module for module in modules if _within(module.path, (where,))]
    found = [] if inside else [_stale(where, "there is no judgement to check")]
    for module in inside:
        for use in module.uses():
            top, _, rest = use.name.partition(".")
            exact = top not in INEXACT_MODULES and (
                top != "math" or not rest or rest.split(".")[0] in EXACT_MATH
            )
            if not exact:
                found.append(
                    Violation(
                        module.path,
                        use.line,
                        f"uses {use.name}",
                        "a replay on another machine must give the same bits",
                    )
                )
    return found


def check_sums(modules: list[Module], where: str = "edgectl/control/") -> list[Violation]:
    """The judgement adds floats one by one, and raises none to a power.

    The built-in `sum` may count what is surely whole: comparisons, `not`, `len(...)`, literals.
    """
    inside = [module for module in modules if _within(module.path, (where,))]
    found = [] if inside else [_stale(where, "there is no judgement to check")]
    for module in inside:
        counts = {id(call.func) for call in _calls(module) if _counts(call)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and node.id == "sum" and id(node) not in counts:
                what = "uses sum"
                why = "it rounds otherwise from Python 3.12 on; use edgectl.control.sums.total"
            elif isinstance(node, ast.Name) and node.id == "pow":
                what, why = "uses pow", "that is libm's, and differs between machines"
            elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
                what, why = "uses **", "that is libm's pow, and differs between machines"
            else:
                continue
            found.append(Violation(module.path, node.lineno, what, why))
    return found


def _calls(module: Module) -> Iterator[ast.Call]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node


def _counts(call: ast.Call) -> bool:
    """Whether it is `sum(... for ...)` over what is surely whole."""
    match call:
        case ast.Call(ast.Name("sum"), [ast.GeneratorExp(elt) | ast.ListComp(elt)], []):
            return _is_whole(elt)
        case _:
            return False


def _is_whole(value: ast.expr) -> bool:
    match value:
        case ast.Compare() | ast.UnaryOp(ast.Not()) | ast.Call(ast.Name("len")):
            return True
        case ast.Constant(int()):
            return True
        case _:
            return False


def _room_of(path: str, rooms: tuple[Room, ...]) -> Room | None:
    return next((room for room in rooms if room.holds(path)), None)


def _upwards(
    module: Module, room: Room, imported: str, line: int, rooms: tuple[Room, ...]
) -> Iterator[Violation]:
    path = imported.replace(".", "/")
    target = _room_of(f"{path}.py", rooms) or _room_of(f"{path}/", rooms)
    if target is None or target.prefix == room.prefix or target.floor < room.floor:
        return
    kind = "a neighbour on its floor" if target.floor == room.floor else "a floor above"
    yield Violation(
        module.path,
        line,
        f"(floor {room.floor}) imports {imported} ({kind}, floor {target.floor})",
        room.reason,
    )


def _exception_of(path: str, imported: str, exceptions: tuple[Gate, ...]) -> Gate | None:
    for exception in exceptions:
        if exception.importer == path and _is_any(imported, (exception.imported,)):
            return exception
    return None


def _unused_rules(
    rooms: tuple[Room, ...],
    exceptions: tuple[Gate, ...],
    used_rooms: set[str],
    used_parties: set[tuple[str, str]],
    used_exceptions: set[Gate],
) -> Iterator[Violation]:
    for room in rooms:
        if room.prefix not in used_rooms:
            yield _stale(room.prefix, "this room is empty")
        for party in sorted(room.third_parties):
            if (room.prefix, party) not in used_parties:
                yield _stale(room.prefix, f"it does not import {party} any more")
    for exception in exceptions:
        if exception not in used_exceptions:
            yield _stale(exception.importer, f"it does not import {exception.imported} any more")


def _stale(path: str, what: str) -> Violation:
    return Violation(path, 0, what, "remove the rule, or what it guards has moved")


def _within(path: str, places: Iterable[str]) -> bool:
    return any(
        path == place or (place.endswith("/") and path.startswith(place)) for place in places
    )


def _is_any(name: str, names: Iterable[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in names)


def _receiver(call: object) -> str:
    return (
        ast.unparse(call.func.value)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        else ""
    )
