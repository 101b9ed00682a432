"""StoragePool: keeps one StorageLocation for each host, and guards the pool against deletion while it is used."""

from goldpool.controllers.storagepool.controller import StoragePoolController
from goldpool.controllers.storagepool.locations import hosts_in_use
from goldpool.controllers.storagepool.observed import Observed
from goldpool.controllers.storagepool.path import path_problem
from goldpool.controllers.storagepool.plan import plan

__all__ = ["Observed", "StoragePoolController", "hosts_in_use", "path_problem", "plan"]
