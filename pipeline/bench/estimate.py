"""Hours, memory and disk of a whole profile, before any of it is run: `python -m pipeline.bench.estimate`.

Hours are steps times milliseconds per step, from tables that `pipeline.bench.steps` wrote on the device in question: those of a
run's objective on its network as measured, or, at another batch or size, in proportion to pixels. With `--images-per-second` the
device is another one: a step takes what plain cross-entropy takes there, times the ratio of the objective to plain cross-entropy
("ratio of DEVICE"), of the run's own network if the tables have it. Without both, the ratio of another network multiplies plain
cross-entropy on the run's network in the tables.

Ratios carry from one network or device to another only roughly: a solver is a larger part of a step on a small network. Scoring
the validation set, loading pictures, making kept features and the graph cuts of hard proposals are not counted.

Runs on kept features take steps of their head alone: only tables of `pipeline.bench.steps --kept-features` count for them, and
images per second, which include the encoder, do not.

Memory is that of the largest run of a family, measured on its own network, or, marked ≈, estimated from another batch or size:
weights, gradients and momentum stay, the rest grows with pixels.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import TypeAdapter

from pipeline import paths
from pipeline.bench.steps import REFERENCE, read_params, resolved, solver_label
from pipeline.command import command_parser
from pipeline.datasets.registry import DATASETS
from pipeline.errors import clear_errors
from pipeline.networks import build_network
from pipeline.params import Network as NetworkSettings
from pipeline.params import Params, Run
from pipeline.profile import profiles
from pipeline.training.seeding import BatchPlan

NO_RATIO = "no ratio of "
RATE_SIZE_PX = 512
"""Side of the pictures that `--images-per-second` counts."""
ARCHIVES_GB = {"voc": 3.4, "coco": 20.0, "ade20k": 1.0, "cityscapes": 11.5, "acdc": 2.3, "natural_scene": 0.4}
"""Published archives of each data set, about; photos do not get smaller by packing, so this is what they unpack to as well."""
DISK_RULE = """\
Rule: raw = the published archives, kept, and as much again unpacked (a copy of your own: unpacked only); prepared = at most the
unpacked photos once more; weights = last and, with validation, best of every run, 4 bytes per number. DVC's cache links to these
files where the file system can; where it must copy, prepared and weights count twice."""
COLUMNS = ("objective", "solver", "step_ms", "ratio", "memory_mb", "network", "kind", "batch", "size_px", "precision", "device")


class Measured(NamedTuple):
    """One line of a table of steps."""

    objective: str
    solver: str
    step_ms: float
    ratio: float
    memory_mb: float | None
    network: str
    kind: str
    batch: int
    size_px: int
    precision: str
    device: str
    kept_features: bool = False

    @property
    def pixels(self) -> int:
        """Pixels of a batch."""
        return self.batch * self.size_px**2


MEASURED = TypeAdapter(Measured)


class Cost(NamedTuple):
    """What one run takes.

    Attributes:
        steps: of all repetitions.
        hours: None where nothing says how long a step takes.
        basis: where the hours come from.
        memory_gb: of a step; None where its network was not measured.
        memory_estimated: from another batch or size.
        weights_gb: of all files of weights.
        at_most: its pictures are counted as the whole set.
    """

    steps: int
    hours: float | None
    basis: str
    memory_gb: float | None
    memory_estimated: bool
    weights_gb: float
    at_most: bool


def read_steps(files: Iterable[Path]) -> list[Measured]:
    """Return the lines of tables of steps, without those of compiled or fused variants.

    Raises:
        ValueError: a file is no such table; names the columns that lack.
    """
    rows = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = sorted({*COLUMNS, "compiled", "fused"} - set(reader.fieldnames or ()))
            if missing:
                raise ValueError(f"{path}: is no table of pipeline.bench.steps, it has no column {', '.join(missing)}")
            lines = [line for line in reader if (line["compiled"], line["fused"]) == ("False", "False") and line["step_ms"]]
        for line in lines:
            line["memory_mb"] = line["memory_mb"] or None
            # Older tables have no column kept_features.
            rows.append(MEASURED.validate_python({name: line[name] for name in Measured._fields if name in line}))
    return rows


def default_tables() -> list[Path]:
    """Return the recorded tables of a GPU (`pipeline.bench.gpu`); without any, that of this machine."""
    recorded = sorted(path for name in ("pairs", "steps") for path in paths.RECORDED.glob(f"gpu-*/{name}.csv"))
    return recorded or [Path("reports/bench/steps.csv")]


def pairs(texts: Sequence[str], option: str) -> dict[str, float]:
    """Return `NAME=NUMBER` arguments; a number alone has the name "".

    Raises:
        ValueError: not of that form.

    >>> pairs(["60", "mobilenet=200"], "--images-per-second")
    {'': 60.0, 'mobilenet': 200.0}
    """
    found = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = 0.0
        if not 0 < found[name] < float("inf"):
            raise ValueError(f"{option}: expected NAME=NUMBER or NUMBER, above 0, got {text!r}")
    return found


def num_images(params: Params, run: Run, counts: Mapping[str, float]) -> tuple[int, bool]:
    """Return the training images of a run, and whether that is only an upper bound.

    `counts` has known numbers by data set, or by the classes of a subset joined by "+".

    Raises:
        ValueError: nothing says how many pictures the data set has.
    """
    spec, subset = params.datasets[run.dataset], params.supervision[run.supervision].subset
    if subset is not None and subset.images == "containing":
        name = "+".join(subset.classes)
        if name in counts:
            return int(counts[name]), False
    if run.dataset in counts:
        whole = int(counts[run.dataset])
    elif spec.source == "synthetic" and spec.synthetic is not None:
        whole = spec.synthetic.train
    else:
        whole = DATASETS[spec.kind].published.get("train", 0)
    if not whole:
        raise ValueError(f"data set {run.dataset} ({spec.kind}): how many training pictures has it? Say --images {run.dataset}=N")
    whole = min(whole, spec.limit_train or whole)
    by_subset = subset is not None and subset.images == "containing"
    by_classes = spec.classes is not None and spec.images == "containing" and spec.source != "synthetic"
    return whole, by_subset or by_classes


def num_classes(params: Params, run: Run) -> int:
    """Return the classes of a run, background included."""
    spec, subset = params.datasets[run.dataset], params.supervision[run.supervision].subset
    chosen = spec.classes if subset is None else subset.classes
    reader = DATASETS[spec.kind]
    return len(reader.class_names) if chosen is None else len(chosen) + reader.has_background


@cache
def weight_bytes(spec: NetworkSettings, classes: int) -> int:
    """Return the bytes of a network's weights, without making them."""
    with torch.device("meta"):
        made = build_network(spec.model_dump(), classes)
    return sum(value.numel() * value.element_size() for value in made.state_dict().values())


