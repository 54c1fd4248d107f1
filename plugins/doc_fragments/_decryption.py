# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``decryption``. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  decryption:
    description:
      - Where the private key of encrypted backups is to be had, as C(age-keygen) writes it; one of three references.
      - It is read at the moment of use and handed to C(age) through a pipe. There is no option for the key itself.
      - A host that only makes backups should have none.
    type: dict
    suboptions:
      identity_file:
        description: A file on the target with the key; readable by the user who runs the module, mode 0600.
        type: path
      identity_env:
        description: The name of an environment variable of the target with the key.
        type: str
      identity_command:
        description: A command on the target that prints the key; it is run without a shell.
        type: str
"""
