"""VirtualMachine: places its volumes together, claims them, runs its pod, and never lets two pods write one disk."""

from goldpool.controllers.virtualmachine.controller import VirtualMachineController

__all__ = ["VirtualMachineController"]
