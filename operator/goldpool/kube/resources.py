"""The kinds Goldpool touches. The RBAC table in ``hack/generate`` is checked against this list."""

from typing import Final

from goldpool.kube.port import Resource

GROUP: Final = "goldpool.io"
VERSION: Final = "v1alpha1"

STORAGE_POOL: Final = Resource(GROUP, VERSION, "StoragePool", "storagepools", namespaced=False)
TEMPLATE: Final = Resource(GROUP, VERSION, "Template", "templates", namespaced=False)
VIRTUAL_MACHINE: Final = Resource(GROUP, VERSION, "VirtualMachine", "virtualmachines", namespaced=True)
VOLUME: Final = Resource(GROUP, VERSION, "Volume", "volumes", namespaced=True)
STORAGE_LOCATION: Final = Resource(GROUP, VERSION, "StorageLocation", "storagelocations", namespaced=False)
PARENT: Final = Resource(GROUP, VERSION, "Parent", "parents", namespaced=False)

POD: Final = Resource("", "v1", "Pod", "pods", namespaced=True)
NODE: Final = Resource("", "v1", "Node", "nodes", namespaced=False)
NAMESPACE: Final = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
PERSISTENT_VOLUME: Final = Resource("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
PERSISTENT_VOLUME_CLAIM: Final = Resource(
    "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced=True
)
JOB: Final = Resource("batch", "v1", "Job", "jobs", namespaced=True)
LEASE: Final = Resource("coordination.k8s.io", "v1", "Lease", "leases", namespaced=True)
EVENT: Final = Resource("events.k8s.io", "v1", "Event", "events", namespaced=True)
CUSTOM_RESOURCE_DEFINITION: Final = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)

PRIMARY: Final = (STORAGE_POOL, TEMPLATE, VIRTUAL_MACHINE, VOLUME, STORAGE_LOCATION, PARENT)
