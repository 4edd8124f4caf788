from pathlib import Path

import pandas as pd
import pytest

from pipeline.report.published import load_published

NAN = float("nan")
LENGTHS = (0.0, 0.3, 0.5, 0.8, 1.0)
RELAXATIONS = ("bl", "nq", "q", "cce", "cd", "lq")
BLANK = {
    "dataset": "voc",
    "network": "small",
    "supervision": "any",
    "objective": "any",
    "profile": "embedded",
    "device": "cpu",
    "sigma": NAN,
    "mre": NAN,
    "noise_default": False,
    "mre_all": NAN,
    "mre_foreground": NAN,
    "length_ratio": NAN,
    "cross_entropy": None,
    "relaxation": None,
    "neighborhood": None,
    "entropy_term": None,
    "mIoU_train": 0.5,
    "mIoU_val_best": NAN,
}


def rows_of_seed(seed: int) -> list[dict[str, object]]:
    """One run of everything; accuracies are round numbers that tests can recompute, plus a tenth per seed."""
    shift = 0.001 * seed
    blank = {**BLANK, "seed": seed}
    rows = [{**blank, "run": f"full-{seed}", "method": "full", "mIoU_val": 0.6 + shift, "mIoU_train": 0.8}]
    for method, bonus in (("size", 0.0), ("size_crf", 0.05)):
        for mre in (0.0, 0.08, 0.16):
            noise = {"sigma": 1.25 * mre, "mre": mre, "mre_all": 0.7 * mre, "mre_foreground": 1.03 * mre}
            accuracy = {"mIoU_val": 0.5 + bonus - mre / 4 + shift, "mIoU_train": 0.65 + bonus - mre + shift}
            rows.append({**blank, **noise, **accuracy, "run": f"{method}-{mre:g}-{seed}", "method": method})
        noise = {"sigma": 0.1, "mre": 0.0797885, "noise_default": True}
        rows.append({**blank, **noise, "run": f"{method}-default-{seed}", "method": method, "mIoU_val": 0.48 + bonus})
    labels = {"method": "soft", "neighborhood": "grid4", "cross_entropy": "cce", "entropy_term": False}
    for place, relaxation in enumerate(RELAXATIONS):
        for length in LENGTHS:
            accuracy = {"mIoU_val": 0.3 + length / 10 + place / 100 + shift}
            run = {"run": f"{relaxation}-{length:g}-{seed}", "relaxation": relaxation, "length_ratio": length}
            rows.append({**blank, **labels, **run, **accuracy})
    for entropy, accuracy in ((False, 0.41), (True, 0.43)):
        labels = {"method": "soft_entropy" if entropy else "soft", "neighborhood": "grid4", "entropy_term": entropy}
        run = {"run": f"quadratic-{entropy}-{seed}", "cross_entropy": "quadratic", "relaxation": "q", "length_ratio": 1.0}
        rows.append({**blank, **labels, **run, "mIoU_val": accuracy + shift})
    return rows


@pytest.fixture
def results() -> pd.DataFrame:
    return pd.DataFrame(rows_of_seed(0))


@pytest.fixture
def results_of_two_seeds() -> pd.DataFrame:
    return pd.DataFrame(rows_of_seed(0) + rows_of_seed(1))


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    return load_published(Path(__file__).parents[2] / "reports/published.csv")
