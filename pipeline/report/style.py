"""One look for all figures, and files that are byte-identical when they are drawn again.

Colours are those of Okabe and Ito, distinguishable with every common colour blindness; a method also has its own marker and
line, so that figures survive a grey print. Nothing here touches matplotlib's global state: figures are made without pyplot.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pipeline.files import write_atomically
from pipeline.report.runs import generated_seeds

COLUMN_WIDTH_IN = 3.4
"""Width of a figure that fills one column of a journal, in inches."""
TEXT_WIDTH_IN = 7.0
"""Width of a figure that fills both columns, in inches."""
PNG_DPI = 200

BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
BLACK = "#000000"
GREY = "#6E6E6E"

Line = Literal["-", "--", "-.", ":"]


class LineStyle(NamedTuple):
    """How one method or function is drawn, and what it is called in a legend."""

    label: str
    color: str
    marker: str
    line: Line


METHOD_STYLE: dict[str, LineStyle] = {
    "full": LineStyle("full masks", GREEN, "s", "-"),
    "size": LineStyle("size targets", VERMILION, "o", "-"),
    "size_crf": LineStyle("size targets + CRF", BLUE, "^", "-"),
    "pce": LineStyle("scribbles only", GREY, "v", "-"),
    "pce_crf": LineStyle("scribbles + CRF", ORANGE, "v", "-"),
    "pce_size_crf": LineStyle("size targets + scribbles + CRF", BLUE, "D", "-"),
    "annotated": LineStyle("annotated size targets", VERMILION, "*", "-"),
    "mean_size": LineStyle("mean size target", ORANGE, "X", "--"),
    "barrier": LineStyle("size barrier", PURPLE, "h", "--"),
    "tag": LineStyle("tags", PURPLE, "X", "-"),
    "box": LineStyle("boxes", SKY, "s", "-"),
    "soft": LineStyle("soft self-labelling", PURPLE, "D", "-"),
    "soft_entropy": LineStyle("soft self-labelling + entropy", ORANGE, "P", "-"),
    "soft_dn": LineStyle("soft self-labelling, dense", PURPLE, "D", "--"),
    "soft_fast": LineStyle("soft self-labelling, fast solver", PURPLE, "d", "-"),
    "soft_size": LineStyle("soft self-labelling + size targets", VERMILION, "D", "-"),
    "hard_argmax": LineStyle("hard (arg max) pseudo-labels", SKY, "p", "-"),
    "hard_nn": LineStyle("hard self-labelling", SKY, ">", "-"),
    "hard_dn": LineStyle("hard self-labelling, dense", SKY, ">", "--"),
    "gd_nn": LineStyle("gradient descent", ORANGE, "<", "-"),
    "gd_dn": LineStyle("gradient descent, dense", ORANGE, "<", "--"),
    "gd_sn": LineStyle("gradient descent, sparse", ORANGE, "<", ":"),
}
"""Method name of a run to its look. Split of the data is told by the line: solid for validation, dashed for training."""

RELAXATION_STYLE: dict[str, LineStyle] = {
    "bl": LineStyle(r"$P_\mathrm{BL}$", VERMILION, "o", "-"),
    "nq": LineStyle(r"$P_\mathrm{NQ}$", GREEN, "s", "-"),
    "q": LineStyle(r"$P_\mathrm{Q}$", BLUE, "^", "-"),
    "cce": LineStyle(r"$P_\mathrm{CCE}$", VERMILION, "o", "--"),
    "cd": LineStyle(r"$P_\mathrm{CD}$", GREEN, "s", "--"),
    "lq": LineStyle(r"$P_\mathrm{LQ}$", BLUE, "^", "--"),
}
"""Relaxation to its look: a logarithmic relaxation has the colour of the one it is the logarithm of, and a dashed line."""

CROSS_ENTROPY_STYLE: dict[str, LineStyle] = {
    "ce": LineStyle(r"standard $H_\mathrm{CE}$", VERMILION, "o", "-"),
    "rce": LineStyle(r"reverse $H_\mathrm{RCE}$", GREEN, "s", "-"),
    "cce": LineStyle(r"collision $H_\mathrm{CCE}$", BLUE, "^", "-"),
}
"""Cross-entropy to its look, in the colours of Figure 3 (d) of [SSL]."""

_INK = "0.15"
_HOUSE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same outlines, hence the same bytes, on every machine
    "mathtext.fontset": "dejavusans",
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 9.6,
    "figure.titlesize": 9.0,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "white",
    "patch.force_edgecolor": True,
    "patch.linewidth": 0.8,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.linewidth": 0.8,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.width": 0.8,
    "ytick.minor.width": 0.8,
    "xtick.minor.size": 3.2,
    "ytick.minor.size": 3.2,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#E3E3E3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.dpi": 100.0,
    "savefig.dpi": PNG_DPI,
    "savefig.bbox": None,
    "image.interpolation": "nearest",
    "svg.fonttype": "path",
    "svg.hashsalt": "sizeseg",
    "path.simplify": True,
    "timezone": "UTC",
}


@contextmanager
def journal_style() -> Iterator[None]:
    """Draw in the style of this project; as a context manager or as the decorator of a drawing function."""
    style: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_HOUSE}
    style.pop("backend", None)  # setting it would load a window system
    with matplotlib.rc_context(style):
        yield


_NO_METADATA: dict[str, dict[str, None]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def new_figure(width_in: float, height_in: float, *, tight: bool = False) -> Figure:
    """Return an empty figure of that size in inches, laid out so that labels and legends never overlap the axes.

    `tight` leaves hardly any room between the axes, for pictures side by side.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0) if tight else ConstrainedLayoutEngine()
    return Figure(figsize=(width_in, height_in), layout=layout)


