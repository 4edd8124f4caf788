"""What is special about ACDC: volumes, the drawn split, grey values, and scribbles in which 0 is a label."""

import gzip
import os
import random

import numpy as np
import pytest

from pipeline.conventions import VOID
from pipeline.datasets.acdc import SIDE_PX, Acdc, held_out_positions, read_volume, write_volume
from pipeline.datasets.base import Scene
from pipeline.datasets.raw_files import DatasetError


def write(root, *, volumes=1, shape=(4, 6, 3), suffix="training", image=None, mask=None, scribble=None):
    """Write volumes of which each is 0, 1, 2, ... along all voxels unless other values are given."""
    base = np.arange(np.prod(shape)).reshape(shape)
    for number in range(volumes):
        name = f"patient{number // 2 + 1:03d}_frame{1 + 11 * (number % 2):02d}"
        folder = root / suffix / name[:10]
        write_volume(folder / f"{name}.nii.gz", (base if image is None else image).astype(np.int16))
        write_volume(folder / f"{name}_gt.nii.gz", (base % 4 if mask is None else mask).astype(np.uint8))
        if scribble is not None:
            write_volume(folder / f"{name}_scribble.nii.gz", scribble.astype(np.uint8))
    return Acdc(root)


def test_volume_is_read_back_in_array_order(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_volume(tmp_path / "a.nii.gz", voxels)
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz"), voxels)


def test_held_out_volumes_are_those_of_the_published_draw():
    random.seed(0)
    volumes = [f"patient{patient:03d}_frame{frame}" for patient in range(1, 101) for frame in ("01", "09")]
    published = random.sample(volumes, 25)
    assert [volumes[position] for position in held_out_positions(200)] == published


@pytest.mark.parametrize(("count", "held_out"), [(1, 1), (7, 1), (16, 2), (24, 3), (200, 25)])
def test_one_volume_of_eight_is_held_out(count, held_out):
    positions = held_out_positions(count)
    assert len(positions) == len(set(positions)) == held_out
    assert all(0 <= position < count for position in positions)


def test_slices_lie_on_the_last_axis(tmp_path):
    dataset = write(tmp_path, volumes=2)
    assert sorted([*dataset.ids("train"), *dataset.ids("val")]) == [
        f"patient001_frame{frame}_{index}" for frame in ("01", "12") for index in range(3)
    ]


def test_time_series_are_ignored(tmp_path):
    dataset = write(tmp_path)
    write_volume(tmp_path / "training/patient001/patient001_4d.nii.gz", np.zeros((2, 2, 2, 2), np.int16))
    assert dataset.volumes() == ["patient001_frame01"]


def test_grey_values_span_the_whole_volume_not_the_slice(tmp_path):
    image = np.stack([np.full((8, 8), level) for level in (-100, 0, 300)], axis=-1)
    dataset = write(tmp_path, shape=image.shape, image=image)
    middle = [int(dataset.read_image(f"patient001_frame01_{index}")[128, 128, 0]) for index in range(3)]
    assert middle == [0, 64, 255]


def test_constant_volume_is_refused(tmp_path):
    dataset = write(tmp_path, shape=(8, 8, 1), image=np.full((8, 8, 1), 7))
    with pytest.raises(DatasetError, match="shows nothing, all voxels are 7"):
        dataset.read_image("patient001_frame01_0")


def test_first_axis_is_vertical_and_second_horizontal(tmp_path):
    mask = np.zeros((8, 4, 1))
    mask[6:, :1] = 3
    labels = write(tmp_path, shape=mask.shape, mask=mask).read_labels("patient001_frame01_0")
    assert labels.shape == (SIDE_PX, SIDE_PX)
    assert (labels[192:, :64] == 3).all()
    assert (labels == 3).sum() == 64 * 64


def test_codes_of_scribbles(tmp_path):
    scribble = np.repeat(np.array([[[0], [1]], [[3], [4]]]), 4, axis=0)
    dataset = write(tmp_path, shape=scribble.shape, scribble=scribble)
    raster = dataset.read_scribble_raster("patient001_frame01_0")
    assert [int(raster[y, x]) for y in (10, 250) for x in (10, 250)] == [0, 1, 3, VOID]


def test_volume_without_scribbles_has_none(tmp_path):
    assert write(tmp_path).read_scribble_raster("patient001_frame01_0") is None


def test_slices_know_their_volume(tmp_path):
    assert write(tmp_path).group("patient001_frame01_2") == "patient001_frame01"


@pytest.mark.parametrize("suffix", ["training", "database/training", "."])
def test_training_folder_is_found(tmp_path, suffix):
    write(tmp_path, suffix=suffix).verify()
    assert Acdc(tmp_path).volumes() == ["patient001_frame01"]


def test_unpacked_files_are_read(tmp_path):
    write(tmp_path)
    for path in sorted(tmp_path.rglob("*.nii.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    dataset = Acdc(tmp_path)
    dataset.verify()
    assert dataset.read_labels("patient001_frame01_0").max() == 3


def test_mask_of_another_shape_is_named_by_verify(tmp_path):
    dataset = write(tmp_path, mask=np.zeros((4, 6, 2)))
    with pytest.raises(DatasetError, match=r"patient001_frame01_gt\.nii\.gz: has the shape \(4, 6, 2\)"):
        dataset.verify()


def test_missing_mask_is_named_by_verify(tmp_path):
    dataset = write(tmp_path)
    (tmp_path / "training/patient001/patient001_frame01_gt.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"patient001_frame01_gt\.nii\.gz: not found"):
        dataset.verify()


def test_volume_with_a_time_axis_is_named_by_verify(tmp_path):
    dataset = write(tmp_path, shape=(2, 2, 2, 2))
    with pytest.raises(DatasetError, match="has 4 axes, not 3"):
        dataset.verify()


def test_mask_value_that_is_no_class_is_named(tmp_path):
    dataset = write(tmp_path, mask=np.full((4, 6, 3), 4))
    with pytest.raises(DatasetError, match=r"_gt\.nii\.gz: holds values from 4 to 4, not classes 0\.\.3"):
        dataset.read_labels("patient001_frame01_0")


@pytest.mark.parametrize("length", [0, 20, 90, 300])
def test_truncated_volume_is_named(tmp_path, length):
    path = tmp_path / "a.nii.gz"
    write_volume(path, np.random.default_rng(0).integers(0, 99, (9, 9, 9)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DatasetError, match=r"a\.nii\.gz: cannot be read.*restore"):
        read_volume(path)


def test_unfitting_number_of_validation_volumes_is_refused(tmp_path):
    scenes = [Scene(str(number), np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)) for number in range(9)]
    with pytest.raises(DatasetError, match="9 volumes need 1 for validation, got 4"):
        Acdc.write(tmp_path, {"train": scenes[:5], "val": scenes[5:]})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_voxel_that_is_no_grey_value_is_named(tmp_path, value):
    voxels = np.zeros((2, 3, 2), np.float32)
    voxels[1, 2, 0] = value
    write_volume(tmp_path / "a.nii.gz", voxels)
    with pytest.raises(DatasetError, match=r"a\.nii\.gz: 1 voxels are no grey value, the first is .* at \(1, 2, 0\); restore"):
        read_volume(tmp_path / "a.nii.gz")


def test_complex_voxels_are_refused(tmp_path):
    write_volume(tmp_path / "a.nii.gz", np.ones((2, 2, 2), np.complex64))
    with pytest.raises(DatasetError, match="has voxels of the type complex64, not grey values"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", ["", "_gt", "_scribble"])
def test_volume_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path, suffix):
    dataset = write(tmp_path, volumes=2)
    path = tmp_path / f"training/patient001/patient001_frame01{suffix}.nii.gz"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(DatasetError, match=f"frame01{suffix}.nii.gz: is no ordinary file; restore"):
        dataset.verify()


def test_scribbles_that_are_a_link_to_nothing_are_missed(tmp_path):
    dataset = write(tmp_path, volumes=2)
    (tmp_path / "training/patient001/patient001_frame01_scribble.nii.gz").symlink_to("nowhere")
    with pytest.raises(OSError, match=r"is a link to nothing.*_scribble"):
        dataset.verify()


@pytest.mark.parametrize("suffix", ["", "_gt"])
def test_packed_volume_beside_a_plain_one_is_refused(tmp_path, suffix):
    dataset = write(tmp_path, volumes=2)
    packed = tmp_path / f"training/patient001/patient001_frame01{suffix}.nii.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    with pytest.raises(DatasetError, match="keep one of the two"):
        dataset.verify()
