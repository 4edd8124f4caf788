"""Stages `figure@ARTEFACT` and `table@ARTEFACT`: draw or tabulate one artefact of the papers from tracked results.

Writes reports/figures/ID.svg and .png, the plotted numbers as reports/plots/ID.csv, and for tables reports/tables/ID.csv and
.md. `ARTEFACTS` holds one function per artefact; each imports its own drawing code only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from pipeline import paths
from pipeline.report.style import save_figure, scale_note, scale_text
from pipeline.report.tables import write_points, write_table
from pipeline.stages.common import clear_errors, stage_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _save(artefact: str, points: pd.DataFrame, figure: Figure) -> None:
    write_points(points, paths.plotted(artefact))
    save_figure(figure, paths.figure(artefact))


def _a_fig3() -> None:
    from pipeline.report import fig_a_fig3 as artefact

    _save("a-fig3", frame := artefact.compute(), artefact.draw(frame))


def _b_fig1() -> None:
    from pipeline.report import fig_b_fig1 as artefact

    _save("b-fig1", frame := artefact.compute(), artefact.draw(frame))


def _b_fig2() -> None:
    from pipeline.report import fig_b_fig2 as artefact

    frame = artefact.compute()
    _save("b-fig2", frame.dropna(subset="cost"), artefact.draw(frame))  # dvc plots would draw an empty (infinite) cost as 0


def _b_fig3abc() -> None:
    from pipeline.report import fig_b_fig3abc as artefact

    _save("b-fig3abc", frame := artefact.compute(), artefact.draw(frame))


def _a_fig4a() -> None:
    from pipeline.report import fig_a_fig4a as artefact

    results = pd.read_csv(paths.results("size_noise"))
    _save("a-fig4a", frame := artefact.compute(results), artefact.draw(frame, results))


def _b_fig7() -> None:
    import numpy as np

    from pipeline.report import fig_b_fig7 as artefact

    with np.load(paths.panels("seeds")) as archive:
        panels = {name: archive[name] for name in archive.files}
    figure = artefact.draw(panels, panels.pop("class_names").tolist())
    scale_note(figure, pd.DataFrame({name: [panels.pop(name).item()] for name in ("profile", "device", "seed")}))
    _save("b-fig7", artefact.compute(panels), figure)


def _b_tab3() -> None:
    from pipeline.report import fig_b_tab3 as artefact
    from pipeline.report.published import load_published

    results = pd.read_csv(paths.results("potts"))
    lengths = sorted(set(artefact.select(results)["length_ratio"]))  # those that params.yaml asks for
    frame = artefact.compute(results, load_published(paths.PUBLISHED), lengths)
    table = artefact.tabulate(frame)
    _save("b-tab3", frame, artefact.draw(frame, results))
    ours = [name for name in table.columns if name.endswith(("published", "ours"))]
    write_table(table, paths.table("b-tab3"), highest=ours, note=f"mIoU in percent. Ours: {scale_text(results)}.")


def _b_appb1() -> None:
    from pipeline.report import fig_b_appb1 as artefact
    from pipeline.report.published import load_published

    solutions, published = pd.read_csv(paths.solver_check("seeds")), load_published(paths.PUBLISHED)
    frame = artefact.compute(solutions)
    figure = artefact.draw(frame, published)
    scale_note(figure, solutions)
    _save("b-appb1", frame, figure)
    note = f"H_Q + P_Q against its exact optimum. Ours: {scale_text(solutions)}."
    write_table(artefact.tabulate(frame, published), paths.table("b-appb1"), note=note)


ARTEFACTS: dict[str, Callable[[], None]] = {
    "a-fig3": _a_fig3,
    "a-fig4a": _a_fig4a,
    "b-appb1": _b_appb1,
    "b-fig1": _b_fig1,
    "b-fig2": _b_fig2,
    "b-fig3abc": _b_fig3abc,
    "b-fig7": _b_fig7,
    "b-tab3": _b_tab3,
}


def main() -> None:
    """Run the stage."""
    artefact = stage_arguments(__doc__, artefact=f"one of {', '.join(ARTEFACTS)}").artefact
    with clear_errors():
        if artefact not in ARTEFACTS:
            raise ValueError(f"expected one of {', '.join(ARTEFACTS)}, got {artefact!r}")
        ARTEFACTS[artefact]()


if __name__ == "__main__":
    main()
