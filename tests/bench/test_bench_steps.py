import csv
import itertools
import sys
from functools import partial

import pytest
import torch

from pipeline.bench import estimate, steps
from pipeline.params import ParamsError, load_params
from pipeline.training.objectives import Objective

CPU = torch.device("cpu")
PARAMS = load_params()
NETWORKS = ("resnet101", "resnet18")
FROZEN = PARAMS.model_copy(
    update={"networks": {"frozen": PARAMS.networks["resnet101"].model_copy(update={"freeze_encoder": True})}}
)
"""With a network whose encoder is frozen."""


@pytest.fixture(scope="module")
def batch():
    return steps.make_batch(2, 32, 4)


@pytest.fixture(scope="module")
def rows(batch):
    """Every objective, with solvers that stop at once."""
    quick = {name: one.model_copy(update={"steps": one.steps and 1}) for name, one in PARAMS.solver.items()}
    params = PARAMS.model_copy(update={"solver": quick})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "SOLVERS", ())
        patch.setattr(steps, "TURN_S", 0.0)
        return list(steps.bench(params, steps.chosen_objectives(params, None), NETWORKS, batch, CPU, 1, learn=1))


def test_every_row_is_complete(rows):
    assert all(value is not None for row in rows for value in row.values())
    assert all(min(row["step_ms"], row["objective_ms"], row["memory_mb"]) > 0 for row in rows)


def test_cross_entropy_is_the_measure_on_both_networks(rows):
    assert [row["ratio"] for row in rows if row["objective"] == steps.REFERENCE] == [1, 1]
    assert {row["kind"] for row in rows if row["objective"] == steps.REFERENCE} == {"small", "small_classifier"}


def test_ratios_are_to_the_cross_entropy_timed_right_before(batch, monkeypatch):
    times = itertools.cycle([2.0, 3.0, 0.5])  # cross-entropy, the step, its loss alone
    monkeypatch.setattr(steps.clock, "seconds", lambda work, device: next(times))
    rows = list(steps.bench(PARAMS, ["seeds"], NETWORKS, batch, CPU, 2, learn=1))
    assert [(row["ratio"], row["step_ms"], row["objective_ms"]) for row in rows] == [(1.0, 3000, 500), (1.5, 3000, 500)]


def test_every_objective_of_params_is_measured(rows):
    assert {row["objective"] for row in rows} == {steps.REFERENCE, *PARAMS.objectives}


def test_self_labeling_is_measured_with_its_own_the_published_and_the_fast_solver():
    labels = list(steps.variants(steps.resolved(PARAMS, "soft-exact")))
    assert labels == ["random walker", "gradient, 200 steps", "conjugate gradient"]
    labels = list(steps.variants(steps.resolved(PARAMS, "soft-q"), {"kind": "fast", "steps": 3}))
    assert labels == [f"gradient, {PARAMS.solver['paper'].steps} steps", "gradient, 200 steps", "fast", "fast, 3 steps"]


def test_every_solver_of_an_objective_has_a_row(batch):
    params = PARAMS.model_copy(
        update={"solver": {**PARAMS.solver, "paper": PARAMS.solver["paper"].model_copy(update={"steps": 2})}}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "SOLVERS", ({"kind": "gradient", "steps": 3}, {"kind": "fast", "steps": 1}))
        patch.setattr(steps, "TURN_S", 0.0)
        found = steps.bench(params, ["soft-q"], NETWORKS, batch, CPU, 1, learn=1)
        assert [row["solver"] for row in found] == [
            "",
            "gradient, 2 steps",
            "gradient, 3 steps",
            "fast, 1 steps",
            f"fast, {params.solver['fast'].steps} steps",
        ]


def test_the_dense_neighbourhood_has_no_fast_solver():
    terms = steps.resolved(PARAMS, "soft-q-dense")
    assert list(steps.variants(terms)) == ["dense gradient, 20 steps", "dense gradient, 200 steps"]


def test_a_solver_that_is_the_published_one_is_measured_once():
    terms = steps.resolved(steps.read_params("paper"), "soft-q")
    assert list(steps.variants(terms)) == ["gradient, 200 steps", "fast"]


def test_unknown_objective_lists_those_that_are_there():
    with pytest.raises(ParamsError, match=r"objectives\.sofd-q is not in params\.yaml; there: masks, size"):
        steps.chosen_objectives(PARAMS, ["masks", "sofd-q"])


def test_unknown_network_lists_those_that_are_there(batch):
    with pytest.raises(ParamsError, match=r"networks\.small is not in params\.yaml; there: mobilenet"):
        list(steps.bench(PARAMS, ["masks"], ["small"], batch, CPU, 1))


