"""Every table and figure of both papers by its id, whether this project already makes it or not.

[SIZE] = arXiv 2503.06954 (ids `a-...`), [SSL] = arXiv 2507.01721 (ids `b-...`).
"""

from __future__ import annotations

ARTIFACTS: dict[str, str] = {
    "a-fig1": "Labelling time against accuracy by type of supervision",
    "a-fig2": "Segmentations from tags, size targets and full masks",
    "a-fig3": "Forward against reverse KL divergence",
    "a-fig3x": "What the choice of size loss does to training",
    "a-fig4a": "Accuracy against the error of the size targets",
    "a-fig4b": "Accuracy against scribble length, with and without size targets",
    "a-fig5a": "Histograms of the relative error of annotated sizes",
    "a-fig5b": "Four-way accuracy against the error of the size targets",
    "a-fig6a": "Size targets against size barriers on ACDC",
    "a-fig6b": "Overlays of size target and size barrier on ACDC",
    "a-fig7": "Segmentations from size targets per backbone",
    "a-tab1": "Binary segmentation with exact and annotated sizes",
    "a-tab2": "Comparison with published methods on PASCAL and COCO",
    "b-fig1": "The six Potts relaxations as contours and surfaces",
    "b-fig2": "Cost of the relaxations along two moves on the simplex",
    "b-fig3abc": "Three cross-entropies against the prediction",
    "b-fig3d": "Robustness of the three cross-entropies to label noise",
    "b-fig4": "Cross-entropies against scribble length",
    "b-fig5": "Pseudo-labels from nearest and dense neighbourhoods",
    "b-fig6": "Optimisation methods against scribble length",
    "b-fig7": "Soft pseudo-labels of the six relaxations",
    "b-tab3": "Potts relaxations against scribble length",
    "b-tab4": "Gradient descent, hard and soft self-labelling",
    "b-tab5": "Comparison with published methods on scribbles",
    "b-tab6": "Comparison with published methods on block labels",
    "b-sec33": "Nearest against dense neighbourhood",
    "b-appb1": "Solvers against the exact optimum",
    "b-appb2": "Number of solver steps against accuracy",
    "a-claims": "What the experiments of [SIZE] say, tested over seeds",
    "b-claims": "What the experiments of [SSL] say, tested over seeds",
    "x-cross": "Size targets added to soft self-labelling",
    "x-cost": "Accuracy against annotation time, all types of supervision",
}
"""Id to title. `reports/published.csv` names no other ids."""
