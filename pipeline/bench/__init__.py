"""Benchmarks of the two hot kernels against their published counterparts."""
