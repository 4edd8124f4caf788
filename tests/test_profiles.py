"""Profiles: each gives a valid file, the embedded one undoes every other, and the papers' settings are the published ones."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from ruamel.yaml import YAML

from pipeline import paths, profile
from pipeline.conventions import VOID
from pipeline.import_graph import REPOSITORY
from pipeline.params import load_params
from pipeline.training.objectives import Objective

PROFILES = sorted(path.stem for path in (REPOSITORY / "pipeline/profiles").glob("*.yaml"))


def copy_settings(folder):
    """Copy params.yaml and the families of runs."""
    shutil.copy(REPOSITORY / "params.yaml", folder)
    for path in (REPOSITORY / paths.EXPERIMENTS).glob("*/*.yaml"):
        (folder / path.relative_to(REPOSITORY)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(REPOSITORY))


def switch_profile(folder, name):
    """Run the command in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "pipeline.profile", name]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Enter a folder with a copy of params.yaml; return how to call the command there, in this process."""
    copy_settings(tmp_path)
    monkeypatch.chdir(tmp_path)

    def switch(name):
        monkeypatch.setattr(sys, "argv", ["pipeline.profile", name])
        profile.main()
        return load_params(tmp_path / "params.yaml", tmp_path / paths.EXPERIMENTS)

    switch.path = tmp_path / "params.yaml"
    return switch


@pytest.mark.parametrize("name", PROFILES)
def test_profile_gives_valid_params(workspace, name):
    assert workspace(name).profile == name


@pytest.mark.parametrize("name", PROFILES)
def test_runs_of_a_family_differ_in_what_artifacts_address_them_by(workspace, name):
    params = workspace(name)
    for family, runs in params.runs.items():
        seen = {}
        for label, run in runs.items():
            given = params.supervision[run.supervision]
            level = (
                given.sizes and (given.sizes.source, given.sizes.mre),
                given.seeds and given.seeds.length_ratio,
                given.labels and given.labels.corrupted,
                given.subset and (given.subset.classes, given.subset.images),
            )
            address = repr((run.method, run.objective, run.training, run.network, run.dataset, run.start, run.trial, level))
            assert seen.setdefault(address, label) == label, f"{family}: {label} and {seen[address]}"


@pytest.mark.parametrize("name", PROFILES)
def test_embedded_brings_the_committed_file_back(workspace, name):
    workspace("paper")
    workspace(name)
    workspace("embedded")
    assert workspace.path.read_text() == (REPOSITORY / "params.yaml").read_text()


def test_values_of_other_profiles_are_taken_out(workspace):
    assert workspace("paper").networks["vit"].drop_path == 0.1
    assert workspace("smoke").networks["vit"].drop_path == 0.0


def test_what_no_profile_names_stays(workspace):
    workspace.path.write_text(workspace.path.read_text().replace("training:", "training: # mine\n  mine: {epochs: 7}", 1))
    assert workspace("paper").training["mine"].epochs == 7
    assert "# mine" in workspace.path.read_text()


def test_pipelines_follow_the_levels_of_a_profile(workspace):
    assert set(workspace("smoke").runs["seeds"]) == {"pce-len000", "pce-len100"}
    stages = YAML(typ="safe").load((workspace.path.parent / paths.family_pipeline("seeds")).read_text())["stages"]
    assert set(stages["train"]["foreach"]) == {"pce-len000", "pce-len100"}


TRAINING = {
    # name: (epochs, batch, learning rate, image size, input, place)
    "size": (60, 16, 0.005, 512, "resize", "[SIZE] 3.1: ResNet on PASCAL"),
    "barrier": (60, 16, 0.005, 512, "resize", "[SIZE] 3.1: ResNet on PASCAL"),
    "full": (60, 16, 0.007, 512, "resize", "[SIZE] A.1: DeepLabV3+'s rate"),
    "transformer": (60, 20, 0.0005, 512, "resize", "[SIZE] 3.1: ViT on PASCAL"),
    "coco": (60, 12, 0.0005, 512, "resize", "[SIZE] 3.1: ResNet on COCO"),
    "coco-transformer": (60, 16, 0.0001, 512, "resize", "[SIZE] 3.1: ViT on COCO"),
    "acdc": (200, 12, 0.005, 256, "resize", "[SIZE] 3.1: ACDC"),
    "acdc-full": (200, 12, 0.005, 256, "resize", "[SIZE] 3.1: ACDC"),
    "acdc-barrier": (200, 12, 0.005, 256, "resize", "[SIZE] 3.1: ACDC"),
    "seeds": (60, 12, 0.007, 512, "crop", "[SSL] appendix C, first stage"),
    "potts": (60, 12, 0.0007, 512, "crop", "[SSL] appendix C, second stage"),
    "potts-gd": (60, 12, 7e-7, 512, "crop", "U36: the published rate of the Potts weight 100"),
    "seeds-16": (60, 16, 0.007, 512, "crop", "[SSL] Table 5, batch 16"),
    "potts-16": (60, 16, 0.0007, 512, "crop", "[SSL] Table 5, batch 16"),
    "cross": (60, 12, 0.007, 512, "resize", "as [SSL] appendix C, on whole images"),
    "cross-potts": (60, 12, 0.0007, 512, "resize", "as [SSL] appendix C, on whole images"),
    "cityscapes": (60, 12, 0.007, 720, "crop", "[SSL] appendix C, all experiments; in one stage"),
    "ade20k": (60, 12, 0.007, 512, "crop", "[SSL] appendix C, all experiments; in one stage"),
    "classifier": (50, 128, 0.01, 150, "resize", "U38"),
}

VALUES = [
    # key path, value, where the paper says so
    ("solver.paper.steps", 200, "[SSL] appendix B"),
    ("solver.paper.learning_rate", 0.075, "[SSL] appendix B"),
    ("solver.half.steps", 100, "[SSL] appendix B"),
    ("objectives.size-crf.dense_crf.sigma_rgb", 15.0, "rloss, U7"),
    ("objectives.size-crf.dense_crf.sigma_xy_px", 100.0, "rloss, U7"),
    ("objectives.size-crf.dense_crf.scale_factor", 0.5, "rloss, U7"),
    ("objectives.size-crf.dense_crf.weight", 1.2e-9, "2e-9 of the published filter, which has 0.6 times the exact scale"),
    ("objectives.seeds-barrier.barrier.object_min", 9.155e-4, "U14: 60 of 256 x 256 pixels"),
    ("objectives.seeds-barrier.barrier.object_max", 0.030518, "U14: 2000 of 256 x 256 pixels"),
    ("objectives.seeds-barrier.barrier.weight", 655.36, "U14: 1e-2 per pixel"),
    ("objectives.grid-crf.potts.weight", 100.0, "U36: at its own rate of 7e-7"),
    ("objectives.nonlocal-crf.potts.weight", 100.0, "U36"),
    ("objectives.grid-crf-single.potts.weight", 1.0, "U36: one stage at the full rate"),
    ("objectives.grid-crf.potts.sigma_rgb", None, "U36: adaptive"),
    ("objectives.trust-region-100.proposals.epsilon", 0.944, "U35: the published code of the trust region"),
    ("objectives.trust-region-100.proposals.unary_weight", 0.05, "U35: the published code of the trust region"),
    ("objectives.trust-region-080.proposals.epsilon", 0.946, "U35: the published code of the trust region"),
    ("objectives.trust-region-050.proposals.epsilon", 0.9514, "U35: the published code of the trust region"),
    ("objectives.trust-region-030.proposals.epsilon", 0.9516, "U35: the published code of the trust region"),
    ("objectives.trust-region-000.proposals.epsilon", 0.9522, "U35: the published code of the trust region"),
    ("objectives.trust-region-000.proposals.every_epochs", 5, "U35: the published code of the trust region"),
    ("objectives.soft-q-dense.self_labeling.sigma_xy_px", 100.0, "[SSL] 3.3"),
    ("objectives.soft-cd-blocks.self_labeling.sigma_rgb", 3.0, "[SSL] appendix C, Cityscapes and ADE20K"),
    ("networks.resnet101.encoder", "resnet101", "[SIZE] 3.1"),
    ("networks.mobilenet.encoder", "mobilenet_v2", "[SSL] appendix C"),
    ("networks.vit.encoder", "vit_base_patch16_384", "[SIZE] 3.1"),
    ("networks.wideresnet38.width", 64, "U10: the published width"),
    ("networks.resnet101.output_stride", 16, "U8"),
    ("networks.resnet101-stride8.output_stride", 8, "U33"),
    ("networks.resnet18.weights", None, "U38"),
]


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """Return the paper profile as a tree of plain values."""
    folder = tmp_path_factory.mktemp("paper")
    copy_settings(folder)
    switch_profile(folder, "paper")
    return load_params(folder / "params.yaml", folder / paths.EXPERIMENTS).model_dump()


def test_partial_cross_entropy_beside_the_dense_crf_loss_has_one_rule(paper):
    objectives, training = paper["objectives"], paper["training"]
    runs = [run for of_family in paper["runs"].values() for run in of_family.values()]
    both = [run for run in runs if objectives[run["objective"]]["seeds"] and objectives[run["objective"]]["dense_crf"]]
    assert {run["dataset"] for run in both} == {"voc", "cityscapes", "ade20k"}
    for run in both:
        expected = 1 / training[run["training"]]["batch_size"]
        assert objectives[run["objective"]]["seeds"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("name", "published"), TRAINING.items(), ids=TRAINING)
def test_paper_profile_trains_as_published(paper, name, published):
    found = paper["training"][name]
    keys = ("epochs", "batch_size", "learning_rate", "image_size_px", "input")
    assert tuple(found[key] for key in keys) == published[:-1], published[-1]


def test_every_training_is_in_the_table_of_the_papers(paper):
    assert set(paper["training"]) - {"base"} == set(TRAINING)


@pytest.mark.parametrize(("key", "value", "place"), VALUES, ids=[key for key, _, _ in VALUES])
def test_paper_profile_has_the_published_value(paper, key, value, place):
    found = paper
    for part in key.split("."):
        found = found[part]
    assert found == value, place


def test_self_labelling_has_the_published_weights(paper):
    """[SSL] appendix C: eta 0.3, lambda 6, bandwidth 9, whatever relaxation and cross-entropy (U26)."""
    others = {"soft-q-dense", "hard-q-dense", "soft-cd-blocks", "soft-q-fast-tuned"}
    labeling = {name: objective["self_labeling"] for name, objective in paper["objectives"].items() if objective["self_labeling"]}
    weights = {
        (item["unary_weight"], item["pairwise_weight"], item["sigma_rgb"])
        for name, item in labeling.items()
        if name not in others
    }
    assert weights == {(0.3, 6.0, 9.0)}


def test_noise_levels_are_those_of_the_figure(paper):
    levels = {f"voc-sizes-mre{percent:02d}": percent / 100 for percent in (0, 4, 8, 12, 16, 20, 24, 32)}
    assert {name: paper["supervision"][name]["sizes"]["mre"] for name in levels} == levels


def test_scribble_lengths_are_those_of_the_tables(paper):
    ratios = {"000": 0.0, "030": 0.3, "050": 0.5, "080": 0.8, "100": 1.0}
    found = {name: paper["supervision"][f"voc-scribbles-{name}"]["seeds"]["length_ratio"] for name in ratios}
    assert found == ratios


@pytest.mark.parametrize("objective", ["grid-crf", "nonlocal-crf"])
def test_the_potts_loss_outweighs_the_cross_entropy_of_gradient_descent(paper, objective):
    """[SSL] Table 4: at its published weight the Potts term leads the network, not a thousandth beside the cross-entropy."""
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Conv2d(3, 2, 3, padding=1)
    torch.nn.init.normal_(network.weight, generator=generator)
    image = torch.rand(1, 3, 32, 32, generator=generator)
    image[..., 16:] = image[..., 16:].roll(1, dims=1) * 0.5
    seeds = torch.full((1, 32, 32), VOID)
    seeds[:, 16, 2:14], seeds[:, 16, 18:30] = 0, 1
    batch = {"image": image, "seeds": seeds, "valid": torch.ones(1, 32, 32, dtype=torch.bool), "image_id": ["a"]}

    def gradient(term):
        loss, _ = Objective({term: paper["objectives"][objective][term]})(network(image), batch)
        return torch.autograd.grad(loss, list(network.parameters()))

    for _ in range(300):  # the second stage begins where the first one ended
        for parameter, slope in zip(network.parameters(), gradient("seeds")):
            parameter.data -= slope
    norms = {term: torch.cat([slope.flatten() for slope in gradient(term)]).norm() for term in ("seeds", "potts")}
    assert norms["potts"] > 5 * norms["seeds"]


def test_gradient_descent_on_the_potts_loss_has_a_thousandth_of_the_rate(paper):
    assert paper["training"]["potts-gd"]["learning_rate"] == pytest.approx(paper["training"]["potts"]["learning_rate"] / 1000)
    runs = {**paper["runs"]["methods"], **paper["runs"]["scribble_resnet_potts"]}
    assert {run["training"] for run in runs.values() if run["method"] in ("gd_nn", "gd_sn")} == {"potts-gd"}


@pytest.mark.parametrize("content", [b"training: [", b"- 1\n", "seed: 1".encode("utf-16"), b"seed: 1\nseed: 2\n", b""])
def test_profile_is_not_put_into_settings_that_cannot_be(workspace, content):
    workspace.path.write_bytes(content)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        switch_profile(workspace.path.parent, "smoke")
    assert failed.value.stderr.startswith(b"error: params.yaml")
    assert workspace.path.read_bytes() == content
