"""Make one artefact of the papers from tracked results: its figure, the plotted numbers, and a table where it is one.

Writes reports/figures/ID.svg and .png, the plotted numbers as reports/plots/ID.csv, and for tables reports/tables/ID.csv and
.md. `ARTEFACTS` holds one function per artefact with the files it reads; each imports its own drawing code only. The stages stand
in reports/dvc.yaml, which `python -m pipeline.wiring` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.report.style import save_figure, scale_note, scale_text
from pipeline.report.tables import write_points, write_table
from pipeline.stages.common import stage_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.report.labeling_cost import LabelStatistics


def _save(artefact: str, points: pd.DataFrame, figure: Figure) -> None:
    write_points(points, paths.plotted(artefact))
    save_figure(figure, paths.figure(artefact))


def _table(artefact: str, table: pd.DataFrame, note: str, decimals: int = 2) -> None:
    best = [name for name in table.columns if name.endswith(("published", "ours"))]
    numeric = [name for name in best if pd.api.types.is_numeric_dtype(table[name])]
    write_table(table, paths.table(artefact), highest=numeric, note=note, decimals=decimals)


def _results(artefact: str) -> pd.DataFrame:
    """Return all runs of the families that an artefact reads."""
    from pipeline.report.cells import load_results

    return load_results(path for path in ARTEFACTS[artefact].inputs if path.name == "results.csv")


def _published() -> pd.DataFrame:
    from pipeline.report.published import load_published

    return load_published(paths.PUBLISHED)


def _panels(artefact: str) -> dict[str, Any]:
    import numpy as np

    with np.load(paths.panels(artefact)) as archive:
        return {name: archive[name] for name in archive.files}


def _label_statistics() -> LabelStatistics:
    import json

    from pipeline.report.labeling_cost import LabelStatistics

    statistics = json.loads(paths.DATA_STATISTICS.read_text())["voc"]
    return LabelStatistics(statistics["classes"], statistics["classes_per_image"])


def _tabulated(artefact: str, module: Any, frame: pd.DataFrame, results: pd.DataFrame) -> None:
    _save(artefact, frame, module.draw(frame, results))
    _table(artefact, module.tabulate(frame), f"In percent. Ours: {scale_text(results)}.")


HELPERS = ("_save", "_table", "_results", "_published", "_panels", "_tabulated", "main")
"""Functions that any artefact may use."""


def _a_fig1() -> None:
    from pipeline.report import fig_a_fig1 as artefact

    results = _results("a-fig1")
    _tabulated("a-fig1", artefact, artefact.compute(results, _published(), _label_statistics()), results)


def _a_fig2() -> None:
    from pipeline.report import fig_a_fig2 as artefact

    _save("a-fig2", artefact.compute(panels := _panels("a-fig2")), artefact.draw(panels))


def _a_fig3() -> None:
    from pipeline.report import fig_a_fig3 as artefact

    _save("a-fig3", frame := artefact.compute(), artefact.draw(frame))


def _a_fig3x() -> None:
    from pipeline.report import fig_a_fig3x as artefact

    results = _results("a-fig3x")
    _save("a-fig3x", frame := artefact.compute(results), artefact.draw(frame, results))


def _a_fig4a() -> None:
    from pipeline.report import fig_a_fig4a as artefact

    results = _results("a-fig4a").reset_index(drop=True)
    _save("a-fig4a", frame := artefact.compute(results), artefact.draw(frame, results))


def _a_fig4b() -> None:
    from pipeline.report import fig_a_fig4b as artefact

    results = _results("a-fig4b")
    _save("a-fig4b", frame := artefact.compute(results, _published()), artefact.draw(frame, results))


def _a_fig5a() -> None:
    from pipeline.report import fig_a_fig5a as artefact

    errors, published = pd.read_csv(paths.annotation_errors(ANNOTATED)), _published()
    frame, table = artefact.compute(errors, published), artefact.tabulate(errors, published)
    _save("a-fig5a", frame, artefact.draw(frame, table, f"sizes of supervision {ANNOTATED}"))
    write_table(table, paths.table("a-fig5a"), decimals=1)


def _a_fig5b() -> None:
    from pipeline.report import fig_a_fig5b as artefact

    results = _results("a-fig5b")
    _save("a-fig5b", frame := artefact.compute(results, _published()), artefact.draw(frame, results))


def _a_fig6a() -> None:
    from pipeline.report import fig_a_fig6a as artefact

    results = _results("a-fig6a")
    _save("a-fig6a", frame := artefact.compute(results), artefact.draw(frame, results))


def _a_fig6b() -> None:
    from pipeline.report import fig_a_fig6b as artefact

    _save("a-fig6b", artefact.compute(panels := _panels("a-fig6b")), artefact.draw(panels))


def _a_fig7() -> None:
    from pipeline.report import fig_a_fig7 as artefact

    panels = {"PASCAL": _panels("a-fig7-voc"), "COCO": _panels("a-fig7-coco")}
    _save("a-fig7", artefact.compute(panels), artefact.draw(panels))


def _a_tab1() -> None:
    from pipeline.report import fig_a_tab1 as artefact

    results = _results("a-tab1")
    _tabulated("a-tab1", artefact, artefact.compute(results, _published()), results)


def _a_tab2() -> None:
    from pipeline.report import fig_a_tab2 as artefact

    results = _results("a-tab2")
    _tabulated("a-tab2", artefact, artefact.compute(results, _published(), artefact.load_scores(paths.TEST_SCORES)), results)


def _a_claims() -> None:
    from pipeline.report import claims, claims_a

    results = _results("a-claims")
    frame = claims_a.compute(results, _published())
    write_points(frame, paths.plotted("a-claims"))
    write_table(frame, paths.table("a-claims"), note=f"Ours: {scale_text(results)}. {claims.RULE}")


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


def _b_fig3d() -> None:
    from pipeline.report import fig_b_fig3d as artefact

    results = _results("b-fig3d")
    _save("b-fig3d", frame := artefact.compute(results), artefact.draw(frame, results))


def _b_fig4() -> None:
    from pipeline.report import fig_b_fig4 as artefact

    results = _results("b-fig4")
    _tabulated("b-fig4", artefact, artefact.compute(results, _published()), results)


def _b_fig5() -> None:
    from pipeline.report import fig_b_fig5 as artefact

    panels = _panels("b-fig5")
    scale = pd.DataFrame({name: [panels.pop(name).item()] for name in ("profile", "device", "seed")})
    frame = artefact.compute(panels)
    figure = artefact.draw(panels, panels["class_names"].tolist())
    scale_note(figure, scale)
    _save("b-fig5", frame, figure)


def _b_fig6() -> None:
    from pipeline.report import fig_b_fig6 as artefact

    results = _results("b-fig6")
    _tabulated("b-fig6", artefact, artefact.compute(results, _published()), results)


def _b_fig7() -> None:
    from pipeline.report import fig_b_fig7 as artefact

    panels = _panels("b-fig7")
    figure = artefact.draw(panels, panels.pop("class_names").tolist())
    scale_note(figure, pd.DataFrame({name: [panels.pop(name).item()] for name in ("profile", "device", "seed")}))
    _save("b-fig7", artefact.compute(panels), figure)


def _b_sec33() -> None:
    from pipeline.report import fig_b_sec33 as artefact

    results = _results("b-sec33")
    _tabulated("b-sec33", artefact, artefact.compute(results, _published()), results)


def _b_tab3() -> None:
    from pipeline.report import fig_b_tab3 as artefact

    results = _results("b-tab3").reset_index(drop=True)
    lengths = sorted(set(artefact.select(results)["length_ratio"]))  # those that params.yaml asks for
    _tabulated("b-tab3", artefact, artefact.compute(results, _published(), lengths), results)


def _b_tab4() -> None:
    from pipeline.report import fig_b_tab4 as artefact

    results = _results("b-tab4")
    _tabulated("b-tab4", artefact, artefact.compute(results, _published()), results)


def _b_tab5() -> None:
    from pipeline.report import fig_b_tab5 as artefact

    results = _results("b-tab5")
    _tabulated("b-tab5", artefact, artefact.compute(results, _published()), results)


def _b_tab6() -> None:
    from pipeline.report import fig_b_tab6 as artefact

    results = _results("b-tab6")
    _tabulated("b-tab6", artefact, artefact.compute(results, _published()), results)


def _b_appb1() -> None:
    from pipeline.report import fig_b_appb1 as artefact

    solutions, published = pd.read_csv(paths.solver_check("seeds")), _published()
    frame = artefact.compute(solutions)
    figure = artefact.draw(frame, published)
    scale_note(figure, solutions)
    _save("b-appb1", frame, figure)
    note = f"Every solver against the optimum (H_Q + P_Q) or a long run (others). Ours: {scale_text(solutions)}."
    write_table(artefact.tabulate(frame, published), paths.table("b-appb1"), note=note)


def _b_appb2() -> None:
    from pipeline.report import fig_b_appb2 as artefact

    results = _results("b-appb2")
    _tabulated("b-appb2", artefact, artefact.compute(results, _published()), results)


def _b_claims() -> None:
    from pipeline.report import claims, claims_b

    results = _results("b-claims")
    frame = claims_b.compute(results, _published())
    _save("b-claims", frame, claims_b.draw(frame, results))
    write_table(claims_b.tabulate(frame), paths.table("b-claims"), note=f"Ours: {scale_text(results)}. {claims.RULE}")


def _x_cost() -> None:
    from pipeline.report import fig_x_cost as artefact

    results = _results("x-cost")
    _tabulated("x-cost", artefact, artefact.compute(results, _published(), _label_statistics()), results)


def _x_cross() -> None:
    from pipeline.report import fig_x_cross as artefact

    results = _results("x-cross")
    _tabulated("x-cross", artefact, artefact.compute(results), results)


class Artefact(NamedTuple):
    """How one artefact is made."""

    make: Callable[[], None]
    inputs: tuple[Path, ...] = ()
    """Files it reads, besides code."""
    table: bool = False
    """There is a table."""
    figure: bool = True
    """There is a figure."""
    helpers: tuple[str, ...] = ()
    """Functions of this module that it uses besides `HELPERS`."""


def _of(*families: str) -> tuple[Path, ...]:
    return (*(paths.results(family) for family in families), paths.PUBLISHED)


ANNOTATED = "voc/animals-annotated"
"""Supervision whose annotated sizes a-fig5a shows."""
_COSTS = ("_label_statistics",)
_A = ("size_noise", "size_losses", "scribble_sizes", "annotated", "backbones", "acdc")
_SCRIBBLES = ("seeds", "potts", "cross_entropies", "methods", "solvers", "scribble_resnet", "scribble_resnet_potts")

ARTEFACTS: dict[str, Artefact] = {
    "a-fig1": Artefact(_a_fig1, (*_of("size_noise", "scribble_sizes"), paths.DATA_STATISTICS), table=True, helpers=_COSTS),
    "a-fig2": Artefact(_a_fig2, (paths.panels("a-fig2"),)),
    "a-fig3": Artefact(_a_fig3),
    "a-fig3x": Artefact(_a_fig3x, _of("size_losses", "size_noise")),
    "a-fig4a": Artefact(_a_fig4a, _of("size_noise")),
    "a-fig4b": Artefact(_a_fig4b, _of("scribble_sizes", "size_noise")),
    "a-fig5a": Artefact(_a_fig5a, (paths.supervision(ANNOTATED), paths.PUBLISHED), table=True),
    "a-fig5b": Artefact(_a_fig5b, _of("annotated")),
    "a-fig6a": Artefact(_a_fig6a, _of("acdc")),
    "a-fig6b": Artefact(_a_fig6b, (paths.panels("a-fig6b"),)),
    "a-fig7": Artefact(_a_fig7, (paths.panels("a-fig7-voc"), paths.panels("a-fig7-coco"))),
    "a-tab1": Artefact(_a_tab1, _of("annotated"), table=True),
    "a-tab2": Artefact(_a_tab2, (*_of("size_noise", "backbones"), paths.TEST_SCORES), table=True),
    "a-claims": Artefact(_a_claims, _of(*_A), table=True, figure=False),
    "b-appb1": Artefact(_b_appb1, (paths.solver_check("seeds"), paths.PUBLISHED), table=True),
    "b-appb2": Artefact(_b_appb2, _of("potts", "solvers", "methods"), table=True),
    "b-fig1": Artefact(_b_fig1),
    "b-fig2": Artefact(_b_fig2),
    "b-fig3abc": Artefact(_b_fig3abc),
    "b-fig3d": Artefact(_b_fig3d, _of("label_noise")),
    "b-fig4": Artefact(_b_fig4, _of("cross_entropies", "potts"), table=True),
    "b-fig5": Artefact(_b_fig5, (paths.panels("b-fig5"),)),
    "b-fig6": Artefact(_b_fig6, _of("methods", "potts"), table=True),
    "b-fig7": Artefact(_b_fig7, (paths.panels("b-fig7"),)),
    "b-sec33": Artefact(_b_sec33, _of("methods", "potts"), table=True),
    "b-tab3": Artefact(_b_tab3, _of("potts"), table=True),
    "b-tab4": Artefact(_b_tab4, _of("methods", "potts"), table=True),
    "b-tab5": Artefact(_b_tab5, _of("scribble_resnet", "scribble_resnet_potts"), table=True),
    "b-tab6": Artefact(_b_tab6, _of("blocks"), table=True),
    "b-claims": Artefact(_b_claims, _of(*_SCRIBBLES, "label_noise", "blocks"), table=True),
    "x-cost": Artefact(
        _x_cost,
        (*_of("size_noise", "scribble_sizes", "scribble_resnet", "scribble_resnet_potts"), paths.DATA_STATISTICS),
        table=True,
        helpers=_COSTS,
    ),
    "x-cross": Artefact(_x_cross, _of("cross", "cross_seeds"), table=True),
}


def main() -> None:
    """Run the stage."""
    artefact = stage_arguments(__doc__, artefact=f"one of {', '.join(ARTEFACTS)}").artefact
    with clear_errors():
        if artefact not in ARTEFACTS:
            raise ValueError(f"expected one of {', '.join(ARTEFACTS)}, got {artefact!r}")
        ARTEFACTS[artefact].make()


if __name__ == "__main__":
    main()
