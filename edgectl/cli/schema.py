"""`edgectl schema [NAME]`: the JSON Schemas of the site file, of profiles and of all messages."""

import argparse

from edgectl.cli.output import BAD_INPUT, DONE, CliError, prose, show_json, show_lines
from edgectl.contract.schemas import schemas
from edgectl.sitefile.profile_schema import profile_schema
from edgectl.sitefile.schema import site_schema


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `schema`."""
    parser = subparsers.add_parser(
        "schema",
        help="JSON Schemas of the site file and of all messages",
        description=prose(
            "Without a name it lists them. An editor that knows YAML schemas completes and checks "
            "a site file with the schema `site`."
        ),
        epilog="example:\n  edgectl schema site > site.schema.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="such as site or local/status")
    parser.add_argument("--json", action="store_true", help="answer in JSON also without a name")


def run(args: argparse.Namespace) -> int:
    """Print the schema, or the names of all."""
    known = {"site": site_schema(), "profile": profile_schema(), **schemas()}
    if args.name is None:
        if args.json:
            show_json({"schemas": sorted(known)})
        else:
            show_lines(sorted(known))
        return DONE
    if args.name not in known:
        raise CliError(
            exit_code=BAD_INPUT,
            code="unknown_schema",
            message=f"there is no schema {args.name!r}",
            remedy=f"known are: {', '.join(sorted(known))}",
        )
    show_json(known[args.name])
    return DONE
