"""Make one artifact of the papers from tracked results: its figure, the plotted numbers, and a table where it is one.

Writes reports/figures/ID.svg and .png, the plotted numbers as reports/plots/ID.csv, and for tables reports/tables/ID.csv, .md and
.tex. What an artifact is stands in pipeline/report/artifacts; the stages in reports/dvc.yaml, which `python -m pipeline.wiring`
writes.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.report.artifact import Artifact, Data
from pipeline.report.artifacts import IDS, load
from pipeline.report.published import COLUMNS, load_published
from pipeline.report.runs import Runs, load_results
from pipeline.report.style import journal_style, note_below, save_figure, scale_text
from pipeline.report.tables import write_points, write_table
from pipeline.stages.common import stage_arguments


def read(artifact: Artifact) -> Data:
    """Return what an artifact is computed from."""
    results = load_results(map(paths.results, artifact.families)) if artifact.runs else pd.DataFrame()
    published = load_published(paths.PUBLISHED) if paths.PUBLISHED in artifact.files else pd.DataFrame(columns=COLUMNS)
    return Data(Runs(results, artifact.id, artifact.runs), published)


@journal_style()
def drawn(artifact: Artifact, frame: pd.DataFrame, data: Data) -> Figure | None:
    """Return the figure of an artifact with the note below it; None if it has none."""
    if artifact.draw is None:
        return None
    figure = artifact.draw(frame, data)
    note_below(figure, artifact.note or scale_of(artifact, data))
    return figure


def scale_of(artifact: Artifact, data: Data) -> str:
    """Return at which scale an artifact was made; empty where nothing was trained."""
    return scale_text(artifact.scale(data)) if artifact.scale else ""


def make(artifact: Artifact, data: Data) -> None:
    """Compute, draw and tabulate an artifact and write its files."""
    frame = artifact.compute(data)
    write_points(frame, paths.plotted(artifact.id))
    figure = drawn(artifact, frame, data)
    if figure is not None:
        save_figure(figure, paths.figure(artifact.id))
    if artifact.tabulate:
        table = artifact.tabulate(frame, data)
        numeric = [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
        highest = [name for name in numeric if artifact.mark_best and name.endswith(("published", "ours"))]
        written = artifact.table_note if isinstance(artifact.table_note, str) else artifact.table_note(frame)
        note = written.format(scale=scale_of(artifact, data))
        write_table(table, paths.table(artifact.id), highest=highest, note=note, decimals=artifact.decimals)


def main() -> None:
    """Run the stage."""
    name = stage_arguments(__doc__, artifact=f"one of {', '.join(IDS)}").artifact
    with clear_errors():
        artifact = load(name)
        make(artifact, read(artifact))


if __name__ == "__main__":
    main()
