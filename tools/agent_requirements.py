# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the pinned requirements that the role ``agent`` installs on hosts, from requirements.txt and constraints.txt.

Those two are not in the collection that users install.
"""

from __future__ import annotations

import pathlib
import re
import typing as t

ROOT: t.Final = pathlib.Path(__file__).resolve().parents[1]
FOLDER: t.Final = ROOT / "roles/agent/files/requirements"
# Each part of the package with all that it brings along.
PARTS: t.Final[t.Mapping[str, tuple[str, ...]]] = {
    "base": (
        *("PyYAML", "cronsim", "anycrc", "jsonschema", "zstandard"),
        *("attrs", "jsonschema-specifications", "referencing", "rpds-py", "typing_extensions"),
    ),
    "mongodb": ("pymongo", "dnspython"),
    "postgresql": ("psycopg2-binary",),
    "dns": ("dnspython",),
    "s3": ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"),
}


def texts() -> dict[str, str]:
    """The files by part. Raises KeyError for a package that nothing pins."""
    pins: dict[str, list[str]] = {}
    for name in ("requirements.txt", "constraints.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if "==" in line and not line.startswith("#"):
                pins.setdefault(re.split("==", line)[0].lower(), []).append(line)
    return {
        part: "".join(f"{line}\n" for package in packages for line in pins[package.lower()])
        for part, packages in PARTS.items()
    }


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for part, text in texts().items():
        (FOLDER / f"{part}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
