# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of applications on Kubernetes: which cluster, which deployment, and where it is told of its database."""

from __future__ import annotations

from .schema_parts import Schema, duration, listing, name, number, record, text, texts

KUBERNETES_WIRE: Schema = record(
    {
        "env": text("An environment variable of the deployment's containers."),
        "container": text("With env: only in this container; else in all that have the variable, or in the first."),
        "secret": text("A Secret in the same namespace."),
        "key": text("With secret: the key in it."),
        "value": text("What stands there afterwards, with {host} and {port} for where the database is."),
        "match": text(
            "A regular expression: value replaces only what it finds, and the rest (a password in an address) stays."
        ),
        "source": name("The source that is meant; needed where the service has several that can move."),
    },
    "One value that says where the database is: an environment variable, or a key of a Secret.",
    required=("value",),
    one_of=("env", "secret"),
)

KUBERNETES: Schema = record(
    {
        "deployment": text("The deployment's name."),
        "namespace": text("Its namespace.", default="default"),
        "context": text("The context of the kubeconfig: the cluster. Without it that of the application's region."),
        "kubeconfig": text("The path of the kubeconfig on the controller; else $KUBECONFIG or ~/.kube/config there."),
        "replicas": number("How many pods it has in normal operation; it is scaled to them when it takes over."),
        "manifests": texts("Files with manifests on the controller, applied in this order when it takes over."),
        "wiring": listing(KUBERNETES_WIRE, "Where it is told which server to use; changed when the source has moved."),
        "timeout": {**duration("How long a rollout may take."), "default": "5m"},
    },
    "Where it runs on Kubernetes.",
    required=("deployment",),
)
