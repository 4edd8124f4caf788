"""Objectives: each term is the published loss with the stated reduction, and combinations add up."""

import pytest
import torch

from pipeline.conventions import VOID, one_hot
from pipeline.losses.size import SIZE_LOSSES
from pipeline.training.objectives import Objective

SIZE = {"loss": "forward_kl", "weight": 1.0, "suppression": 0.0}
DENSE_CRF = {"weight": 1e-3, "sigma_rgb": 15.0, "sigma_xy_px": 5.0, "scale_factor": 1.0, "mode": "exact", "landmarks": 8}
SOLVER = {"kind": "gradient", "steps": 5, "learning_rate": 0.075, "tolerance": 1e-4}
LABELING = {
    "cross_entropy": "cce",
    "relaxation": "q",
    "neighborhood": "grid4",
    "unary_weight": 0.3,
    "pairwise_weight": 6.0,
    "sigma_rgb": 20.0,
    "sigma_xy_px": 5.0,
    "landmarks": 16,
    "entropy_weight": 0.0,
    "solver": SOLVER,
    "labels": "soft",
}
BARRIER = {"object_min": 0.1, "object_max": 0.6, "weight": 2.0}
POTTS = {"relaxation": "bl", "neighborhood": "grid8", "weight": 10.0, "sigma_rgb": None, "entropy_weight": 0.0}
PROPOSALS = {"every_epochs": 5, "unary_weight": 0.05, "pairwise_weight": 100.0, "epsilon": 0.6, "weight": 1.0}
TERMS = {
    "masks": 1.0,
    "seeds": 1.0,
    "size": SIZE,
    "barrier": BARRIER,
    "potts": POTTS,
    "proposals": PROPOSALS,
    "dense_crf": DENSE_CRF,
    "self_labeling": LABELING,
}


@pytest.fixture
def batch():
    """Return two pictures of 8 x 8 pixels, left half class 0, right half class 1, a few seeds, one void column."""
    labels = torch.zeros(2, 8, 8, dtype=torch.int64)
    labels[:, :, 4:] = 1
    labels[:, :, 0] = VOID
    seeds = torch.full_like(labels, VOID)
    seeds[:, 2, 1:3] = 0
    seeds[0, 5, 6] = 1
    image = torch.stack([labels.eq(1).float(), torch.zeros(2, 8, 8), labels.ne(1).float()], 1)
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    size_targets = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]])
    return {
        "image": image,
        "labels": labels,
        "seeds": seeds,
        "valid": valid,
        "proposals": labels,
        "size_targets": size_targets,
        "image_id": ["a", "b"],
    }


@pytest.fixture
def logits():
    """Return logits of three classes for the two pictures."""
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)


def test_parts_add_up_to_the_total(logits, batch):
    total, parts = Objective(TERMS)(logits, batch)
    assert total.item() == pytest.approx(sum(float(parts[f"loss_{name}"]) for name in TERMS), rel=1e-5)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_every_term_moves_the_network(name, logits, batch):
    Objective({name: TERMS[name]})(logits, batch)[0].backward()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["masks", "seeds"])
def test_weight_multiplies(name, logits, batch):
    one = Objective({name: 1.0})(logits, batch)[0]
    three = Objective({name: 3.0})(logits, batch)[0]
    torch.testing.assert_close(three, 3 * one)


def test_masks_are_averaged_over_labelled_pixels(logits, batch):
    log_probs = logits.log_softmax(1).movedim(1, -1)
    known = batch["labels"] != VOID
    expected = -log_probs[known].gather(1, batch["labels"][known][:, None]).mean()
    torch.testing.assert_close(Objective({"masks": 1.0})(logits, batch)[0], expected)


def test_seeds_are_averaged_over_the_batch_not_per_image(logits, batch):
    log_probs = logits.log_softmax(1).movedim(1, -1)
    marked = batch["seeds"] != VOID
    expected = -log_probs[marked].gather(1, batch["seeds"][marked][:, None]).mean()
    torch.testing.assert_close(Objective({"seeds": 1.0})(logits, batch)[0], expected)


