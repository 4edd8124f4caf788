"""Stage `summary`: the few headline numbers that `dvc metrics` and `dvc exp show` display, in reports/metrics.json."""

from __future__ import annotations

import csv

from pipeline import paths
from pipeline.files import write_json
from pipeline.params import load_params
from pipeline.stages.common import clear_errors


def main() -> None:
    """Run the stage."""
    with clear_errors():
        params = load_params()
        scores: dict[str, float] = {}
        for family in sorted({run.split("/")[0] for run in params.figures.headline}):
            with paths.results(family).open(newline="") as file:
                scores.update({f"{family}/{row['run']}": round(float(row["mIoU_val"]), 4) for row in csv.DictReader(file)})
        write_json(paths.SUMMARY, {"mIoU": {run: scores[run] for run in params.figures.headline}})


if __name__ == "__main__":
    main()
