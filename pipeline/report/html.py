"""All results on one HTML page that needs no network: first what runs on real data decided, then every artifact.

`report_page` fills page/page.html from files under reports/ only. Figures are part of the page as vector graphics, or as pixels
where those are large; style and script are part of it too, so the file can be mailed or printed. Letters that figures share
stand once, and pictures are packed again, photos with a loss that is not seen. The same files give the same bytes. Nothing is
computed here: tables are shown as `report.tables` wrote them, verdicts as `report.claims` decided them.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from ruamel.yaml import YAML

from pipeline.files import read_json
from pipeline.report.artifact import Artifact
from pipeline.report.artifacts import IDS, load
from pipeline.report.style import scale_text

PHOTO_BYTES_PER_PIXEL = 0.4
"""A picture that needs more than this without loss is a photo or has noise."""
LARGEST_SVG_BYTES = 400_000
"""With more than this beside its pictures a figure is shown as pixels: browsers get slow with many paths."""
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
GLYPH = re.compile(r'<path id="(DejaVu[\w-]+)"[^>]*/>')
"""The outline of one letter, which matplotlib writes into each figure."""
DECIMALS = re.compile(r"(?<![\d.])[1-9]\d*\.\d{4,}")
"""Coordinates; numbers below 1 may be scales and stay as they are."""
LONGEST_WORD_CELL = 24
"""Above so many characters a cell holds words that need room."""
LONGEST_PLOT_ROWS = 80
"""Plotted numbers of more rows are linked, not shown."""
GROUPS = {
    "a": ("[SIZE] Approximate Size Targets Are Sufficient for Accurate Semantic Segmentation", "arXiv 2503.06954"),
    "b": ("[SSL] Soft Self-labeling and Potts Relaxations for Weakly-Supervised Segmentation", "CVPR 2025, arXiv 2507.01721"),
    "x": ("Beyond both papers", "nothing published to compare with"),
}
"""First letter of an id to the heading of its part and what stands beside it."""
CLAIMS = {"a-claims": "a", "b-claims": "b"}
"""Artifacts that hold the claims of a paper, and the first letter of the artifacts the claims are about."""
VERDICTS = ("holds", "does not hold", "level", "not decided", "not tested")
METRICS = {"mIoU": "mIoU", "DSC": "DSC", "accuracy": "accuracy"}
"""Metric of a run to its name on the page, the first that the run has."""
PAGE = Path(__file__).parent / "page"


class Column(NamedTuple):
    """Head of one column of a table."""

    name: str
    numeric: bool
    scale: str
    """"papers' scale" for published numbers, the profile for ours, empty for anything else."""
    words: bool = False
    """Holds sentences, which must not be squeezed to a word per line."""


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    best: bool
    verdict: str
    """A verdict without what follows it, such as "not decided"; empty in other columns."""


class Table(NamedTuple):
    """A table as it is shown."""

    columns: list[Column]
    rows: list[list[Cell]]
    note: str


@dataclass(frozen=True)
class Run:
    """One training with its repetitions, from its metrics file."""

    id: str
    """"family/run"."""
    fields: Mapping[str, Any]
    """All that its metrics file says of it."""
    score: str
    """Metric on validation images in percent, with the standard deviation of several seeds."""
    metrics: str
    """Address of its metrics file, relative to the page."""
    curves: str
    """Address of the training curves of its family."""
    results: str
    """Address of the results of its family."""

    @property
    def seeds(self) -> list[int]:
        """Seeds of its repetitions."""
        return [repetition["seed"] for repetition in self.fields["repetitions"]]


@dataclass(frozen=True)
class Files:
    """The files of one artifact; paths of figure and table have no suffix, and any may be absent."""

    figure: Path
    table: Path
    plotted: Path


@dataclass(frozen=True)
class Drawn:
    """Curves of the record on real data, as they stand on the page."""

    name: str
    title: str
    source: str
    """Where the papers have them."""
    figure: Markup
    numbers: Table
    address: str
    """Of the numbers."""


@dataclass(frozen=True)
class Evidence:
    """What the record on real data says."""

    counted: str
    origin: str
    charts: list[Drawn]
    claims: dict[str, list[dict[str, str]]]
    """Heading of a paper to its claims."""


@dataclass(frozen=True)
class Entry:
    """One artifact as it stands on the page."""

    artifact: Artifact
    figure: Markup | None
    table: Table | None
    beside: Table | None
    """Published beside ours, for figures without a table."""
    plotted: Table | None
    published: list[dict[str, str]]
    """Numbers that the paper prints, with their places."""
    claims: list[dict[str, str]]
    runs: list[Run]
    scale: str
    links: list[tuple[str, str]]
    """Name and address of its files."""

    @property
    def id(self) -> str:
        """Id of the artifact."""
        return self.artifact.id

    @property
    def made(self) -> bool:
        """Whether there is anything to show."""
        return self.figure is not None or self.table is not None


def read_run(path: Path, page: Path, results: Path, curves: Path) -> Run:
    """Return a run from its metrics file.

    Raises:
        ValueError: the file lacks a field.
    """
    record = read_json(path, "evaluate the run again")
    needed = ("family", "run", "profile", "device", "network", "supervision", "objective", "seeds_generated", "repetitions")
    missing = [field for field in needed if field not in record]
    if missing or not record["repetitions"]:
        raise ValueError(f"{path}: expected the fields {list(needed)} and at least one repetition, got none of {missing}")
    return Run(
        f"{record['family']}/{record['run']}",
        record,
        _score([repetition.get("val", {}) for repetition in record["repetitions"]]),
        *(_address(file, page) for file in (path, curves, results)),
    )


def _score(splits: Sequence[Mapping[str, object]]) -> str:
    for key, name in METRICS.items():
        values = [100 * value for split in splits if isinstance(value := split.get(key), float | int)]
        if values:
            spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
            return f"{name} {fmean(values):.2f}{spread}"
    return "-"


def _address(path: Path, page: Path) -> str:
    return Path(relpath(path, page.parent)).as_posix()


def scale_of(runs: Sequence[Run]) -> str:
    """Return at which scale, on what devices and with which seeds runs were trained; that there are none, if so."""
    if not runs:
        return "computed from formulas or annotations, no training"
    shown = ("profile", "device", "family", "run", "seeds_generated", "seed_kind")
    rows = [
        {**{name: run.fields.get(name) for name in shown}, "seed": repetition["seed"], "failed": repetition.get("failed", False)}
        for run in runs
        for repetition in run.fields["repetitions"]
    ]
    return scale_text(pd.DataFrame(rows))


def read_markdown(text: str, profile: str) -> Table:
    """Return a table that `report.tables.write_table` wrote as Markdown."""
    lines = text.splitlines()
    body = [line for line in lines[2:] if line.startswith("|")]
    names, rules = _split(lines[0]), _split(lines[1])
    texts = [_split(line) for line in body]
    columns = [
        Column(name, rule.endswith(":"), _scale(name, profile), max(map(len, cells), default=0) > LONGEST_WORD_CELL)
        for name, rule, cells in zip(names, rules, zip(*texts) if texts else [()] * len(names), strict=True)
    ]
    rows = [[_cell(text, column.name) for text, column in zip(row, columns, strict=True)] for row in texts]
    return Table(columns, rows, "\n".join(lines[2 + len(body) :]).strip())


def _split(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _cell(text: str, column: str) -> Cell:
    best = text.startswith("**") and text.endswith("**") and len(text) > 4
    verdict = next((name for name in VERDICTS if text.startswith(name)), "") if column in ("verdict", "corrected") else ""
    return Cell(text[2:-2] if best else text, best, verdict)


def _scale(column: str, profile: str) -> str:
    words = re.split(r"[ _,]+", column)
    if "published" in words:
        return "papers' scale"
    return f"{profile} scale" if "ours" in words else ""


def read_plotted(text: str, profile: str, *, beside: bool = False) -> Table:
    """Return plotted numbers as a table without empty columns; with `beside`, only rows where the paper prints a number."""
    rows = list(csv.DictReader(text.splitlines()))
    names = list(rows[0]) if rows else []
    if beside:
        rows = [row for row in rows if row.get("published_percent")]
    names = [name for name in names if any(row[name] for row in rows)]
    columns = [Column(name, all(_is_number(row[name]) for row in rows), _scale(name, profile)) for name in names]
    return Table(columns, [[Cell(_rounded(row[name]), False, "") for name in names] for row in rows], "")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"([-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf)?", text, re.IGNORECASE) is not None


def _rounded(text: str) -> str:
    """Return a number with four significant digits, anything else as it is.

    >>> _rounded("50.8334"), _rounded("voc"), _rounded("")
    ('50.83', 'voc', '-')
    """
    if not text:
        return "-"
    return f"{float(text):.4g}" if _is_number(text) and "." in text else text


def pack_picture(data: bytes) -> str:
    """Return a PNG as a data address: labels with the same pixels, as WebP where that takes fewer bytes, photos as lossy WebP."""
    packed, lossy = io.BytesIO(), io.BytesIO()
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
        image.save(packed, "WEBP", lossless=True, method=4, exact=True)
        kind, shortest = min((("png", data), ("webp", packed.getvalue())), key=lambda choice: len(choice[1]))
        if len(shortest) > PHOTO_BYTES_PER_PIXEL * image.width * image.height:
            image.save(lossy, "WEBP", quality=90, method=4)
            kind, shortest = min(((kind, shortest), ("webp", lossy.getvalue())), key=lambda choice: len(choice[1]))
    return f"data:image/{kind};base64,{base64.b64encode(shortest).decode()}"


def inline_svg(text: str, prefix: str, label: str, glyphs: dict[str, str]) -> Markup:
    """Return a figure of matplotlib as part of a page: coordinates to 1/100 point, pictures packed, without comments.

    Args:
        text: content of the `.svg`.
        prefix: put before each id, since all figures share the ids of the page.
        label: what it shows, for those who do not see it.
        glyphs: outlines of letters by id, which the page must hold once; those of this figure are added.

    Raises:
        ValueError: a letter has another outline than in an earlier figure.
    """
    ((attributes, body),) = re.findall(r"<svg\b([^>]*)>(.*)</svg>", text, re.DOTALL)
    (view,) = re.findall(r'viewBox="([^"]+)"', attributes)
    # A style element would hold for the whole page; its two properties are inherited from the root as well.
    body = re.sub(r"<metadata>.*?</metadata>|<style\b.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    pictures = [pack_picture(base64.b64decode(data)) for data in PICTURE.findall(body)]
    body = PICTURE.sub("data:", body)
    body = re.sub(r">\s+<", "><", re.sub(r"\s+", " ", body))
    for glyph in GLYPH.finditer(body):
        if glyphs.setdefault(glyph[1], glyph[0]) != glyph[0]:
            raise ValueError(f"figure {prefix}: expected one outline of {glyph[1]} in all figures, got another")
    body = GLYPH.sub("", body).replace("<defs></defs>", "")
    body = DECIMALS.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), body)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r'href="#(?!DejaVu)', f'href="#{prefix}-', body)
    body = re.sub(r"url\(#", f"url(#{prefix}-", body)
    packed = iter(pictures)
    body = re.sub(r'href="data:\s*"', lambda _: f'href="{next(packed)}"', body)
    width, height = view.split()[2:]
    root = f'<svg role="img" aria-label="{Markup.escape(label)}" viewBox="{Markup.escape(view)}" width="{Markup.escape(width)}pt"'
    style = f'height="{Markup.escape(height)}pt" style="stroke-linejoin:round;stroke-linecap:butt"'
    return Markup(f"{root} {style}>{body.strip()}</svg>")


def read_figure(stem: Path, artifact: str, label: str, glyphs: dict[str, str]) -> Markup | None:
    """Return the figure at `stem` (a path without suffix) as part of a page, see `inline_svg`, or None where there is none."""
    vector, raster = (stem.with_name(stem.name + suffix) for suffix in (".svg", ".png"))
    if vector.is_file():
        text = vector.read_text()
        if len(PICTURE.sub("", text)) <= LARGEST_SVG_BYTES or not raster.is_file():
            return inline_svg(text, artifact, label, glyphs)
    if not raster.is_file():
        return None
    return Markup('<img alt="{}" src="{}">').format(label, pack_picture(raster.read_bytes()))


def read_claims(path: Path) -> list[dict[str, str]]:
    """Return the claims of one paper with their verdicts; none if the table is not there."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    needed = {"claim", "where", "verdict", "difference", "published", "ours"}
    if rows and not needed <= set(rows[0]):
        raise ValueError(f"{path}: expected the columns {sorted(needed)}, got {list(rows[0])}")
    return [{**row, "kind": next((name for name in VERDICTS if row["verdict"].startswith(name)), "")} for row in rows]


