"""Stage `report`: the record on real data and every artifact on one page, reports/index.html, from reports/ and params.yaml."""

from __future__ import annotations

from operator import itemgetter

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import write_atomically
from pipeline.params import Params, load_params
from pipeline.report.artifacts import IDS
from pipeline.report.html import Files, Run, read_run, report_page
from pipeline.report.published import load_published
from pipeline.stages.common import stage_arguments

PAGE = paths.SUMMARY.with_name("index.html")


def evaluated_runs(params: Params) -> list[Run]:
    """Return the runs that have been evaluated, family by family."""
    return [
        read_run(path, PAGE, paths.results(family), paths.curves(family))
        for family, runs in params.runs.items()
        for name in runs
        if (path := paths.metrics(family, name)).is_file()
    ]


def written_out(params: Params, text: str) -> str:
    """Return params.yaml followed by the runs of all families, each on a line of its own, which the page points at."""
    lines = [text.rstrip(), "", f"runs: # of {paths.EXPERIMENTS}/*/{paths.family_runs('').name}, written out"]
    for family, runs in filter(itemgetter(1), params.runs.items()):
        lines.append(f"  {family}:")
        for name, run in runs.items():
            fields = ", ".join(f"{key}: {value}" for key, value in run.model_dump(exclude_defaults=True).items())
            lines.append(f"    {name}: {{{fields}}}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the stage."""
    stage_arguments(__doc__)
    with clear_errors():
        params = load_params()
        files = {name: Files(paths.figure(name), paths.table(name), paths.plotted(name)) for name in IDS}
        published, settings = load_published(paths.PUBLISHED), written_out(params, paths.PARAMS.read_text())
        page = report_page(files, PAGE, evaluated_runs(params), published, settings, paths.PARAMS, paths.REAL_RECORD)
        write_atomically(PAGE, page.encode())


if __name__ == "__main__":
    main()
