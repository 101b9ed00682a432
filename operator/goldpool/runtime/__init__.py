"""What runs in a VM pod: verify the disks, choose an accelerator, run QEMU, follow QMP, answer probes.

Imports nothing, so that ``__main__`` can hold back SIGTERM before anything slow is loaded.
"""
