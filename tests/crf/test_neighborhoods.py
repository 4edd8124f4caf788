import pytest
import torch

from pipeline.crf.neighborhoods import NEIGHBORHOODS, edge_windows, neighbor, sparse_offsets

ALL_OFFSETS = [(0, 1), (1, 0), (1, 1), (1, -1), (-1, 0), (0, -2), (-1, 1)]


@pytest.mark.parametrize(("name", "around"), [("grid4", 4), ("grid8", 8)])
def test_each_neighbour_is_reached_once(name, around):
    both_ways = {(sign * dy, sign * dx) for dy, dx in NEIGHBORHOODS[name] for sign in (1, -1)}
    assert len(both_ways) == around
    assert max(abs(step) for offset in both_ways for step in offset) == 1


@pytest.mark.parametrize("offset", ALL_OFFSETS)
def test_neighbor_equals_the_naive_loop(offset):
    field = torch.arange(1, 13).view(1, 3, 4)
    moved = neighbor(field, offset)
    for y in range(3):
        for x in range(4):
            ny, nx = y + offset[0], x + offset[1]
            expected = field[0, ny, nx].item() if 0 <= ny < 3 and 0 <= nx < 4 else 0
            assert moved[0, y, x].item() == expected


@pytest.mark.parametrize("offset", ALL_OFFSETS)
def test_windows_pair_each_first_pixel_with_its_second(offset):
    rows, columns = torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij")
    first, second = edge_windows(offset, 3, 4)
    assert (rows[second] - rows[first] == offset[0]).all()
    assert (columns[second] - columns[first] == offset[1]).all()
    assert rows[first].numel() == (3 - abs(offset[0])) * (4 - abs(offset[1]))


@pytest.mark.parametrize("offset", [(1, 0), (0, 1), (1, 1), (1, -1)])
def test_an_image_of_one_pixel_has_no_edges(offset):
    first, second = edge_windows(offset, 1, 1)
    field = torch.ones(2, 1, 1)
    assert field[first].numel() == field[second].numel() == 0


def test_neighbor_of_a_mask_is_false_outside():
    assert neighbor(torch.tensor([[True, True]]), (0, 1)).tolist() == [[True, False]]


def sparse(count=12, radius_px=10, seed=1):
    return sparse_offsets(count, radius_px, torch.Generator().manual_seed(seed))


def test_sparse_neighbours_are_the_grid_and_long_distinct_displacements():
    offsets = sparse()
    assert offsets[:2] == NEIGHBORHOODS["grid4"]
    assert len({(sign * dy, sign * dx) for dy, dx in offsets for sign in (1, -1)}) == 2 * 14
    assert all(max(abs(dy), abs(dx)) > 1 and dy**2 + dx**2 <= 100 for dy, dx in offsets[2:])


def test_sparse_neighbours_depend_on_the_generator_only():
    assert sparse() == sparse()
    assert sparse() != sparse(seed=2)


def test_sparse_neighbours_fill_the_disc_evenly():
    drawn = sparse(count=150, radius_px=20)[2:]
    assert abs(sum(dx > 0 for _, dx in drawn) - 75) < 25
    assert abs(sum(dy**2 + dx**2 > 200 for dy, dx in drawn) - 75) < 25


@pytest.mark.parametrize(("count", "radius_px"), [(-1, 10), (3, 1), (1000, 5)])
def test_sparse_neighbours_that_cannot_be_drawn_are_rejected(count, radius_px):
    with pytest.raises(ValueError, match="count"):
        sparse(count, radius_px)


@pytest.mark.parametrize("offset", [(5, 0), (-5, 0), (0, 7), (0, -7), (3, 0), (-4, 9)])
def test_an_offset_longer_than_the_image_has_no_edges(offset):
    first, second = edge_windows(offset, 3, 4)
    field = torch.ones(2, 3, 4)
    assert field[first].numel() == field[second].numel() == 0
