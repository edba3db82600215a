"""Profile files into profiles. A file that is wrong gives every finding at once and no profile.

The technician's own folder comes first: a profile there replaces the built-in one of the same name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from edgectl.devices.codec import WORDS_OF_TYPE
from edgectl.devices.profile import (
    Access,
    Caveat,
    ChargerPart,
    Connectors,
    Expect,
    Failsafe,
    FailsafeOutside,
    Feeding,
    Mains,
    Mirror,
    Point,
    PointType,
    PollClass,
    Profile,
    ProfileKind,
    ReadRules,
    RegisterKind,
    Scope,
    Setpoint,
    StateRule,
    Sure,
    Transport,
    WordOrder,
    WriteValue,
)
from edgectl.errors import BadInput, Finding
from edgectl.model.reading import VehicleState
from edgectl.model.site import KeepAlive
from edgectl.sitefile.profile_checks import check_profile
from edgectl.sitefile.profile_schema import (
    ChargerProfileFile,
    ExpectEntry,
    FailsafeEntry,
    KeepAliveEntry,
    PointEntry,
    ProfileFile,
    RequireEntry,
    WriteEntry,
)
from edgectl.sitefile.source import Source, findings_of, read_source

OWN_FOLDER: Final = Path("/etc/edgectl/profiles")

_METER_REFRESH_S: Final = 1.0
_CHARGER_REFRESH_S: Final = 3.0


def builtin_folder() -> Path:
    """Say where the profiles are that come with edgectl."""
    return Path(str(files("edgectl"))) / "_config" / "profiles"


def profile_folders() -> tuple[Path, ...]:
    """Give the folders to look into, the one that wins first."""
    return (OWN_FOLDER, builtin_folder())


def load_profiles(folders: Sequence[Path] | None = None) -> dict[str, Profile]:
    """Read every profile; of two with one name the first folder's counts. A folder may be absent.

    Raises BadInput with everything wrong in all files that count.
    """
    looked = profile_folders() if folders is None else tuple(folders)
    found, wrong = find_profiles(looked)
    profiles: dict[str, Profile] = {}
    for name, path in sorted(found.items()):
        try:
            profiles[name] = read_profile(path)
        except BadInput as error:
            wrong.extend(error.findings)
    if wrong:
        raise BadInput(wrong)
    if not profiles:
        raise BadInput([_no_profiles(looked)])
    return profiles


def find_profiles(folders: Iterable[Path]) -> tuple[dict[str, Path], list[Finding]]:
    """Find the file that counts for each profile, and say what would be passed over silently."""
    found: dict[str, Path] = {}
    wrong: list[Finding] = []
    for folder in folders:
        paths, unread = _files(folder)
        wrong.extend(unread)
        for path in paths:
            found.setdefault(path.stem, path)
    return found, wrong


def read_profile(path: Path) -> Profile:
    """Read one profile file; BadInput names everything that is wrong with it."""
    return profile_of(read_source(path))


def profile_of(source: Source) -> Profile:
    """Make a profile of a file's data; BadInput names everything that is wrong with it."""
    wrong = list(source.findings)
    if wrong and source.data is None:
        raise BadInput(wrong)
    if not isinstance(source.data, dict):
        raise BadInput([*wrong, _not_a_profile(source)])
    model = _model_for(source.data)
    try:
        entry = model.model_validate(source.data)
    except ValidationError as error:
        wrong.extend(_with_remedy(f) for f in findings_of(error, source, model=model))
        raise BadInput(wrong) from error
    profile = _profile(entry, source.file)
    wrong.extend(check_profile(profile, source))
    if wrong:
        raise BadInput(wrong)
    return profile