def save_figure(figure: Figure, stem: Path, suffixes: Collection[str] = (".svg", ".png"), dpi: int = PNG_DPI) -> None:
    """Write `stem`.svg and `stem`.png, without dates, versions or random ids."""
    with journal_style():
        for suffix in suffixes:
            content = io.BytesIO()
            figure.savefig(content, format=suffix[1:], dpi=dpi, metadata=_NO_METADATA[suffix])
            write_atomically(stem.with_name(stem.name + suffix), content.getvalue())


def scale_text(results: pd.DataFrame) -> str:
    """Return at which scale, on what device and with which seeds `results` were trained.

    >>> scale_text(pd.DataFrame({"profile": ["embedded"], "device": ["cpu"], "seed": [0]}))
    'embedded scale, cpu, seed 0 - not comparable with published numbers'
    """
    profiles = sorted(set(results["profile"].astype(str)))
    devices = ", ".join(sorted(set(results["device"].astype(str))))
    seeds = sorted(set(results["seed"].astype(int)))
    text = f"{' and '.join(profiles)} scale, {devices}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    if "seeds_generated" in results and results["seeds_generated"].astype(str).eq("True").any():
        generated = results[results["seeds_generated"].astype(str).eq("True")]
        kinds = generated["seed_kind"].fillna("scribbles") if "seed_kind" in generated else ["scribbles"]
        text += ", " + generated_seeds(kinds)
    if profiles != ["paper"]:
        text += " - not comparable with published numbers"
    failed = results[results["failed"].astype(str).eq("True")] if "failed" in results else results.iloc[:0]
    if len(failed):
        text += f"; training failed by its loss: {', '.join(dict.fromkeys(failed['family'] + '/' + failed['run']))}"
    return text


def note_below(figure: Figure, text: str) -> None:
    """Write `text` small below the figure, broken into lines that fit; nothing if it is empty."""
    characters = int(figure.get_figwidth() * 22)  # of this size fit into one inch of line
    if text:
        # A figure-wide axis label, because the layout keeps room for it, unlike for free text.
        figure.supxlabel(textwrap.fill(text, characters), x=0.01, ha="left", fontsize=6.0, color=GREY)
