"""Small guests for tests: two boot sectors, one sums its disk and one fills it, an installer CD and a real
Linux; `python3 -m hack.guests`.

All say on the serial console (COM1) what they found, so a test sees that a child really shows its parent's bytes.
"""
