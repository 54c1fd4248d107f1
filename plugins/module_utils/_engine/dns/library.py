# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library dnspython, where a name is asked for or changed."""

from __future__ import annotations

from ..core.errors import LibraryMissing


def require_dnspython() -> None:
    """Raises LibraryMissing when it is not there."""
    try:
        import dns.message
        import dns.query
        import dns.resolver
        import dns.update  # noqa: F401 all that this room uses
    except ImportError as error:
        raise LibraryMissing(
            f"The Python library dnspython is needed to ask name servers and not installed: {error}.",
            hint="Install it for the interpreter that runs Lifeboat: pip install 'dnspython>=2.6'",
            details={"library": "dnspython"},
        ) from error
