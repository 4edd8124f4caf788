"""Stage `summary`: the few headline numbers that `dvc metrics` and `dvc exp show` display, in reports/metrics.json."""

from __future__ import annotations

import csv
from statistics import fmean

from pipeline import paths
from pipeline.files import write_json
from pipeline.params import load_params
from pipeline.stages.common import clear_errors


def main() -> None:
    """Run the stage."""
    with clear_errors():
        params = load_params()
        scores: dict[str, list[float]] = {}
        for family in sorted({run.split("/")[0] for run in params.figures.headline}):
            with paths.results(family).open(newline="") as file:
                for row in csv.DictReader(file):
                    scores.setdefault(f"{family}/{row['run']}", []).append(float(row["mIoU_val"] or "nan"))
        write_json(paths.SUMMARY, {"mIoU": {run: round(fmean(scores[run]), 4) for run in params.figures.headline}})


if __name__ == "__main__":
    main()
