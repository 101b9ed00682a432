"""Two small guests for tests: a boot sector that sums its disk, and a real Linux; `python3 -m hack.guests`.

Both say on the serial console (COM1) what they found, so a test sees that a child really shows its parent's bytes.
"""
