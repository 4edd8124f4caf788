"""Say on README.md and docs/evidence.md what the recorded runs on real data decided: `python -m pipeline.report.pages`.

Both pages hold a block between `<!-- results -->` and `<!-- /results -->` that is made of the tables of claims in
reports/recorded/real. `python -m pipeline.record real` rewrites the tables; a test compares the pages with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline import paths
from pipeline.errors import clear_errors
from pipeline.files import read_json, replace_block
from pipeline.report.artifacts import a_claims, b_claims
from pipeline.report.verdicts import FAILS, HOLDS, OPEN

MARK = "results"
RECORD = paths.RECORDED / "real"
TABLES = {"a-claims": a_claims.CLAIMS, "b-claims": b_claims.CLAIMS}
FRONT = (
    "size-robust",
    "size-crf",
    "size-short-scribbles",
    "size-log-barrier",
    "size-reverse-accuracy",
    "size-resnet-share",
    "size-acdc-barrier",
    "logarithm",
    "normalised",
    "collision",
    "hard",
    "soft-hard",
    "soft-gradient",
    "full",
)
"""Claims that the front page shows, by id."""


def recorded() -> pd.DataFrame:
    """Return the claims of both papers that the record tested, with their `id`; no row if nothing is recorded."""
    frames = []
    for table, claims in TABLES.items():
        path = RECORD / f"{table}.csv"
        if path.exists():
            ids = {claim.sentence: claim.id for claim in claims.claims}
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
            frames.append(frame.assign(id=frame["claim"].map(ids)))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["id", "claim", "verdict"])


def table(claims: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return claims as lines of a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(str(row[name]).replace('|', '/') for name in columns)} |" for _, row in claims.iterrows()]


def origin() -> str:
    """Return one sentence about where the numbers come from."""
    told = read_json(RECORD / "provenance.json", "restore it with git")
    hours = sum(told["hours"].values())
    sets = ", ".join(kind["kind"] for kind in told["data"].values())
    return (
        f"Profile {told['profile']}, {', '.join(told['devices'])}, {told['seeds']} seeds, data: {sets}; {hours:.1f} hours of "
        f"training. Differences are in points, paired over seeds, with 95 % intervals."
    )


def blocks() -> dict[Path, str]:
    """Return what stands between the marks of each page."""
    claims = recorded()
    if claims.empty:
        nothing = "Nothing is recorded yet."
        return {Path("README.md"): nothing, Path("docs/evidence.md"): nothing}
    count = Counter(claims["verdict"].str.split(" (", regex=False).str[0])
    summary = (
        f"Of {len(claims)} claims {count[HOLDS]} hold, {count[FAILS]} do not hold, {count[OPEN]} are not decided and "
        f"{len(claims) - count[HOLDS] - count[FAILS] - count[OPEN]} not tested."
    )
    shown = claims[claims["id"].isin(FRONT)].sort_values("id", key=lambda ids: ids.map(FRONT.index))
    front = [*table(shown, ["claim", "where", "published", "difference", "verdict"]), "", f"{summary} {origin()}"]
    columns = ["claim", "paper", "where", "published", "difference", "verdict", "corrected"]
    whole = [f"{summary} {origin()}", "", *table(claims, columns)]
    return {Path("README.md"): "\n".join(front), Path("docs/evidence.md"): "\n".join(whole)}


def main() -> None:
    """Rewrite the blocks."""
    with clear_errors():
        for path, block in blocks().items():
            replace_block(path, MARK, block)


if __name__ == "__main__":
    main()
