"""A small made-up folder of results, as the stages leave it, for the tests of the HTML report."""

import json
from pathlib import Path

import pandas as pd
from PIL import Image

from pipeline.report.html import Files, read_run, report_page
from pipeline.report.published import COLUMNS
from pipeline.report.tables import write_points, write_table

SVG = """<?xml version="1.0" encoding="utf-8"?>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="200pt" height="100pt" viewBox="0 0 200 100" xmlns="http://www.w3.org/2000/svg">
 <metadata>made by a program</metadata>
 <defs><style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style></defs>
 <defs><path id="dot" d="M 0 0 L 9 9"/><clipPath id="box"><rect width="9" height="9"/></clipPath></defs>
 <g id="figure_1" clip-path="url(#box)"><use xlink:href="#dot" x="5"/></g>
</svg>
"""
SETTINGS = """profile: embedded
supervision:
  seeds:
    width_px: 1
runs:
  size_noise: # first
    size-mre00: {objective: size}
    full: {objective: masks}
  potts:
    q-len100: {objective: soft-q}
"""
CLAIMS = [
    ("Sizes may be wrong.", "section 3.2", "holds"),
    ("The CRF loss helps.", "section 3.2", "not decided (2 seeds)"),
    ("Sizes help <short> scribbles.", "section 3.3", "does not hold"),
]
CHART = {"name": "curves-a", "title": "A curve", "source": "[SIZE] Fig. 4"}
IDS = ("a-fig4a", "a-claims", "b-tab3", "b-fig1", "b-fig7")


def metrics(family, run, profile="embedded", scores=(0.5,), **values):
    """Return the content of a metrics file."""
    potts = {"neighborhood": "grid4", "cross_entropy": "cce", "relaxation": "q"} if family == "potts" else {}
    blank = {
        "network": "small",
        "supervision": "any",
        "objective": "any",
        "device": "cpu",
        "seeds_generated": family == "potts",
        **potts,
    }
    repetitions = [{"seed": seed, "val": {"mIoU": score}} for seed, score in enumerate(scores)]
    return {**blank, "family": family, "run": run, "profile": profile, "repetitions": repetitions, **values}


class ReportFolder:
    """Results of three runs: a figure of one paper, a table with a figure of the other, one figure only as PNG, claims."""

    def __init__(self, folder: Path) -> None:
        self.reports = folder / "reports"
        self.page = self.reports / "index.html"
        self.settings = folder / "params.yaml"
        self.record = self.reports / "recorded" / "real"
        self.settings.write_text(SETTINGS)
        self.write_run("size_noise", "size-mre00", scores=(0.5, 0.6))
        self.write_run("size_noise", "full", scores=(0.7, 0.8))
        self.write_run("potts", "q-len100", scores=(0.71,))
        for name in ("a-fig4a", "b-tab3"):
            self.path("figures", f"{name}.svg").write_text(SVG)
        Image.new("RGB", (40, 20), "red").save(self.path("figures", "b-fig7.png"))
        write_points(pd.DataFrame({"series": ["size", "full"], "mIoU_percent": [55.0, 75.0]}), self.path("plots", "a-fig4a.csv"))
        relaxations = ["P_BL", "P_Q", "P_CD"]
        table = pd.DataFrame(
            {"relaxation": relaxations, "1 published": [67.24, 71.05, 71.22], "1 ours": [9.5, 71.0, float("nan")]}
        )
        write_table(table, self.path("tables", "b-tab3"), highest=["1 published", "1 ours"], note="mIoU in percent.")
        claims = pd.DataFrame(CLAIMS, columns=["claim", "where", "verdict"]).assign(published="", ours="a 50.00", difference="+1")
        write_table(claims, self.path("tables", "a-claims"))

    def path(self, kind: str, name: str) -> Path:
        """Return a path under reports/, whose folder exists."""
        folder = self.reports / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def write_record(self) -> None:
        """Write a record on real data: two claims of [SIZE] and a curve."""
        self.record.mkdir(parents=True)
        told = {"counted": "Of 2 claims 1 hold.", "origin": "Profile real.", "charts": [CHART]}
        (self.record / "evidence.json").write_text(json.dumps(told))
        (self.record / "curves-a.svg").write_text(SVG)
        write_points(pd.DataFrame({"series": ["size"], "ours_percent": [55.0]}), self.record / "curves-a.csv")
        claims = pd.DataFrame(CLAIMS[:2], columns=["claim", "where", "verdict"])
        claims = claims.assign(published="", ours="a 50.00", difference="+1", corrected="not decided")
        write_table(claims, self.record / "a-claims")

    def write_run(self, family: str, run: str, **values) -> None:
        """Write the metrics file of a run."""
        self.path(f"metrics/{family}", f"{run}.json").write_text(json.dumps(metrics(family, run, **values)))

    def runs(self):
        """Return all runs."""
        found = sorted((self.reports / "metrics").glob("*/*.json"))
        families = [self.reports / path.parent.name for path in found]
        return [
            read_run(path, self.page, at / "results.csv", at / "curves.csv") for path, at in zip(found, families, strict=True)
        ]

    def files(self, name: str) -> Files:
        """Return the files of an artifact."""
        return Files(self.path("figures", name), self.path("tables", name), self.path("plots", f"{name}.csv"))

    def render(self, ids=IDS) -> str:
        """Return the page."""
        printed = [("SSL", "Table 3", "b-tab3", "P_Q", "1", 71.05, "percent", "H_CCE")]
        published = pd.DataFrame(printed, columns=COLUMNS)
        files = {name: self.files(name) for name in ids}
        return report_page(files, self.page, self.runs(), published, self.settings.read_text(), self.settings, self.record)

    def write(self) -> Path:
        """Write the page and return its path."""
        self.page.write_text(self.render())
        return self.page
