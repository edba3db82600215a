"""`edgectl completion SHELL`: scripts for bash, zsh and fish, written from the parser itself."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import DONE, CliError, prose
from edgectl.errors import Unreachable

SHELLS: Final = ("bash", "zsh", "fish")

_KINDS: Final = ("evse", "node", "group", "device", "link", "schema", "held")
_WANTED: Final = {
    "EVSE": "evse",
    "NODE|EVSE": "node,evse",
    "EVSE|GROUP": "evse,group",
    "DEVICE": "device",
    "ID": "device,node",
    "NAME": "schema",
    "target_command_id": "held",
}
_FOLDERS: Final = frozenset({"DIR"})
_FILES: Final = frozenset({"FILE", "PATH", "CSV", "site"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a verb; `takes`: the kind of its value, "" for a switch."""

    names: tuple[str, ...]
    help: str
    takes: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerbShape:
    """What can follow a verb; `names`: kinds of ids that its arguments take."""

    verb: str
    help: str
    options: tuple[Option, ...]
    names: str
    choices: tuple[str, ...]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="what the shell needs to complete commands",
        description=prose(
            "Prints a script that completes commands, options and the site's own ids. `make "
            "install` puts it where the shell looks; by hand:"
        ),
        epilog="examples:\n  source <(edgectl completion bash)\n"
        "  edgectl completion fish > ~/.config/fish/completions/edgectl.fish",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, nargs="?", default="bash", help="for which shell")
    parser.add_argument("--names", metavar="KINDS", help="print such ids instead (for the script)")
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the script, or the ids that it asks for."""
    if args.names is not None:
        for name in _names(args):
            print(name)
        return DONE
    print(script(args.shell))
    return DONE


def script(shell: str) -> str:
    """The completion script of a shell."""
    shapes = verb_shapes()
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](shapes)


def verb_shapes() -> list[VerbShape]:
    """Every verb of the tool as its own parser has it."""
    from edgectl.cli.main import whole_parser  # noqa: PLC0415 - main imports this module by name

    actions: Any = whole_parser()._actions  # noqa: SLF001 - argparse offers no other way
    verbs = next(one for one in actions if isinstance(one, argparse._SubParsersAction))  # noqa: SLF001
    helps = {choice.dest: choice.help or "" for choice in verbs._choices_actions}  # noqa: SLF001
    return [_shape(verb, helps[verb], parser) for verb, parser in verbs.choices.items()]


def _shape(verb: str, summary: str, parser: argparse.ArgumentParser) -> VerbShape:
    options, names, choices = [], [], []
    for action in parser._actions:  # noqa: SLF001
        if action.option_strings:
            metavar = action.metavar if isinstance(action.metavar, str) else action.dest
            options.append(
                Option(
                    names=tuple(action.option_strings),
                    help=_plain(action.help or "show this help"),
                    takes="" if action.nargs == 0 else metavar,
                    choices=tuple(str(one) for one in action.choices or ()),
                )
            )
        else:
            if action.choices is None:
                wanted = _WANTED.get(action.dest) or _WANTED.get(str(action.metavar), "")
                names += wanted.split(",")
            choices += [str(one) for one in action.choices or ()]
    return VerbShape(
        verb=verb,
        help=_plain(summary),
        options=tuple(options),
        names=",".join(dict.fromkeys(name for name in names if name)),
        choices=tuple(choices),
    )


def _names(args: argparse.Namespace) -> list[str]:
    kinds = set(args.names.split(",")) & set(_KINDS)
    found: list[str] = []
    if "schema" in kinds:
        from edgectl.contract.schemas import schemas  # noqa: PLC0415 - slow, and seldom wanted

        found += ["site", "profile", *schemas()]
        kinds.discard("schema")
    if not kinds:
        return found
    try:
        client = Client(socket_path(args), timeout_s=2.0)
        status = client.get("status")
        if "node" in kinds:
            found += status["nodes"]
        if "evse" in kinds:
            found += status["evses"]
        if kinds & {"device", "link"}:
            for link in client.get("devices")["links"]:
                found += [link["id"]] if "link" in kinds else []
                found += [one["id"] for one in link["devices"]] if "device" in kinds else []
        if "group" in kinds:
            found += status["groups"]
        if "held" in kinds:
            found += [one["holder"]["id"] for one in status["ceilings"]]
    except (Unreachable, CliError):
        # Nobody to ask is no reason to disturb somebody who types.
        return found
    return list(dict.fromkeys(found))


def _bash(shapes: Sequence[VerbShape]) -> str:
    cases = []
    for shape in shapes:
        options = " ".join(name for option in shape.options for name in option.names)
        cases.append(
            f'    {shape.verb})\n      options="{options}"\n'
            f'      names="{shape.names}"; words="{" ".join(shape.choices)}" ;;'
        )
    files = _taking(shapes, _FILES)
    folders = _taking(shapes, _FOLDERS)
    choices = {
        name: option.choices
        for shape in shapes
        for option in shape.options
        for name in option.names
        if option.choices
    }
    chosen = "\n".join(
        f'    {name}) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$current")); return ;;'
        for name, words in sorted(choices.items())
    )
    verbs = " ".join(shape.verb for shape in shapes)
    return f"""\
