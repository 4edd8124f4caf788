"""params.yaml: the committed file is valid, its schema is in step, and every kind of mistake is named."""

import copy
import io

import pytest
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.crf.dense import DENSE_FILTERS
from pipeline.crf.neighborhoods import NEIGHBORHOODS
from pipeline.datasets.registry import DATASETS
from pipeline.import_graph import REPOSITORY
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.losses.size import SIZE_LOSSES
from pipeline.networks import CLASSIFIERS, NETWORKS
from pipeline.params import (
    SCHEMA,
    Augmentation,
    Barrier,
    ClassLabels,
    Dataset,
    DenseCrf,
    Features,
    Network,
    Objective,
    ParamsError,
    Potts,
    Proposals,
    Run,
    Seeds,
    SelfLabeling,
    Size,
    SizeTargets,
    Solver,
    Subset,
    Supervision,
    Synthetic,
    Training,
    json_schema,
    load_params,
    read_families,
)
from pipeline.runs import Job
from pipeline.solver import SOLVERS
from pipeline.training.objectives import TERMS
from pipeline.training.schedule import OPTIMIZERS, SCHEDULES

COMMITTED = YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text())


def committed():
    """Return the content of params.yaml with the families of runs under `runs`."""
    return {**copy.deepcopy(COMMITTED), "runs": read_families()}


@pytest.fixture
def load(tmp_path):
    """Return a function that writes a tree as params.yaml and its part `runs` as families, and loads them."""

    def write(path, tree):
        text = io.StringIO()
        YAML(typ="safe").dump(tree, text)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.getvalue())

    def write_and_load(tree):
        settings = dict(tree)
        for family, content in settings.pop("runs").items():
            write(tmp_path / "experiments" / family / "runs.yaml", content)
        write(tmp_path / "params.yaml", settings)
        return load_params(tmp_path / "params.yaml", tmp_path / "experiments")

    return write_and_load


def changed(*keys, value):
    """Return the committed tree, families of runs under `runs`, with one value replaced or added."""
    tree = section = committed()
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    return tree


def test_committed_file_is_valid():
    assert load_params(REPOSITORY / "params.yaml").profile == COMMITTED["profile"]


def test_schema_file_is_in_step_with_the_models():
    assert SCHEMA.read_text() == json_schema(), "run `make schema`"