def on_own_network(params: Params, run: Run, rows: Iterable[Measured]) -> Measured | None:
    """Return the line of the run's network that is nearest to its precision, size and batch."""
    training, spec = params.training[run.training], params.networks[run.network]
    pixels = training.batch_size * training.image_size_px**2
    fitting = [row for row in rows if (row.network, row.kind) == (run.network, spec.kind)]
    fitting = [row for row in fitting if row.precision == training.precision] or fitting
    return min(fitting, key=lambda row: (row.size_px != training.image_size_px, abs(row.pixels - pixels)), default=None)


def of_objective(params: Params, run: Run, rows: Iterable[Measured]) -> list[Measured]:
    """Return the lines of the run's objective with its solver."""
    label = solver_label(resolved(params, run.objective))
    return [row for row in rows if (row.objective, row.solver) == (run.objective, label)]


def is_own_scale(params: Params, run: Run, row: Measured) -> bool:
    """Return whether a line was measured at the run's batch, size and precision."""
    training = params.training[run.training]
    return (row.batch, row.size_px, row.precision) == (training.batch_size, training.image_size_px, training.precision)


def step_time(params: Params, run: Run, rows: Sequence[Measured], rates: Mapping[str, float]) -> tuple[float | None, str]:
    """Return milliseconds per step, and what that rests on; see this module for the rule."""
    training, spec = params.training[run.training], params.networks[run.network]
    pixels = training.batch_size * training.image_size_px**2
    label = solver_label(resolved(params, run.objective))
    own = on_own_network(params, run, of_objective(params, run, rows))
    plain = on_own_network(params, run, (row for row in rows if row.objective == REFERENCE))
    rate = rates.get(run.network, rates.get(""))
    if rate is not None:
        reference_ms, basis = 1000 * pixels / RATE_SIZE_PX**2 / rate, "images per second"
    elif own is not None:
        measured = is_own_scale(params, run, own)
        return own.step_ms * pixels / own.pixels, f"measured, {own.device}" if measured else f"estimated, pixels, {own.device}"
    elif plain is not None:
        reference_ms, basis = plain.step_ms * pixels / plain.pixels, f"pixels, {plain.device}"
    else:
        return None, f"no time of {run.network} ({spec.kind})"
    found = (own.ratio, own.device) if own is not None else _ratio(rows, run.objective, label, spec.kind)
    if found is None:
        return None, NO_RATIO + run.objective + (f" ({label})" if label else "")
    return reference_ms * found[0], f"estimated, {basis}, ratio of {found[1]}"


