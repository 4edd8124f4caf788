import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_runs import make_artifact, make_panels, make_results

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.report.artifacts import a_fig7, b_appb2, b_claims, load
from pipeline.report.panels import run_names
from pipeline.report.published import load_published

REPOSITORY = Path(__file__).parents[2]
CLASSES = ["background", "bird"]


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    return load_published(REPOSITORY / paths.PUBLISHED)


@pytest.fixture(scope="session")
def results() -> pd.DataFrame:
    return make_results()


@pytest.fixture(scope="session")
def results_of_three_seeds() -> pd.DataFrame:
    return make_results(3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in; paths of the pipeline lie in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def files(folder):
    """The files that artifacts read besides results, made up: pictures, annotated sizes, solutions, statistics, scores."""
    write_json(paths.DATA_STATISTICS, {"voc": {"classes": 4, "classes_per_image": 2.0}})
    write_text(paths.TEST_SCORES, "run,score,url,date\n")
    for name in ("a-fig2", "a-fig6b", "x-look"):
        write_panels(name, make_panels(run_names(load(name).behind), CLASSES, [(8, 8), (8, 8)]))
    for dataset, name in a_fig7.ARCHIVES.items():
        write_panels(name, make_panels(run_names(a_fig7.RUNS[dataset].values()), CLASSES, [(12, 16)]))
    write_panels("b-fig5", neighborhood_panels())
    write_panels("b-fig7", relaxation_panels())
    write_frame(paths.annotation_errors("voc/animals-annotated"), annotation_errors())
    write_frame(paths.solver_check("seeds"), solutions())
    for path in (paths.PUBLISHED, b_appb2.STEP_TIMES, b_claims.STEP_TIMES):
        write_text(path, (REPOSITORY / path).read_text())
    return folder


@pytest.fixture
def made(files, results, published):
    """Return an artifact made from one seed of every run; from other results, if given."""
    return lambda name, rows=None: make_artifact(name, results if rows is None else rows, published)


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_json(path, content):
    write_text(path, json.dumps(content))


def write_frame(path, frame):
    write_text(path, frame.to_csv(index=False))


def write_panels(name, arrays):
    path = paths.panels(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


SCALE = {"profile": np.array("embedded"), "device": np.array("cpu"), "seed": np.array(0)}
COLORS = {"palette": np.array([[0, 0, 0], [200, 100, 50]], np.uint8), "class_names": np.array(CLASSES)}


def neighborhood_panels():
    """Two pictures of different size, left half bird; nearest labels are right, dense ones even, the network's all background.

    A third picture was measured and is not drawn.
    """
    right = {"mean_entropy_bits": np.repeat([[0], [0], [1]], 3, 1), "correct_percent": np.repeat([[48], [100], [50]], 3, 1)}
    arrays = {"measured": np.array(["x", "y", "z"]), **right, "ids": np.array(["x", "y"]), **COLORS, **SCALE}
    for index, (height, width) in enumerate(((4, 6), (5, 4))):
        labels = np.zeros((height, width), np.uint8)
        labels[:, : width // 2] = 1
        seeds = np.full((height, width), VOID, np.uint8)
        seeds[1, :2] = 1
        arrays |= {
            f"image_{index}": np.repeat(labels[..., None] * 100 + 50, 3, axis=2).astype(np.uint8),
            f"labels_{index}": labels,
            f"seeds_{index}": seeds,
            f"nearest_{index}": np.stack([labels == 0, labels == 1]).astype(np.float16),
            f"dense_{index}": np.full((2, height, width), 0.5, np.float16),
            f"network_{index}": np.stack([np.ones((height, width)), np.zeros((height, width))]).astype(np.float16),
        }
    return arrays


def relaxation_panels():
    """Two pictures of 4 x 6 pixels, left half bird; bilinear labels are decided, all others even between both classes."""
    labels = np.zeros((2, 4, 6), np.uint8)
    labels[:, :, :3] = 1
    pseudo_labels = np.full((6, 2, 2, 4, 6), 0.5, np.float16)
    pseudo_labels[0] = np.stack([labels == 0, labels == 1], 1)
    seeds = np.full((2, 4, 6), VOID, np.uint8)
    seeds[:, 1, 1:3] = 1
    return {
        "image": np.repeat(labels[..., None] * 100 + 50, 3, axis=3).astype(np.uint8),
        "seeds": seeds,
        "labels": labels,
        "probs": np.full((2, 2, 4, 6), 0.5, np.float16),
        "pseudo_labels": pseudo_labels,
        "relaxation": np.array(["bl", "nq", "q", "cce", "cd", "lq"]),
        **COLORS,
        **SCALE,
    }


def annotation_errors():
    """Four cats: 2, 7, -7 and 200 % off; two dogs: 12 % off."""
    off = [("cat", 0.02), ("cat", 0.07), ("cat", -0.07), ("cat", 2.0), ("dog", 0.12), ("dog", 0.12)]
    rows = [{"image_id": place, "class": name, "exact": 0.2, "relative_error": error} for place, (name, error) in enumerate(off)]
    return pd.DataFrame(rows).assign(seconds=10.0, source="simulated")


def solutions():
    """The quadratic case, and one without a known optimum, in which 12 fast steps end below the reference."""
    rows = []
    for image, jaccard, energy in (("a", 0.99, 10.1), ("b", 0.95, 10.3)):
        quadratic = {"cross_entropy": "quadratic", "relaxation": "q", "image_id": image, "reference_energy": 10.0}
        rows.append({**quadratic, "solver": "gradient", "steps": 200, "soft_jaccard": jaccard, "energy": energy, "seconds": 2.0})
        rows.append({**quadratic, "solver": "random_walker", "steps": 0, "soft_jaccard": 1.0, "energy": 10.0, "seconds": 1.0})
        divergence = {"cross_entropy": "cce", "relaxation": "cd", "image_id": image, "reference_energy": -20.0}
        rows.append({**divergence, "solver": "gradient", "steps": 200, "energy": -19.0, "seconds": 2.0})
        rows.append({**divergence, "solver": "fast", "steps": 12, "energy": -20.2, "seconds": 0.5})
    return pd.DataFrame(rows).assign(converged=True, profile="embedded", device="cpu", seed=0)
