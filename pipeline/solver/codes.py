"""Numbers by which the compiled descents of `fast`, on CPU and CUDA, know relaxations and cross-entropies."""

RELAXATION_CODES = {"bl": 0, "nq": 1, "q": 2, "cce": 3, "cd": 4, "lq": 5}
"""The keys of `RELAXATIONS`."""
UNARY_CODES = {"ce": 0, "rce": 1, "cce": 2, "quadratic": 3}
"""The keys of `CROSS_ENTROPIES`."""