def memory(params: Params, run: Run, rows: Sequence[Measured]) -> tuple[float | None, bool]:
    """Return the gigabytes of a step, None where its network was not measured, and whether they are estimated."""
    own = on_own_network(params, run, of_objective(params, run, rows))
    if own is None or own.memory_mb is None:
        return None, False
    training = params.training[run.training]
    fixed_gb = 3 * weight_bytes(params.networks[run.network], num_classes(params, run)) / 1e9  # weights, gradients, momentum
    growing_gb = max(own.memory_mb / 1e3 - fixed_gb, 0.0)
    scale = training.batch_size * training.image_size_px**2 / own.pixels
    estimated = not is_own_scale(params, run, own)
    return (fixed_gb + growing_gb * scale, True) if estimated else (own.memory_mb / 1e3, False)


def _ratio(rows: Sequence[Measured], objective: str, label: str, kind: str) -> tuple[float, str] | None:
    """Return the ratio of an objective to cross-entropy and where it is from; gradient steps cost by their count."""
    own = [row for row in rows if row.objective == objective]
    same = [row for row in own if row.solver == label]
    if same:
        nearest = max(same, key=lambda row: (row.kind == kind, row.size_px))
        return nearest.ratio, nearest.device
    kind_of_solver, wanted = _split(label)
    counted = [row for row in own if _split(row.solver)[0] == kind_of_solver and _split(row.solver)[1]]
    if not (wanted and counted and kind_of_solver.endswith("gradient")):
        return None
    most = max(counted, key=lambda row: _split(row.solver)[1])
    steps = _split(most.solver)[1]
    return 1 + (most.ratio - 1) * wanted / steps, f"{most.device} at {steps} steps"


def _split(label: str) -> tuple[str, int]:
    """Return kind and steps of a solver's label, 0 where it has none."""
    kind, _, steps = label.removesuffix(" steps").partition(", ")
    return kind, int(steps or 0)


def cost(params: Params, run: Run, rows: Sequence[Measured], rates: Mapping[str, float], counts: Mapping[str, float]) -> Cost:
    """Return what one run takes, all its repetitions."""
    training = params.training[run.training]
    rows = [row for row in rows if row.kept_features == (run.features is not None)]
    rates = rates if run.features is None else {}
    images, at_most = num_images(params, run, counts)
    steps = BatchPlan(images, training.batch_size, training.epochs, 0).total_steps * params.repetitions_of(run)
    milliseconds, basis = step_time(params, run, rows, rates)
    if milliseconds is None and run.features is not None:
        basis += " on kept features"
    hours = None if milliseconds is None else steps * milliseconds / 3.6e6
    copies = (2 if training.validate_every_epochs > 0 else 1) * params.repetitions_of(run)
    weights_gb = copies * weight_bytes(params.networks[run.network], num_classes(params, run)) / 1e9
    return Cost(steps, hours, basis, *memory(params, run, rows), weights_gb, at_most)


def family_line(name: str, costs: Sequence[Cost], trainings: int) -> str:
    """Return one line of the table: what a family of runs takes together."""
    known = [one.hours for one in costs if one.hours is not None]
    hours = ("≤ " if any(one.at_most for one in costs) else "") + f"{sum(known):.1f}" if known else ""
    if known and len(known) < len(costs):
        hours += f" + {len(costs) - len(known)} runs"
    largest = max((one for one in costs if one.memory_gb is not None), key=lambda one: one.memory_gb or 0.0, default=None)
    bases = [basis for basis in dict.fromkeys(one.basis for one in costs) if not basis.startswith(NO_RATIO)]
    lacking = dict.fromkeys(one.basis.removeprefix(NO_RATIO) for one in costs if one.basis.startswith(NO_RATIO))
    bases += [NO_RATIO + ", ".join(lacking)] if lacking else []
    shown = "not measured" if largest is None else f"{'≈ ' * largest.memory_estimated}{largest.memory_gb:.1f}"
    steps, weights_gb = sum(one.steps for one in costs), sum(one.weights_gb for one in costs)
    return f"| {name} | {trainings} | {steps:,} | {hours} | {shown} | {weights_gb:.1f} | {'; '.join(bases)} |"


