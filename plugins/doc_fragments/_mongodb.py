# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``connection`` for MongoDB. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  connection:
    description:
      - How to reach the replica set or server. Left out, it is the server on the target itself.
      - A URI looks like C(mongodb://user:password@host1,host2/?replicaSet=rs0).
    type: dict
    default: {}
    suboptions:
      uri_file:
        description: A file on the target with the URI; readable by the user who runs the module, mode 0600.
        type: path
      uri_env:
        description: The name of an environment variable of the target with the URI.
        type: str
      uri_command:
        description: A command on the target that prints the URI; it is run without a shell.
        type: str
      uri:
        description: The URI itself. Prefer one of the references.
        type: str
      tls_ca_file:
        description: Certificates of authorities to trust; turns TLS on.
        type: path
      tls_certificate_key_file:
        description: The client's certificate with its private key; turns TLS on.
        type: path
      server_selection_timeout:
        description: Seconds that a server may take to show up; 10 when left out.
        type: float
"""

    # The same again for the one who prepares a server; typed, for the YAML lint of ansible-test takes literals only.
    ADMINISTRATOR: str = DOCUMENTATION.replace("  connection:\n", "  administrator:\n", 1).replace(
        "How to reach the replica set or server. Left out, it is the server on the target itself.",
        "Who may change the server; C(userAdminAnyDatabase), C(clusterMonitor), C(hostManager). Or O(connection).",
        1,
    )
