"""The API server as Goldpool sees it: one small port, and what stands behind it.

Objects are raw dicts as the server sent them (typed models cost five times the memory: operator.md §2.1).
"""
