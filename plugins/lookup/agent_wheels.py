# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup ``lifeboat.recovery.agent_wheels``: what the role ``agent`` installs from, in one file."""

from __future__ import annotations

DOCUMENTATION = """
name: agent_wheels
author:
  - Lifeboat contributors (@lifeboat)
version_added: 0.1.0
short_description: The engine of this collection as a wheel, with the wheels that it needs
description:
  - Makes a wheel of the package C(lifeboat) from the files of this collection, on the controller, without a network
    and without tools for building, and packs it into one zip file with the wheels of a folder.
  - The file lies in Ansible's own temporary folder, which is gone when the play ends.
  - The role P(lifeboat.recovery.agent#role) installs it on hosts, so that they run by cron the code that modules run.
options:
  _terms:
    description: The folder of wheels on the controller. Without one, or when it is empty, there are no others.
    type: list
    elements: str
  engine:
    description: Whether the engine of this collection is in it. Then wheels of C(lifeboat) in the folder are left out.
    type: bool
    default: true
"""

EXAMPLES = """
- name: Pack them
  ansible.builtin.debug:
    msg: "{{ lookup('lifeboat.recovery.agent_wheels', '/srv/wheelhouse').path }}"
"""

RETURN = """
_raw:
  description:
    - One mapping with C(path), the C(version) of the engine, C(digest), the SHA-256 of what is in its wheel, and
      C(names) of the wheels.
  type: list
  elements: dict
"""

import base64
import hashlib
import io
import os
import pathlib
import tempfile
import typing as t
import zipfile

from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils._engine.core.version import VERSION

#: As in pyproject.toml, which is not in the collection that users install (a test compares them).
REQUIRES = (
    "PyYAML>=6.0",
    "cronsim>=2.6",
    "anycrc>=2.0",
    "jsonschema>=4.17",
    "zstandard>=0.22",
    'pymongo>=4.6; extra == "mongodb"',
    'psycopg2-binary>=2.9; extra == "postgresql"',
    'boto3>=1.36; extra == "s3"',
    'dnspython>=2.6; extra == "dns"',
)
EXTRAS = ("mongodb", "postgresql", "s3", "dns")
REQUIRES_PYTHON = ">=3.9"

_ENGINE = pathlib.Path(__file__).resolve().parents[1] / "module_utils" / "_engine"
WHEEL = f"lifeboat-{VERSION}-py3-none-any.whl"
_INFO = f"lifeboat-{VERSION}.dist-info"
_NEVER = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can say


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible has no types
    """Makes it anew each time: it takes less than half a second."""

    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> list[dict[str, t.Any]]:
        """The wheels in Ansible's temporary folder."""
        self.set_options(var_options=variables, direct=kwargs)
        folders = [pathlib.Path(str(term)).expanduser() for term in terms or () if term]
        wheels = [wheel for folder in folders for wheel in _wheels_in(folder)]
        return [pack(pathlib.Path(constants.DEFAULT_LOCAL_TMP), wheels, engine=bool(self.get_option("engine")))]


def pack(folder: pathlib.Path, wheels: t.Sequence[pathlib.Path], *, engine: bool) -> dict[str, t.Any]:
    """Write the zip file into *folder* in one step: *wheels*, and with *engine* the collection's own.

    The digest is that of the contents, not of the file: two controllers may pack the same in other bytes.
    """
    data, digest = build_wheel()
    members = {wheel.name: wheel for wheel in wheels if not (engine and wheel.name.startswith("lifeboat-"))}
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".wheels-")
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, wheel in sorted(members.items()):
            archive.write(wheel, name)
        if engine:
            archive.writestr(WHEEL, data)
    names = sorted([*members, *([WHEEL] if engine else [])])
    # Another host's process may make the same file at this moment, or one from another folder.
    places = "\n".join([str(engine), *(str(members[name]) for name in sorted(members))])
    path = folder / f"lifeboat-wheels-{hashlib.sha256(places.encode('utf-8')).hexdigest()[:12]}.zip"
    os.replace(temporary, path)
    return {"path": str(path), "version": VERSION, "digest": digest, "names": names}


def build_wheel() -> tuple[bytes, str]:
    """The wheel of the engine, and the SHA-256 of its contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compresslevel=1) as archive:
        digest = _fill(archive)
    return buffer.getvalue(), digest


def _wheels_in(folder: pathlib.Path) -> list[pathlib.Path]:
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise AnsibleLookupError(
            f"{folder} has no wheels in it. Fill it, with the Python of the hosts: "
            f"pip download --only-binary=:all: --dest {folder} --requirement FILE   (roles/agent/README.md has it all)"
        )
    return wheels


def _fill(archive: zipfile.ZipFile) -> str:
    """Sources sorted, then the three documents that make a package of them, the record of all last (PEP 427)."""
    files: list[tuple[str, bytes]] = [
        (f"lifeboat/{path.relative_to(_ENGINE).as_posix()}", path.read_bytes())
        for path in sorted(_ENGINE.rglob("*.py"))
        if "__pycache__" not in path.parts
    ]
    files += [
        (f"{_INFO}/METADATA", _metadata().encode("utf-8")),
        (f"{_INFO}/WHEEL", b"Wheel-Version: 1.0\nGenerator: lifeboat\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        (f"{_INFO}/entry_points.txt", b"[console_scripts]\nlifeboat = lifeboat.cli:main\n"),
    ]
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files)
    files.append((f"{_INFO}/RECORD", f"{record}{_INFO}/RECORD,,\n".encode()))
    for name, data in files:
        entry = zipfile.ZipInfo(name, date_time=_NEVER)
        entry.external_attr = 0o100644 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, data)
    return hashlib.sha256(record.encode("utf-8")).hexdigest()


def _metadata() -> str:
    lines = [
        "Metadata-Version: 2.1",
        "Name: lifeboat",
        f"Version: {VERSION}",
        "Summary: The engine of the Ansible collection lifeboat.recovery",
        "License: GPL-3.0-or-later",
        f"Requires-Python: {REQUIRES_PYTHON}",
        *(f"Provides-Extra: {name}" for name in EXTRAS),
        *(f"Requires-Dist: {one}" for one in REQUIRES),
    ]
    return "\n".join([*lines, ""])


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
