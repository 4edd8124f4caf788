"""What holds for every artifact, whatever it shows."""

import re
from pathlib import Path

import pandas as pd
import pytest
from report_runs import changed, make_artifact, make_data, names, percent, without

from pipeline import paths
from pipeline.params import load_params
from pipeline.report.artifact import Artifact
from pipeline.report.artifacts import IDS, load
from pipeline.report.html import GROUPS
from pipeline.report.published import MARKS, OTHER, REPRODUCED
from pipeline.report.tables import write_points
from pipeline.stages.figure import make, read

REPOSITORY = Path(__file__).parents[2]
TRAINED = [name for name in IDS if load(name).runs]
DRAWN = [name for name in IDS if load(name).draw]
METRICS = {"a-fig6a": "DSC_val", "b-fig3d": "accuracy_val"}
NEEDED = {
    "a-fig1": ["scribble_sizes/pce-crf-len000"],
    "a-fig3x": ["size_losses/reverse-kl-suppression", "size_noise/size-mre00", "size_noise/full"],
    "a-fig4a": ["size_noise/size-crf-mre08"],
    "a-fig4b": ["scribble_sizes/size-mre16-len050", "size_noise/full"],
    "a-fig5b": ["annotated/animals-annotated", "annotated/animals-full"],
    "a-fig6a": ["acdc/mean-size"],
    "a-tab1": ["annotated/dog-size"],
    "a-tab2": ["backbones/coco-vit-size"],
    "a-claims": ["backbones/vit-full", "size_noise/size-mre04"],
    "b-appb2": ["solvers/fast-len100", "potts/q-len100"],
    "b-claims": ["methods/gd-nn-len100", "label_noise/rce-eta50", "blocks/ade20k-cd", "potts/lq-len050"],
    "b-fig3d": ["label_noise/rce-eta50"],
    "b-fig4": ["cross_entropies/hard-len100", "cross_entropies/rce-len050", "potts/q-len000"],
    "b-fig6": ["methods/soft-dn-len000"],
    "b-sec33": ["methods/soft-dn-len100"],
    "b-tab3": ["potts/cd-len050"],
    "b-tab4": ["methods/hard-dn-len100"],
    "b-tab5": ["scribble_resnet_potts/cd-12", "scribble_resnet/cd-16-single"],
    "b-tab6": ["blocks/ade20k-cd"],
    "x-cost": ["scribble_resnet_potts/densecrf-12"],
    "x-cross": ["cross_seeds/pce-len050"],
}
"""Runs without which an artifact cannot be made."""
AXES = {
    "a-fig1": [("labelling time per image (s)", "mIoU on validation images (%)")],
    "a-fig3": [(r"average prediction $\bar S^1$ (fraction of the image)", "divergence (nats)")],
    "a-fig3x": [("mIoU on validation images (%)", ""), ("pixels predicted background (%)", "")],
    "a-fig4a": [("mean relative error of the size targets, mRE (%)", "mIoU (%)")],
    "a-fig4b": [("scribble length (fraction of the full length)", "mIoU on validation images (%)")],
    "a-fig5a": [("relative error of the annotated size (%)", "share of the sizes of the class (%)\nper 5 % of error")],
    "a-fig5b": [("mean relative error of the size targets, mRE (%)", "mIoU, cat, dog, bird and background (%)")],
    "a-fig6a": [("mean relative error of the size targets, mRE (%)", "DSC on validation slices (%)")],
    "a-tab1": [("mIoU of class and rest (%)", "")],
    "a-tab2": [("mIoU (%)", "")] * 3,
    "b-appb1": [("soft Jaccard (%)", ""), ("energy above the lowest known (%)", "")],
    "b-appb2": [("mIoU on validation images (%)", ""), ("time of a training step (last row = 1)", "")],
    "b-claims": [("difference (points, 95 % interval)", "")],
    "b-fig1": [*[("$l_i$", "$l_j$"), ("$x_i$", "$x_j$")] * 3, ("", "cost P")] * 2,
    "b-fig2": [
        ("", ""),
        ("", "cost P"),
        ("", ""),
        ("", ""),
        *[("progress of the move (fraction)", label) for label in ("cost P", "")],
    ],
    "b-fig3abc": [(r"prediction $\sigma^1$ (probability)", label) for label in ("cross-entropy (nats)", "", "")],
    "b-fig3d": [("corrupted training labels (%)", "accuracy on test images (%)")],
    "b-fig4": [
        ("", "mIoU on validation images (%)"),
        ("scribble length (fraction of the full length)", "difference to\nstandard $H_\\mathrm{CE}$ (points)"),
    ],
    "b-fig6": [("scribble length (fraction of the full length)", label) for label in ("mIoU on validation images (%)", "")],
    "b-sec33": [("mIoU on validation images (%)", "")],
    "b-tab3": [
        *[("", "mIoU on validation images (%)")] * 2,
        *[("scribble length (fraction of the full length)", "difference to\n$P_\\mathrm{Q}$ (points)")] * 2,
    ],
    "b-tab4": [("mIoU on validation images (%)", "")],
    "b-tab5": [("mIoU on validation images (%)", "")],
    "b-tab6": [("mIoU on validation images (%)", "")] * 2,
    "x-cost": [("annotation time per image (s)", "mIoU on validation images (%)")],
    "x-cross": [("scribble length (fraction of the full length)", "mIoU on validation images (%)")],
}
"""Labels of the axes of every figure that is not made of pictures."""
TABLES = {
    "a-fig1": "supervision, seconds per image, PASCAL VOC, seconds per image, our data set, mIoU *, accuracy, time per item",
    "a-fig5a": "class, annotated sizes, mRE published, mRE ours, mRE difference, median error, below 10 %, seconds per size",
    "a-tab1": "class, mask *, exact size *, annotated size *, seconds per image published, seconds per image ours, mRE published,"
    " mRE ours, annotator of ours",
    "a-tab2": "method, stages, PASCAL val mIoU *, PASCAL test mIoU *, COCO val mIoU *, realised mRE of objects, test server,"
    " source",
    "a-claims": "claim, paper, where, published, ours, difference, detectable, n, comparisons, verdict, corrected",
    "b-appb1": "energy, solver, images, soft Jaccard (%) published, soft Jaccard (%) ours, soft Jaccard (%) ours std,"
    " soft Jaccard difference, soft Jaccard (%) worst image, energy gap (%) mean, energy gap (%) worst image,"
    " milliseconds per image, converged (%)",
    "b-appb2": "pseudo-labels (steps of the paper), steps of ours, mIoU *, change published, change ours,"
    " change ours std, step, times plain cross-entropy, time, ratio published, time, ratio ours",
    "b-claims": "claim, paper, where, published, ours, difference, detectable, n, comparisons, verdict, corrected",
    "b-fig4": "cross-entropy, 0 published, 0 ours, 0 difference, 0.5 published, 0.5 ours, 0.5 difference, 1 published, 1 ours,"
    " 1 difference",
    "b-fig6": "method, 0 ours, 0.5 ours, 1 published, 1 ours, 1 difference, printed number",
    "b-sec33": "neighbourhood, published, ours, ours std, difference",
    "b-tab3": "relaxation, 0 *, 0.5 *, 1 *",
    "b-tab4": "method, NN *, DN *, NN printed number, DN printed number",
    "b-tab5": "group, method, architecture, batch size (paper), optimisation, neighbourhood, published, ours,"
    " ours std, difference, source, printed number",
    "b-tab6": "method, supervision, Cityscapes *, ADE20K *, source, printed number",
    "x-cost": "supervision, seconds per image, PASCAL VOC, seconds per image, our data set, published, ours, ours std,"
    " difference, source",
    "x-cross": "supervision, 0 ours, 0 ours std, 0 difference, 0.5 ours, 0.5 ours std, 0.5 difference, 1 ours, 1 ours std,"
    " 1 difference",
}
"""Columns of every table; `NN *` stands for NN published, NN ours, NN ours std and NN difference."""


