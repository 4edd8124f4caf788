import math

import pytest
import torch
from reference import potts_relaxation

from pipeline.losses.relaxations import EDGE_TERMS, PRODUCT_FLOOR, RELAXATIONS, moments, quadratic_floor

NAMES = pytest.mark.parametrize("name", RELAXATIONS)
LOGARITHMIC = ("cce", "cd", "lq")


def pairs(seed, count=5, classes=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, classes, generator=generator, dtype=torch.float64).softmax(2).unbind(0)


def gradient(name, p, q, dim=1):
    """dP/dp from the slopes, as the energies of grids have it."""
    terms = EDGE_TERMS[name](*moments(p, q, dim))
    return terms.product_slope.unsqueeze(dim) * q + 2 * terms.square_p_slope.unsqueeze(dim) * p


def value(name, p, q):
    return RELAXATIONS[name](torch.tensor([p], dtype=torch.float64), torch.tensor([q], dtype=torch.float64)).item()


def test_the_six_of_the_paper_stand_first_in_the_order_of_its_table():
    assert list(RELAXATIONS)[:6] == ["bl", "nq", "q", "cce", "cd", "lq"]


def test_every_relaxation_has_value_and_slopes():
    assert list(RELAXATIONS) == list(EDGE_TERMS)


@NAMES
def test_equals_the_naive_loop(name):
    p, q = pairs(0)
    expected = [potts_relaxation(name, a, b) for a, b in zip(p.tolist(), q.tolist(), strict=True)]
    assert RELAXATIONS[name](p, q).tolist() == pytest.approx(expected)


@NAMES
def test_is_zero_for_equal_one_hot_labels(name):
    assert value(name, (0, 1, 0), (0, 1, 0)) == pytest.approx(0, abs=1e-15)


@NAMES
def test_has_the_potts_value_for_different_one_hot_labels(name):
    floors = {"cce": PRODUCT_FLOOR, "cd": PRODUCT_FLOOR, "lq": quadratic_floor(torch.float64)}
    expected = -math.log(floors[name]) if name in LOGARITHMIC else 1
    assert value(name, (0, 1, 0), (0, 0, 1)) == pytest.approx(expected)


@NAMES
def test_is_symmetric(name):
    p, q = pairs(1)
    assert torch.equal(RELAXATIONS[name](p, q), RELAXATIONS[name](q, p))


@NAMES
def test_gradcheck_inside_the_simplex(name):
    p, q = (side.clone().requires_grad_() for side in pairs(2))
    assert torch.autograd.gradcheck(RELAXATIONS[name], (p, q))


@NAMES
def test_closed_form_gradient_equals_autograd(name):
    p, q = pairs(3)
    p.requires_grad_()
    (expected,) = torch.autograd.grad(RELAXATIONS[name](p, q).sum(), p)
    assert torch.allclose(gradient(name, p.detach(), q), expected, rtol=0, atol=1e-12)


@NAMES
def test_closed_form_gradient_equals_autograd_between_different_vertices(name):
    p = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    (expected,) = torch.autograd.grad(RELAXATIONS[name](p, q).sum(), p)
    assert torch.allclose(gradient(name, p.detach(), q), expected)


@NAMES
def test_all_slopes_are_derivatives_of_the_value(name):
    numbers = [part.clone().requires_grad_() for part in moments(*pairs(4))]
    terms = EDGE_TERMS[name](*numbers)
    expected = torch.autograd.grad(terms.value.sum(), numbers, materialize_grads=True)
    for slope, derivative in zip(terms[1:], expected, strict=True):
        assert torch.allclose(slope, derivative)


@NAMES
def test_class_axis_can_be_chosen(name):
    p, q = pairs(5)
    assert torch.equal(RELAXATIONS[name](p.T, q.T, dim=0), RELAXATIONS[name](p, q, dim=1))
    assert torch.equal(gradient(name, p.T, q.T, dim=0).T, gradient(name, p, q, dim=1))


@NAMES
def test_is_never_negative(name):
    p, q = pairs(6, count=200, classes=4)
    assert RELAXATIONS[name](p, q).min() >= 0


@NAMES
def test_float32_stays_finite_between_nearly_contradicting_labels(name):
    close = torch.tensor([[1.0, 1e-9]]), torch.tensor([[1e-9, 1.0]])
    assert RELAXATIONS[name](*close).isfinite().all()
    assert gradient(name, *close).isfinite().all()


@NAMES
def test_all_zero_vectors_of_void_pixels_give_finite_numbers(name):
    zero, p = torch.zeros(1, 3), torch.tensor([[0.2, 0.3, 0.5]])
    for q in (zero, p):
        assert RELAXATIONS[name](zero, q).isfinite().all()
        assert gradient(name, zero, q).isfinite().all()


def test_bilinear_hinders_the_move_of_figure_2a():
    half = (0.5, 0.5, 0)
    assert value("bl", half, half) == 0.5
    assert [value(name, half, half) for name in ("q", "nq", "cd", "lq")] == pytest.approx([0, 0, 0, 0], abs=1e-12)


def test_quadratic_prefers_the_intermediate_state_of_figure_2b():
    assert value("q", (1, 0, 0), (0, 0.5, 0.5)) == 0.75
    assert value("bl", (1, 0, 0), (0, 0.5, 0.5)) == value("nq", (1, 0, 0), (0, 0.5, 0.5)) == 1


@pytest.mark.parametrize(("logarithmic", "plain"), [("cce", "bl"), ("cd", "nq"), ("lq", "q")])
def test_logarithmic_relaxation_is_minus_ln_of_one_minus_its_plain_one(logarithmic, plain):
    p, q = pairs(7)
    assert torch.allclose(RELAXATIONS[logarithmic](p, q), -(1 - RELAXATIONS[plain](p, q)).log())


def test_normalized_quadratic_is_the_quadratic_of_normalised_vectors():
    p, q = pairs(8)
    unit_p, unit_q = p / p.norm(dim=1, keepdim=True), q / q.norm(dim=1, keepdim=True)
    assert torch.allclose(RELAXATIONS["nq"](p, q), 0.5 * (unit_p - unit_q).square().sum(1))
