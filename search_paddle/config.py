"""The settings of a search and of its proxies: frozen values, read from TOML; unknown keys are refused with the nearest name."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.config import validated, with_overrides
from shared.ensemble_weights import MOST_MEMBERS
from shared.errors import UsageError
from shared.ms_ssim import LEVELS, check_levels
from shared.schedule import check_rates

# Fields that say how far and how fast a search goes, never what a trial is: they may differ when a search is continued
EXTENT = frozenset({"trials", "minutes", "jobs"})
# Values with which these fields do what was done before they existed. They are left out of the identity: older journals still fit
FORMER: dict[str, Any] = {
    "suite_size": 3,
    "suite_proposals": False,
    "max_suite_parameters": None,
    "max_suite_macs_per_pixel": None,
    "stop_margin": None,
}
FORMER_PROXY: dict[str, Any] = {"validations": 1, "residual_windows": 0}


class ProxyConfig(BaseModel):
    """How one proposal is trained and scored. Defaults are ours: the paper gives neither length nor metric of its runs.

    Example:
        >>> ProxyConfig(steps=100).steps
        100
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    steps: int = Field(default=500, ge=1, description="optimiser steps")
    batch: int = Field(default=8, ge=1, description="crops in a step")
    patch: int = Field(default=32, ge=1, description="side of the LR crop, px")
    augment: bool = Field(default=True, description="flips and transposes")

    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False, description="highest rate of Adam")
    minimum_learning_rate: float = Field(
        default=1e-6, ge=0, allow_inf_nan=False, description="rate at the end of the cosine"
    )
    warmup: int = Field(
        default=10, ge=0, description="steps of linear rise to the highest rate; at most steps - 1 are taken"
    )

    ms_ssim_weight: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="factor of 1 - MS-SSIM beside L1; 0: L1 alone"
    )
    ms_ssim_levels: int = Field(default=1, ge=1, le=LEVELS, description="scales of MS-SSIM; more need larger crops")

    validation_pairs: int | None = Field(
        default=32, ge=1, description="validate on so many pairs, evenly spread; None: on all"
    )
    validation_patch: int | None = Field(
        default=128, ge=1, description="side of the LR centre crop to validate on, px; None: whole images"
    )
    crop: int | None = Field(default=None, ge=0, description="HR px cut off each side before PSNR; None: the scale")
    validations: int = Field(
        default=1,
        ge=1,
        description="number of validations, evenly spread over the steps, the last one at the end",
    )
    residual_windows: int = Field(
        default=8,
        ge=0,
        description="16 px windows of each validation pair whose errors are kept; the suite is chosen by these errors",
    )

    @model_validator(mode="after")
    def _rates_fit(self) -> Self:
        check_rates(self)
        return self

    @property
    def validated_after(self) -> tuple[int, ...]:
        """Numbers of steps done at which the validation score is taken, ascending; the last is `steps`."""
        count = min(self.validations, self.steps)
        return tuple(round(self.steps * place / count) for place in range(1, count + 1))

    def check_scale(self, scale: int) -> None:
        """Refuse a crop too small for the levels of MS-SSIM (UsageError, see `check_levels`)."""
        check_levels(patch=self.patch, scale=scale, levels=self.ms_ssim_levels, weight=self.ms_ssim_weight)


class SearchConfig(BaseModel):
    """How far a search goes, and under which limits. Defaults are ours.

    Results depend on `round_size` and never on `jobs`: the sampler learns from whole rounds, in the order of the proposals.

    Example:
        >>> SearchConfig(trials=8, proxy=ProxyConfig(steps=100)).round_size
        4
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trials: int = Field(
        default=32, ge=1, description="proxy trainings in all, those of earlier runs of the search included"
    )
    minutes: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="no new round (but the first) after so long, min, earlier runs included; None: no limit",
    )
    round_size: int = Field(default=4, ge=1, description="proposals between two updates of the Gaussian process")
    seed: int = Field(default=0, ge=0, description="of the proposals, of initial weights and of the order of crops")
    jobs: int | None = Field(default=None, ge=1, description="worker processes, one thread each; None: one a core")
    max_parameters: int | None = Field(default=None, ge=1, description="most weights of a proposal; None: no limit")
    max_macs_per_pixel: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="most multiply-accumulates per LR px of a proposal; None: no limit",
    )
    suite_size: int = Field(default=3, ge=1, le=MOST_MEMBERS, description="members of the suite, at most (paper: 3)")
    suite_proposals: bool = Field(
        default=True,
        description="every other proposal is for the suite instead of one network; needs residual_windows > 0",
    )
    max_suite_parameters: int | None = Field(
        default=None, ge=1, description="most weights of all members together; None: no limit"
    )
    max_suite_macs_per_pixel: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="most multiply-accumulates per LR px of all members together; None: no limit",
    )
    stop_margin: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="a proxy is stopped when its expected score is so many standard deviations below the suite's worst member; "
        "needs validations > 1; None: never",
    )
    proxy: ProxyConfig = Field(default_factory=ProxyConfig, description="how a proposal is trained and scored")

    @model_validator(mode="after")
    def _stop_has_steps(self) -> Self:
        if self.stop_margin is not None and self.proxy.validations == 1:
            raise ValueError(
                f"stop_margin: got {self.stop_margin} with validations 1, expected validations of at least 2 in [proxy]"
            )
        return self

    @property
    def processes(self) -> int:
        """Worker processes to start, >= 1."""
        return self.jobs or len(os.sched_getaffinity(0))

    def identity(self) -> dict[str, Any]:
        """The fields that decide what a trial is: a search can only be continued with the same ones."""
        fields = self.model_dump(exclude=set(EXTENT))
        fields["proxy"] = _without(fields["proxy"], FORMER_PROXY)
        return _without(fields, FORMER)

    def suite_limits(self) -> dict[str, float]:
        """Figure of cost -> the most that all members together may have."""
        limits = {"parameters": self.max_suite_parameters, "macs_per_pixel": self.max_suite_macs_per_pixel}
        return {name: limit for name, limit in limits.items() if limit is not None}


def _recorded() -> dict[str, Any]:
    fields = SearchConfig().model_dump(exclude={*EXTENT, "proxy"}) | FORMER
    proxy = ProxyConfig().model_dump() | FORMER_PROXY
    return {f"config.{name}": value for name, value in fields.items()} | {
        f"config.proxy.{name}": value for name, value in proxy.items()
    }


def _without(fields: dict[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in former or value != former[name]}


# What a journal means that was written before a field existed, by dotted name
DEFAULTS = _recorded()


def make_config(fields: Mapping[str, Any], *, name: str = "search configuration") -> SearchConfig:
    """A checked configuration; `fields` may hold a table `proxy`.

    Raises:
        UsageError: unknown field (with the nearest name), wrong type, or out of range.
    """
    proxy = fields.get("proxy", {})
    if not isinstance(proxy, Mapping):
        raise UsageError(f"{name}: proxy: got {proxy!r}, expected a table ([proxy] and one `name = value` a line)")
    checked = validated(ProxyConfig, proxy, name=f"{name}, [proxy]")
    return validated(SearchConfig, {**fields, "proxy": checked}, name=name)


def read_config(path: Path | None, **overrides: Any) -> SearchConfig:
    """The configuration of a TOML file (None: the defaults), with fields that are not None set over it.

    Raises:
        UsageError: no such file, no TOML, or not a configuration.
    """
    fields = with_overrides(path, overrides, expected="TOML: settings of a search (trials = 32, …) and a table [proxy]")
    return make_config(fields, name="search configuration" if path is None else str(path))