def declared(artifact: Artifact):
    """Return the files that the stage of an artifact writes."""
    figure, table = paths.figure(artifact.id), paths.table(artifact.id)
    suffixes = [
        (figure, (".svg", ".png") if artifact.draw else ()),
        (table, (".csv", ".md", ".tex") if artifact.tabulate else ()),
    ]
    return {paths.plotted(artifact.id), *(stem.with_suffix(suffix) for stem, of in suffixes for suffix in of)}


def written(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", IDS)
def test_an_artifact_says_what_it_is(name):
    artifact = load(name)
    assert name[0] in GROUPS
    assert artifact.title
    assert all(text.endswith(".") for text in (artifact.shows, artifact.paper, artifact.look_for))
    assert all(place == place.lower() for place in artifact.places)


def test_an_unknown_artifact_is_named():
    with pytest.raises(ValueError, match=r"expected one of a-fig1, .*, got 'c-fig1'"):
        load("c-fig1")


def test_artifacts_stand_in_the_order_of_the_papers():
    assert IDS[:3] == ("a-fig1", "a-fig2", "a-fig3")
    assert IDS.index("b-fig7") < IDS.index("b-tab3") < IDS.index("b-sec33") < IDS.index("b-appb1") < IDS.index("b-claims")


@pytest.mark.parametrize("name", IDS)
def test_drawing_again_gives_the_same_bytes_from_the_declared_files_alone(files, results_of_three_seeds, name):
    artifact = load(name)
    for family in artifact.families:
        write_points(results_of_three_seeds.query("family == @family"), paths.results(family))
    for path in sorted((path for path in Path().rglob("*") if path.is_file()), reverse=True):
        if not any(path.is_relative_to(used) for used in artifact.files):
            path.unlink()
    before = written(files)
    make(artifact, read(artifact))
    first = written(files)
    assert set(first) - set(before) == declared(artifact)
    make(artifact, read(artifact))
    assert written(files) == first


def test_every_artifact_with_runs_has_some_that_it_needs():
    assert set(NEEDED) == set(TRAINED)


@pytest.mark.parametrize(("name", "run"), [(name, run) for name, runs in NEEDED.items() for run in runs])
def test_a_missing_run_is_named_by_its_fields(files, results, published, name, run):
    family = run.split("/")[0]
    with pytest.raises(ValueError, match=rf"^{name}: 1 of \d+ runs missing: \(family={family}, .*=.*\)"):
        load(name).compute(make_data(name, without(results, run), published))


@pytest.mark.parametrize("name", TRAINED)
def test_runs_have_the_same_seeds(files, results_of_three_seeds, published, name):
    gap = (names(results_of_three_seeds) == NEEDED[name][0]) & (results_of_three_seeds["seed"] == 2)
    with pytest.raises(ValueError, match=f"^{name}: expected the same seeds of all runs, missing: .*, seed 2"):
        load(name).compute(make_data(name, results_of_three_seeds[~gap], published))


@pytest.mark.parametrize("name", TRAINED)
def test_profiles_are_not_mixed(files, results, published, name):
    with pytest.raises(ValueError, match=f"^{name}: expected runs of one profile"):
        load(name).compute(make_data(name, changed(results, NEEDED[name][0], profile="paper"), published))


@pytest.mark.parametrize("name", [name for name in TRAINED if not name.endswith("claims")])
def test_a_run_without_its_metric_is_named(files, results, published, name):
    broken = changed(results, NEEDED[name][0], **{METRICS.get(name, "mIoU_val"): float("nan")})
    with pytest.raises(ValueError, match=rf"^{name}: expected a value of .* of the run with family="):
        load(name).compute(make_data(name, broken, published))


@pytest.mark.parametrize("name", TRAINED)
def test_runs_of_other_artifacts_reach_neither_numbers_nor_note(files, results, published, name):
    used = set(names(make_data(name, results, published).runs.rows))
    others = changed(results, set(names(results)) - used, by=0.1, profile="paper", device="cuda")
    pd.testing.assert_frame_equal(make_artifact(name, others, published).frame, make_artifact(name, results, published).frame)
    figure = make_artifact(name, others, published).figure
    assert figure is None or "paper" not in figure.get_supxlabel()


@pytest.mark.parametrize("name", [name for name in TRAINED if not name.endswith("claims")])
def test_ours_is_the_run_that_is_named_and_the_difference_is_to_the_printed_number(made, results, name):
    frame = made(name).frame
    if "run" in frame:
        trained = frame[frame["ours_percent"].notna()]
        expected = [percent(results, run, METRICS.get(name, "mIoU_val")) for run in trained["run"]]
        assert trained["ours_percent"].tolist() == pytest.approx(expected)
        assert len(trained)
    if "difference_points" in frame:
        comparable = frame["origin"] != OTHER if "origin" in frame else frame["ours_percent"].notna()
        difference = (frame["ours_percent"] - frame["published_percent"]).where(comparable).astype(float)
        pd.testing.assert_series_equal(frame["difference_points"], difference, check_names=False)


@pytest.mark.parametrize("name", [name for name in TRAINED if not name.endswith("claims")])
def test_printed_numbers_are_printed(made, published, name):
    frame = made(name).frame
    if "published_percent" in frame:
        assert set(frame["published_percent"].dropna()) <= set(published["value"])
        assert name[0] == "x" or name in ("a-fig3x", "a-fig6a", "b-fig3d") or frame["published_percent"].notna().any()


@pytest.mark.parametrize("name", [name for name in TRAINED if not name.endswith("claims")])
def test_seeds_are_averaged_with_their_deviation(made, results, results_of_three_seeds, name):
    one, three = made(name).frame, made(name, results_of_three_seeds).frame
    metric = "mIoU" if "mIoU_percent" in one else "ours"
    trained = three[three[f"{metric}_percent"].notna()]
    assert set(trained["seeds"]) == {3}
    assert (three[f"{metric}_percent"] - one[f"{metric}_percent"]).dropna().to_numpy() == pytest.approx(1)
    assert trained[f"{metric}_std_percent"].to_numpy() == pytest.approx(1)
    assert one[f"{metric}_std_percent"].isna().all()


@pytest.mark.parametrize("name", DRAWN)
def test_axes_have_labels_and_units(made, name):
    figure = made(name).figure
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes if not axes.images]
    assert labels == AXES.get(name, [("", "")] * len(labels))


