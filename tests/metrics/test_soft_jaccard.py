import pytest
import torch

from pipeline.metrics.soft_jaccard import soft_jaccard


def field(*pixels):
    """One image of one row of pixels, each a distribution."""
    return torch.tensor(pixels).T.view(1, len(pixels[0]), 1, len(pixels))


def test_equals_the_naive_loop():
    a, b = field((0.7, 0.3), (0.2, 0.8)), field((0.5, 0.5), (0.4, 0.6))
    smaller = larger = 0.0
    for k in range(2):
        for x in range(2):
            smaller += min(a[0, k, 0, x].item(), b[0, k, 0, x].item())
            larger += max(a[0, k, 0, x].item(), b[0, k, 0, x].item())
    assert soft_jaccard(a, b).item() == pytest.approx(smaller / larger)


def test_equal_fields_have_index_one():
    a = field((0.7, 0.3), (0.2, 0.8))
    assert soft_jaccard(a, a).tolist() == [1]


def test_contradicting_one_hot_fields_have_index_zero():
    assert soft_jaccard(field((1.0, 0.0)), field((0.0, 1.0))).tolist() == [0]


def test_is_the_jaccard_index_of_hard_masks():
    a, b = field((1.0,), (1.0,), (0.0,), (1.0,)), field((1.0,), (0.0,), (0.0,), (1.0,))
    assert soft_jaccard(a, b).item() == pytest.approx(2 / 3)


def test_is_symmetric():
    a, b = field((0.7, 0.3), (0.2, 0.8)), field((0.5, 0.5), (0.4, 0.6))
    assert torch.equal(soft_jaccard(a, b), soft_jaccard(b, a))


def test_only_masked_pixels_count():
    a, b = field((0.7, 0.3), (1.0, 0.0)), field((0.7, 0.3), (0.0, 1.0))
    assert soft_jaccard(a, b, torch.tensor([[[True, False]]])).item() == 1
    assert soft_jaccard(a, b, torch.tensor([[[False, True]]])).item() == 0


def test_an_empty_mask_has_index_one():
    assert soft_jaccard(field((1.0, 0.0)), field((0.0, 1.0)), torch.tensor([[[False]]])).tolist() == [1]


def test_each_image_is_judged_alone():
    a, b = field((1.0, 0.0)), field((0.0, 1.0))
    assert soft_jaccard(torch.cat([a, a]), torch.cat([a, b])).tolist() == [1, 0]


def test_rejects_fields_of_different_shapes():
    with pytest.raises(ValueError, match="b: expected shape"):
        soft_jaccard(field((1.0, 0.0)), field((1.0, 0.0, 0.0)))
