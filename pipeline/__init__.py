"""Weakly-supervised segmentation by size targets and by soft self-labelling, from raw files to every table and figure.

`PAPER_MAP` says where each equation and procedure of the two papers lives; a test checks that every name exists.
[SIZE] = arXiv 2503.06954, [SSL] = arXiv 2507.01721.
"""

PAPER_MAP: dict[str, str] = {
    "[SIZE] Eq. 1, mean prediction": "pipeline.losses.size:mean_probs",
    "[SIZE] Eq. 2, size-target loss (forward KL)": "pipeline.losses.size:forward_kl",
    "[SIZE] Fig. 3, reverse KL": "pipeline.losses.size:reverse_kl",
    "[SIZE] Eq. 3, dense CRF loss": "pipeline.crf.dense:dense_crf_loss",
    "[SIZE] Eq. 4, partial cross-entropy": "pipeline.losses.cross_entropy:partial_cross_entropy",
    "[SIZE] Eq. 8, suppression": "pipeline.losses.size:suppression",
    "[SIZE] Eq. 9, log barrier": "pipeline.losses.size:log_barrier",
    "[SIZE] Eq. 11, flat barrier": "pipeline.losses.size:flat_barrier",
    "[SIZE] Eqs. 12 and 13, total losses": "pipeline.training.objectives:Objective",
    "[SIZE] Eq. 14, relative error": "pipeline.metrics.size_error:relative_errors",
    "[SIZE] Eq. 15, corrupted size targets": "pipeline.targets.corruption:perturb",
    "[SIZE] Eq. 16, mRE from sigma": "pipeline.targets.corruption:mre_from_sigma",
    "[SIZE] Eq. 17, squared barrier": "pipeline.losses.size:squared_barrier",
    "[SIZE] section 3.6, squared suppression": "pipeline.losses.size:squared_suppression",
    "[SSL] Eq. 2, one-hot labels": "pipeline.conventions:one_hot",
    "[SSL] Eq. 3, seeds": "pipeline.training.objectives.seeds:seeds_term",
    "[SSL] Eq. 6, self-labelling loss": "pipeline.training.objectives.self_labeling:self_labeling_term",
    "[SSL] Eq. 6, energy of pseudo-labels": "pipeline.solver.solution:self_labeling_energy",
    "[SSL] Eq. 7, cross-entropy": "pipeline.losses.cross_entropy:cross_entropy",
    "[SSL] Eq. 8, reverse cross-entropy": "pipeline.losses.cross_entropy:reverse_cross_entropy",
    "[SSL] Eq. 9, collision cross-entropy": "pipeline.losses.cross_entropy:collision_cross_entropy",
    "[SSL] Tables 1 and 2, relaxations": "pipeline.losses.relaxations:RELAXATIONS",
    "[SSL] section 1.1, contrast weights": "pipeline.crf.affinity:contrast_affinity",
    "[SSL] appendix B, gradient solver": "pipeline.solver.gradient:solve_by_gradient",
    "[SSL] section 3.1, closed form of H_Q + P_Q": "pipeline.solver.random_walker:solve_random_walker",
    "[SSL] appendix B, soft Jaccard": "pipeline.metrics.soft_jaccard:soft_jaccard",
    "scribble lengths of both papers": "pipeline.targets.scribbles:shorten",
    "mIoU of both papers": "pipeline.metrics.confusion:mean_iou",
}
