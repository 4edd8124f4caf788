"""Time and memory of one optimisation step under every objective: `python -m pipeline.bench.steps`.

The measure is plain cross-entropy with full masks (for classifiers: with the class labels), on the same network and batch. Every
objective of params.yaml takes the step that training takes, all in one process and in turn; right before each, the measure is
timed once more, so that a slow minute slows both. Objectives with self-labelling are measured with their own solver, with the
published one (200 gradient steps), and with the fast one at its own pace and at that of params.yaml. The first row is the measure
itself; `masks` is the same loss once more and shows the noise.

The network first learns the batch for `--learn` steps, because solvers stop early or late by what is predicted; then its rate is
0, so that all objectives meet the same predictions. Pictures are procedural. What hard proposals cost every few epochs (one graph
cut per image, see `pipeline.bench.solver`) is no part of a step.

On a CPU, times are those of this process on one thread; on a GPU, wall-clock times of finished work. `--profile paper` takes the
papers' networks and settings without touching params.yaml:

    python -m pipeline.bench.steps --profile paper --device cuda --precision bf16 --batch 12 --size-px 512

A network whose encoder is frozen is measured as it is trained on kept features with `--kept-features`: the head alone.
"""

from __future__ import annotations

import copy
import statistics
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from tqdm import tqdm

from pipeline import paths
from pipeline.bench import clock
from pipeline.command import command_parser
from pipeline.conventions import VOID
from pipeline.datasets.synthetic import make_scenes
from pipeline.datasets.transforms import Jitter, WholeImage
from pipeline.errors import clear_errors
from pipeline.files import write_atomically, write_csv
from pipeline.networks import CLASSIFIERS, build_network
from pipeline.networks.base import Network, SegmentationNetwork
from pipeline.params import Params, load_params, read_families, read_yaml, resolve
from pipeline.profile import profiles, put_profile
from pipeline.runs import objective_terms
from pipeline.stages.common import lookup
from pipeline.stages.device import select_device
from pipeline.targets.scribbles import generate_scribbles, rasterize
from pipeline.targets.sizes import class_sizes
from pipeline.training.loop import TrainingError, take_step
from pipeline.training.objectives import Batch, Objective
from pipeline.training.schedule import make_optimizer

Row = dict[str, Any]

REFERENCE = "cross-entropy"
"""Name of the row that all others are compared with."""
MOST_CLASSES = 21
"""As many as the procedural pictures have looks for."""
SOLVERS: tuple[dict[str, Any], ...] = ({"kind": "gradient", "steps": 200, "learning_rate": 0.075}, {"kind": "fast"})
"""Solvers that every self-labelling objective is measured with besides its own; the first is that of [SSL] appendix B."""
LEARNING_RATE = 0.02
"""While the network learns the batch."""
TURN_S = 0.25
"""In its turn a case is repeated until this time is over."""
THIN_BELOW_PX = 256
"""Scribbles are 3 pixels wide from this size on, else 1, as in the profiles."""


def read_params(profile: str | None) -> Params:
    """Return params.yaml as it is, or as `python -m pipeline.profile PROFILE` would make it.

    Raises:
        ParamsError: not valid.
    """
    if profile is None:
        return load_params()
    return resolve(profile_tree(profile), read_families())


def profile_tree(profile: str) -> dict[str, Any]:
    """Return the content of params.yaml as `python -m pipeline.profile PROFILE` would make it."""
    tree = read_yaml(paths.PARAMS)
    put_profile(tree, profile)
    return tree


def solver_label(terms: Mapping[str, Any]) -> str:
    """Return what a table calls the solver of an objective, "" where there is none.

    >>> solver_label({"self_labeling": {"solver": {"kind": "gradient", "steps": 200}}})
    'gradient, 200 steps'
    """
    labeling = terms.get("self_labeling")
    if labeling is None:
        return ""
    solver = labeling["solver"]
    kind = "dense gradient" if solver["kind"] == "dense" else solver["kind"].replace("_", " ")
    return f"{kind}, {solver['steps']} steps" if solver.get("steps") else kind


def resolved(params: Params, name: str) -> dict[str, Any]:
    """Return the terms of an objective, the solver's settings in place of its name, as training uses them.

    Raises:
        ParamsError: no such objective; lists those that are there.
    """
    lookup(params.objectives, name, "objectives")
    return {term: value for term, value in objective_terms(params, name).items() if value is not None}


