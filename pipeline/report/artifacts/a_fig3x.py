"""What the choice of size loss does to training ([SIZE] sections 1.2, 1.3 and 2).

The paper says in words: the reverse KL divergence (Eq. 7) tends to the trivial solution, every pixel background; the log barrier
on tags (Eq. 9) pulls segments towards equal sizes; the flat barrier (Eq. 11) is poor as well; and with the forward divergence
(Eq. 2) a suppression of absent classes (Eq. 8) changes nothing. For each loss the accuracy, and the share of pixels that the
network predicts as background; all from exact sizes or their tags, without CRF loss unless named.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.report.artifact import Artifact, Data
from pipeline.report.curves import strike
from pipeline.report.points import MIOU_LABEL, table_rows
from pipeline.report.runs import COMPARISON, Where
from pipeline.report.style import BLACK, BLUE, GREEN, TEXT_WIDTH_IN, VERMILION, new_figure

PLAIN, SUPPRESSION, CRF, FULL = "loss alone", "with suppression", "with CRF", "full masks"
_LOSSES = Where(family="size_losses")
RUNS = {
    ("forward KL", PLAIN): Where(family="size_noise", method="size", mre=0.0),
    ("forward KL", SUPPRESSION): _LOSSES.but(objective="size-suppression"),
    ("forward KL", CRF): Where(family="size_noise", method="size_crf", mre=0.0),
    ("reverse KL", PLAIN): _LOSSES.but(objective="reverse-kl"),
    ("reverse KL", SUPPRESSION): _LOSSES.but(objective="reverse-kl-suppression"),
    ("log barrier", PLAIN): _LOSSES.but(objective="log-barrier"),
    ("log barrier", SUPPRESSION): _LOSSES.but(objective="log-barrier-suppression"),
    ("log barrier", CRF): _LOSSES.but(objective="log-barrier-crf"),
    ("flat barrier", PLAIN): _LOSSES.but(objective="flat-barrier"),
    ("flat barrier", SUPPRESSION): _LOSSES.but(objective="flat-barrier-suppression"),
    (FULL, PLAIN): Where(family="size_noise", method="full"),
}
"""(Loss, what is added) to its run."""
_COLORS = {PLAIN: VERMILION, SUPPRESSION: "#F2C6A8", CRF: BLUE}
_PANELS = (("ours", MIOU_LABEL), ("background", "pixels predicted background (%)"))


def compute(data: Data) -> pd.DataFrame:
    """Return accuracy and background share of every loss, averaged over seeds.

    Returns:
        One row per run, full masks last: series (loss), added ("loss alone", "with suppression" or "with CRF"), run, the columns
        of `COMPARISON` (the paper prints no number), background_percent and background_std_percent.
    """
    frame = table_rows(data.runs, {" ".join(key): run for key, run in RUNS.items()})
    frame["series"], frame["added"] = zip(*RUNS, strict=True)
    shares = [data.runs.cell(run, "background_share") for run in RUNS.values()]
    frame["background_percent"] = [100 * share.mean for share in shares]
    frame["background_std_percent"] = [100 * share.std for share in shares]
    return frame[["series", "added", "run", *COMPARISON, "background_percent", "background_std_percent"]]


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return two panels of bars, accuracy and background share; the green line is training from full masks."""
    figure = new_figure(TEXT_WIDTH_IN, 2.8)
    panels = figure.subplots(1, 2, sharey=True)
    bars, full = frame[frame["series"] != FULL], frame[frame["series"] == FULL].iloc[0]
    losses = list(dict.fromkeys(bars["series"]))
    places, ticks = _places(bars, losses)
    for axes, (name, label) in zip(panels, _PANELS, strict=True):
        spread = bars[f"{name}_std_percent"] if bars[f"{name}_std_percent"].notna().any() else None
        colors = [_COLORS[added] for added in bars["added"]]
        axes.barh(
            places, bars[f"{name}_percent"], height=0.9, color=colors, xerr=spread, error_kw={"linewidth": 0.8, "capsize": 2}
        )
        struck = [(place, value) for place, value, failed in zip(places, bars[f"{name}_percent"], bars["failed"]) if failed]
        strike(axes, [value for _, value in struck], [place for place, _ in struck])
        axes.axvline(full[f"{name}_percent"], color=GREEN)
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(False, axis="y")
    panels[1].set_xlim(0, 100)
    panels[0].set_yticks(ticks, losses)
    panels[0].invert_yaxis()
    handles = [Patch(color=color, label=added) for added, color in _COLORS.items()]
    handles.append(Patch(color=GREEN, label=FULL))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=1.0)
    panels[0].axvline(0, color=BLACK, linewidth=0.8)
    return figure


def _places(bars: pd.DataFrame, losses: list[str]) -> tuple[list[float], list[float]]:
    """Return the height of each bar, and of the middle of each loss's group, with a gap of half a bar between groups."""
    places: list[float] = []
    ticks: list[float] = []
    height = 0.0
    for loss in losses:
        count = int((bars["series"] == loss).sum())
        group = [height + index for index in range(count)]
        places += group
        ticks.append(sum(group) / count)
        height += count + 0.5
    return places, ticks


ARTIFACT = Artifact(
    id="a-fig3x",
    title="What the choice of size loss does to training",
    shows="Accuracy and share of background pixels after training with six ways to use sizes or tags.",
    paper="Reverse KL tends to the trivial solution, all background; barriers on tags are weaker than size targets.",
    look_for="The background share of reverse KL against that of forward KL.",
    runs=tuple(RUNS.values()),
    places=("section 1.2", "section 1.3", "section 2"),
    compute=compute,
    draw=draw,
)
