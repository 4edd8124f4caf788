"""What the HTML report says below each artefact, in this project's words, and where its numbers come from."""

from __future__ import annotations

from typing import NamedTuple


class Caption(NamedTuple):
    """Text and sources of one artefact."""

    shows: str
    """What is drawn or tabulated."""
    paper: str
    """What the paper says about it."""
    look_for: str
    """What to look for in ours."""
    runs: tuple[str, ...] = ()
    """Runs behind it as "family/run", with * for any characters; none where formulas alone are drawn."""
    places: tuple[str, ...] = ()
    """Places in the paper whose claims belong to it, in lower case."""


_CLAIMS_RUNS_A = ("size_noise/*", "size_losses/*", "scribble_sizes/*", "annotated/*", "backbones/*", "acdc/*")
_CLAIMS_RUNS_B = (
    "seeds/*",
    "potts/*",
    "cross_entropies/*",
    "methods/*",
    "solvers/*",
    "scribble_resnet/*",
    "scribble_resnet_potts/*",
    "label_noise/*",
    "blocks/*",
)

CAPTIONS: dict[str, Caption] = {
    "a-fig1": Caption(
        "Mean IoU over the seconds that one image takes to annotate, for points, size targets and full masks.",
        "Size targets take a fraction of the time of full masks and reach most of their accuracy.",
        "Whether size targets lie clearly above points for the little that they cost more.",
        ("scribble_sizes/pce-crf-len000", "size_noise/size-crf-mre08", "size_noise/full"),
        ("fig. 1",),
    ),
    "a-fig2": Caption(
        "The same validation images segmented by three networks: trained from tags, from size targets and from full masks.",
        "Tags with a log barrier give segments that are too large or too small; size targets correct that.",
        "Whether the areas in column (b) fit the ground truth better than those in column (a).",
        ("size_losses/log-barrier-crf", "size_noise/size-crf-mre08", "size_noise/full"),
        ("fig. 2",),
    ),
    "a-fig3": Caption(
        "Forward and reverse KL divergence between a size target and a predicted size, for two classes.",
        "The forward divergence grows without bound when a class vanishes from the prediction; the reverse one does not.",
        "The steep ends of the solid lines, and the finite ends of the dashed ones.",
    ),
    "a-fig3x": Caption(
        "Accuracy and share of background pixels after training with six ways to use sizes or tags.",
        "Reverse KL tends to the trivial solution, all background; barriers on tags are weaker than size targets.",
        "The background share of reverse KL against that of forward KL.",
        ("size_losses/*", "size_noise/size-mre00", "size_noise/size-crf-mre00", "size_noise/full"),
        ("section 1.3", "section 2"),
    ),
    "a-fig4a": Caption(
        "Mean IoU against the mean relative error of the size targets, without and with the CRF loss.",
        "Accuracy on validation images hardly falls up to an error of 16 %, rises slightly at 4 %, and the CRF loss adds to it.",
        "How flat the solid lines are up to 16 %, and whether the blue line is above the red one.",
        ("size_noise/*",),
        ("section 3.2",),
    ),
    "a-fig4b": Caption(
        "Mean IoU against the length of scribbles, without size targets and with targets of three errors.",
        "With one point per object, size targets raise accuracy from 66.6 to 74 %, near that of scribbles of full length.",
        "The distance between the curves on the left, where scribbles are shortest.",
        ("scribble_sizes/*", "size_noise/full"),
        ("section 3.3",),
    ),
    "a-fig5a": Caption(
        "How far annotated sizes are off, per class, beside the density of synthetic errors.",
        "Most errors of the annotators are below 10 %, with heavy tails; the mean over all classes is 15.9 %.",
        "The title says whether a person annotated or a model of one: only the former is evidence about people.",
    ),
    "a-fig5b": Caption(
        "Four-way accuracy (cat, dog, bird, background) against the error of size targets, with annotated sizes as a star.",
        "Annotated sizes reach 89.6 %, about 97 % of what full masks give, and lie on the curve of synthetic errors.",
        "Whether the star lies on or above the curve at its error.",
        ("annotated/animals-*",),
        ("section 3.4",),
    ),
    "a-fig6a": Caption(
        "Dice coefficient of the left ventricle against the error of size targets, beside size barriers, mean sizes and masks.",
        "Size targets are above barriers at every error and even above full masks at 8 %; the paper prints no numbers.",
        "Whether the curve stays above the line of the barriers.",
        ("acdc/*",),
        ("section 3.6",),
    ),
    "a-fig6b": Caption(
        "Where two networks are right (yellow), predict too much (green) or miss the ventricle (red).",
        "Size targets segment the ventricle better than barriers, which only bound its size from below.",
        "Less green and less red with size targets than with barriers.",
        ("acdc/barrier", "acdc/size-mre08"),
        ("section 3.6",),
    ),
    "a-fig7": Caption(
        "Segmentations of validation images by every network that was trained from size targets.",
        "No method of localisation is needed: standard networks find the objects from sizes alone.",
        "Whether objects are found where they are, for each network.",
        ("size_noise/size-crf-mre08", "backbones/wideresnet38-size", "backbones/vit-size", "backbones/coco-*-size"),
    ),
    "a-tab1": Caption(
        "One class against the rest, trained from masks, from exact sizes and from annotated sizes.",
        "Annotated sizes are as good as exact ones, at 9 to 15 seconds per image.",
        "The two columns of sizes side by side; seconds of a simulated annotator are those of its model.",
        ("annotated/cat-*", "annotated/dog-*", "annotated/bird-*"),
        ("table 1",),
    ),
    "a-tab2": Caption(
        "Standard networks trained from size targets with an error of 8 % beside published methods.",
        "92 % (ResNet-101) and 96 % (ViT-B) of full supervision are reached without a special architecture.",
        "The ratio of each row of sizes to the row of full masks below it. Rows of others are quoted, not trained.",
        ("size_noise/size-crf-mre08", "size_noise/full", "backbones/*"),
        ("section 3.5",),
    ),
    "a-claims": Caption(
        "Every sentence of [SIZE] that its experiments support, tested on this project's runs, paired over seeds.",
        "Numbers that it prints for a claim stand in the column published.",
        "The verdict: fewer than three seeds decide nothing, whatever the difference.",
        _CLAIMS_RUNS_A,
    ),
    "b-fig1": Caption(
        "The six relaxations of the Potts model for two classes, over probabilities and over logits.",
        "Relaxations with a logarithm keep a slope where the others flatten out.",
        "Contour lines that run into the corners, and surfaces without plateaus.",
    ),
    "b-fig2": Caption(
        "The cost of the six relaxations while neighbouring labels move across the simplex.",
        "The bilinear one charges half for a free move (a); the quadratic one lets a wrong label rest half-way in move (b).",
        "The normalised quadratic one, which has neither flaw.",
    ),
    "b-fig3abc": Caption(
        "Three cross-entropies as functions of the prediction for fixed soft labels.",
        "The standard one copies the uncertainty of the label; the collision one ignores a label that says nothing.",
        "The flat line for the label (1/2, 1/2) in panels (b) and (c).",
    ),
    "b-fig3d": Caption(
        "Accuracy of a classifier against the share of training labels that were replaced by random ones.",
        "The collision cross-entropy is the most robust, the reverse one nearly so, the standard one falls early.",
        "The order of the curves in the middle, where there is much noise but also some signal.",
        ("label_noise/*",),
        ("fig. 3 (d)",),
    ),
    "b-fig4": Caption(
        "Mean IoU against scribble length for three cross-entropies between network and pseudo-labels.",
        "The collision cross-entropy is best at every length; hard pseudo-labels lose 1.25 points at full length.",
        "Whether the collision curve is on top, and the hard labels below it.",
        ("cross_entropies/*", "potts/q-len*"),
        ("section 3.2",),
    ),
    "b-fig5": Caption(
        "Pseudo-labels of the same predictions from nearest and from dense neighbourhoods.",
        "The larger neighbourhood gives worse pseudo-labels.",
        "How closely the boundaries follow edges of the picture.",
        ("seeds/pce-len100",),
    ),
    "b-fig6": Caption(
        "Gradient descent, hard and soft self-labelling against scribble length, per neighbourhood.",
        "Soft self-labelling on nearest neighbours is best; gradient descent needs the dense neighbourhood.",
        "The purple curve in the panel of nearest neighbours against all others.",
        ("methods/*", "potts/q-len*"),
        ("section 3.4", "table 4"),
    ),
    "b-fig7": Caption(
        "Pseudo-labels of the six relaxations, as mixtures of class colours.",
        "The bilinear relaxation and the collision cross-entropy give nearly hard labels; the others stay soft along boundaries.",
        "Blended colours along boundaries, absent in the nearly hard ones.",
        ("seeds/pce-len100",),
    ),
    "b-tab3": Caption(
        "Mean IoU of the six relaxations at five scribble lengths, and of the quadratic pair with its closed form.",
        "Relaxations with a logarithm are above those without, and normalised ones above those that are not.",
        "The row of P_CD against that of P_BL.",
        ("potts/*",),
        ("section 3.1", "table 3"),
    ),
    "b-tab4": Caption(
        "Gradient descent, hard and soft self-labelling, each on nearest and on dense neighbourhoods.",
        "Soft self-labelling on nearest neighbours is best, with 71.05 %.",
        "Which neighbourhood suits which method.",
        ("methods/*-len100", "potts/q-len100"),
        ("section 3.4", "table 4"),
    ),
    "b-tab5": Caption(
        "ResNet-101 DeepLabV3+ trained from scribbles of full length beside published methods.",
        "Soft self-labelling exceeds full supervision at batch size 12.",
        "The rows trained here; all others are quoted as reported by their authors.",
        ("scribble_resnet/*", "scribble_resnet_potts/*"),
        ("table 5",),
    ),
    "b-tab6": Caption(
        "Half of the pixels labelled in blocks, on Cityscapes and ADE20K.",
        "The collision divergence is ahead of DenseCRF and GridCRF losses.",
        "Whether H_CCE+P_CD leads in both columns; the row of others is quoted.",
        ("blocks/*",),
        ("table 6",),
    ),
    "b-sec33": Caption(
        "Soft self-labelling on the four nearest neighbours and on the dense neighbourhood.",
        "71.1 against 67.9 %: the larger neighbourhood is worse.",
        "The sign of the difference between the two rows.",
        ("potts/q-len100", "methods/soft-dn-len100"),
        ("section 3.3",),
    ),
    "b-appb1": Caption(
        "How close every solver comes to the exact optimum (quadratic case) or to a very long run (others).",
        "200 gradient steps reach a soft Jaccard index of 99.2 % on average over 100 images.",
        "The energy gap and the worst image, which a mean hides; a gap below 0 is better than the long run.",
        ("seeds/pce-len100",),
    ),
    "b-appb2": Caption(
        "Accuracy and training time against the number of steps that solve for pseudo-labels.",
        "Half of the 200 steps lose 0.72 points; training takes about three times as long as dense gradient descent.",
        "The change of accuracy beside the seconds that are saved.",
        ("potts/q-len100", "solvers/*-len100", "methods/gd-dn-len100"),
        ("appendix b",),
    ),
    "b-claims": Caption(
        "Every sentence of [SSL] that its experiments support, tested on this project's runs, paired over seeds.",
        "Numbers that it prints for a claim stand in the column published.",
        "The verdict: fewer than three seeds decide nothing, whatever the difference.",
        _CLAIMS_RUNS_B,
    ),
    "x-cross": Caption(
        "Scribbles alone, with soft self-labelling, and with size targets in addition, over scribble length.",
        "Neither paper tried the combination, so nothing is printed.",
        "Whether the third curve is above the second where scribbles are short.",
        ("cross/*", "cross_seeds/*"),
    ),
    "x-cost": Caption(
        "Accuracy against the seconds of annotation per image for the supervision of both papers.",
        "The papers print the accuracies; seconds follow the rule of Bearman et al. for both.",
        "Which kind of annotation lies highest at its cost.",
        (
            "scribble_sizes/pce-crf-len000",
            "scribble_sizes/size-mre08-len*",
            "size_noise/size-crf-mre08",
            "size_noise/full",
            "scribble_resnet_potts/densecrf-12",
            "scribble_resnet_potts/cd-12",
        ),
    ),
}
"""Id of an artefact to its caption; the same ids as in `artifacts.ARTIFACTS`."""