def test_exponents_without_a_point_are_numbers(tmp_path):
    text = (REPOSITORY / "params.yaml").read_text().replace("learning_rate: 0.075", "learning_rate: 75e-3")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").solver["paper"].learning_rate == 0.075


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("noise", "sigme"), 0.1, "noise.sigme: unknown key"),
        (("training", "size", "epoch"), 3, "training.size.epoch: unknown key"),
        (("supervision", "voc-sizes-mre{mre}", "sizes", "mre"), [1e308], "mre: expected whole hundredths"),
        (("noise", "sigma"), -0.1, "noise.sigma: Input should be greater than or equal to 0, got -0.1"),
        (("noise", "sigma"), "0.1", "noise.sigma: Input should be a valid number, got '0.1'"),
        (("training", "size", "epochs"), 1.5, "training.size.epochs: Input should be a valid integer, got 1.5"),
        (("objectives", "size", "size", "loss"), "kl", "'forward_kl', 'reverse_kl', 'log_barrier' or 'flat_barrier', got 'kl'"),
        (("training", "size", "image_size_px"), 65, "training.size.image_size_px: segmentation needs a multiple of 16, got 65"),
        (("runs", "size_noise", "runs", "full", "network"), "vgg", "size_noise.full.network = 'vgg' names nothing in networks"),
        (("training", "base", "epochs"), 0, "training.base.epochs: Input should be greater than or equal to 1, got 0"),
        (("training", "base", "epoch"), 3, "training.base.epoch: unknown key"),
        (("terms", "potts", "weight"), -1.0, "terms.potts.weight: Input should be greater than or equal to 0, got -1.0"),
        (("terms", "pots"), {}, "terms.pots: unknown key"),
        (("levels", "mre"), [0.005], "levels.mre.0: Input should be a multiple of 0.01, got 0.005"),
        (
            ("supervision", "voc-{length}"),
            {"dataset": "voc"},
            "voc-{length}: {length} needs length: a list of values or the word",
        ),
        (
            ("supervision", "voc-scribbles-{length_ratio}", "seeds", "width"),
            3,
            "voc-scribbles-{length_ratio}.seeds.width: unknown",
        ),
        (("runs", "potts", "runs", "{loss}"), {"loss": []}, "potts/runs.yaml: {loss}: {loss} needs loss: a list of values"),
        (("runs", "seeds", "shared", "dataset"), "coco", "pce-len{length_ratio}.dataset: follows from the supervision"),
        (("runs", "seeds", "run"), {}, "seeds/runs.yaml: expected the mappings `runs` and perhaps `shared`"),
        (
            ("runs", "seeds", "shared", "epochs"),
            3,
            "seeds.pce-len000, runs.seeds.pce-len030, runs.seeds.pce-len050 and 2 more.epochs",
        ),
        (("figures", "headline"), ["seeds/none"], "figures.headline = 'seeds/none' names nothing in runs"),
        (("figures", "headline"), ["seeds/pce-len100"] * 2, "figures.headline: expected different entries, got"),
        (("datasets", "voc", "classes"), ["cat", "cat"], "voc.classes: expected different entries, got 'cat' more than once"),
        (("datasets", "voc", "classes"), [], "datasets.voc.classes: List should have at least 1 item"),
        (("datasets", "voc", "synthetic", "classes"), ["cat", "cat"], "voc.synthetic.classes: expected different entries"),
        (("supervision", "animals-masks", "subset", "classes"), ["cat"] * 2, "animals-masks.subset.classes: expected different"),
        (("levels", "mre"), [0.04, 0.08, 0.04], "levels.mre: expected different entries, got 0.04 more than once"),
        (("training", "base", "augmentation"), {"scale_min": 3.0}, "scale_min: expected at most scale_max, 2, got 3"),
        (("terms", "barrier", "object_min"), 0.5, "terms.barrier: object_min: expected at most object_max, 0.07, got 0.5"),
        (("supervision", "voc-sizes", "sizes"), {"source": "mean", "mre": 0.1}, "sizes: mre: only source exact reads it"),
        (("datasets", "voc", "source"), "Synthetic ", "datasets.voc: source: write synthetic, got 'Synthetic '"),
        (("training", "base", "epochs"), 10**30, "training.base.epochs: Input should be less than or equal to 1000000000"),
        (("training", "base", "image_size_px"), 2**20, "image_size_px: Input should be less than or equal to 8192"),
        (("training", "base", "workers"), 10**5, "training.base.workers: Input should be less than or equal to 512"),
    ],
)
def test_mistake_is_rejected_with_key_and_value(load, keys, value, message):
    with pytest.raises(ParamsError) as error:
        load(changed(*keys, value=value))
    assert message in str(error.value)


def test_unknown_key_message_lists_the_known_ones(load):
    with pytest.raises(ParamsError, match="known keys: kind, steps, learning_rate, tolerance"):
        load(changed("solver", "paper", "rate", value=1.0))


def test_all_problems_are_reported_at_once(load):
    tree = changed("noise", "sigma", value=-1.0)
    tree["solver"]["paper"]["steps"] = 0
    with pytest.raises(ParamsError, match="2 problems"):
        load(tree)


def test_objective_without_its_supervision_is_rejected(load):
    with pytest.raises(ParamsError, match=r"needs masks, which supervision 'voc-sizes' does not give"):
        load(changed("runs", "size_noise", "runs", "full", "supervision", value="voc-sizes"))


def test_size_targets_on_crops_are_rejected(load):
    with pytest.raises(ParamsError, match="size targets hold for whole images"):
        load(changed("training", "size", "input", value="crop"))


def test_epsilon_of_proposals_beyond_the_classes_is_rejected(load):
    """It would be found out by the loss, after an hour of graph cuts."""
    with pytest.raises(
        ParamsError, match=r"trust-region-100\.proposals\.epsilon: expected below 0\.75 with the 4 classes of runs\..*, got 0\.8"
    ):
        load(changed("objectives", "trust-region-100", "proposals", "epsilon", value=0.8))


