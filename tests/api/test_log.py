"""One line for each event, readable by machines or people, and never a secret.

Run in a process of its own: logging is a thing of the whole process.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import logging, sys
import structlog
from edgectl.adapters import log

log.configure(stream=sys.stderr, readable={readable})
journal = structlog.get_logger("edgectl").bind(link="lan1")
journal.info("started", number=3, name="bay 01")
journal.debug("not shown")
journal.warning("asked", password="hunter2", body={{"token": "hunter2", "node": "grid"}}, raw=b"x")
try:
    raise ValueError("inner")
except ValueError:
    journal.exception("failed")
logging.getLogger("aiomqtt").info("hunter2: chatter of a library")
logging.getLogger("aiomqtt").warning("lost %s", "connection")
logging.getLogger("pymodbus.logging").error("hunter2: frame dump")
"""


def _logged(*, readable: bool) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(readable=readable)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    return done.stderr.splitlines()


def test_json_lines_for_the_journal() -> None:
    started, asked, failed, library = (json.loads(line) for line in _logged(readable=False))
    assert (started["event"], started["level"], started["link"]) == ("started", "info", "lan1")
    assert (started["number"], started["name"]) == (3, "bay 01")
    assert started["timestamp"].endswith("Z")
    assert asked["password"] == "[hidden]"
    assert asked["body"] == {"token": "[hidden]", "node": "grid"}
    assert "ValueError: inner" in failed["exception"]
    assert (library["event"], library["logger"]) == ("lost connection", "aiomqtt")


def test_key_and_value_for_a_terminal() -> None:
    lines = _logged(readable=True)
    assert "level=info event=started" in lines[0]
    assert "number=3" in lines[0]
    assert "\x1b" not in "".join(lines)
