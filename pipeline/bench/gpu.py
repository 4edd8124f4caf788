"""Everything that only a GPU can show, in one call: `python -m pipeline.bench.gpu --out FOLDER --budget 540`.

    a   the environment, and all tests marked `cuda`: kernels against the CPU, Triton against torch, bf16 against float32
    b   bars: dense CRF, pseudo-label solver, a whole step with self-labelling, networks and loader per second
    c   every pair of network and objective of the paper profile: five optimisation steps at its published size
    d   real training on the photos that `python -m pipeline.bench.pack` has packed, several runs at once, seed after seed

Every item is a process of its own with a time limit, so that neither an error nor a hang reaches the next; the parts share the
budget in this order. After each item FOLDER is written anew:

    call.json                the environment, and of each item how it ended, after how long, and its error
    tests.csv, bars.csv      parts a and b
    steps.csv, pairs.csv     time and memory of steps in b and c, as `pipeline.bench.steps` writes them
    runs.csv                 part d: mIoU on the validation photos
    log.txt                  all output, with tracebacks

`--rehearse` does all of it on the CPU, with toy sizes. `--record FOLDER` keeps the numbers of a call in reports/recorded.
"""

from __future__ import annotations

import csv
import importlib
import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline import parallel, paths
from pipeline.bench import clock, dense_crf, gpu_tables, pack, solver, steps
from pipeline.command import command_parser
from pipeline.crf.dense import DenseKernel, dense_crf_loss
from pipeline.errors import clear_errors
from pipeline.files import read_json, write_atomically, write_csv, write_json
from pipeline.networks import CLASSIFIERS
from pipeline.params import Params, load_params
from pipeline.runs import Job
from pipeline.solver import Solution, solve_by_gradient, solve_fast
from pipeline.stages.device import select_device
from pipeline.stages.train import make_dataset, make_loader, run_repetition
from pipeline.training.objectives import Batch, Objective
from pipeline.training.schedule import make_optimizer
from pipeline.training.seeding import BatchPlan

REPOSITORY = Path(__file__).resolve().parents[2]
ENDS = {"a": 0.2, "b": 0.42, "c": 0.6, "d": 0.98}
"""Share of the budget after which a part is over."""
TABLES = ("tests", "bars", "steps", "pairs", "runs")
TESTED = "tests/test_cuda.py"
OUTCOME = re.compile(r"(?P<before>\S+::\S+)? ?(?P<outcome>PASSED|FAILED|ERROR|SKIPPED)(?: (?P<after>\S+::\S+))?")
"""A line of pytest in one process, or in several."""
NETWORKS = ("resnet101", "mobilenet", "wideresnet38", "vit")
"""Timed with plain cross-entropy; keys of `networks`."""
DISTINCT = 4
"""Procedural pictures that a batch repeats: they take long to draw."""
LIVE_STEPS = 5
SHOWN_CHARACTERS = 60_000
"""Of each item's output in log.txt."""
LOADER_WORKERS = 16

Row = dict[str, Any]


class Size(NamedTuple):
    """How large the measured problems are.

    Attributes:
        profile: of networks and objectives.
        batch: pictures in the bars of kernels and of self-labelling.
        side_px: of these pictures.
        classes: in these pictures.
        most_pictures: in a step, whatever the profile says.
        most_px: likewise, of their sides.
        repeats: of each time.
        autograd_steps: of the published solver.
        learn: steps that a network learns before its steps are timed.
        turns: of timed steps.
        seeds: repetitions of every training.
        at_once: trainings side by side.
    """

    profile: str = "paper"
    batch: int = 12
    side_px: int = 512
    classes: int = 21
    most_pictures: int = 1000
    most_px: int = 10_000
    repeats: int = 20
    autograd_steps: int = 200
    learn: int = 10
    turns: int = 3
    seeds: int = 3
    at_once: int = 8


TOY = Size("embedded", 2, 32, 4, 2, 32, repeats=1, autograd_steps=2, learn=1, turns=1, seeds=1, at_once=2)


