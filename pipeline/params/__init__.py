"""`params.yaml` and the families of runs as one validated tree, read once at the entry of a stage.

Unknown keys, wrong types and values out of range stop a stage at once with the key's path, the value and what is allowed.
`python -m pipeline.params` checks the files, `--schema` rewrites the JSON schema that editors use, `pipeline/params.schema.json`.
What the files leave unsaid (levels, bases, products) is written out by `pipeline.expand` before.
Nothing but stages and command-line tools imports this package: mathematics gets plain numbers.
"""

from pipeline.params.data import ClassLabels, Dataset, Seeds, SizeTargets, Subset, Supervision, Synthetic
from pipeline.params.families import declared_runs, left_out
from pipeline.params.own import Own, OwnStage, here_or_ours, own_settings
from pipeline.params.reading import load_params, read_families, read_yaml, resolve
from pipeline.params.schema import SCHEMA, json_schema
from pipeline.params.section import Count, ParamsError, RunName, Section
from pipeline.params.training import (
    Augmentation,
    Barrier,
    DenseCrf,
    Features,
    Network,
    Objective,
    Potts,
    Proposals,
    SelfLabeling,
    Size,
    Solver,
    Training,
)
from pipeline.params.whole import Params, Run

__all__ = [
    "SCHEMA",
    "Augmentation",
    "Barrier",
    "ClassLabels",
    "Count",
    "Dataset",
    "DenseCrf",
    "Features",
    "Network",
    "Objective",
    "Own",
    "OwnStage",
    "Params",
    "ParamsError",
    "Potts",
    "Proposals",
    "Run",
    "RunName",
    "Section",
    "Seeds",
    "SelfLabeling",
    "Size",
    "SizeTargets",
    "Solver",
    "Subset",
    "Supervision",
    "Synthetic",
    "Training",
    "declared_runs",
    "here_or_ours",
    "json_schema",
    "left_out",
    "load_params",
    "own_settings",
    "read_families",
    "read_yaml",
    "resolve",
]
