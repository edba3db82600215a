"""Talks to the daemon: HTTP over its Unix socket, with the standard library alone."""

import argparse
import http.client
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from edgectl.cli.output import BAD_INPUT, NO, REFUSED, UNREACHABLE, CliError
from edgectl.errors import Unreachable

DEFAULT_SOCKET: Final = "/run/edgectl/edgectl.sock"
SOCKET_VARIABLE: Final = "EDGECTL_SOCKET"
_TIMEOUT_S: Final = 10.0

_EXIT_CODES: Final[Mapping[int, int]] = {
    400: BAD_INPUT,
    404: BAD_INPUT,
    405: BAD_INPUT,
    413: BAD_INPUT,
    431: BAD_INPUT,
    408: UNREACHABLE,
    500: UNREACHABLE,
    503: UNREACHABLE,
}

_EXIT_CODES_OF: Final[Mapping[str, int]] = {
    # A daemon without room on its disk was reached; it refuses.
    "not_stored": REFUSED,
    "no_answer": NO,
    "busy": NO,
}


def add_socket_option(parser: argparse.ArgumentParser) -> None:
    """Add what every command needs that talks to the daemon."""
    parser.add_argument(
        "--socket",
        metavar="PATH",
        type=Path,
        default=None,
        help=f"the daemon's socket (default ${SOCKET_VARIABLE}, else {DEFAULT_SOCKET})",
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")


def socket_path(args: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the socket that is meant: the option, else the environment, else the usual place."""
    return args.socket or Path(environment.get(SOCKET_VARIABLE) or DEFAULT_SOCKET)


class Client:
    """One daemon at one socket. Every method raises `Unreachable` or `CliError`."""

    def __init__(self, path: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def get(self, *parts: str, **query: str) -> dict[str, Any]:
        """Read; `parts` are the words of the path after /v1."""
        return self._ask("GET", parts, None, query)

    def post(self, *parts: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Change something."""
        return self._ask("POST", parts, body, {})

    def _ask(
        self,
        method: str,
        parts: tuple[str, ...],
        body: Mapping[str, object] | None,
        query: Mapping[str, str],
    ) -> dict[str, Any]:
        target = "/v1/" + "/".join(quote(part, safe="") for part in parts)
        if query:
            target += "?" + urlencode(query)
        connection = _UnixConnection(self._path, timeout_s=self._timeout_s)
        try:
            connection.request(
                method,
                target,
                body=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Connection": "close"},
            )
            response = connection.getresponse()
            answer = json.loads(response.read())
        except PermissionError as fault:
            raise CliError(
                exit_code=REFUSED,
                code="not_permitted",
                message=f"this user may not open {self._path}",
                remedy="use sudo, or join the group edgectl (`sudo usermod -aG edgectl NAME`) and "
                "log in again",
            ) from fault
        except FileNotFoundError as fault:
            raise Unreachable(
                message=f"no daemon has its socket at {self._path}",
                remedy="start it (`systemctl start edgectl`), or name its socket with --socket",
            ) from fault
        except ConnectionRefusedError as fault:
            raise Unreachable(
                message=f"nobody answers at {self._path}: the daemon is not running",
                remedy="see `systemctl status edgectl` and `journalctl -u edgectl`",
            ) from fault
        except (OSError, http.client.HTTPException, ValueError) as fault:
            raise Unreachable(
                message=f"the daemon at {self._path} gave no usable answer: "
                f"{fault or type(fault).__name__}",
                remedy="try again; if it stays so, see `journalctl -u edgectl`",
            ) from fault
        finally:
            connection.close()
        return self._granted(response.status, answer)

    def _granted(self, status: int, answer: object) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise Unreachable(
                message=f"whoever answers at {self._path} is not an edgectl daemon",
                remedy="name the daemon's socket with --socket",
            )
        error = answer.get("error")
        if not isinstance(error, dict):
            return answer
        code = str(error.get("code"))
        raise CliError(
            exit_code=_EXIT_CODES_OF.get(code) or _EXIT_CODES.get(status, REFUSED),
            code=code,
            message=str(error.get("message")),
            remedy=str(error.get("remedy")),
        )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP as usual, over a path instead of a host."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the socket's file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
