# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``python -m sandbox`` runs: all servers with the sample data; they go on running after the command ends."""

from __future__ import annotations

from .down import down
from .status import status
from .up import up

__all__ = ["down", "status", "up"]
