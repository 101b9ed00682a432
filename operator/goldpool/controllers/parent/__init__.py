"""Parent: fetches one copy, keeps it while anybody needs it, and removes it when nobody does."""

from goldpool.controllers.parent.controller import ParentController
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.plan import plan
from goldpool.controllers.parent.retention import reason_to_go

__all__ = ["Observed", "ParentController", "plan", "reason_to_go"]
