"""A file of settings changes when, and only when, what it is about changes."""

from pipeline import paths
from pipeline.params import load_params, read_families, read_yaml, resolve
from pipeline.stages.settings import supervision_settings


def test_only_data_sets_with_sizes_of_default_noise_depend_on_it():
    tree = read_yaml(paths.PARAMS)
    tree["noise"]["sigma"] *= 2
    before, after = load_params(), resolve(tree, read_families())
    changed = [name for name in before.datasets if supervision_settings(before, name) != supervision_settings(after, name)]
    assert changed == ["voc"]
