"""The rule who may run beside whom."""

import threading
from enum import IntEnum


class Company(IntEnum):
    """Whom a test bears beside itself. Tests run in this order."""

    ANY = 0
    """Everybody who leaves the operator and the nodes' network alone."""
    KILLERS = 1
    """Those who also expect the operator to vanish at any moment."""
    BREAKERS = 2
    """Those who take a host away, each another one, and use no other."""
    NOBODY = 3


class Room:
    """Lets tests in, in the order in which they asked, so that nobody waits for ever."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: list[str] = []
        self._inside: dict[str, Company] = {}

    def enter(self, who: str, company: Company) -> None:
        """Returns when those who are inside and this one bear each other."""
        with self.changed:
            self.waiting.append(who)
            self.changed.notify_all()
            self.changed.wait_for(lambda: who not in self.waiting or self._comes_in(who, company))
            if who not in self.waiting:
                return
            self.waiting.remove(who)
            self._inside[who] = company
            self.changed.notify_all()

    def leave(self, who: str) -> None:
        """Also for one that never came in."""
        with self.changed:
            self._inside.pop(who, None)
            self.waiting = [name for name in self.waiting if name != who]
            self.changed.notify_all()

    def _comes_in(self, who: str, company: Company) -> bool:
        return self.waiting[0] == who and self._bears(company)

    def _bears(self, company: Company) -> bool:
        inside = set(self._inside.values())
        return not inside or (company is not Company.NOBODY and inside == {company})
