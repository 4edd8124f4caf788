"""What all sections of params.yaml share: kinds of values, and how strict they are."""

from __future__ import annotations

import unicodedata
from functools import partial
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Hundredths = Annotated[float, Field(ge=0, multiple_of=0.01)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=10**9)]
"""Whole numbers beyond that are slips of the hand, and overflow where they are counted down."""
Side = Annotated[int, Field(ge=32, le=8192)]
Relaxation = Literal["bl", "nq", "q", "cce", "cd", "lq"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
RunName = Annotated[str, Field(pattern=r"^[a-z0-9_]+/[A-Za-z0-9_.-]+$")]
"""family/run"""


Item = TypeVar("Item")


# Composed, as tables are read: else an accent typed as two characters would make another class.
ClassName = Annotated[str, AfterValidator(partial(unicodedata.normalize, "NFC"))]


def _different(values: list[Item]) -> list[Item]:
    twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if twice is not None:
        raise ValueError(f"expected different entries, got {twice!r} more than once")
    return values


Several = Annotated[list[Item], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_different)]
"""One or more, none of them twice."""


class ParamsError(ValueError):
    """params.yaml is missing, malformed or says something that is not allowed."""


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions, no later changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
