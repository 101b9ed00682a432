"""What runs in storage Jobs: pool, fetch, image gate, qcow2, volume work.

Knows the contracts and nothing of Kubernetes: a ``Batch`` comes in by environment, a ``Report`` goes out.
"""
