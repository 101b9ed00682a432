"""The small shapes several kinds share."""

from typing import Annotated

from pydantic import Field, StringConstraints

from goldpool.api.conditions import Condition
from goldpool.api.model import SUBDOMAIN_PATTERN, ApiModel, ListMap, ListSet, Name, Tag

Conditions = Annotated[list[Condition], ListMap(("type",)), Field(max_length=8)]
Tags = Annotated[list[Tag], ListSet(), Field(max_length=16)]
Message = Annotated[str, StringConstraints(max_length=1024)]


class TemplateRef(ApiModel):
    """A Template by name."""

    name: Name = Field(description="Name of the Template.")


class VolumeRef(ApiModel):
    """A Volume of the same namespace by name."""

    name: Annotated[str, StringConstraints(max_length=253, pattern=SUBDOMAIN_PATTERN)] = Field(
        description="Name of the Volume, in the same namespace."
    )


class SecretRef(ApiModel):
    """A Secret of the data namespace by name."""

    name: Annotated[str, StringConstraints(max_length=253, pattern=SUBDOMAIN_PATTERN)] = Field(
        description="Name of the Secret, in the namespace of storage Jobs (goldpool-data)."
    )


class CABundleRef(ApiModel):
    """A ConfigMap of the data namespace by name."""

    name: Annotated[str, StringConstraints(max_length=253, pattern=SUBDOMAIN_PATTERN)] = Field(
        description="Name of the ConfigMap, in the namespace of storage Jobs (goldpool-data)."
    )
    key: Annotated[str, StringConstraints(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        default="ca.crt", description="Key that holds the certificates, in PEM."
    )


class Blocker(ApiModel):
    """Somebody who still uses an object that is being deleted."""

    kind: str = Field(description="Kind of the user.")
    namespace: str = Field(default="", description="Namespace of the user; empty for a cluster-scoped one.")
    name: str = Field(description="Name of the user.")


class CopyException(ApiModel):
    """One place where something is not as it should be."""

    location: str = Field(description="Name of the StorageLocation.")
    host: str = Field(default="", description="Host of the location; empty for a Shared pool.")
    reason: str = Field(description="What is wrong, as a stable reason.")
    message: Message = Field(default="", description="What is wrong, for a person.")


Blockers = Annotated[list[Blocker], ListMap(("kind", "namespace", "name")), Field(max_length=10)]
CopyExceptions = Annotated[list[CopyException], ListMap(("location",)), Field(max_length=20)]
