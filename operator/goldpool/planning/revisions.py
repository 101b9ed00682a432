"""Which revision of its template a copy is of, or is to be of. A template that is fetched anew has copies of two for a
while: new disks take one, and the other serves the children it has."""

from goldpool.api.parent import Parent, ParentState
from goldpool.api.template import Template


def serves(parent: Parent, template: Template) -> bool:
    """Whether new disks may take the copy, as soon as it is Ready: it is of the template's revision, or will be."""
    pinned, status = template.status.revision, parent.status
    if pinned is None:
        return True
    if status.state is ParentState.READY or parent.spec.refetch:
        return status.revision == pinned
    if parent.spec.revision:
        return parent.spec.revision == pinned
    # Made before there was a revision, so meant for the first one.
    return not template.status.refetches


def decides(parent: Parent, template: Template) -> bool:
    """Whether what the copy brings will be the template's next revision."""
    refetch = template.status.refetch
    return refetch is not None and parent.spec.refetch == refetch.token


def superseded(parent: Parent, template: Template) -> bool:
    """New disks never take the copy: it is kept for the children it has, and for nothing else."""
    return not serves(parent, template) and not decides(parent, template)


def revision_to_fetch(parent: Parent, template: Template) -> str | None:
    """What a fetch of the copy must bring; None if whatever the source serves decides. A copy that is lost is fetched as
    what its children were made over."""
    if parent.spec.refetch:
        return parent.status.revision
    if parent.spec.revision:
        return parent.spec.revision
    return template.status.revision if serves(parent, template) else parent.status.revision
