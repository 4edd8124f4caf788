"""Segmenter: padding, position embedding, normalisation, the transformer it wraps."""

import pytest
import torch

from pipeline.networks.segmenter import Segmenter, resize_position_embedding, small_transformer, transformer


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    encoder = small_transformer(16)
    torch.nn.init.normal_(encoder.cls_token)  # almost 0 when new
    torch.nn.init.normal_(encoder.pos_embed)
    return Segmenter(3, encoder=encoder).eval()


def test_vit_base_has_the_published_number_of_parameters():
    with torch.device("meta"):
        encoder = transformer("vit_base_patch16_384")
    classifier = 768 * 1000 + 1000
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 86_859_496 - classifier  # ViT-B/16 at 384 px


def test_vit_base_has_the_published_form():
    with torch.device("meta"):
        encoder = transformer("vit_base_patch16_384")
    assert (encoder.embed_dim, len(encoder.blocks), encoder.blocks[0].attn.num_heads, encoder.patch_embed.patch_size) == (
        768,
        12,
        12,
        (16, 16),
    )


def test_drop_path_grows_to_its_value_over_the_blocks():
    rates = [block.drop_path1.drop_prob for block in list(small_transformer(16, drop_path=0.3).blocks)[1:]]
    assert rates == pytest.approx([0.1, 0.2, 0.3])


def test_tokens_equal_those_of_the_transformer_itself_at_its_own_size(network):
    image = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network.encoder.forward_features(image)[:, 1:].unflatten(1, (8, 8))
        torch.testing.assert_close(network.tokens(image), expected)


def test_sides_that_are_no_multiple_of_the_patch_are_padded_and_cut_back(network):
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 50, 61)).shape == (1, 3, 50, 61)


def test_padding_has_the_value_0_after_normalisation(network):
    image = torch.rand(1, 3, 64, 60)
    grey = torch.cat([image, torch.full((1, 3, 64, 4), 0.5)], 3)  # mean and deviation 0.5 map 0.5 to 0
    with torch.inference_mode():
        torch.testing.assert_close(network(image), network(grey)[..., :60])


def test_colours_are_mapped_to_minus_one_to_one(network):
    image = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert network.normalization(image)[0, 0, 0].tolist() == [-1.0, 0.0, 1.0]


def test_position_embedding_of_the_same_grid_is_untouched():
    embedding = torch.rand(1, 12, 5)
    assert resize_position_embedding(embedding, (3, 4), (3, 4)) is embedding


def test_position_embedding_keeps_linear_ramps_away_from_the_border():
    rows = torch.arange(4.0).view(4, 1).expand(4, 6).reshape(1, 24, 1)
    resized = resize_position_embedding(rows, (4, 6), (8, 3)).view(8, 3)
    expected = torch.arange(8.0).view(8, 1).expand(8, 3) / 2 - 0.25
    torch.testing.assert_close(resized[1:-1], expected[1:-1])


def test_position_embedding_gets_a_gradient_at_another_size():
    network = Segmenter(3, encoder=small_transformer(8)).train()
    network(torch.rand(1, 3, 32, 48)).sum().backward()
    assert float(network.encoder.pos_embed.grad.abs().sum()) > 0


def test_encoder_that_is_no_vision_transformer_is_refused():
    with pytest.raises(ValueError, match=r"expected a vision transformer of timm .* got 'resnet50'"):
        transformer("resnet50")


def test_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match=r"width: expected a multiple of 4, .* got 18"):
        small_transformer(18)
