"""Template: makes a Parent wherever a copy is wanted, pins the revision, and guards itself while it is used."""

from goldpool.controllers.template.controller import TemplateController
from goldpool.controllers.template.observed import Asker, Observed, Wanted
from goldpool.controllers.template.plan import plan

__all__ = ["Asker", "Observed", "TemplateController", "Wanted", "plan"]