@pytest.mark.parametrize("name", DRAWN)
def test_the_scale_of_what_was_trained_is_noted_below_the_figure(made, results_of_three_seeds, name):
    drawing = made(name, results_of_three_seeds)
    seeds = "seeds 0, 1, 2" if drawing.artifact.runs else "seed 0"
    trained = drawing.artifact.behind
    text = f"embedded scale, cpu, {seeds} - not comparable with published numbers" if trained else drawing.artifact.note
    assert drawing.figure.get_supxlabel().replace("\n", " ") == text


@pytest.mark.parametrize(("name", "starred"), [("b-tab4", 2), ("b-tab5", 5), ("b-tab6", 1)])
def test_numbers_that_were_reproduced_for_the_paper_have_an_asterisk(made, name, starred):
    drawing = made(name)
    labels = [tick.get_text() for axes in drawing.figure.axes for tick in axes.get_yticklabels() if tick.get_text()]
    assert sum(MARKS[REPRODUCED] in label for label in labels) == starred
    assert drawing.frame.loc[drawing.frame["origin"] == REPRODUCED, "series"].nunique() == starred


def test_numbers_of_another_network_are_no_measure(made):
    row = made("b-tab4").frame.set_index("series").loc["hard self-labelling, DN"]
    assert (row["published_percent"], row["origin"]) == (63.1, OTHER)
    assert pd.isna(row["difference_points"])
    assert made("b-fig6").frame["published_percent"].max() == 71.1
    assert 63.1 not in set(made("b-fig6").frame["published_percent"])


