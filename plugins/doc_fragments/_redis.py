# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``connection`` for Redis and Valkey. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  connection:
    description: How to reach the server. Left out, it is port 6379 on the target itself.
    type: dict
    default: {}
    suboptions:
      host:
        description: Host name or address.
        type: str
      port:
        description: The port.
        type: int
      unix_socket:
        description: The path of the server's socket, instead of host and port.
        type: path
      username:
        description: The ACL user.
        type: str
      password_file:
        description: A file on the target with the password; readable by the user who runs the module, mode 0600.
        type: path
      password_env:
        description: The name of an environment variable of the target with the password.
        type: str
      password_command:
        description: A command on the target that prints the password; it is run without a shell.
        type: str
      password:
        description: The password itself. Prefer one of the references.
        type: str
      tls:
        description: Speak TLS.
        type: bool
      tls_ca_file:
        description: Certificates of authorities to trust.
        type: path
      tls_certificate_file:
        description: The client's certificate.
        type: path
      tls_key_file:
        description: The client's private key.
        type: path
      timeout:
        description: Seconds to wait for each single answer; 10 when left out.
        type: float
"""

    # The same again for the one who prepares a server; typed, for the YAML lint of ansible-test takes literals only.
    ADMINISTRATOR: str = DOCUMENTATION.replace("  connection:\n", "  administrator:\n", 1).replace(
        "How to reach the server. Left out, it is port 6379 on the target itself.",
        "Who may change the server; with C(acl), C(config), C(info). Left out, O(connection), and no user is made.",
        1,
    )

    # And for the primary that a replica is to follow.
    PRIMARY: str = DOCUMENTATION.replace("  connection:\n", "  primary:\n", 1).replace(
        "How to reach the server. Left out, it is port 6379 on the target itself.",
        "The new primary as the server reaches it; host is needed.",
        1,
    )