def test_size_loss_is_zero_where_the_mean_meets_the_target(batch):
    sizes = batch["size_targets"].clamp(min=1e-9)
    logits = sizes.log()[:, :, None, None].expand(-1, -1, 8, 8).clone()
    assert float(Objective({"size": SIZE})(logits, batch)[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "settings"),
    [*(("size", {**SIZE, "loss": loss, "suppression": 1.0}) for loss in SIZE_LOSSES), ("barrier", BARRIER)],
)
def test_image_without_a_size_counts_for_nothing(name, settings, logits, batch):
    term = Objective({name: settings})
    first = {key: value[:1] for key, value in batch.items()}
    expected = term(logits[:1], first)[0]
    sizes = batch["size_targets"] * torch.tensor([[1.0], [0.0]])
    found = term(logits, {**batch, "size_targets": sizes})[0]
    torch.testing.assert_close(found, expected)
    found.backward()
    assert not logits.grad[1].any()


def test_batch_without_sizes_is_finite(logits, batch):
    assert Objective({"size": SIZE})(logits, {**batch, "size_targets": torch.zeros(2, 3)})[0].item() == 0


def test_suppression_adds_to_absent_classes_only(logits, batch):
    plain = Objective({"size": SIZE})(logits, batch)[0]
    suppressed = Objective({"size": {**SIZE, "suppression": 1.0}})(logits, batch)[0]
    mean_absent = logits.softmax(1)[:, 2].flatten(1).mean(1)
    torch.testing.assert_close(suppressed - plain, -torch.log1p(-mean_absent).mean(), rtol=1e-4, atol=1e-5)


def test_self_labeling_reports_its_solver(logits, batch):
    parts = Objective({"self_labeling": LABELING})(logits, batch)[1]
    assert parts["solver_steps"] == 5
    assert parts["energy"] > 0


def test_a_dense_neighbourhood_and_its_solver_go_together():
    with pytest.raises(ValueError, match="neighborhood 'dense' with a solver of kind 'gradient'"):
        Objective({"self_labeling": {**LABELING, "neighborhood": "dense"}})
    with pytest.raises(ValueError, match="neighborhood 'grid4' with a solver of kind 'dense'"):
        Objective({"self_labeling": {**LABELING, "solver": {**SOLVER, "kind": "dense"}}})


def test_a_setting_that_the_solver_does_not_have_is_named_before_training():
    with pytest.raises(ValueError, match="solver random_walker: has no learning_rate"):
        Objective({"self_labeling": {**LABELING, "solver": {**SOLVER, "kind": "random_walker"}}})


def test_predictions_that_are_no_numbers_are_left_to_the_training_loop(logits, batch):
    with torch.no_grad():
        logits[0, 0, 0, 0] = float("nan")
    total, _ = Objective({"self_labeling": LABELING})(logits, batch)
    assert total.isnan()


def test_self_labeling_leaves_seeds_to_the_seed_term(logits, batch):
    Objective({"self_labeling": LABELING})(logits, batch)[0].backward()
    on_seeds = (batch["seeds"] != VOID)[:, None].expand_as(logits)
    assert (logits.grad[on_seeds] == 0).all()


def test_pseudo_labels_are_constants_for_the_network(logits, batch):
    # With a huge pairwise weight labels differ much from predictions; the gradient is still that of H alone.
    objective = Objective({"self_labeling": {**LABELING, "cross_entropy": "ce", "labels": "hard"}})
    objective(logits, batch)[0].backward()
    free = batch["seeds"] == VOID
    gradient = logits.grad / 0.3 * free.sum()
    implied = (logits.detach().softmax(1) - gradient).movedim(1, -1)[free]
    assert torch.allclose(implied, one_hot(implied.argmax(-1)[None, None], 3)[0, :, 0].T, atol=1e-4)