def test_every_table_has_the_columns_it_should():
    assert set(TABLES) == {name for name in IDS if load(name).tabulate}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_columns(made, name):
    numbers = r"\1 published, \1 ours, \1 ours std, \1 difference"
    assert ", ".join(made(name).table) == re.sub(r"([^,]+) \*", numbers, TABLES[name]).replace(",  ", ", ")


TRACKED = [name for name in TABLES if name not in ("a-fig5a", "b-appb1", "a-claims", "b-claims", "x-cross")]


@pytest.mark.parametrize("name", TRACKED)
def test_the_best_epoch_gets_columns_only_where_tracked(made, results, name):
    assert not any("best" in column for column in made(name).table)
    table = made(name, results.assign(mIoU_val_best=0.987)).table
    best = [column for column in table if column.endswith("ours, best epoch")]
    assert best
    assert table[best].stack().dropna().to_numpy() == pytest.approx(98.7)


MARKED = [name for name in TRACKED if load(name).mark_best]


def columns_of(drawing):
    """Make an artifact's files and return each column of its table as texts, without bars."""
    make(drawing.artifact, drawing.data)
    text = paths.table(drawing.artifact.id).with_suffix(".md").read_text().split("\n\n")[0]
    head, _, *lines = [[cell.strip("| ") for cell in line.split(" | ")] for line in text.splitlines()]
    return {column: [line[place] for line in lines] for place, column in enumerate(head)}


