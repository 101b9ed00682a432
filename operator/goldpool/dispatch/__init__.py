"""Operations become Kubernetes Jobs: mutual exclusion, batching, manifests, results and progress.

Controllers ask (``Ask``), read an ``Outcome``, record it and settle (``Settle``); nothing here knows their kinds.
"""