# bash completion of edgectl, written by `edgectl completion bash`
_edgectl() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  local verb="${{COMP_WORDS[1]}}" options="" names="" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs} --help --version" -- "$current"))
    return
  fi
  case "$before" in
    {"|".join(files)}) COMPREPLY=($(compgen -f -- "$current")); return ;;
    {"|".join(folders)}) COMPREPLY=($(compgen -d -- "$current")); return ;;
{chosen}
  esac
  case "$verb" in
{chr(10).join(cases)}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")); return ;;
  esac
  if [ -n "$names" ]; then
    words="$words $(edgectl completion --names "$names" 2>/dev/null)"
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _edgectl edgectl"""


def _zsh(shapes: Sequence[VerbShape]) -> str:
    verbs = "\n".join(f"    '{shape.verb}:{_quoted(shape.help)}'" for shape in shapes)
    cases = []
    for shape in shapes:
        arguments = [
            f"'{name}[{_quoted(option.help)}]{_zsh_value(option)}'"
            for option in shape.options
            for name in option.names
        ]
        words = f"\"*:word:_edgectl_words '{shape.names}' {' '.join(shape.choices)}\""
        cases.append(f"    {shape.verb}) _arguments {' '.join(arguments)} {words} ;;")
    return f"""\
#compdef edgectl
# zsh completion of edgectl, written by `edgectl completion zsh`
_edgectl_words() {{
  local names="$1"; shift
  local -a words; words=("$@")
  [[ -n "$names" ]] && words+=(${{(f)"$(edgectl completion --names "$names" 2>/dev/null)"}})
  (( $#words )) && compadd -a words || _files
}}
_edgectl() {{
  local -a verbs; verbs=(
{verbs}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' verbs
    return
  fi
  local verb="${{words[2]}}"
  shift words; (( CURRENT-- ))
  case "$verb" in
{chr(10).join(cases)}
  esac
}}
_edgectl "$@\""""


def _zsh_value(option: Option) -> str:
    if not option.takes:
        return ""
    if option.choices:
        return f":value:({' '.join(option.choices)})"
    if option.takes in _FOLDERS:
        return ":folder:_files -/"
    return ":file:_files" if option.takes in _FILES else ":value:"


def _fish(shapes: Sequence[VerbShape]) -> str:
    lines = [
        "# fish completion of edgectl, written by `edgectl completion fish`",
        "complete -c edgectl -f",
    ]
    for shape in shapes:
        here = f"-n '__fish_seen_subcommand_from {shape.verb}'"
        lines.append(
            f"complete -c edgectl -n __fish_use_subcommand -a {shape.verb}"
            f" -d '{_quoted(shape.help)}'"
        )
        for option in shape.options:
            named = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = ""
            if option.choices:
                value = f" -x -a '{' '.join(option.choices)}'"
            elif option.takes:
                value = " -r -F" if option.takes in _FILES | _FOLDERS else " -x"
            lines.append(f"complete -c edgectl {here} {named}{value} -d '{_quoted(option.help)}'")
        if shape.choices:
            lines.append(f"complete -c edgectl {here} -a '{' '.join(shape.choices)}'")
        if shape.names:
            asked = f"(edgectl completion --names {shape.names} 2>/dev/null)"
            lines.append(f"complete -c edgectl {here} -a '{asked}'")
    return "\n".join(lines)


def _taking(shapes: Sequence[VerbShape], kinds: frozenset[str]) -> list[str]:
    found = {
        name
        for shape in shapes
        for option in shape.options
        for name in option.names
        if option.takes in kinds
    }
    return sorted(found)


def _plain(text: str) -> str:
    return " ".join(text.replace("%%", "%").split())


def _quoted(text: str) -> str:
    """Without what the shells' own syntax would take for itself."""
    return "".join(char for char in text if char not in "'`[]\"\\$:")