def read_evidence(record: Path, page: Path, glyphs: dict[str, str]) -> Evidence | None:
    """Return what the record on real data says, as `report.evidence` wrote it; None if nothing was recorded."""
    summary = record / "evidence.json"
    if not summary.is_file():
        return None
    told = read_json(summary, "make it again with `python -m pipeline.report.pages`")
    charts = []
    for chart in told["charts"]:
        name = chart["name"]
        numbers = record / f"{name}.csv"
        drawing = inline_svg((record / f"{name}.svg").read_text(), name, chart["title"], glyphs)
        table = read_plotted(numbers.read_text(), "")
        charts.append(Drawn(name, chart["title"], chart["source"], drawing, table, _address(numbers, page)))
    papers = {GROUPS[letter][0]: read_claims(record / f"{name}.csv") for name, letter in CLAIMS.items()}
    return Evidence(told["counted"], told["origin"], charts, {paper: claims for paper, claims in papers.items() if claims})


def belongs(claim: Mapping[str, str], places: Iterable[str]) -> bool:
    """Return whether a claim stands at one of the places.

    >>> belongs({"where": "Section 3.2, Fig. 4"}, ["section 3.2"])
    True
    """
    return bool({part.strip().lower() for part in claim["where"].split(",")} & set(places))


def make_entry(
    key: str,
    files: Files,
    page: Path,
    runs: Sequence[Run],
    claims: Mapping[str, list[dict[str, str]]],
    published: pd.DataFrame,
    glyphs: dict[str, str],
) -> Entry:
    """Return one artifact as it stands on the page; `claims` are by first letter of the artifacts that they are about."""
    artifact = load(key)
    behind = [run for run in runs if any(where.matches(run.fields) for where in artifact.behind)]
    profile = " and ".join(sorted({run.fields["profile"] for run in behind})) or "this project's"
    markdown = files.table.with_name(files.table.name + ".md")
    table = read_markdown(markdown.read_text(), profile) if markdown.is_file() else None
    plotted = files.plotted.read_text() if files.plotted.is_file() else ""
    numbers = read_plotted(plotted, profile)
    beside = read_plotted(plotted, profile, beside=True)
    stems = [(files.figure, (".svg", ".png")), (files.table, (".csv", ".md", ".tex"))]
    there = [path for stem, suffixes in stems for suffix in suffixes if (path := stem.with_name(stem.name + suffix)).is_file()]
    links = [(path.suffix[1:], _address(path, page)) for path in there]
    if plotted:
        links.append(("plotted numbers", _address(files.plotted, page)))
    printed = published.loc[published["artifact"] == key]
    return Entry(
        artifact=artifact,
        figure=read_figure(files.figure, key, f"{artifact.title}. {artifact.shows}", glyphs),
        table=table,
        beside=beside if table is None and beside.rows else None,
        plotted=numbers if 0 < len(numbers.rows) <= LONGEST_PLOT_ROWS and key not in CLAIMS else None,
        published=[
            {
                **{name: str(row[name]) for name in ("paper", "place", "row", "column", "unit", "note")},
                "value": f"{row['value']:g}",
            }
            for row in printed.to_dict("records")
        ],
        claims=[claim for claim in claims.get(key[0], []) if belongs(claim, artifact.places)],
        runs=behind,
        scale=scale_of(behind),
        links=links,
    )


