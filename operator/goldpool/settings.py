"""The operator's configuration: environment variables with the prefix ``GOLDPOOL_``, set by the chart."""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

PREFIX = "GOLDPOOL_"


def _comma_list(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def _networks(value: object) -> object:
    """``none`` is an empty list: an empty variable is one that is not set."""
    return () if value == "none" else _comma_list(value)


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]


class Settings(BaseModel):
    """Every time in seconds. ``from_environment`` fails at start on a value it cannot read, naming the variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = Field(default="goldpool-system", description="the operator's own, for its Lease")
    data_namespace: str = Field(default="goldpool-data", description="where storage Jobs and VM pods run")
    pod_name: str = "goldpool-operator"
    service_account: str = "goldpool-workload"
    worker_image: str = "goldpool.local/goldpool-worker:dev"
    vm_image: str = "goldpool.local/goldpool-vm:dev"
    image_pull_policy: str = "IfNotPresent"
    allowed_path_prefixes: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = (
        "/srv",
        "/mnt",
        "/var/lib/goldpool",
    )
    cpu_allocation_ratio: int = Field(default=10, ge=1)
    memory_overhead_bytes: int = Field(
        default=256 << 20,
        description="the runtime, QEMU and its translation buffer of 128 MiB, beside the guest's memory",
    )
    memory_per_disk_bytes: int = Field(
        default=64 << 20, description="QEMU's table caches: up to 32 MiB for each of a child's two layers"
    )
    job_priority_class: str = Field(default="", description="of storage Jobs; empty for none")
    pod_priority_class: str = Field(default="", description="of machines that name none; empty for none")
    allowed_priority_classes: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = Field(
        default=(), description="what a machine's spec.priorityClassName may be"
    )
    allowed_tolerations: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = Field(
        default=(), description="keys of taints that a machine's spec.tolerations may name; * is all"
    )
    log_format: str = Field(default="auto", pattern="^(auto|json|console)$")
    trash_seconds: int = Field(default=3600, ge=0)
    workers: int = Field(default=32, ge=1)
    api_qps: int = Field(default=500, ge=1)
    api_burst: int = Field(default=1000, ge=1)
    health_port: int = 8080
    sweep_seconds: int = Field(default=300, ge=1)
    probe_seconds: int = Field(default=300, ge=1, description="between looks at an idle location")
    probe_failed_seconds: int = Field(
        default=15, ge=1, description="between looks at a location that is not well"
    )
    retry_base_seconds: float = Field(default=5, gt=0, description="first pause after a failed operation")
    retry_cap_seconds: float = Field(default=600, gt=0)
    allocator: str = Field(
        default="firstfitleastconsumed",
        pattern="^(firstfit|random|userdispersing|firstfitleastconsumed)$",
        description="which of the places that fit a disk gets it; names of CloudStack's vm.allocation.algorithm",
    )
    max_plans: int = Field(default=10, ge=1, description="CloudStack's start.retry")
    start_deadline_seconds: int = Field(
        default=120, ge=1, description="a first start that takes longer counts as failed"
    )
    unschedulable_seconds: int = Field(default=30, ge=1)
    restart_cap_seconds: int = Field(
        default=300, ge=1, description="longest pause before a guest is started again"
    )
    job_start_seconds: int = Field(
        default=20, ge=1, description="a storage Job's pod that has not started by then failed"
    )
    job_deadline_seconds: int = Field(default=600, ge=1)
    fetch_connect_seconds: float = 5
    fetch_idle_seconds: float = 30
    fetch_min_bytes_per_second: int = Field(
        default=10 << 10, ge=0, description="a mirror slower than this fails"
    )
    fetch_min_speed_seconds: float = Field(default=60, gt=0, description="over this time of waiting for it")
    fetch_total_seconds: float = 10800
    fetch_max_bytes: int = 1 << 40
    fetch_max_virtual_bytes: int = 2000 << 30
    fetch_reserve_bytes: int = Field(default=64 << 20, ge=0, description="stay free on the pool")
    fetch_check_cpu_seconds: int = Field(default=30, ge=1)
    fetch_check_memory_bytes: int = 1 << 30
    fetch_check_seconds: float = 600
    fetch_max_amplification: int = Field(
        default=1000, ge=1, description="most bytes of image per byte of a compressed source"
    )
    fetch_max_window_bytes: int = Field(
        default=64 << 20, ge=1 << 20, description="most memory for the window of a compressed source"
    )
    fetch_max_redirects: int = Field(default=10, ge=0)
    fetch_allowed_addresses: Networks = Field(
        default=(), description="connected to whatever the next one says"
    )
    fetch_denied_addresses: Networks | None = Field(
        default=None, description="not connected to; None: the default of the contract (contracts/network.py)"
    )
    fetch_http_proxy: str = ""
    fetch_https_proxy: str = ""
    fetch_no_proxy: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = ()
    fetch_attempts: int = Field(default=3, ge=1)
    source_probe_seconds: float = Field(
        default=20, gt=0, description="for asking a template's source what it serves, all mirrors together"
    )
    source_probes_per_host: int = Field(default=4, ge=1)
    source_probes_per_cluster: int = Field(default=8, ge=1)
    fetches_per_host: int = Field(default=2, ge=1)
    fetches_per_pool: int = Field(default=4, ge=1)
    fetches_per_cluster: int = Field(default=16, ge=1)
    lease_seconds: float = Field(default=15, gt=1)
    lease_renew_seconds: float = Field(default=10, gt=0)
    lease_retry_seconds: float = Field(default=2, gt=0)

    @model_validator(mode="after")
    def _lease_terms(self) -> Self:
        if not self.lease_seconds > self.lease_renew_seconds > self.lease_retry_seconds:
            raise ValueError("lease_seconds > lease_renew_seconds > lease_retry_seconds must hold")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Unknown ``GOLDPOOL_`` variables are ignored: the pod's environment has Service links in it."""
        found = {
            name: environment[variable]
            for name in cls.model_fields
            if (variable := PREFIX + name.upper()) in environment and environment[variable] != ""
        }
        return cls.model_validate(found)
