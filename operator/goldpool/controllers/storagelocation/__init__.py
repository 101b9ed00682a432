"""StorageLocation: makes a location ours once, watches that it stays so, and gives it back."""

from goldpool.controllers.storagelocation.controller import StorageLocationController
from goldpool.controllers.storagelocation.observed import Observed
from goldpool.controllers.storagelocation.plan import plan

__all__ = ["Observed", "StorageLocationController", "plan"]