def test_a_batch_holds_what_every_annotator_gives(batch):
    assert set(batch["labels"].unique().tolist()) <= {0, 1, 2, 3, 255}
    assert (batch["seeds"] != 255).any(dim=(1, 2)).all()
    assert torch.equal(batch["tags"] > 0, batch["size_targets"] > 0)
    assert torch.allclose(batch["size_targets"].sum(1), torch.ones(2))
    assert torch.equal(batch["class_targets"].sum(1), torch.ones(2))


@pytest.mark.parametrize(("count", "classes"), [(1, 4), (2, 1), (2, 22)])
def test_impossible_batch_is_an_error(count, classes):
    with pytest.raises(ValueError, match=f"got {count} and {classes}"):
        steps.make_batch(count, 32, classes)


def test_steps_leave_the_weights_alone(batch):
    trainee = steps.make_trainee(PARAMS, "resnet101", batch, CPU, learn=1)
    before = [weight.detach().clone() for weight in trainee.network.parameters()]
    trainee.step(Objective({"seeds": 1.0}))
    assert all(torch.equal(old, new) for old, new in zip(before, trainee.network.parameters()))


def test_the_network_learns_the_batch_first(batch):
    def loss(learn):
        trainee = steps.make_trainee(PARAMS, "resnet101", batch, CPU, learn=learn)
        return float(trainee.reference()(trainee.logits(), trainee.batch)[0])

    assert loss(20) < loss(1)


def test_live_bytes_are_those_of_tensors_not_yet_freed():
    held = torch.zeros(1000)
    with steps.LiveBytes([held]) as count:
        for _ in range(3):
            made = (held * 2).exp()
    assert count.peak == 4 * 4000  # held, the last `made`, the product, the new `made`
    assert count.alive == 2 * 4000
    assert made.shape == held.shape


def test_views_and_changes_in_place_take_no_memory():
    held = torch.zeros(1000)
    with steps.LiveBytes([held]) as count:
        held.add_(1).view(10, 100).mul_(2)
    assert count.peak == 4000


def test_fused_optimizer_is_compared_with_that_of_training(batch):
    found = list(steps.bench(PARAMS, ["masks"], NETWORKS, batch, CPU, 1, learn=1, fused=True))
    assert [(row["objective"], row["fused"]) for row in found] == [
        (steps.REFERENCE, True),
        ("masks", True),
        (f"{steps.REFERENCE}, as in training", False),
    ]


def test_a_missing_compiler_is_a_clear_error(batch, monkeypatch):
    def broken(network):
        def forward(image):
            raise RuntimeError("no g++ here\nand a long story")

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(OSError, match=r"--compile: .* needs a C\+\+ compiler.*no g\+\+ here\)$"):
        steps.make_trainee(PARAMS, "resnet101", batch, CPU, compiled=True)


def test_the_command_writes_both_tables(tmp_path, monkeypatch, capsys):
    out = tmp_path / "steps.csv"
    small = ["--batch=2", "--size-px=32", "--learn=1", "--repeats=1", "--device=cpu", "--objectives", "seeds"]
    monkeypatch.setattr(sys, "argv", ["steps", *small, "--out", str(out)])
    steps.main()
    assert [row["objective"] for row in csv.DictReader(out.open())] == [steps.REFERENCE, "seeds"]
    assert "| seeds |" in out.with_suffix(".md").read_text()
    assert "| seeds |" in capsys.readouterr().out
    assert [row.objective for row in estimate.read_steps([out])] == [steps.REFERENCE, "seeds"]


def test_a_step_on_kept_features_runs_the_head_alone(batch, monkeypatch):
    trainee = steps.make_trainee(FROZEN, "frozen", batch, CPU, learn=1, kept_features=True)
    monkeypatch.setattr(type(trainee.network), "features", lambda *_: pytest.fail("the encoder ran"))
    trainee.step(Objective({"masks": 1.0}))


def test_rows_say_whether_features_were_kept_and_the_estimate_reads_it(batch, tmp_path):
    bench = partial(steps.bench, FROZEN, ["masks"], ["frozen"], batch, CPU, 1)
    rows = [row for kept in (False, True) for row in bench(kept_features=kept)]
    steps.write_csv(tmp_path / "steps.csv", rows)
    assert [row.kept_features for row in estimate.read_steps([tmp_path / "steps.csv"])] == [False, False, True, True]


@pytest.mark.parametrize("network", NETWORKS)
def test_features_of_an_encoder_that_is_trained_cannot_be_kept(batch, network):
    with pytest.raises(ValueError, match=rf"--kept-features: networks\.{network} is no segmentation network with freeze_encoder"):
        steps.make_trainee(PARAMS, network, batch, CPU, kept_features=True)
