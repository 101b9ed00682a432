"""One module or package per kind: gather what is, plan what is next, and say so in the status.

Each controller's ``plan`` is pure; the engine applies what it returns.
"""
