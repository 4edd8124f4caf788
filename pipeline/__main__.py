"""List the commands of this repository: `python -m pipeline`."""

from __future__ import annotations

import sys

COMMANDS = {
    "Your own photos": {
        "pipeline.annotate": "estimate sizes or draw scribbles in a browser",
        "pipeline.annotate.export": "make supervision of the answers",
        "pipeline.annotate.import_scribbles": "take over strokes from LabelMe or CVAT",
        "pipeline.own": "train on a folder of photos",
        "pipeline.predict": "masks for more photos",
        "pipeline.export": "a trained network as one ONNX file",
    },
    "Experiments": {
        "pipeline.params": "check params.yaml and the families of runs",
        "pipeline.profile": "put a scale into params.yaml: embedded, smoke, real, paper",
        "pipeline.launch": "run stages that are out of date, several at a time",
        "pipeline.wiring": "write the DVC pipelines anew after changing runs, levels or artifacts",
        "pipeline.record": "keep the numbers of an experiment",
        "pipeline.report.pages": "draw the curves of the record and say on the pages what it decided",
        "pipeline.datasets.inventory": "count what a copy of a data set holds",
    },
    "Measuring": {
        "pipeline.bench.solver": "time and energy of the pseudo-label solvers",
        "pipeline.bench.dense_crf": "time and accuracy of the dense CRF loss",
        "pipeline.bench.steps": "time and memory of a step of every objective",
        "pipeline.bench.features": "what kept features save",
        "pipeline.bench.commands": "what the commands of DVC take",
        "pipeline.bench.estimate": "hours, memory and disk of a profile before it is run",
        "pipeline.bench.gpu": "everything that only a GPU can show",
        "pipeline.bench.pack": "pack what a GPU machine without internet needs",
    },
}
"""What people want, the module that does it, and in a few words how; stages are run by DVC and not listed."""


def listing() -> str:
    """Return the commands with their purposes."""
    width = max(len(module) for modules in COMMANDS.values() for module in modules)
    lines = ["Each command has --help. `make help` lists what make does; `dvc repro` makes all results."]
    for wanted, modules in COMMANDS.items():
        lines += ["", f"{wanted}:", *(f"  python -m {module:<{width}}  {purpose}" for module, purpose in modules.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["-h"], ["--help"]):
        sys.exit(f"python -m pipeline only lists the commands and takes no arguments, got {' '.join(sys.argv[1:])!r}")
    print(listing())
