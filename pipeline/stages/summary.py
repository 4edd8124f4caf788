"""Stage `summary`: the few headline numbers that `dvc metrics` and `dvc exp show` display, in reports/metrics.json."""

from __future__ import annotations

import json
from statistics import fmean

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import write_json
from pipeline.params import load_params


def main() -> None:
    """Run the stage."""
    with clear_errors():
        params = load_params()
        # A family that was taken out takes its headline runs along.
        runs = [run for run in params.figures.headline if run.split("/")[0] in params.runs]
        found = {run: json.loads(paths.metrics(*run.split("/")).read_text(encoding="utf-8"))["repetitions"] for run in runs}
        means = {run: round(fmean(one["val"]["mIoU"] for one in repetitions), 4) for run, repetitions in found.items()}
        write_json(paths.SUMMARY, {"mIoU": means})


if __name__ == "__main__":
    main()
