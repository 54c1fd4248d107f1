# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``repositories``. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  repositories:
    description:
      - Where backups are kept. Every one of them gets the whole backup, from one reading of the source.
      - One that fails does not stop the others; the backup is then partial.
      - What is read back comes from the first of them, in the order given, that has a copy which did not fail its
        verification.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What you call it, for example V(local) or V(offsite).
        type: str
        required: true
      type:
        description: V(file) is a folder of the target; V(s3) is a bucket of S3 or of a server that speaks its protocol.
        type: str
        required: true
        choices: [file, s3]
      path:
        description: The folder. Required with O(repositories[].type=file).
        type: path
      create:
        description: Make the folder when it is missing.
        type: bool
      folder_mode:
        description: The mode of new folders, three octal digits in quotes; V("0700") when left out.
        type: str
      file_mode:
        description: The mode of new files, three octal digits in quotes; V("0600") when left out.
        type: str
      bucket:
        description: The bucket. Required with O(repositories[].type=s3).
        type: str
      prefix:
        description: Keys begin with this and a slash.
        type: str
      region:
        description: The bucket's region.
        type: str
      endpoint_url:
        description: The address of an S3 server that is not AWS.
        type: str
      storage_class:
        description: For example V(STANDARD_IA).
        type: str
      path_style:
        description: Name the bucket in the path rather than in the host name; most servers other than AWS need it.
        type: bool
      ca_bundle:
        description: Certificates to trust, as a file on the target.
        type: path
      sse:
        description: Encryption by the server, beside or instead of encryption on the target.
        type: str
        choices: [AES256, aws:kms]
      sse_kms_key_id:
        description: The key for O(repositories[].sse=aws:kms).
        type: str
      object_lock:
        description: Lock everything that is written, so that nobody with the host's credentials can delete it.
        type: dict
        suboptions:
          mode:
            description: V(governance) can be lifted by an administrator, V(compliance) by nobody.
            type: str
            required: true
            choices: [governance, compliance]
          retain:
            description: >-
              A time such as V(30d), or V(policy), as long as the job's policy keeps by age what is written. For that
              the playbook gives a time to modules that make backups; such a module by itself knows no policy and
              locks nothing.
            type: str
            required: true
      credentials:
        description: Where the access key comes from. Left out, boto3's own chain (environment, profile, instance role).
        type: dict
        suboptions:
          file:
            description: A file on the target with the lines C(AWS_ACCESS_KEY_ID=...) and C(AWS_SECRET_ACCESS_KEY=...).
            type: path
          command:
            description: A command on the target that prints such lines; it is run without a shell.
            type: str
          profile:
            description: A profile of the user's AWS configuration on the target.
            type: str
          env:
            description: The beginning of the names of environment variables, V(X) for C(X_ACCESS_KEY_ID) and so on.
            type: str
      versions:
        description:
          - What retention does in a bucket that keeps old versions.
          - V(keep), the default, hides objects behind delete markers, V(delete) removes all their versions.
        type: str
        choices: [keep, delete]
      batch_size:
        description: Objects in one request that deletes; left out, 1000.
        type: int
      part_size_mib:
        description: A fixed size of the parts of large objects, in MiB; left out, they begin at 8 MiB and grow.
        type: int
      checksums:
        description: V(when_required) is for servers that refuse the checksums that AWS takes with every upload.
        type: str
        choices: [when_supported, when_required]
"""