def test_objective_without_terms_is_rejected(load):
    with pytest.raises(ParamsError, match="at least one of masks"):
        load(changed("objectives", "size", value={}))


def test_missing_file_names_the_remedy(tmp_path):
    with pytest.raises(ParamsError, match="run from the repository root"):
        load_params(tmp_path / "params.yaml")


def test_broken_yaml_names_the_line(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: 0\nnoise: [1\n")
    with pytest.raises(ParamsError, match="line"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("model", "field", "registry"),
    [
        (Dataset, "kind", DATASETS),
        (Network, "kind", [*NETWORKS, *CLASSIFIERS]),
        (Size, "loss", SIZE_LOSSES),
        (DenseCrf, "mode", DENSE_FILTERS),
        (SelfLabeling, "cross_entropy", CROSS_ENTROPIES),
        (SelfLabeling, "relaxation", RELAXATIONS),
        (SelfLabeling, "neighborhood", (set(NEIGHBORHOODS) - {"sparse"}) | {"dense"}),
        (Potts, "neighborhood", NEIGHBORHOODS),
        (Potts, "relaxation", RELAXATIONS),
        (Solver, "kind", SOLVERS),
        (Training, "optimizer", OPTIMIZERS),
        (Training, "schedule", SCHEDULES),
    ],
)
def test_allowed_words_equal_the_registry(model, field, registry):
    assert set(model.model_fields[field].annotation.__args__) == set(registry)


def test_objective_fields_equal_the_terms():
    assert set(Objective.model_fields) == set(TERMS)


MODELS = (
    Augmentation,
    Barrier,
    ClassLabels,
    DenseCrf,
    Features,
    Network,
    Objective,
    Potts,
    Proposals,
    Run,
    Seeds,
    SelfLabeling,
    Size,
    SizeTargets,
    Solver,
    Subset,
    Supervision,
    Synthetic,
    Training,
)


def test_defaults_are_pinned():
    """A default that stands nowhere in params.yaml is tracked by nothing: DVC would keep the old results."""
    defaults = {
        f"{model.__name__}.{name}": field.default
        for model in MODELS
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    assert defaults == {
        "Augmentation.flip": True,
        "Augmentation.color_jitter": 0.0,
        "Augmentation.scale_min": 0.5,
        "Augmentation.scale_max": 2.0,
        "Augmentation.blur": False,
        "Barrier.weight": 1.0,
        "ClassLabels.corrupted": 0.0,
        "DenseCrf.sigma_rgb": 15.0,
        "DenseCrf.sigma_xy_px": 100.0,
        "DenseCrf.scale_factor": 0.5,
        "DenseCrf.mode": "nystrom",
        "DenseCrf.landmarks": 128,
        "Network.encoder": None,
        "Network.weights": None,
        "Network.output_stride": 16,
        "Network.width": 16,
        "Network.freeze_batch_norm": False,
        "Network.freeze_encoder": False,
        "Network.freeze_stem": False,
        "Network.drop_path": 0.0,
        "Objective.masks": None,
        "Objective.seeds": None,
        "Objective.size": None,
        "Objective.barrier": None,
        "Objective.image_labels": None,
        "Objective.potts": None,
        "Objective.proposals": None,
        "Objective.dense_crf": None,
        "Objective.self_labeling": None,
        "Potts.relaxation": "bl",
        "Potts.neighborhood": "grid8",
        "Potts.weight": 100.0,
        "Potts.sigma_rgb": None,
        "Potts.entropy_weight": 0.0,
        "Proposals.every_epochs": 5,
        "Proposals.unary_weight": 0.05,
        "Proposals.pairwise_weight": 100.0,
        "Proposals.epsilon": 0.944,
        "Proposals.weight": 1.0,
        "Features.subset": None,
        "Run.features": None,
        "Run.start": None,
        "Run.score_train": False,
        "Run.trial": None,
        "Run.repetitions": None,
        "Seeds.kind": "scribbles",
        "Seeds.length_ratio": 1.0,
        "Seeds.width_px": 3,
        "Seeds.min_area_fraction": 0.001,
        "Seeds.block_ratio": 0.5,
        "Seeds.iterations": 10,
        "Seeds.file": None,
        "SelfLabeling.neighborhood": "grid4",
        "SelfLabeling.sigma_xy_px": 100.0,
        "SelfLabeling.landmarks": 128,
        "SelfLabeling.unary_weight": 0.3,
        "SelfLabeling.pairwise_weight": 6.0,
        "SelfLabeling.sigma_rgb": 9.0,
        "SelfLabeling.entropy_weight": 0.0,
        "SelfLabeling.solver": "paper",
        "SelfLabeling.labels": "soft",
        "Size.weight": 1.0,
        "Size.suppression": 0.0,
        "SizeTargets.source": "exact",
        "SizeTargets.mre": None,
        "SizeTargets.file": None,
        "SizeTargets.combine": "median",
        "Solver.steps": None,
        "Solver.learning_rate": None,
        "Solver.tolerance": None,
        "Subset.images": "containing",
        "Supervision.subset": None,
        "Supervision.masks": False,
        "Supervision.tags": False,
        "Supervision.sizes": None,
        "Supervision.seeds": None,
        "Supervision.labels": None,
        "Synthetic.classes": None,
        "Synthetic.width_px": 96,
        "Synthetic.height_px": 72,
        "Training.head_lr_factor": 10.0,
        "Training.optimizer": "sgd",
        "Training.momentum": 0.9,
        "Training.weight_decay": 0.0005,
        "Training.power": 0.9,
        "Training.schedule": "polynomial",
        "Training.input": "resize",
        "Training.augmentation": Augmentation(),
        "Training.precision": "float32",
        "Training.workers": 0,
        "Training.cache_images": False,
        "Training.validate_every_epochs": 0,
    }, "write the new value into params.yaml instead, or force every training: dvc repro --force"


def test_family_with_and_without_start_is_rejected(load):
    with pytest.raises(ParamsError, match="either all runs have `start` or none"):
        load(changed("runs", "seeds", "runs", "more", value={"supervision": "voc-scribbles-100", "start": "seeds/pce-len100"}))


def test_a_run_that_many_start_from_is_missed_once(load):
    tree = committed()
    tree["runs"]["seeds"]["runs"]["pce-len{length_ratio}"]["length_ratio"] = [0.0, 0.5, 0.8, 1.0]
    with pytest.raises(ParamsError, match=r"runs\.\S+\.start, .* and \d+ more = 'seeds/pce-len030' names nothing") as error:
        load(tree)
    assert str(error.value).count("seeds/pce-len030'") == 1


def test_unknown_run_is_answered_with_those_that_look_like_it(load):
    with pytest.raises(
        ParamsError, match=r"'size_noise/fulll' names nothing in runs \(there: size_noise/full, .* more\)"
    ) as error:
        load(changed("figures", "headline", value=["size_noise/fulll"]))
    assert len(str(error.value)) < 600


def test_a_mistake_in_a_product_is_reported_once(load):
    with pytest.raises(ParamsError, match="1 problem\n"):
        load(changed("supervision", "voc-scribbles-{length_ratio}", "seeds", "width_px", value=0))


@pytest.mark.parametrize("family", sorted(path.parent.name for path in (REPOSITORY / paths.EXPERIMENTS).glob("*/runs.yaml")))
def test_any_family_can_be_taken_out(load, family):
    tree = committed()
    del tree["runs"][family]
    params = load(tree)
    assert family not in params.runs


def test_a_family_that_starts_from_a_missing_one_is_known(load):
    tree = committed()
    del tree["runs"]["scribble_resnet"]
    params = load(tree)
    assert params.left_out("scribble_resnet_potts") == "its runs start from those of scribble_resnet, which is not there"


def test_runs_may_be_left_out(load):
    tree = committed()
    tree["without"] = ["methods/*-dn-*", "potts/exact-len100", "blocks/*", "not-there/*"]
    whole, fewer = load(committed()), load(tree)
    left_out = {f"{family}/{name}" for family in whole.runs for name in set(whole.runs[family]) - set(fewer.runs[family])}
    assert {run for run in left_out if not run.startswith(("methods", "blocks"))} == {"potts/exact-len100"}
    assert all("-dn-" in run for run in left_out if run.startswith("methods"))
    assert "hard-nn-len000" in fewer.runs["methods"]
    assert "`without` names all" in fewer.left_out("blocks")


@pytest.mark.parametrize("pattern", ["potts/exact-len030", "potts", "*/nothing"])
def test_what_is_left_out_must_be_there(load, pattern):
    tree = committed()
    tree["without"] = [pattern]
    with pytest.raises(ParamsError, match=r"without: '.*' names no run; write family/run"):
        load(tree)


def test_a_run_that_others_start_from_cannot_be_left_out(load):
    tree = committed()
    tree["without"] = ["seeds/pce-len100"]
    with pytest.raises(ParamsError, match="'seeds/pce-len100' names nothing in runs"):
        load(tree)


def with_trials():
    """Return the committed tree with a few factors, so that the families of trials have runs."""
    tree = committed()
    tree["levels"] |= {"rate_factor": [1.0, 2.0, 8.0], "weight_factor": [0.5]}
    return tree


def test_families_of_trials_are_left_out_where_no_factor_is_tried(load):
    params = load(committed())
    assert [family for family in params.runs if params.left_out(family)] == [
        "search",
        "search_labels",
        "search_potts",
        "search_scans",
    ]
    tried = load(with_trials())
    assert not any(map(tried.left_out, params.runs))
    assert tried.repetitions_of(tried.run("search", "pce-rate100-len100")) == 1


def test_a_trial_has_the_rate_and_the_weight_that_are_tried(load):
    params = load(with_trials())
    usual, faster, weaker = (
        Job("search", name, params) for name in ("size-crf-rate100", "size-crf-rate200", "size-crf-weight50")
    )
    assert faster.training.learning_rate == 2 * usual.training.learning_rate == 2 * weaker.training.learning_rate
    assert weaker.objective["dense_crf"]["weight"] == 0.5 * usual.objective["dense_crf"]["weight"]
    assert faster.objective == usual.objective


def test_a_trial_of_pseudo_labels_changes_their_pull_and_not_the_labels(load):
    params = load(with_trials())
    usual, weaker = (Job("search_potts", f"soft-{trial}-len100", params).objective for trial in ("rate100", "weight50"))
    usual, weaker = (objective["self_labeling"] for objective in (usual, weaker))
    assert weaker["unary_weight"] == 0.5 * usual["unary_weight"]
    assert weaker["unary_weight"] / weaker["pairwise_weight"] == usual["unary_weight"] / usual["pairwise_weight"]


def test_a_trial_must_not_start_from_a_run_that_saw_its_scored_pictures(load):
    tree = with_trials()
    tree["runs"]["search_potts"]["shared"]["start"] = "seeds/pce-len100"
    with pytest.raises(ParamsError, match=r"search_potts\.gd-nn-rate100\.start: seeds/pce-len100 was trained on all pictures"):
        load(tree)


def test_a_run_must_not_have_more_repetitions_than_its_start(load):
    tree = with_trials()
    tree["runs"]["search_potts"]["shared"]["repetitions"] = 2
    with pytest.raises(ParamsError, match=r"repetitions: expected at most those of search/pce-rate800-len000, 1"):
        load(tree)


def test_a_missing_run_names_the_remedy():
    with pytest.raises(ParamsError, match=r"seeds/runs\.yaml: has no run pce-len060 \(there: .*run python -m pipeline\.wiring"):
        load_params().run("seeds", "pce-len060")


def test_exponents_keep_their_form_and_everything_else_its_place_when_dvc_changes_a_value(tmp_path):
    """`dvc exp run -S` rewrites the whole file; what it changes besides the value is a difference that nobody made."""
    from dvc.utils.hydra import apply_overrides

    before = (REPOSITORY / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(before)
    apply_overrides(tmp_path / "params.yaml", ["noise.sigma=0.2"])
    assert (tmp_path / "params.yaml").read_text() == before.replace("sigma: 0.1003", "sigma: 0.2")