@pytest.mark.parametrize("name", MARKED)
def test_the_best_of_each_column_of_rivals_is_bold(made, name):
    drawing = made(name)
    rivals = drawing.artifact.compared(drawing.table) if drawing.artifact.compared else [True] * len(drawing.table)
    for column, cells in columns_of(drawing).items():
        if "steps" in column:
            continue  # text
        bold = {float(cell.strip("*").split()[0]) for cell in cells if cell.startswith("**")}
        numbers = [
            float(re.split("[* ±]+", cell.strip("*"))[0])
            for cell, rival in zip(cells, rivals, strict=True)
            if rival and re.match(r"\*?\*?[-+]?\d", cell)
        ]
        if column.endswith((" published", " ours")) and numbers:
            best = min if column.startswith(drawing.artifact.lower_is_better) else max
            assert bold == {best(numbers)}, column
        elif not column.endswith(("published", "ours")):
            assert not bold, column


@pytest.mark.parametrize("name", ["a-fig1", "a-tab1", "x-cost"])
def test_nothing_is_bold_where_rows_are_no_rivals(made, name):
    assert not any(cell.startswith("**") for cells in columns_of(made(name)).values() for cell in cells)


def test_full_masks_are_no_rivals_of_scribbles_and_blocks(made, results):
    better = changed(results, ["scribble_resnet/full-12", "scribble_resnet/full-16"], by=0.5)
    group, ours = (columns_of(made("b-tab5", better))[column] for column in ("group", "ours"))
    assert [name for name, cell in zip(group, ours, strict=True) if cell.startswith("**")] == ["scribbles, Potts relaxations"]


@pytest.mark.parametrize("name", ["b-tab3", "b-tab5", "b-appb2"])
def test_a_training_that_failed_is_marked_in_the_table_and_not_bold(made, results, name):
    run = NEEDED[name][0]
    rows = changed(results.assign(failed=names(results) == run), run, by=0.4)
    cells = [cell for column, of in columns_of(made(name, rows)).items() for cell in of if column.endswith("ours")]
    assert any(cell.endswith(" (failed)") for cell in cells)
    assert not any("failed" in cell for cell in cells if cell.startswith("**"))


FAILABLE = [name for name in TRAINED if not name.endswith("claims")]


@pytest.mark.parametrize("name", FAILABLE)
def test_a_training_that_failed_is_visible_as_such(made, results, name):
    fine = made(name, results.assign(failed=False))
    assert "failed" not in fine.figure.get_supxlabel()
    trained = next(run for run in fine.frame["run"] if run) if "run" in fine.frame else str(NEEDED[name][0])
    family, run = trained.split("/")
    failed = made(name, results.assign(failed=(results["family"] == family) & (results["run"] == run)))
    assert f"training failed by its loss: {trained}" in failed.figure.get_supxlabel().replace("\n", " ")
    if {"failed", "run"} <= set(failed.frame):
        assert failed.frame.loc[failed.frame["run"] == trained, "failed"].any()
    assert len(crosses(failed.figure)) > len(crosses(fine.figure))


def crosses(figure):
    """Return what strikes through a training that failed."""
    lines = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]
    return [*lines, *(text for axes in figure.axes for text in axes.texts if "training failed" in text.get_text())]


@pytest.mark.parametrize("name", IDS)
def test_runs_behind_an_artifact_are_in_the_settings(name):
    families = load_params(REPOSITORY / paths.PARAMS, REPOSITORY / paths.EXPERIMENTS).runs
    artifact = load(name)
    for where in artifact.behind:
        assert where.family in families
        assert dict(where.fields).get("run", next(iter(families[where.family]))) in families[where.family]