def _files(folder: Path) -> tuple[list[Path], list[Finding]]:
    """List a folder's profile files; an absent folder has none."""
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [
            _outside(
                folder,
                code="unreadable",
                message=f"the folder cannot be read: {error.strerror or error}",
                remedy="check its permissions",
            )
        ]
    misnamed = [
        _outside(
            path,
            code="wrong_name",
            message="a profile's file name ends in .yaml",
            remedy=f"rename it to {path.stem}.yaml",
        )
        for path in paths
        if path.suffix == ".yml"
    ]
    return [path for path in paths if path.suffix == ".yaml"], misnamed


def _outside(path: Path, *, code: str, message: str, remedy: str) -> Finding:
    return Finding(file=str(path), line=0, path="", code=code, message=message, remedy=remedy)


def _model_for(data: Mapping[str | int, object]) -> type[ProfileFile]:
    """Choose by the kind; where that is wrong, by what the file describes."""
    if data.get("kind") == "meter":
        return ProfileFile
    charger_keys = ChargerProfileFile.model_fields.keys() - ProfileFile.model_fields.keys()
    described = data.get("kind") == "charger" or bool(charger_keys & data.keys())
    return ChargerProfileFile if described else ProfileFile


def _with_remedy(finding: Finding) -> Finding:
    """Say it better where a key of a charger is missing that has a word for nothing."""
    if finding.code != "missing":
        return finding
    if finding.path == "failsafe":
        return replace(
            finding,
            message="is missing: failsafe, what the charger does when nobody talks to it",
            remedy="describe the failsafe block, or state that there is none with `failsafe: none`",
        )
    if finding.path == "boot_a":
        return replace(finding, remedy="write the current after a restart, or `boot_a: unknown`")
    if finding.path == "setpoint.readback":
        return replace(finding, remedy="name the point to read back, or write `readback: none`")
    return finding


def _not_a_profile(source: Source) -> Finding:
    return source.finding(
        (),
        code="wrong_type",
        message="a profile is keys and values",
        remedy="begin with `profile: <name of the file>` and `kind: charger` or `kind: meter`",
    )


def _no_profiles(folders: Iterable[Path]) -> Finding:
    named = ", ".join(str(folder) for folder in folders)
    return Finding(
        file=named,
        line=0,
        path="",
        code="missing",
        message="no profile (*.yaml) found",
        remedy="check the folder, or install edgectl again",
    )


def _profile(entry: ProfileFile, file: str) -> Profile:
    meter = not isinstance(entry, ChargerProfileFile)
    connectors = entry.connectors
    return Profile(
        id=entry.profile,
        file=file,
        title=entry.title,
        kind=ProfileKind(entry.kind),
        word_order=WordOrder(entry.word_order),
        transport=Transport(
            timeout_s=entry.transport.timeout_s,
            request_gap_s=entry.transport.request_gap_s,
            poll_s=entry.transport.poll_s,
            slow_poll_s=entry.transport.slow_poll_s,
            reconnect_min_s=entry.transport.reconnect_min_s,
        ),
        read=ReadRules(
            max_registers=entry.read.max_registers,
            allow_gaps=entry.read.allow_gaps,
            single_value=entry.read.single_value,
            boundaries=tuple(entry.read.boundaries),
            never_read=tuple(entry.read.never_read),
            alone=tuple(entry.read.alone),
        ),
        connectors=Connectors()
        if connectors is None
        else Connectors(
            first=connectors.first,
            last=connectors.last,
            base=connectors.base,
            stride=connectors.stride,
        ),
        points=tuple(_point(name, point, entry) for name, point in entry.points.items()),
        identify=tuple(_expect(expect) for expect in entry.identify),
        require=tuple(_expect(expect) for expect in entry.require),
        refresh_s=entry.refresh_s or (_METER_REFRESH_S if meter else _CHARGER_REFRESH_S),
        charger=_charger(entry) if isinstance(entry, ChargerProfileFile) else None,
        caveats=tuple(
            Caveat(text=caveat.text, source=caveat.source, sure=Sure(caveat.sure))
            for caveat in entry.caveats
        ),
        sure=Sure(entry.sure),
        source=entry.source,
    )


