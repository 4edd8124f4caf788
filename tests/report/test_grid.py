import numpy as np

from pipeline.report.grid import open_unit_interval


def test_points_ascend_inside_the_open_interval():
    grid = open_unit_interval()
    assert grid[0] > 0
    assert grid[-1] < 1
    assert (np.diff(grid) > 0).all()


def test_the_grid_is_symmetric():
    grid = open_unit_interval()
    np.testing.assert_allclose(grid, 1 - grid[::-1], atol=1e-15)
