"""Who is whose neighbour, and the pairwise energies on it."""

from pipeline.crf.affinity import adaptive_affinity, contrast_affinity, trust_region_affinity
from pipeline.crf.dense import DENSE_FILTERS, DenseKernel, dense_crf_loss
from pipeline.crf.neighborhoods import GRID4, GRID8, NEIGHBORHOODS, sparse_offsets
from pipeline.crf.pairwise import pairwise_energy, potts_loss

__all__ = [
    "DENSE_FILTERS",
    "GRID4",
    "GRID8",
    "NEIGHBORHOODS",
    "DenseKernel",
    "adaptive_affinity",
    "contrast_affinity",
    "dense_crf_loss",
    "pairwise_energy",
    "potts_loss",
    "sparse_offsets",
    "trust_region_affinity",
]