def _point(name: str, entry: PointEntry, profile: ProfileFile) -> Point:
    kind = PointType(entry.type)
    least, greatest = entry.range or (None, None)
    return Point(
        name=name,
        kind=RegisterKind(entry.kind),
        address=entry.address,
        type=kind,
        count=entry.count or WORDS_OF_TYPE.get(kind, 1),
        scope=Scope(entry.scope),
        word_order=None if entry.word_order is None else WordOrder(entry.word_order),
        scale=entry.scale,
        unit=entry.unit,
        least=least,
        greatest=greatest,
        invalid=tuple(entry.invalid),
        mask=entry.mask,
        words_of=tuple(entry.codes.items()),
        access=Access(entry.access),
        poll=PollClass(entry.poll),
        sure=Sure(entry.sure or profile.sure),
        source=entry.source or profile.source,
    )


def _expect(entry: ExpectEntry) -> Expect:
    return Expect(
        point=entry.point,
        one_of=tuple(entry.one_of),
        starts_with=entry.starts_with,
        at_least=entry.at_least,
        at_most=entry.at_most,
        blocks=entry.blocks if isinstance(entry, RequireEntry) else True,
        why=entry.why,
        remedy=entry.remedy,
    )


def _charger(entry: ChargerProfileFile) -> ChargerPart:
    setpoint = entry.setpoint
    return ChargerPart(
        setpoint=Setpoint(
            point=setpoint.point,
            min_a=setpoint.min_a,
            max_a=setpoint.max_a,
            step_a=setpoint.step_a,
            pause_a=setpoint.pause_a or 0.0,
            function=setpoint.function,
            min_write_interval_s=setpoint.min_write_interval_s,
            readback=setpoint.readback,
            pause_w=setpoint.pause_w,
        ),
        failsafe=None if entry.failsafe is None else _failsafe(entry.failsafe),
        feeding=_feeding(entry.keepalive),
        states=tuple(
            StateRule(
                when=tuple((name, tuple(said)) for name, said in rule.when.items()),
                state=VehicleState(rule.state),
            )
            for rule in entry.states
        ),
        settle_s=entry.settle_s,
        pause_settle_s=entry.pause_settle_s,
        boot_a=entry.boot_a,
        outside=None
        if entry.failsafe_outside is None
        else FailsafeOutside(timeout_s=entry.failsafe_outside.timeout_s),
        mains=None
        if entry.mains is None
        else Mains(
            power=entry.mains.power,
            efficiency=entry.mains.efficiency,
            power_factor=entry.mains.power_factor,
        ),
    )


def _failsafe(entry: FailsafeEntry) -> Failsafe:
    return Failsafe(
        current_write=entry.current.write,
        current_read=entry.current.read,
        timeout_write=entry.timeout.write,
        timeout_read=entry.timeout.read,
        min_a=entry.current.min_a,
        max_a=entry.current.max_a,
        zero_a=entry.current.zero,
        default_a=entry.current.default_a,
        min_timeout_s=entry.timeout.min_s,
        max_timeout_s=entry.timeout.max_s,
        default_timeout_s=entry.timeout.default_s,
        order=tuple(entry.order),
        function=entry.function,
        before=tuple(_write_value(write) for write in entry.before),
    )


def _feeding(entry: KeepAliveEntry) -> Feeding:
    return Feeding(
        kind=KeepAlive(entry.kind),
        certain=entry.certain,
        share=entry.share,
        write=None if entry.write is None else _write_value(entry.write),
        function=entry.function,
        mirror=None
        if entry.mirror is None
        else Mirror(
            read=entry.mirror.read,
            write=entry.mirror.write,
            low=entry.mirror.low,
            high=entry.mirror.high,
            toggles_s=entry.mirror.toggles_s,
        ),
    )


def _write_value(entry: WriteEntry) -> WriteValue:
    return WriteValue(point=entry.point, value=entry.value)