def disk_lines(params: Params, weights_gb: float) -> list[str]:
    """Return the table of disk space, and the rule it follows."""
    lines = ["| on disk | raw GB | prepared GB |", "|---|---:|---:|"]
    raw = prepared = 0.0
    for name in dict.fromkeys(run.dataset for runs in params.runs.values() for run in runs.values()):
        spec = params.datasets[name]
        archives = ARCHIVES_GB.get(spec.kind)
        if spec.source == "synthetic" or archives is None:
            lines.append(f"| {name} | {'procedural, below 0.1' if spec.source == 'synthetic' else 'your own copy'} | |")
            continue
        own = (2 if spec.source == "download" else 1) * archives
        raw, prepared = raw + own, prepared + archives
        lines.append(f"| {name} | {own:.1f} | {archives:.1f} |")
    lines += [f"| all | {raw:.1f} | {prepared:.1f} |", ""]
    lines.append(f"Together with {weights_gb:.1f} GB of weights: {raw + prepared + weights_gb:.0f} GB.")
    return [*lines, DISK_RULE]


def report(params: Params, rows: Sequence[Measured], rates: Mapping[str, float], counts: Mapping[str, float]) -> str:
    """Return the whole estimate as Markdown."""
    made = {family: runs for family, runs in params.runs.items() if runs}
    families = {family: [cost(params, run, rows, rates, counts) for run in runs.values()] for family, runs in made.items()}
    trainings = {family: sum(map(params.repetitions_of, runs.values())) for family, runs in made.items()}
    everything = [one for costs in families.values() for one in costs]
    lines = [f"Estimate of the profile {params.profile}: hours of one device, one run at a time.", ""]
    if rates:
        named = ((f"{rate:g} with {name or 'any network' + ' not named' * (len(rates) > 1)}") for name, rate in rates.items())
        size = f"{RATE_SIZE_PX} px"
        lines += [
            f"Assumed: images of {size} per second under plain cross-entropy: {', '.join(named)}; others by their pixels.",
            "",
        ]
    lines += ["| family | trainings | steps | hours | memory GB | weights GB | hours rest on |", f"|---|{'---:|' * 5}---|"]
    lines += [family_line(name, costs, trainings[name]) for name, costs in families.items()]
    total = family_line("all", everything, sum(trainings.values()))
    lines += [total.rsplit("|", 2)[0] + "| |", ""]
    if any(one.at_most for one in everything):
        lines.append("≤: pictures with certain classes are counted as the whole set; give their number as --images cat=N.")
    lines.append("Not counted: scoring the validation set, loading pictures, making kept features, graph cuts of hard proposals.")
    return "\n".join([*lines, "", *disk_lines(params, sum(one.weights_gb for one in everything))])


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.bench.estimate --profile paper --images-per-second 300")
    parser.add_argument("--profile", choices=profiles(), default="paper")
    parser.add_argument("--steps", type=Path, nargs="+", default=default_tables(), help="of bench.steps; a GPU's if left out")
    parser.add_argument(
        "--images-per-second",
        nargs="+",
        default=[],
        metavar="[NETWORK=]N",
        help=f"training images of {RATE_SIZE_PX} px per second under plain cross-entropy; a number alone: all other networks",
    )
    parser.add_argument("--images", nargs="+", default=[], metavar="NAME=N", help="pictures of a data set, or with cat+dog")
    arguments = parser.parse_args()
    with clear_errors():
        if missing := [path for path in arguments.steps if not path.exists()]:
            raise ValueError(f"{missing[0]}: no such table; `python -m pipeline.bench.steps` makes one")
        rates = pairs(arguments.images_per_second, "--images-per-second")
        print(report(read_params(arguments.profile), read_steps(arguments.steps), rates, pairs(arguments.images, "--images")))


if __name__ == "__main__":
    main()
