"""What scorers hand to the gate and the report: one value for each item and metric, of candidate and champion.

Gate and report know nothing of items and answers. The table is JSON on disk, so that a verdict can be computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import ConfigurationError
from training.files import write_text

Unit = Literal["share", "seconds", "grades"]
"""In what a figure is measured. Shares lie between 0 and 1 and are shown in percent, their differences in points."""
Value = Annotated[float, Field(allow_inf_nan=False)] | None


class Metric(BaseModel):
    """One figure of every item, in the table's order; ``None`` where it does not apply.

    ``safety`` metrics are 0 or 1 and tell a failure: 0 where ``better`` is "higher", 1 where it is "lower".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    better: Literal["higher", "lower"]
    safety: bool = False
    unit: Unit = "share"
    candidate: list[Value]
    champion: list[Value]

    @model_validator(mode="after")
    def _shares_are_shares(self) -> Metric:
        values = [value for value in (*self.candidate, *self.champion) if value is not None]
        odd = [value for value in values if not -1e-9 <= value <= 1 + 1e-9]
        if self.unit == "share" and odd:
            raise ValueError(f"{self.name}: {odd[0]:g} is no share of 1; give the unit, as the scorer has it")
        return self

    def failed(self, values: Sequence[Value]) -> list[bool | None]:
        """For each item: whether it falls short of the best value of a share; None where the metric does not apply."""
        best = 1.0 if self.better == "higher" else 0.0
        return [None if value is None else abs(value - best) > 1e-9 for value in values]


class ScoreTable(BaseModel):
    """All metrics over the same items.

    ``clusters``: items with the same name belong together ("": the item alone). ``groups``: attribute -> each item's
    value ("": it has none). ``pairs``: counterfactual pair ("": none). ``labels``: intent, route -> truth, candidate's,
    champion's ("" as the truth: does not apply).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: dict[str, Metric]
    items: list[str] = Field(min_length=1)
    clusters: list[str]
    groups: dict[str, list[str]] = Field(default_factory=dict)
    pairs: list[str]
    kinds: list[str]
    labels: dict[str, tuple[list[str], list[str], list[str]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> ScoreTable:
        if len(set(self.items)) != len(self.items):
            twice = next(name for name in self.items if self.items.count(name) > 1)
            raise ValueError(f"items: {twice} is there twice; score each item once")
        columns = {"clusters": self.clusters, "pairs": self.pairs, "kinds": self.kinds}
        lengths = {name: len(column) for name, column in columns.items()}
        lengths |= {f"groups.{name}": len(column) for name, column in self.groups.items()}
        for name, metric in self.metrics.items():
            if metric.name != name:
                raise ValueError(f"metrics.{name}: the metric calls itself {metric.name}; use one name")
            lengths[f"metrics.{name}.candidate"] = len(metric.candidate)
            lengths[f"metrics.{name}.champion"] = len(metric.champion)
        for name, sides in self.labels.items():
            for side, column in zip(("truth", "candidate", "champion"), sides, strict=True):
                lengths[f"labels.{name}.{side}"] = len(column)
        for place, length in lengths.items():
            if length != len(self.items):
                raise ValueError(f"{place}: {length} values for {len(self.items)} items; give one an item")
        return self

    def independent(self) -> list[int]:
        """A number for each item, the same for items that share a cluster or a pair, by way of others too."""
        parents = list(range(len(self.items)))

        def root(place: int) -> int:
            while parents[place] != place:
                parents[place] = parents[parents[place]]
                place = parents[place]
            return place

        for names in (self.clusters, self.pairs):
            first: dict[str, int] = {}
            for place, name in enumerate(names):
                if name:
                    parents[root(place)] = root(first.setdefault(name, place))
        return [root(place) for place in range(len(self.items))]

    def labelled(self, name: str) -> tuple[list[int], list[str], list[str], list[str]]:
        """Places, truth, candidate's and champion's labels of the items that have a true one."""
        truth, candidate, champion = self.labels[name]
        places = [place for place, label in enumerate(truth) if label]
        left, middle, right = ([side[place] for place in places] for side in (truth, candidate, champion))
        return places, left, middle, right


def write_table(table: ScoreTable, path: Path) -> None:
    """Write the table as JSON. Raises ConfigurationError."""
    write_text(path, table.model_dump_json() + "\n")


def read_table(path: Path) -> ScoreTable:
    """Read a table. Raises ConfigurationError that names the file and the fault."""
    try:
        return ScoreTable.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; run `bedside-train evaluate`") from None
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "table"
        raise ConfigurationError(f"{path}: {place}: {fault['msg'].removeprefix('Value error, ')}") from None
