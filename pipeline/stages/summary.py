"""Stage `summary`: the few headline numbers that `dvc metrics` and `dvc exp show` display, in reports/metrics.json."""

from __future__ import annotations

from statistics import fmean
from typing import Annotated

from pydantic import BaseModel, Field

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import read_form, write_json
from pipeline.params import load_params


class OnSplit(BaseModel):
    """Scores on the validation images; a class without a pixel has no IoU."""

    mIoU: float
    IoU: dict[str, float | None] = {}
    images: int = 0


class OfSeed(BaseModel):
    """Scores of one repetition."""

    val: OnSplit


class Metrics(BaseModel):
    """The part of reports/metrics/FAMILY/RUN.json that is read again."""

    repetitions: Annotated[list[OfSeed], Field(min_length=1)]


def read_scores(run: str) -> list[OnSplit]:
    """Return the validation scores of every repetition of `family/run`.

    Raises:
        OSError: the run has not been evaluated.
        ValueError: the file is broken (named).
    """
    metrics = read_form(paths.metrics(*run.split("/")), Metrics, "evaluate the run again")
    return [of_seed.val for of_seed in metrics.repetitions]


def main() -> None:
    """Run the stage."""
    with clear_errors():
        params = load_params()
        # A family that was taken out takes its headline runs along.
        runs = [run for run in params.figures.headline if run.split("/")[0] in params.runs]
        write_json(paths.SUMMARY, {"mIoU": {run: round(fmean(one.mIoU for one in read_scores(run)), 4) for run in runs}})


if __name__ == "__main__":
    main()
