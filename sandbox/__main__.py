# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .demo import down, status, up
from .demo.layout import Layout
from .demo.up import read_description
from .errors import SandboxError


def main(arguments: list[str] | None = None) -> int:
    """0: done; 1: refused or failed, the reason is on stderr; 3 (``status``): something is down."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(chosen)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace) -> int:
    if chosen.command == "up":
        up(chosen.directory, megabytes=chosen.megabytes)
    elif chosen.command == "down":
        down(chosen.directory)
    elif chosen.command == "status":
        return 0 if status(chosen.directory) else 3
    else:
        layout = Layout.at(chosen.directory)
        description = read_description(layout)
        if description is None:
            raise SandboxError(f"there is no sandbox in {layout.root}; make one: python -m sandbox up")
        print(json.dumps(description, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Real PostgreSQL, MongoDB, Redis and S3 servers on loopback, with sample data.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    helps = {
        "up": "start what doesn't run and load what isn't loaded",
        "down": "stop all and remove everything",
        "status": "what runs (exit status 3 when something is down)",
        "env": "print the connection data as JSON",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--directory", type=Path, default=Path(".sandbox"), help="the sandbox's folder (default: %(default)s)"
        )
        if name == "up":
            command.add_argument(
                "--megabytes", type=_megabytes, default=100.0, help="size of the sample data (default: %(default)g)"
            )
    return parser


def _megabytes(text: str) -> float:
    size = float(text)
    if not 0.1 <= size <= 100_000:
        raise argparse.ArgumentTypeError("between 0.1 and 100000")
    return size


if __name__ == "__main__":
    sys.exit(main())