def test_entropy_weight_adds_the_mean_entropy(logits, batch):
    plain = Objective({"self_labeling": LABELING})(logits, batch)[0]
    with_entropy = Objective({"self_labeling": {**LABELING, "entropy_weight": 2.0}})(logits, batch)[0]
    probs = logits.softmax(1)
    entropy = -(probs * probs.log()).sum(1)[batch["seeds"] == VOID].mean()
    torch.testing.assert_close(with_entropy - plain, 2 * entropy, rtol=1e-4, atol=1e-5)


def test_batch_without_seeds_is_finite(logits, batch):
    batch["seeds"] = torch.full_like(batch["seeds"], VOID)
    assert Objective({"seeds": 1.0})(logits, batch)[0].item() == 0


@pytest.mark.parametrize("settings", [{}, {"masks": None}, {"volume": 1.0}])
def test_no_or_unknown_terms_are_rejected(settings):
    with pytest.raises(ValueError, match="expected some of masks, seeds, size, "):
        Objective(settings)


@pytest.mark.parametrize("loss", ["log_barrier", "flat_barrier"])
def test_barriers_need_tags_only(loss, logits, batch):
    sizes = Objective({"size": {**SIZE, "loss": loss}})(logits, batch)[0]
    tagged = {**batch, "tags": (batch.pop("size_targets") > 0).float()}
    torch.testing.assert_close(Objective({"size": {**SIZE, "loss": loss}})(logits, tagged)[0], sizes)


def two_classes(share):
    """Return logits of two pictures of two classes, the second of which covers `share` of each."""
    return torch.tensor([1 - share, share]).log()[None, :, None, None].expand(2, -1, 8, 8)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.3, 2 * 0.3**2 / 2),  # inside the bounds of the first picture; suppressed in the second, which has no object
        (0.05, 2 * (0.05**2 + 0.05**2) / 2),  # too small by 0.05
        (0.7, 2 * (0.1**2 + 0.7**2) / 2),  # too large by 0.1
    ],
)
def test_barrier_bounds_the_object_and_suppresses_absent_ones(share, expected, batch):
    batch["tags"] = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    assert float(Objective({"barrier": BARRIER})(two_classes(share), batch)[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("cross_entropy", ["ce", "rce", "cce"])
def test_image_labels_are_learned_from_soft_targets(cross_entropy):
    targets = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]])
    logits = torch.zeros(2, 3, requires_grad=True)
    Objective({"image_labels": cross_entropy})(logits, {"class_targets": targets})[0].backward()
    assert logits.grad.argmin(1).tolist() == [0, 2]


def test_collision_of_image_labels_is_the_paper_and_pencil_value():
    value = Objective({"image_labels": "cce"})(torch.zeros(1, 4), {"class_targets": torch.tensor([[0.7, 0.1, 0.1, 0.1]])})[0]
    assert float(value) == pytest.approx(1.3862944)


def test_proposals_count_where_there_is_no_seed(logits, batch):
    other = {**batch, "proposals": batch["proposals"].where(batch["seeds"] == VOID, 2)}
    one, two = (Objective({"proposals": PROPOSALS})(logits, given)[0] for given in (batch, other))
    torch.testing.assert_close(one, two)


def test_dense_neighbourhood_gives_other_pseudo_labels(logits, batch):
    nearest = Objective({"self_labeling": LABELING})(logits, batch)[0]
    settings = {**LABELING, "neighborhood": "dense", "landmarks": 64, "solver": {**SOLVER, "kind": "dense"}}
    dense = Objective({"self_labeling": settings})(logits, batch)[0]
    assert torch.isfinite(dense)
    assert not torch.isclose(nearest, dense)


def test_the_potts_loss_has_the_entropy_term_of_eq_4(logits, batch):
    def value(**changes):
        return Objective({"potts": {**POTTS, **changes}})(logits, batch)[0].item()

    probs = logits.detach().softmax(1)
    free = batch["valid"] & (batch["seeds"] == VOID)
    expected = -(probs * probs.log()).sum(1)[free].mean().item()
    assert value(entropy_weight=0.3) - value() == pytest.approx(0.3 * expected, rel=1e-5)
