"""From a site file to all that the daemon and `edgectl check` need, or to all that is wrong."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgectl.control.static import Risk, StaticProof, prove
from edgectl.devices.profile import Profile
from edgectl.errors import BadInput, Finding
from edgectl.model.settings import Settings
from edgectl.model.site import Site
from edgectl.sitefile.build import build_settings, build_site
from edgectl.sitefile.cross import check_whole
from edgectl.sitefile.draft import Draft, read_draft
from edgectl.sitefile.exclusion_checks import check_exclusions
from edgectl.sitefile.fitting import check_fitting, link_timing
from edgectl.sitefile.issuers import load_issuers
from edgectl.sitefile.outside import check_outside
from edgectl.sitefile.profiles import profile_folders, read_profile
from edgectl.sitefile.source import Source, did_you_mean, read_source
from edgectl.sitefile.unsupported import check_supported
from edgectl.sitefile.warn import warnings_of
from edgectl.sitefile.wiring import check_wiring
from edgectl.sitefile.yaml_text import Where


@dataclass(frozen=True, slots=True)
class LoadedSite:
    """A site file that nothing is wrong with.

    `profiles` holds the device types that it names, `proof` what flows when nobody controls (S20,
    S22). `config_hash` changes with every byte of the site file, of the profiles that it
    uses and of its issuers' keys.
    """

    site: Site
    profiles: dict[str, Profile]
    settings: Settings
    config_hash: str
    proof: StaticProof
    warnings: tuple[Finding, ...]

    def open_risks(self) -> tuple[Risk, ...]:
        """Risks that the site file does not accept: with any the daemon does not start (S22)."""
        return self.proof.open_risks(self.settings.accept_risks)


def load_site(path: Path, *, profile_dirs: Sequence[Path] | None = None) -> LoadedSite:
    """Read, check and build; BadInput carries every finding at once, in the order of lines.

    `profile_dirs`: folders of profiles, the one that wins first; None: the owner's, then the
    built-in ones.
    """
    return load_source(read_source(path), profile_dirs=profile_dirs)


def load_source(source: Source, *, profile_dirs: Sequence[Path] | None = None) -> LoadedSite:
    """Check and build a site file that is read already."""
    draft, findings = read_draft(source)
    folders = profile_folders() if profile_dirs is None else profile_dirs
    profiles, profile_findings = _load_profiles(draft, folders)
    folder = Path(source.file).parent
    issuers, issuer_findings = load_issuers(draft, folder=folder)
    findings = [
        *findings,
        *issuer_findings,
        *profile_findings,
        *check_whole(draft),
        *check_wiring(draft),
        *check_outside(draft),
        *check_exclusions(draft),
        *check_supported(draft),
        *check_fitting(draft, profiles),
    ]
    if findings or draft.whole is None:
        raise BadInput(_in_order(findings))
    site = build_site(draft.whole, profiles)
    settings = build_settings(draft.whole, folder=folder, issuers=issuers)
    proof = prove(site, link_timing=link_timing(site, profiles))
    return LoadedSite(
        site=site,
        profiles=profiles,
        settings=settings,
        config_hash=_hash(source, profiles, settings),
        proof=proof,
        warnings=tuple(_in_order(list(warnings_of(draft, site, settings, proof, profiles)))),
    )


def _load_profiles(
    draft: Draft, folders: Sequence[Path]
) -> tuple[dict[str, Profile], list[Finding]]:
    """Read the profiles that the file names; each wrong or missing one is said once."""
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            paths.setdefault(path.stem, path)
    profiles: dict[str, Profile] = {}
    findings: list[Finding] = []
    seen: set[str] = set()
    for where, name in _profile_names(draft):
        if name in paths and name not in seen:
            try:
                profiles[name] = read_profile(paths[name])
            except BadInput as error:
                findings.extend(error.findings)
        elif name not in paths:
            findings.append(
                draft.source.finding(
                    where,
                    code="unknown_profile",
                    message=f"there is no profile {name}{did_you_mean(name, paths)}",
                    remedy=_known_profiles(paths, folders),
                )
            )
        seen.add(name)
    return profiles, findings


def _profile_names(draft: Draft) -> Iterator[tuple[Where, str]]:
    for section in ("meters", "evses"):
        for where, row in draft.rows(section):
            name = row.get("profile")
            if isinstance(name, str):
                yield (*where, "profile"), name


def _known_profiles(paths: Mapping[str, Path], folders: Sequence[Path]) -> str:
    if not paths:
        return f"no profile is found in {', '.join(str(folder) for folder in folders)}"
    return f"known are {', '.join(sorted(paths))}; further ones go into {folders[0]}"


def _hash(source: Source, profiles: Mapping[str, Profile], settings: Settings) -> str:
    """Hash of what was read, each part after its length so that no two sites look alike.

    Where a profile lies is no part of it: the same site has the same hash on every machine.
    """
    digest = hashlib.sha256()
    parts = [source.raw]
    parts.extend(repr(replace(profiles[name], file="")).encode() for name in sorted(profiles))
    parts.extend(repr(issuer.keys).encode() for issuer in settings.commands.issuers)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Say each thing once, file by file and line by line."""
    return sorted(set(findings), key=lambda f: (f.file, f.line, f.path, f.code))
