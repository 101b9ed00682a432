"""The CRDs, once for kubectl and once for Helm.

They are templates of the chart, not files of its crds/ folder: Helm installs that folder once and never upgrades it.
"""

from typing import Any

from goldpool.api.crds import KINDS, definition
from goldpool.api.model import GROUP
from hack.generate import documents


def files() -> dict[str, str]:
    """Path below the repository's root to content."""
    made: dict[str, str] = {}
    for kind in KINDS:
        name = f"{GROUP}_{kind.crd.plural}.yaml"
        crd = definition(kind)
        made[f"crds/{name}"] = documents.plain(crd)
        made[f"charts/goldpool/templates/crds/{name}"] = documents.template(chart_template(crd))
    return made


def chart_template(crd: dict[str, Any]) -> str:
    """The same CRD for Helm, behind ``crds.enabled`` and kept on uninstall behind ``crds.keep``."""
    text = documents.dump({key: value for key, value in crd.items() if key != "metadata"})
    if "{{" in text:
        raise ValueError(
            f"{crd['metadata']['name']}: a description or rule would be read as a Helm expression"
        )
    type_meta, spec = text.split("spec:\n", 1)
    labels = "".join(f"    {key}: {value}\n" for key, value in crd["metadata"]["labels"].items())
    return (
        "{{- if .Values.crds.enabled }}\n"
        f"{type_meta}metadata:\n"
        f"  name: {crd['metadata']['name']}\n"
        f"  labels:\n{labels}"
        "    app.kubernetes.io/managed-by: {{ .Release.Service }}\n"
        "  {{- if .Values.crds.keep }}\n"
        "  annotations:\n"
        "    helm.sh/resource-policy: keep\n"
        "  {{- end }}\n"
        f"spec:\n{spec}"
        "{{- end }}\n"
    )
