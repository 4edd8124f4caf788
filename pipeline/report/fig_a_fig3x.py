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

from pipeline.report.cells import COMPARISON, cell, compare, require_ids, require_shared, rows_of
from pipeline.report.style import BLACK, BLUE, GREEN, TEXT_WIDTH_IN, VERMILION, journal_style, new_figure, scale_note

ID = "a-fig3x"
PLAIN, SUPPRESSION, CRF = "loss alone", "with suppression", "with CRF"
RUNS = {
    ("forward KL", PLAIN): "size_noise/size-mre00",
    ("forward KL", SUPPRESSION): "size_losses/forward-suppression",
    ("forward KL", CRF): "size_noise/size-crf-mre00",
    ("reverse KL", PLAIN): "size_losses/reverse-kl",
    ("reverse KL", SUPPRESSION): "size_losses/reverse-kl-suppression",
    ("log barrier", PLAIN): "size_losses/log-barrier",
    ("log barrier", SUPPRESSION): "size_losses/log-barrier-suppression",
    ("log barrier", CRF): "size_losses/log-barrier-crf",
    ("flat barrier", PLAIN): "size_losses/flat-barrier",
    ("flat barrier", SUPPRESSION): "size_losses/flat-barrier-suppression",
}
"""(Loss, what is added) to its run."""
FULL = "size_noise/full"
METRIC, SHARE = "mIoU_val", "background_share"
_COLORS = {PLAIN: VERMILION, SUPPRESSION: "#F2C6A8", CRF: BLUE}
_PANELS = (
    ("ours", "mIoU on validation images (%)"),
    ("background", "pixels predicted background (%)"),
)


def compute(results: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy and background share of every loss, averaged over seeds.

    Args:
        results: from `cells.load_results`; runs of other artefacts are ignored.

    Returns:
        One row per run, full masks last: series (loss), added ("loss alone", "with suppression" or "with CRF"), run, the columns
        of `cells.COMPARISON` (the paper prints no number), background_percent and background_std_percent.

    Raises:
        ValueError: a run or a value is missing, or the runs differ in profile, data set or network.
    """
    require_ids(results, ID, ids := [*RUNS.values(), FULL])
    require_shared(results, ID, ids)
    rows: list[dict[str, object]] = []
    for (series, added), run in {**RUNS, ("full masks", PLAIN): FULL}.items():
        share = cell(results, run, SHARE, ID)
        row: dict[str, object] = {"series": series, "added": added, "run": run, **compare(results, run, METRIC, ID, None)}
        rows.append({**row, "background_percent": 100 * share.mean, "background_std_percent": 100 * share.std})
    extra = ["background_percent", "background_std_percent"]
    return pd.DataFrame(rows, columns=["series", "added", "run", *COMPARISON, *extra])


@journal_style()
def draw(frame: pd.DataFrame, results: pd.DataFrame) -> Figure:
    """Return two panels of bars, accuracy and background share; the green line is training from full masks.

    Args:
        frame: from `compute`.
        results: the same runs, for the note below the figure.
    """
    figure = new_figure(TEXT_WIDTH_IN, 2.8)
    panels = figure.subplots(1, 2, sharey=True)
    bars, full = frame[frame["run"] != FULL], frame[frame["run"] == FULL].iloc[0]
    losses = list(dict.fromkeys(bars["series"]))
    places, ticks = _places(bars, losses)
    for axes, (name, label) in zip(panels, _PANELS, strict=True):
        spread = bars[f"{name}_std_percent"] if bars[f"{name}_std_percent"].notna().any() else None
        colors = [_COLORS[added] for added in bars["added"]]
        axes.barh(
            places, bars[f"{name}_percent"], height=0.9, color=colors, xerr=spread, error_kw={"linewidth": 0.8, "capsize": 2}
        )
        axes.axvline(full[f"{name}_percent"], color=GREEN)
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(False, axis="y")
    panels[1].set_xlim(0, 100)
    panels[0].set_yticks(ticks, losses)
    panels[0].invert_yaxis()
    handles = [Patch(color=color, label=added) for added, color in _COLORS.items()]
    handles.append(Patch(color=GREEN, label="full masks"))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=1.0)
    panels[0].axvline(0, color=BLACK, linewidth=0.8)
    scale_note(figure, rows_of(results, set(frame["run"])))
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
