"""Volume: binds a disk that names its place, makes it, hands it to machines, and removes it."""

from goldpool.controllers.volume.controller import VolumeController
from goldpool.controllers.volume.observed import Observed, Place
from goldpool.controllers.volume.plan import plan

__all__ = ["Observed", "Place", "VolumeController", "plan"]