def variants(terms: Mapping[str, Any], *fast: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return an objective by the label of each solver that it is measured with, its own first, those of `fast` last."""
    found = {solver_label(terms): dict(terms)}
    if "self_labeling" in terms:
        labeling = terms["self_labeling"]
        others: Iterable[Mapping[str, Any]] = (*SOLVERS, *fast)
        if labeling["neighborhood"] == "dense":
            others = tuple({**solver, "kind": "dense"} for solver in SOLVERS[:1])
        elif (labeling["cross_entropy"], labeling["relaxation"]) == ("quadratic", "q"):
            others = (*SOLVERS[:1], {"kind": "conjugate_gradient"})  # in place of the fast one
        for solver in others:
            other = {**terms, "self_labeling": {**terms["self_labeling"], "solver": dict(solver)}}
            found.setdefault(solver_label(other), other)
    return found


def make_batch(count: int, size_px: int, classes: int) -> Batch:
    """Return procedural pictures with everything that an annotator could give, as a loader would: see `Batch`.

    Args:
        count: pictures, at least 2.
        size_px: their side.
        classes: C, background included, 2 to `MOST_CLASSES`.

    Raises:
        ValueError: an argument out of range.
    """
    if count < 2 or not 2 <= classes <= MOST_CLASSES:
        raise ValueError(f"expected a batch of at least 2 and 2..{MOST_CLASSES} classes, got {count} and {classes}")
    width_px = 3 if size_px >= THIN_BELOW_PX else 1
    whole = WholeImage(size_px, Jitter(flip=False), partial(rasterize, width_px=width_px, click_width_px=width_px))
    samples = []
    for scene in make_scenes(count, seed=0, class_indices=range(1, classes), size_px=(size_px, size_px)):
        strokes = generate_scribbles(scene.labels, min_area_px=1e-3 * scene.labels.size, generator=np.random.default_rng(0))
        proposals = np.where(scene.labels == VOID, 0, scene.labels).astype(np.uint8)
        sizes = class_sizes(scene.labels, classes).astype(np.float32)
        one = np.zeros(classes, np.float32)
        one[1 + sizes[1:].argmax()] = 1
        sample: dict[str, Any] = whole.load(scene.image, {"labels": scene.labels, "proposals": proposals}, strokes)(0)
        tags = (sizes > 0).astype(np.float32)
        samples.append({**sample, "size_targets": sizes, "tags": tags, "class_targets": one, "image_id": scene.image_id})
    return torch.utils.data.default_collate(samples)


@dataclass(frozen=True)
class Trainee:
    """A network with its optimiser and batch, at the rate 0.

    Attributes:
        name: its key in params.yaml.
        kind: which network that is.
        network: on its device, in training mode.
        forward: the network itself or what `torch.compile` made of it.
        optimizer: over its weights.
        batch: on the CPU, as loaders give it.
        device: where the network is.
        precision: of the forward pass, "float32" or "bf16".
    """

    name: str
    kind: str
    network: Network
    forward: nn.Module
    optimizer: torch.optim.Optimizer
    batch: Batch
    device: torch.device
    precision: str

    @property
    def is_classifier(self) -> bool:
        """Whether whole pictures are classified."""
        return self.kind in CLASSIFIERS

    def step(self, objective: Objective) -> None:
        """Do one step of the training loop."""
        torch.manual_seed(0)  # dropout
        given = (self.batch, self.precision, self.device, 0, "bench")
        take_step(self.network, self.forward, objective, self.optimizer, *given)

    def logits(self) -> Tensor:
        """Return what the network predicts for the batch, detached."""
        image = self.batch["image"].to(self.device).contiguous(memory_format=torch.channels_last)
        mixed = self.precision == "bf16" and self.device.type == "cuda"
        with torch.no_grad(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed):
            return self.network(image)

    def reference(self) -> Objective:
        """Return plain cross-entropy."""
        return Objective({"image_labels": "ce"} if self.is_classifier else {"masks": 1.0})


def make_trainee(
    params: Params,
    name: str,
    batch: Batch,
    device: torch.device,
    *,
    precision: str = "float32",
    compiled: bool = False,
    fused: bool = False,
    kept_features: bool = False,
    learn: int = 10,
) -> Trainee:
    """Build the network `name` of params.yaml from random weights and let it learn the batch for `learn` steps.

    With `kept_features` the encoder runs once, here, and steps read what it made, in half precision as from a file.

    Raises:
        ParamsError: no such network.
        ValueError: `kept_features` of a network whose encoder is trained.
        OSError: torch cannot compile it here.
    """
    spec = lookup(params.networks, name, "networks")
    if kept_features and (spec.kind in CLASSIFIERS or not spec.freeze_encoder):
        raise ValueError(f"--kept-features: networks.{name} is no segmentation network with freeze_encoder: true")
    torch.manual_seed(0)
    network = build_network(spec.model_dump(), batch["size_targets"].shape[1])
    network.to(device)
    cast(Any, network).to(memory_format=torch.channels_last)
    if kept_features:
        with torch.inference_mode():
            made = cast(SegmentationNetwork, network.eval()).features(batch["image"].to(device))
        batch = {**batch, "features": [one.half().cpu() for one in made]}
    network.train()
    forward = cast(nn.Module, torch.compile(network)) if compiled else network
    if device.type == "cuda":
        batch = tree_map_only(Tensor, Tensor.pin_memory, batch)
    rate: dict[str, Any] = {"learning_rate": LEARNING_RATE, "head_lr_factor": 1.0, "momentum": 0.9, "weight_decay": 1e-4}
    optimizer = make_optimizer(network, **rate)
    trainee = Trainee(name, spec.kind, network, forward, optimizer, batch, device, precision)
    try:
        for _ in range(max(learn, 1)):
            trainee.step(trainee.reference())
    except RuntimeError as error:
        if not compiled or isinstance(error, TrainingError):
            raise
        reason = str(error).strip().splitlines()[0]
        raise OSError(f"--compile: torch could not; it needs a C++ compiler, on a GPU Triton ({name}: {reason})") from error
    still = make_optimizer(network, **{**rate, "learning_rate": 0.0})
    if fused:
        still = torch.optim.SGD([{**group, "foreach": None, "fused": True} for group in still.param_groups], lr=0.0, fused=True)
    return Trainee(name, spec.kind, network, forward, still, batch, device, precision)


def unchanged(trainee: Trainee) -> Trainee:
    """Return a copy as training uses it: neither compiled nor with a fused optimiser. On a GPU its weights count in all rows."""
    network = copy.deepcopy(trainee.network)
    optimizer = make_optimizer(network, learning_rate=0.0, head_lr_factor=1.0, momentum=0.9, weight_decay=1e-4)
    given = (trainee.batch, trainee.device, trainee.precision)
    return Trainee(trainee.name, trainee.kind, network, network, optimizer, *given)


class LiveBytes(TorchDispatchMode):
    """Count the bytes of all tensors alive while it is entered, those `held` before included; `peak` is the most there were.

    What operations allocate and free within themselves does not count, nor what is not torch's.
    """

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._known: set[int] = set()
        for tensor in held:
            self._follow(tensor)

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if id(storage) in self._known:
            return
        key, size = id(storage), storage.nbytes()
        self._known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do the operation and follow what it returns."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._follow(leaf)
        return result


def peak_bytes(trainee: Trainee, objective: Objective) -> int | None:
    """Return the most memory that tensors take during a step, weights, gradients, momentum and batch included.

    On a GPU it is what torch's allocator counts; on a CPU `LiveBytes`, which cannot look into compiled code: None.
    """
    if trainee.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        trainee.step(objective)
        return torch.cuda.max_memory_allocated()
    if trainee.forward is not trainee.network:
        return None
    with LiveBytes(_held(trainee)) as count:
        trainee.step(objective)
    return count.peak


def _held(trainee: Trainee) -> Iterator[Tensor]:
    """Yield what is there before a step; a list would keep gradients alive that the step gives up."""
    for weight in trainee.network.parameters():
        yield weight
        if weight.grad is not None:
            yield weight.grad
    yield from trainee.network.buffers()
    for value in tree_leaves([trainee.batch, *trainee.optimizer.state.values()]):
        if isinstance(value, Tensor):
            yield value


class Case(NamedTuple):
    """One row to be: an objective with one solver on one network."""

    name: str
    solver: str
    trainee: Trainee
    objective: Objective


def make_cases(params: Params, names: Sequence[str], trainee: Trainee) -> list[Case]:
    """Return the measure first, then all variants of those objectives that fit the network."""
    cases = [Case(REFERENCE, "", trainee, trainee.reference())]
    fast = [params.solver["fast"].model_dump(exclude_none=True)] if "fast" in params.solver else []
    for name in names:
        terms = resolved(params, name)
        if ("image_labels" in terms) == trainee.is_classifier:
            cases += [Case(name, label, trainee, Objective(variant)) for label, variant in variants(terms, *fast).items()]
    return cases


def measure(cases: Sequence[Case], repeats: int) -> list[Row]:
    """Return one row per case; ratios are to the first, which is timed anew right before each step of another.

    Args:
        cases: the measure first.
        repeats: turns that are timed, short steps several times in each; one more turn goes before them.
    """
    reference = partial(cases[0].trainee.step, cases[0].objective)
    beside: list[list[float]] = [[] for _ in cases]
    steps: list[list[float]] = [[] for _ in cases]
    alone: list[list[float]] = [[] for _ in cases]
    memory: list[int | None] = []
    with tqdm(total=len(cases) * (repeats + 1), desc="steps", unit="row", disable=None, leave=False) as bar:
        for case in cases:
            case.trainee.step(case.objective)  # first calls allocate, and some compile
            memory.append(peak_bytes(case.trainee, case.objective))
            bar.update()
        predictions = {id(case.trainee): case.trainee.logits() for case in cases}
        for _ in range(repeats):
            for index, case in enumerate(cases):
                one_step = partial(case.trainee.step, case.objective)
                loss_alone = partial(_loss_alone, case, predictions[id(case.trainee)], _on_device(case.trainee))
                until_s = TURN_S
                while until_s >= 0:
                    timed = [clock.seconds(work, case.trainee.device) for work in (reference, one_step, loss_alone)]
                    for times, seconds in zip((beside[index], steps[index], alone[index]), timed):
                        times.append(seconds)
                    until_s -= sum(timed)
                bar.update()
    return [
        {
            "objective": case.name,
            "solver": case.solver,
            "step_ms": 1000 * statistics.median(steps[index]),
            "best_ms": 1000 * min(steps[index]),
            "ratio": statistics.median(steps[index]) / statistics.median(beside[index] if index else steps[0]),
            "objective_ms": 1000 * statistics.median(alone[index]),
            "memory_mb": None if used is None else used / 1e6,
            **setting(case.trainee),
            "repeats": repeats,
            "torch": torch.__version__,
        }
        for index, (case, used) in enumerate(zip(cases, memory))
    ]


def setting(trainee: Trainee) -> Row:
    """Return the columns of a row that say what was measured."""
    return {
        "network": trainee.name,
        "kind": trainee.kind,
        "batch": len(trainee.batch["image_id"]),
        "size_px": trainee.batch["image"].shape[-1],
        "classes": trainee.batch["size_targets"].shape[1],
        "precision": trainee.precision,
        "compiled": trainee.forward is not trainee.network,
        "fused": bool(trainee.optimizer.param_groups[0].get("fused")),
        "kept_features": "features" in trainee.batch,
        "device": device_name(trainee.device),
        "memory_counts": memory_counts(trainee),
    }


def device_name(device: torch.device) -> str:
    """Return what a table calls the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu, one thread"


def memory_counts(trainee: Trainee) -> str:
    """Say what the column `memory_mb` counts."""
    if trainee.device.type == "cuda":
        return "allocator's peak"
    return "tensors alive" if trainee.forward is trainee.network else "not measured: compiled code on a CPU"


def _on_device(trainee: Trainee) -> Batch:
    return {key: value.to(trainee.device) if isinstance(value, Tensor) else value for key, value in trainee.batch.items()}


def _loss_alone(case: Case, logits: Tensor, batch: Batch) -> None:
    loss, parts = case.objective(logits.requires_grad_(), batch)
    torch.stack(list(parts.values())).tolist()  # the loop reads them at every step
    loss.backward()
    logits.grad = None


def markdown(rows: Sequence[Row]) -> str:
    """Return the table for people, one block per network."""
    lines = []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        one = own[0]
        about = f"{one['batch']} pictures of {one['size_px']} px, {one['classes']} classes, {one['precision']}"
        how = "".join(f", {name.replace('_', ' ')}" for name in ("compiled", "fused", "kept_features") if one[name])
        lines += [f"Network {network} ({one['kind']}{how}), {about}, on {one['device']}, torch {one['torch']};"]
        lines += [f"medians of {one['repeats']} turns; memory: {one['memory_counts']}", ""]
        lines += ["| objective | solver | step ms | ratio | loss alone ms | memory MB |", "|---|---|---:|---:|---:|---:|"]
        for row in own:
            memory = "" if row["memory_mb"] is None else f"{row['memory_mb']:.1f}"
            numbers = f"{row['step_ms']:.1f} | {row['ratio']:.2f} | {row['objective_ms']:.1f} | {memory}"
            lines.append(f"| {row['objective']} | {row['solver']} | {numbers} |")
        lines.append("")
    return "\n".join(lines)


def chosen_objectives(params: Params, names: Sequence[str] | None) -> list[str]:
    """Return the objectives to measure: those named, or all of params.yaml.

    Raises:
        ParamsError: one of them is unknown; lists those that are there.
    """
    for name in names or ():
        lookup(params.objectives, name, "objectives")
    return list(params.objectives if names is None else names)


def bench(
    params: Params, names: Sequence[str], networks: Sequence[str], batch: Batch, device: torch.device, repeats: int, **how: Any
) -> Iterator[Row]:
    """Yield the rows of all objectives, one network after the other; a network that none of them fits is not built.

    `networks` has keys for segmentation and for classification, in any order; `how` goes to `make_trainee`.
    """
    for network in networks:
        classifies = lookup(params.networks, network, "networks").kind in CLASSIFIERS
        own = [name for name in names if ("image_labels" in resolved(params, name)) == classifies]
        if own:
            trainee = make_trainee(params, network, batch, device, **how)
            cases = make_cases(params, own, trainee)
            if how.get("compiled") or how.get("fused"):
                plain = unchanged(trainee)
                cases.append(Case(f"{REFERENCE}, as in training", "", plain, plain.reference()))
            yield from measure(cases, repeats)


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.bench.steps --objectives size soft-q")
    parser.add_argument("--objectives", nargs="+", metavar="NAME", help="keys of objectives in params.yaml; all if left out")
    parser.add_argument("--profile", choices=profiles(), help="settings of a profile; params.yaml as it is without it")
    parser.add_argument("--network", default="resnet101", metavar="KEY", help="key of networks, for segmentation")
    parser.add_argument("--classifier", default="resnet18", metavar="KEY", help="key of networks, for objectives of image labels")
    parser.add_argument("--batch", type=int, default=8, help="pictures per step")
    parser.add_argument("--size-px", type=int, default=64, help="side of the pictures")
    parser.add_argument("--classes", type=int, help="classes with background; those of datasets.voc if left out")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    parser.add_argument("--fused", action="store_true", help="the fused optimiser")
    parser.add_argument("--kept-features", action="store_true", help="train the head alone; --network has a frozen encoder")
    parser.add_argument("--learn", type=int, default=20, help="steps that the network learns before")
    parser.add_argument("--repeats", type=int, default=3, help="timed turns")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/steps.csv"), help="beside it the same as .md")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error(f"--repeats: expected at least 1, got {arguments.repeats}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: no GPU is available")
    with clear_errors(TrainingError):
        params = read_params(arguments.profile)
        device = select_device(arguments.device)
        classes = arguments.classes or len(params.datasets["voc"].classes or range(MOST_CLASSES - 1)) + 1
        names = chosen_objectives(params, arguments.objectives)
        if arguments.precision == "bf16" and device.type == "cpu":
            raise ValueError("--precision bf16: training uses it on GPUs only; leave it out here")
        how = {"precision": arguments.precision, "compiled": arguments.compile, "fused": arguments.fused}
        networks = (arguments.network,) if arguments.kept_features else (arguments.network, arguments.classifier)
        batch = make_batch(arguments.batch, arguments.size_px, classes)
        rows = list(
            bench(
                params,
                names,
                networks,
                batch,
                device,
                arguments.repeats,
                kept_features=arguments.kept_features,
                learn=arguments.learn,
                **how,
            )
        )
        text = markdown(rows)
        write_csv(arguments.out, rows)
        write_atomically(arguments.out.with_suffix(".md"), text.encode())
        print(text)
        print(f"{arguments.out}: {len(rows)} lines")


if __name__ == "__main__":
    main()
