"""What a user may say of orders and mixtures, and the one place where it is checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from nexa_data.config_section import Count, PathText, Section, Weight

__all__ = ["MixtureConfig", "MixtureSource", "OptionalMixture", "OrderConfig", "StopAfter"]


class OrderConfig(Section):
    """The order of an epoch."""

    mode: Literal["full", "block", "none"] = "full"
    """`full`: a permutation of all records; `block`: blocks in random order, a window of them mixed, for data beyond
    memory; `none`: as stored. It holds for train; other splits are never shuffled."""
    block: Count | None = None
    """Records of a block of mode `block`; default: a power of two, 4 to 8 MiB of what is loaded."""
    window: Count = 64
    """Blocks that mode `block` mixes at a time."""
    direct: Literal["auto", True, False] = "auto"
    """Whether mode `block` reads its blocks past the page cache, a window ahead, instead of mapping the shards: two windows
    are in memory then. `auto`: if the shards are more than memory holds, two windows fit, and no other rank reads them."""
    balance: Literal["classes"] | None = None
    """`classes`: each class of train equally often, in as many positions an epoch as there are records."""

    @model_validator(mode="after")
    def _one_mode(self) -> Self:
        given = sorted({"block", "direct", "window"} & self.model_fields_set)
        if given and self.mode != "block":
            wanted = " wants mode block; set it, or leave it out"
            if len(given) > 1:
                wanted = " want mode block; set it, or leave them out"
            raise ValueError(" and ".join(given) + wanted)
        if self.balance and self.mode != "full":
            raise ValueError(f"balance wants mode full, not {self.mode}")
        return self


class MixtureSource(Section):
    """One dataset of a mixture."""

    artifact: PathText
    """Folder of a prepared or staged artifact, or of a catalog of Arrow shards; relative to the working directory."""
    split: str | None = None
    """Split that train takes, instead of `train`; the source is then left out of the other splits."""
    weight: Weight | None = None
    """Its share of the records, beside the others' weights."""
    repeat: Weight | None = None
    """How often it is gone through in an epoch, instead of a weight; 0.5 takes the other half in the next epoch."""
    max_epochs: Weight | None = None
    """How often it is gone through in an epoch at most; from there on the others have its weight."""
    filters: list[dict[str, Any]] = Field(default_factory=list)
    """Which of its records are taken: `[{label: {allow: [0, 1]}}]`."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.repeat is not None and (self.weight is not None or self.max_epochs is not None):
            raise ValueError("repeat says all; leave weight and max_epochs out")
        if self.max_epochs is not None and self.weight is None:
            raise ValueError("max_epochs bounds a weight; add one")
        return self


class StopAfter(Section):
    """An epoch of a number of records."""

    records: Count
    """Records of an epoch."""


class MixtureConfig(Section):
    """Several prepared datasets in one loader; in short, the list of its sources."""

    sources: Annotated[list[MixtureSource], Field(min_length=1)]
    """The datasets. All with weights, or all without; without weights and `repeat`, each is gone through once an epoch."""
    stop: Literal["first", "all"] | StopAfter = "first"
    """End of an epoch of weights: `first`: before the first record would come again; `all`: when all records have come,
    those of other sources again meanwhile; `{records: N}`: after N."""

    @model_validator(mode="after")
    def _all_alike(self) -> Self:
        weighted = sum(source.weight is not None for source in self.sources)
        if 0 < weighted < len(self.sources):
            raise ValueError("some sources have a weight and some don't; give each one, or none")
        if not weighted and "stop" in self.model_fields_set:
            raise ValueError("without weights an epoch ends when each source was repeated; leave stop out")
        return self


OptionalMixture = Annotated[
    MixtureConfig | None,
    BeforeValidator(lambda value: {"sources": value} if isinstance(value, list) else value),
]