@dataclass(frozen=True)
class Call:
    """What an item needs.

    Attributes:
        size: of the measured problems.
        device: name as in params.yaml.
        project: packed folder to train in, or None.
        work: scratch folder of the call.
        item: name of the item that runs.
    """

    size: Size
    device: str
    project: Path | None
    work: Path
    item: str = ""

    def row(self, table: str, **values: Any) -> None:
        """Keep one line of a table, whatever happens to the item afterwards."""
        with (self.work / f"{self.item}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"table": table, "values": values}) + "\n")
        print(table, values, flush=True)

    def bar(self, name: str, value: float, unit: str, at_most: float | None = None, **about: Any) -> None:
        """Keep one number of part b."""
        met = "" if at_most is None else ("yes" if value <= at_most else "no")
        setting = ", ".join(f"{key} {one}" for key, one in about.items())
        self.row("bars", bar=name, value=value, unit=unit, at_most=at_most, met=met, setting=setting)

    def batch(self, count: int, side_px: int, classes: int) -> Batch:
        """Return a batch of procedural pictures, `DISTINCT` of them repeated, drawn once in a call."""
        path = self.work / f"batch-{side_px}-{classes}.pt"
        if not path.exists():
            few = steps.make_batch(max(min(count, DISTINCT), 2), side_px, classes)
            torch.save(few, path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
        few = torch.load(path, weights_only=False)
        indices = [number % len(few["image_id"]) for number in range(count)]
        tensors = {key: value[indices] for key, value in few.items() if isinstance(value, Tensor)}
        return {**tensors, "image_id": [few["image_id"][index] for index in indices]}


@dataclass(frozen=True)
class Item:
    """One process.

    Attributes:
        part: a to d.
        name: unique; names its files.
        seconds: longest time it gets.
        work: what it does.
    """

    part: str
    name: str
    seconds: float
    work: Callable[[Call], None]


@dataclass
class Outcome:
    """How an item ended."""

    item: Item
    status: str = "not started: no time left"
    seconds: float = 0.0
    error: str = ""


# Part a


def look_around(call: Call) -> None:
    """Keep what the machine is."""
    device = select_device(call.device)
    found: Row = {
        "chip": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in ("torch", "triton", "timm", "numba", "numpy")},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["memory_gib"] = round(properties.total_memory / 2**30, 1)
        bf16 = torch.randn(4096, 4096, device=device, dtype=torch.bfloat16)
        found["bf16_tflops"] = round(2 * 4096**3 / timed(device, lambda: bf16 @ bf16, 20) / 1e12)
    call.row("environment", **found)


def _driver() -> str:
    try:
        words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def run_tests(call: Call) -> None:
    """Run the tests marked `cuda`; in a rehearsal they run on the CPU, Triton in its interpreter.

    Raises:
        RuntimeError: a test failed, or none ran.
    """
    words = [sys.executable, "-u", "-m", "pytest", "-vv", "-m", "cuda", "-p", "no:cacheprovider", "--tb=short", TESTED]
    environment = dict(os.environ)
    if call.device == "cpu":
        environment |= {"CUDA_TESTS_ON_CPU": "1", "TRITON_INTERPRET": "1"}
        words += ["-k", "not lattice and (not triton or grid4-cce-cd)"]
    else:
        words += ["-n", "6"]  # most of the time goes into compiling
    process = subprocess.Popen(words, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
    known = {""}
    for line in process.stdout or ():
        print(line, end="")
        found = OUTCOME.search(line)
        name = (found["before"] or found["after"] or "").rpartition("::")[2] if found is not None else ""
        if found is not None and name not in known:  # the summary repeats what failed
            known.add(name)
            call.row("tests", test=name, outcome=found["outcome"].lower())
    if process.wait() != 0:
        raise RuntimeError(f"pytest ended with {process.returncode}; tests.csv names the tests")


# Part b


def timed(device: torch.device, work: Callable[[], Any], repeats: int) -> float:
    """Return the median of the seconds that `work` takes, after two turns to warm up."""
    return statistics.median(clock.in_turn({"": work}, repeats, device, warm_up=2)[""])


def precisions(device: torch.device) -> Sequence[str]:
    """Return those that a device has."""
    return ("bf16", "float32") if device.type == "cuda" else ("float32",)


def time_dense_crf(call: Call) -> None:
    """Time the dense CRF loss with its gradient, and the products alone."""
    device, size = select_device(call.device), call.size
    about = {"batch": size.batch, "px": size.side_px, "classes": size.classes}
    image = call.batch(size.batch, size.side_px, size.classes)["image"].to(device)
    probs = dense_crf.made_up_predictions(image, size.classes).requires_grad_()
    valid = torch.ones(len(image), *image.shape[2:], dtype=torch.bool, device=device)

    def loss_and_gradient(**settings: Any) -> None:
        probs.grad = None
        dense_crf_loss(probs, image, valid, **settings).mean().backward()

    for mode, at_most in (("nystrom", 2.0), ("lattice", None)):
        seconds = timed(device, partial(loss_and_gradient, mode=mode), size.repeats)
        call.bar(f"dense CRF loss and gradient, {mode}", 1000 * seconds, "ms", at_most, **about)
    half = torch.nn.functional.interpolate(image, scale_factor=0.5)
    kernel = DenseKernel.build(half, valid[:, ::2, ::2], 15.0, 50.0)
    fewer = torch.nn.functional.interpolate(probs.detach(), scale_factor=0.5)
    call.bar("dense CRF, product alone", 1000 * timed(device, lambda: kernel.filter(fewer), size.repeats), "ms", **about)


def time_solvers(call: Call) -> None:
    """Time the solvers of one batch, and compare their energies with that of the published 200 steps."""
    device, size = select_device(call.device), call.size
    pictures = solver.read_pictures(None, None, min(size.batch, DISTINCT), size.side_px)
    indices = [number % len(pictures) for number in range(size.batch)]
    log_probs, seeds, affinity = (
        torch.cat([getattr(pictures[index], part) for index in indices]).to(device) for part in ("log_probs", "seeds", "affinity")
    )
    one = solver.Picture("batch", log_probs, seeds, affinity)
    about = {"batch": size.batch, "px": size.side_px, "classes": one.log_probs.shape[1]}
    for relaxation in ("cd", "q"):
        problem, energy = one.problem("cce", relaxation), f"P_{relaxation.upper()}"
        gradient = partial(solve_by_gradient, problem, steps=solver.PAPER_STEPS, learning_rate=solver.LEARNING_RATE)
        published = gradient().energy
        methods: dict[str, tuple[Callable[[], Solution], float | None]] = {
            "fast": (partial(solve_fast, problem), 7.0),
            "fast, 16-bit state": (partial(solve_fast, problem, half_state=True), None),
            "fast, torch": (partial(solve_fast, problem, compiled=False), None),
        }
        for name, (method, at_most) in methods.items():
            ratio = float((method().energy / published).mean())
            taken = 1000 * timed(device, method, size.repeats)
            call.bar(f"{energy}, {name}", taken, "ms", at_most, **about, energy=f"{ratio:.3f}")
        call.bar(f"{energy}, 200 steps in closed form", 1000 * timed(device, gradient, 1), "ms", **about)
        taken = clock.seconds(partial(solver.autograd_steps, one, relaxation, size.autograd_steps), device)
        taken *= solver.PAPER_STEPS / size.autograd_steps
        call.bar(f"{energy}, published 200 steps, autograd", 1000 * taken, "ms", **about)


def time_self_labeling(call: Call) -> None:
    """Compare a whole step with self-labelling on ResNet-101 with plain cross-entropy."""
    device, size = select_device(call.device), call.size
    params = steps.read_params(size.profile)
    batch = call.batch(size.batch, size.side_px, size.classes)
    for precision in precisions(device):
        how = {"precision": precision, "learn": size.learn}
        rows = list(steps.bench(params, ["soft-cd", "size-crf"], ("resnet101",), batch, device, size.turns, **how))
        for row in rows:
            call.row("steps", **row)
            if row["solver"] == "fast":
                about = {"network": "resnet101", "batch": size.batch, "px": size.side_px, "precision": precision}
                call.bar("step with fast self-labelling / cross-entropy", row["ratio"], "", 1.2, **about)


def time_network(name: str, call: Call) -> None:
    """Measure images per second and memory of plain cross-entropy at the network's published size."""
    device, size = select_device(call.device), call.size
    params = steps.read_params(size.profile)
    training = next(params.training[run.training] for _, run in all_runs(params) if run.network == name and run.dataset == "voc")
    count, side_px = min(training.batch_size, size.most_pictures), min(training.image_size_px, size.most_px)
    batch = call.batch(count, side_px, size.classes)
    for precision in precisions(device):
        try:
            trainee = steps.make_trainee(params, name, batch, device, precision=precision, learn=size.learn)
            (row,) = steps.measure([steps.Case(steps.REFERENCE, "", trainee, trainee.reference())], size.turns)
        except Exception:
            call.row("steps", objective=steps.REFERENCE, network=name, precision=precision, error=last_line())
            traceback.print_exc()
            continue
        call.row("steps", **row)
        rate = count / row["step_ms"] * 1000
        memory = f"{row['memory_mb'] / 1e3:.1f} GB"
        call.bar(f"{name}, plain cross-entropy", rate, "images/s", px=side_px, batch=count, precision=precision, memory=memory)


def time_loader(call: Call) -> None:
    """Measure how many training pictures the loader gives, at the published side and that of the packed photos.

    Raises:
        ValueError: nothing is packed.
    """
    os.chdir(packed(call))
    params = load_params()
    first = params.training["first"]
    workers = min(LOADER_WORKERS, 2 if call.device == "cpu" else LOADER_WORKERS)
    for side_px in dict.fromkeys((call.size.side_px, first.image_size_px)):
        training = first.model_copy(update={"image_size_px": side_px, "cache_images": False})
        changed = params.model_copy(update={"training": {**params.training, "first": training}})
        job = Job(pack.FAMILY, "full", changed)
        dataset = make_dataset(job, job.archive("train"), None)
        plan = BatchPlan(len(dataset), first.batch_size, max(1, 3200 // len(dataset)) if call.device != "cpu" else 1, 0)
        loader: DataLoader[Any] = make_loader(dataset, workers, False, plan)
        turns = iter(loader)
        next(turns)
        start, count = time.perf_counter(), 0
        for one in turns:
            count += len(one["image_id"])
        if count:
            call.bar("loader", count / (time.perf_counter() - start), "images/s", px=side_px, workers=workers)


# Part c


def all_runs(params: Params) -> Iterator[tuple[str, Any]]:
    """Yield name and settings of every run."""
    for family, runs in params.runs.items():
        for name, run in runs.items():
            yield f"{family}/{name}", run


class Shape(NamedTuple):
    """What the runs of one network share: everything that a batch depends on."""

    network: str
    pictures: int
    side_px: int
    classes: int
    precision: str


def pairs_of(params: Params, size: Size) -> dict[Shape, list[str]]:
    """Return the objectives of the runs of each network and size; most classes are those that the procedural pictures have."""
    classes = {"acdc": 2, "scenes": 6, "cityscapes": 19}
    found: dict[Shape, list[str]] = {}
    for _, run in all_runs(params):
        training = params.training[run.training]
        sides = (min(training.batch_size, size.most_pictures), min(training.image_size_px, size.most_px))
        shape = Shape(run.network, *sides, min(classes.get(run.dataset, steps.MOST_CLASSES), size.classes), training.precision)
        if run.objective not in found.setdefault(shape, []):
            found[shape].append(run.objective)
    return found


def try_pairs(shape: Shape, names: Sequence[str], call: Call) -> None:
    """Take five live steps under each objective, from the same weights; quick objectives come first.

    Raises:
        RuntimeError: a pair failed; the others were tried all the same.
    """
    device = select_device(call.device)
    params = steps.read_params(call.size.profile)
    batch = call.batch(shape.pictures, shape.side_px, shape.classes)
    precision = shape.precision if device.type == "cuda" else "float32"
    trainee = steps.make_trainee(params, shape.network, batch, device, precision=precision, learn=2)
    reference_ms = 1000 * timed(device, lambda: trainee.step(trainee.reference()), min(call.size.repeats, 5))
    weights = {name: value.clone() for name, value in trainee.network.state_dict().items()}
    failed = 0
    for name in sorted(names, key=lambda one: "200 steps" in steps.solver_label(steps.resolved(params, one))):
        terms = steps.resolved(params, name)
        if ("image_labels" in terms) != (params.networks[shape.network].kind in CLASSIFIERS):
            raise ValueError(f"{name}: does not fit {shape.network}")
        trainee.network.load_state_dict(weights)
        live = make_optimizer(trainee.network, learning_rate=1e-3, head_lr_factor=1.0, momentum=0.9, weight_decay=1e-4)
        moving = replace(trainee, optimizer=live)
        row: Row = {**steps.setting(moving), "objective": name, "solver": steps.solver_label(terms), "repeats": LIVE_STEPS}
        try:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            step_ms = 1000 * timed(device, partial(moving.step, Objective(terms)), LIVE_STEPS - 2)
            row |= {"step_ms": step_ms, "best_ms": step_ms, "ratio": step_ms / reference_ms, "outcome": "finite"}
            row["memory_mb"] = torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else None
        except Exception:
            failed += 1
            row["outcome"] = last_line()
            traceback.print_exc()
        call.row("pairs", **row)
        live.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    if failed:
        raise RuntimeError(f"{failed} of {len(names)} objectives failed; pairs.csv names them")


# Part d


def packed(call: Call) -> Path:
    """Return the folder to train in.

    Raises:
        ValueError: there is none.
    """
    if call.project is None:
        raise ValueError("no photos are packed; `python -m pipeline.bench.pack` does it, --pack says where")
    return call.project


def chains(params: Params) -> list[list[str]]:
    """Return the runs, as family/run, in the order of runs.yaml, each with those that start from it behind it."""
    found = {name: [name] for name, run in all_runs(params) if run.start is None}
    for name, run in all_runs(params):
        if run.start is not None:
            found[run.start].append(name)
    return list(found.values())


def train_chain(names: Sequence[str], seed: int, call: Call) -> None:
    """Train runs one after the other, each from scratch or from the one before, and keep their scores."""
    os.chdir(packed(call))
    params = load_params()
    with parallel.process_group(select_device(call.device)) as device:
        for name in names:
            family, _, run = name.partition("/")
            job = Job(family, run, params, seed)
            folder = paths.weights(job.family, job.name, seed).parent
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            start = time.perf_counter()
            run_repetition(job, folder, device, show_progress=False)
            with paths.history(job.family, job.name, seed).open(encoding="utf-8") as file:
                *_, last = csv.DictReader(file)
            call.row(
                "runs", run=name, seed=seed, mIoU_val=float(last["mIoU_val"]), supervision=job.run.supervision,
                objective=job.run.objective, epochs=job.training.epochs, images=len(job.archive("train").ids),
                side_px=job.training.image_size_px, seconds=round(time.perf_counter() - start, 1),
            )  # fmt: skip


# The call


def last_line() -> str:
    """Return the last line of the error being handled."""
    return traceback.format_exc().strip().splitlines()[-1][:500]


def items_of(call: Call) -> list[Item]:
    """Return all items, the most valuable first within each part."""
    found = [Item("a", "environment", 60, look_around), Item("a", "tests", 120, run_tests)]
    found += [Item("b", "dense-crf", 60, time_dense_crf), Item("b", "solvers", 90, time_solvers)]
    found += [Item("b", "self-labeling", 90, time_self_labeling)]
    found += [Item("b", f"network-{name}", 45, partial(time_network, name)) for name in NETWORKS]
    found += [Item("b", "loader", 45, time_loader)]
    pairs = pairs_of(steps.read_params(call.size.profile), call.size)
    for shape, objectives in pairs.items():
        name = f"pairs-{shape.network}-{shape.pictures}x{shape.side_px}x{shape.classes}"
        found.append(Item("c", name, 100, partial(try_pairs, shape, objectives)))
    if call.project is not None:
        planned = chains(load_params(call.project / paths.PARAMS, call.project / paths.EXPERIMENTS))
        if call.device == "cpu":
            planned = [chain for chain in planned if chain[0] in ("gpu/size-crf-mre08", "gpu/clicks")]
        for seed in range(call.size.seeds):
            names = {f"train-{chain[0].split('/')[1]}-{seed}": chain for chain in planned}
            found += [Item("d", name, 400, partial(train_chain, chain, seed)) for name, chain in names.items()]
    return found


def child(item: Item, call: Call) -> None:
    """Do an item in a process of its own, its output in its own file."""
    os.setsid()  # what it starts goes with it
    log = (call.work / f"{item.name}.log").open("a", encoding="utf-8", buffering=1)
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    sys.stdout = sys.stderr = log
    try:
        item.work(call)
    except BaseException:
        traceback.print_exc()
        write_atomically(call.work / f"{item.name}.error", last_line().encode())
        log.flush()
        os._exit(1)
    log.flush()
    os._exit(0)


@dataclass
class Running:
    """A process and when it must be over."""

    outcome: Outcome
    process: BaseProcess
    started: float
    until: float


def run_items(items: Sequence[Item], call: Call, out: Path, budget_s: float) -> list[Outcome]:
    """Run all items, those of part d side by side, and write the results after each.

    Returns:
        How each ended, in order. An item that no time is left for is not started.
    """
    begin = time.monotonic()
    outcomes = [Outcome(item) for item in items]
    context = multiprocessing.get_context("fork")  # quick, as libraries are there, and safe, as no GPU was touched
    collect(outcomes, call, out, begin)
    for part, share in ENDS.items():
        waiting = [one for one in outcomes if one.item.part == part]
        over = begin + share * budget_s
        running: list[Running] = []
        while waiting or running:
            now = time.monotonic()
            while waiting and len(running) < (call.size.at_once if part == "d" else 1) and now < over:
                outcome = waiting.pop(0)
                own = Call(call.size, call.device, call.project, call.work, outcome.item.name)
                process = context.Process(target=child, args=(outcome.item, own))
                process.start()
                running.append(Running(outcome, process, now, min(now + outcome.item.seconds, over)))
            if now >= over:
                waiting = []
            for one in [one for one in running if not one.process.is_alive() or now >= one.until]:
                finish(one, call)
                running.remove(one)
                collect(outcomes, call, out, begin)
            time.sleep(0.1)
    return outcomes


def finish(one: Running, call: Call) -> None:
    """End a process that is over or late, and note how it ended."""
    late = one.process.is_alive()
    if one.process.pid is not None:
        try:
            os.killpg(one.process.pid, signal.SIGKILL)  # the rest of its session: loaders, compilers
        except (ProcessLookupError, PermissionError):
            if late:
                one.process.kill()
    one.process.join()
    outcome, error = one.outcome, call.work / f"{one.outcome.item.name}.error"
    outcome.seconds = round(time.monotonic() - one.started, 1)
    outcome.error = error.read_text() if error.exists() else ""
    code = one.process.exitcode
    outcome.status = "stopped: too slow" if late else "passed" if code == 0 else "failed" if code == 1 else f"ended with {code}"
    print(f"{outcome.item.part} {outcome.item.name}: {outcome.status}, {outcome.seconds} s {outcome.error}", flush=True)


def collect(outcomes: Sequence[Outcome], call: Call, out: Path, begin: float) -> None:
    """Write all that is known into the folder of results."""
    tables: dict[str, list[Row]] = {name: [] for name in (*TABLES, "environment")}
    logs = []
    for one in outcomes:
        rows, log = (call.work / f"{one.item.name}{ending}" for ending in (".jsonl", ".log"))
        for line in rows.read_text(encoding="utf-8").splitlines() if rows.exists() else ():
            try:
                found = json.loads(line)
            except ValueError:
                continue  # the process was ended while it wrote
            tables[found["table"]].append(found["values"])
        if log.exists():
            text = log.read_text(encoding="utf-8", errors="replace")
            logs.append(f"==== {one.item.part} {one.item.name}: {one.status}\n{text[-SHOWN_CHARACTERS:]}\n")
    for name in TABLES:
        columns = list(dict.fromkeys(key for row in tables[name] for key in row))
        write_csv(out / f"{name}.csv", [{key: row.get(key) for key in columns} for row in tables[name]])
    write_atomically(out / "log.txt", "".join(logs).encode())
    note = {} if call.project is None else read_json(call.project.parent / "pack.json", "pack again")
    summary = {
        **(tables["environment"][0] if tables["environment"] else {}),
        "commit": note.get("commit", ""),
        "rehearsal": call.device == "cpu",
        "hours": round((time.monotonic() - begin) / 3600, 3),
        "items": [
            {"part": one.item.part, "name": one.item.name, "status": one.status, "seconds": one.seconds, "error": one.error}
            for one in outcomes
        ],
    }
    write_json(out / "call.json", summary)


def chosen_items(items: Sequence[Item], words: Sequence[str] | None) -> list[Item]:
    """Return the items whose part, or the beginning of whose name, is one of `words`; all of them without.

    Raises:
        ValueError: no item fits a word.
    """
    fitting = {word: [one for one in items if one.part == word or one.name.startswith(word)] for word in words or ()}
    for word, found in fitting.items():
        if not found:
            raise ValueError(f"--only {word}: no item is called so; there: {', '.join(one.name for one in items)}")
    return [one for one in items if words is None or any(one in found for found in fitting.values())]


def main() -> None:
    """Run the command line."""
    parser = command_parser(__doc__, "pipeline.bench.gpu --out results --budget 540")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--pack", type=Path, help="folder of `python -m pipeline.bench.pack`; without it nothing is trained")
    parser.add_argument("--budget", type=float, default=540.0, metavar="SECONDS", help="for everything together")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="parts or beginnings of names of items, such as b train-full")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU with toy sizes, toy pictures without --pack")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="keep the results of FOLDER in reports/recorded and end")
    arguments = parser.parse_args()
    if (arguments.out is None) == (arguments.record is None):
        parser.error("give either --out or --record")
    with clear_errors(subprocess.CalledProcessError):
        if arguments.record is not None:
            print(f"{gpu_tables.record(arguments.record)} is written, and docs/cost.md and README.md with it; look and commit")
            return
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # the driver must not be woken before processes fork
        for library in ("numba", "segmentation_models_pytorch", "timm"):  # slow, and every process inherits them
            importlib.import_module(library)
        out = arguments.out.resolve()
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="gpu-call-") as scratch:
            work = Path(scratch)
            chosen = arguments.pack
            if chosen is None and arguments.rehearse:
                chosen = work / "pack"
                pack.pack(chosen, None, pack.CLASSES, 1000.0, wheels=False)
            project = None if chosen is None else (chosen / "project").resolve()
            call = Call(TOY if arguments.rehearse else Size(), "cpu" if arguments.rehearse else "cuda", project, work)
            outcomes = run_items(chosen_items(items_of(call), arguments.only), call, out, arguments.budget)
        bad = sum(one.status != "passed" for one in outcomes)
        print(f"{out}: {len(outcomes) - bad} of {len(outcomes)} items passed")
        sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
