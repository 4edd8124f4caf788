"""Recorded experiments: complete, from committed code, without pictures and without folders of the machine."""

import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch
from report_runs import make_results
from ruamel.yaml import YAML

from pipeline import paths, record
from pipeline.import_graph import REPOSITORY


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Enter a repository in which one family was trained with three seeds on a copy of the data somewhere else."""
    monkeypatch.chdir(tmp_path)
    tree = YAML().load((REPOSITORY / "params.yaml").read_text())
    tree.update(profile="real", repetitions=3)
    tree["datasets"]["acdc"].update(source="/somewhere/private")
    with open("params.yaml", "w") as file:
        YAML().dump(tree, file)
    results = make_results(seeds=3).query("family == 'acdc'").assign(profile="real")
    contents = {
        paths.results("acdc"): results.to_csv(index=False),
        paths.curves("acdc"): "run,epoch\nfull,1\n",
        paths.PUBLISHED: (REPOSITORY / paths.PUBLISHED).read_text(),
        paths.family_runs("acdc"): (REPOSITORY / paths.family_runs("acdc")).read_text(),
        paths.figure("a-fig6a").with_suffix(".svg"): "<svg/>",
        paths.figure("a-fig6a").with_suffix(".png"): "png",
        paths.plotted("a-fig6a"): "mre,dsc\n",
        paths.panels("a-fig7"): "pictures",
        paths.seconds("acdc", "full", 0): "1800.0",
        paths.seconds("acdc", "full", 1): "1800.0",
        **{paths.prepared("acdc", split): split for split in ("train", "val")},
        tmp_path / "pipeline/code.py": "x = 1\n",
    }
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for words in (["init", "-q"], ["add", "pipeline"], ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    monkeypatch.setattr(record, "changed_addresses", lambda addresses: set())
    return tmp_path


def test_results_that_dvc_would_make_anew_are_refused(repository, monkeypatch):
    monkeypatch.setattr(record, "changed_addresses", lambda addresses: {"pipeline/experiments/acdc/dvc.yaml:train@full"})
    with pytest.raises(ValueError, match=r"1 stages are out of date, such as .*train@full; `dvc repro` first"):
        record.record("acdc", ["acdc"], [])


def test_a_missing_result_leaves_what_was_recorded(repository):
    folder = record.record("acdc", ["acdc"], [])
    paths.curves("acdc").unlink()
    with pytest.raises(FileNotFoundError):
        record.record("acdc", ["acdc"], [])
    assert [path.name for path in folder.parent.iterdir()] == ["acdc"]
    assert (folder / "provenance.json").exists()


def test_scores_curves_drawings_and_settings_are_kept(repository):
    folder = record.record("acdc", ["acdc"], ["a-fig6a"])
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {
        "acdc/runs.yaml",
        "acdc/results.csv",
        "acdc/curves.csv",
        "a-fig6a.svg",
        "a-fig6a.csv",
        "params.yaml",
        "provenance.json",
    } <= kept
    assert (folder / "acdc/results.csv").read_text() == paths.results("acdc").read_text()


def test_provenance_says_where_the_numbers_come_from(repository):
    provenance = json.loads((record.record("acdc", ["acdc"], []) / "provenance.json").read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert [provenance[key] for key in ("commits", "seeds", "hours")] == [{"acdc": head}, {"acdc": 3}, {"acdc": 1.0}]
    assert provenance["data"]["acdc"]["source"] == "a copy"
    assert provenance["processor"].endswith(torch.backends.cpu.get_cpu_capability())


def test_families_recorded_before_stay_with_their_origin_and_are_decided_on(repository):
    folder = record.record("real", ["acdc"], [])
    earlier = json.loads((folder / "provenance.json").read_text())
    results = make_results(seeds=5).query("family == 'size_noise'").assign(profile="real")
    for path, text in (
        (paths.results("size_noise"), results.to_csv(index=False)),
        (paths.curves("size_noise"), "run,epoch\nfull,1\n"),
        (paths.family_runs("size_noise"), (REPOSITORY / paths.family_runs("size_noise")).read_text()),
        *((paths.prepared("voc", split), split) for split in ("train", "val")),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (repository / "pipeline/code.py").write_text("x = 2\n")
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=b", "commit", "-qam", "second"], check=True)
    record.record("real", ["size_noise"], [])
    provenance = json.loads((folder / "provenance.json").read_text())
    assert set(provenance["commits"]) == {"acdc", "size_noise"} == set(provenance["hours"])
    assert provenance["commits"]["acdc"] == earlier["commits"]["acdc"] != provenance["commits"]["size_noise"]
    assert provenance["data"].keys() == {"acdc", "voc"}
    assert pd.read_csv(folder / "a-claims.csv")["n"].pipe(set) == {3, 5}


def test_runs_of_two_profiles_are_not_recorded_together(repository):
    folder = record.record("acdc", ["acdc"], [])
    told = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**told, "profile": "paper"}))
    with pytest.raises(ValueError, match="acdc: holds runs of the profile paper, not real; record under another name"):
        record.record("acdc", ["acdc"], [])
    assert json.loads((folder / "provenance.json").read_text())["profile"] == "paper"


def test_what_claims_were_measured_on_is_kept_with_its_family():
    assert record.measured_on(["acdc", "seeds"]) == ["b-fig5", "b-appb1"]
    assert record.measured_on(["acdc"]) == []


def test_make_evidence_makes_all_that_is_recorded():
    shown = subprocess.run(["make", "--dry-run", "evidence"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    launched = set(re.findall(r'--only "([^"]+)"', shown))
    families = re.findall(r"--family (\w+)", shown)
    assert len(families) > 15
    measured = {f"{paths.ARTIFACTS_PIPELINE}:{artifact}" for artifact in record.measured_on(families)}
    assert launched == {f"{paths.family_pipeline(family)}:*" for family in families} | measured


def test_no_folder_of_the_machine_is_named(repository):
    folder = record.record("acdc", ["acdc"], [])
    assert not any("/somewhere" in path.read_text() for path in folder.rglob("*") if path.is_file())


def test_only_claims_that_the_runs_can_decide_are_tested(repository):
    claims = pd.read_csv(record.record("acdc", ["acdc"], []) / "a-claims.csv")
    assert len(claims) > 0
    assert claims["claim"].str.startswith("ACDC").all()
    assert (claims["n"] == 3).all()


def test_pictures_of_the_data_are_refused(repository):
    with pytest.raises(ValueError, match="a-fig7: shows pictures of the data"):
        record.record("acdc", ["acdc"], ["a-fig7"])


def test_results_of_another_profile_are_refused(repository):
    results = paths.results("acdc").read_text()
    paths.results("acdc").write_text(results.replace(",real,", ",embedded,"))
    with pytest.raises(ValueError, match=r"acdc: results of another profile than params.yaml's, real"):
        record.record("acdc", ["acdc"], [])


def test_changed_code_is_refused(repository):
    (repository / "pipeline/code.py").write_text("x = 2\n")
    with pytest.raises(ValueError, match=r"pipeline/code\.py: changed since the last commit"):
        record.record("acdc", ["acdc"], [])
    assert not (repository / paths.RECORDED / "acdc").exists()


def test_tables_of_benchmarks_are_kept_beside_each_other_with_the_origin_of_each(repository):
    for name in ("steps", "solver"):
        Path(f"{name}.csv").write_text(f"{name},ms\n")
        folder = record.record_tables("bench", [Path(f"{name}.csv")])
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert {path.name for path in folder.iterdir()} == {"steps.csv", "solver.csv", "provenance.json"}
    assert (folder / "steps.csv").read_text() == "steps,ms\n"
    provenance = json.loads((folder / "provenance.json").read_text())
    assert {name: origin["commit"] for name, origin in provenance.items()} == {"steps.csv": head, "solver.csv": head}
    assert provenance["steps.csv"]["processor"]


def test_a_missing_table_leaves_what_was_recorded(repository):
    Path("steps.csv").write_text("ms\n")
    folder = record.record_tables("bench", [Path("steps.csv")])
    before = (folder / "provenance.json").read_text()
    with pytest.raises(FileNotFoundError, match="none"):
        record.record_tables("bench", [Path("steps.csv"), Path("none.csv")])
    assert (folder / "provenance.json").read_text() == before
