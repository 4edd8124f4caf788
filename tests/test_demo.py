"""`make demo` promises two minutes: what its figure needs are three trainings on one data set, and no family as a whole."""

import re
import subprocess

import networkx
from dvc.repo import Repo

from pipeline import paths
from pipeline.import_graph import REPOSITORY
from pipeline.params import load_params


def test_demo_trains_a_size_target_and_a_self_labelling_run_and_little_else():
    command = subprocess.run(["make", "--dry-run", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    address = re.search(r"pipeline\.launch .*--only (\S+)", command)[1]
    graph = Repo(str(REPOSITORY)).index.graph
    (figure,) = (stage for stage in graph if stage.addressing == address)
    needed = {stage.addressing.removeprefix(f"{paths.EXPERIMENTS}/") for stage in networkx.descendants(graph, figure)}
    trained = {re.sub(r"/dvc\.yaml:train@", "/", one) for one in needed if "train@" in one}
    params = load_params(REPOSITORY / paths.PARAMS, REPOSITORY / paths.EXPERIMENTS)
    objectives = {params.run(*one.split("/")).objective for one in trained}
    assert objectives == {"size-crf", "seeds", "soft-cd"}
    assert len(trained) == 3
    assert {one for one in needed if one.startswith(("raw@", "prepare@", "supervise@"))} == {
        "raw@voc",
        "prepare@voc",
        "supervise@voc",
    }
    assert not any("evaluate" in one for one in needed)