def count_verdicts(claims: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Return how many claims have each verdict."""
    kinds = [claim["kind"] for claim in claims]
    return {name: kinds.count(name) for name in VERDICTS}


def run_lines(settings: str) -> dict[str, int]:
    """Return the line of each run in the content of params.yaml, with all `runs` by family, counted from 1.

    >>> run_lines("seed: 0\\nruns:\\n  seeds: # first\\n    pce: {dataset: voc}\\nfigures:\\n  seeds:\\n    a: 1\\n")
    {'seeds/pce': 4}
    """
    families = (YAML().load(settings) or {}).get("runs", {})
    return {f"{family}/{name}": runs.lc.key(name)[0] + 1 for family, runs in families.items() for name in runs}


def report_page(
    files: Mapping[str, Files],
    page: Path,
    runs: Sequence[Run],
    published: pd.DataFrame,
    settings: str,
    settings_file: Path,
    record: Path,
) -> str:
    """Return the whole page, runs in the given order; addresses are relative to `page`, and `record` need not be there."""
    claims = {
        letter: read_claims(files[name].table.with_name(files[name].table.name + ".csv")) if name in files else []
        for name, letter in CLAIMS.items()
    }
    glyphs: dict[str, str] = {}
    evidence = read_evidence(record, page, glyphs)
    entries = [make_entry(name, files[name], page, runs, claims, published, glyphs) for name in IDS if name in files]
    claims_first = sorted(entries, key=lambda entry: entry.id not in CLAIMS)
    groups = [
        (letter, heading, source, [entry for entry in claims_first if entry.id[0] == letter])
        for letter, (heading, source) in GROUPS.items()
    ]
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    lines = run_lines(settings)
    return environment.get_template("page.html").render(
        evidence=evidence,
        groups=[group for group in groups if group[3]],
        entries=entries,
        runs=runs,
        scale=scale_of(runs),
        comparable={run.fields["profile"] for run in runs} == {"paper"},
        counts={GROUPS[letter][0].split()[0]: count_verdicts(of_paper) for letter, of_paper in claims.items() if of_paper},
        claims_of={GROUPS[letter][0].split()[0]: name for name, letter in CLAIMS.items()},
        settings=list(enumerate(settings.splitlines(), start=1)),
        run_lines=lines,
        settings_address=_address(settings_file, page),
        glyphs=Markup("").join(Markup(outline) for outline in glyphs.values()),
        style=Markup((PAGE / "page.css").read_text()),
        script=Markup((PAGE / "page.js").read_text()),
    )
