# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generated sample data of the two reference services: the same every time, and it compresses like real data.

``load_mongodb`` fills ``second_brain_database``, ``load_postgresql`` fills ``mcp_adhd``, ``load_redis`` two numbered
databases. Each takes the URI of a user with all rights and a size in megabytes (10**6 bytes of content, roughly), works
in constant memory (4000 MB are as good as 4), and does nothing when the same data is there already.
"""

from __future__ import annotations

from .loaded import VERSION, Loaded
from .mongodb import digest_mongodb, load_mongodb
from .postgresql import digest_postgresql, load_postgresql
from .redis import digest_redis, load_redis

__all__ = [
    "VERSION",
    "Loaded",
    "digest_mongodb",
    "digest_postgresql",
    "digest_redis",
    "load_mongodb",
    "load_postgresql",
    "load_redis",
]
