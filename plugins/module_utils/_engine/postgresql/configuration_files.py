# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration files in a data folder: a host's own, which a copy of another server must not bring along."""

from __future__ import annotations

import os
import shutil
import typing as t

from .cluster_configuration import CONF_D, HBA_CONF, IDENT_CONF
from .programs import ServerPrograms


def configuration_files(folder: str) -> t.Iterator[str]:
    """Their names, below the folder."""
    for within in ("", CONF_D):
        place = os.path.join(folder, within)
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            is_one = bool(within) or name in (HBA_CONF, IDENT_CONF) or name.endswith(".conf")
            if is_one and os.path.isfile(os.path.join(place, name)):
                yield os.path.join(within, name)


def replace_configuration(source: str, folder: str, *, programs: ServerPrograms) -> None:
    """Give *folder* the files of *source*, and none of its own beside."""
    wanted = set(configuration_files(source))
    for name in set(configuration_files(folder)) - wanted:
        os.unlink(os.path.join(folder, name))
    for name in wanted:
        path = os.path.join(folder, name)
        place = os.path.dirname(path)
        if not os.path.isdir(place):
            os.mkdir(place, 0o700)
            programs.own(place)
        shutil.copy2(os.path.join(source, name), path)
        programs.own(path)
