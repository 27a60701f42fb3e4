"""Key maps of checkpoints that other projects publish: one file a project or family; UPSTREAMS lists them.

An upstream knows its names, infers the spec from names and shapes, and turns a state dict into ours and back. A new one is a file
here and a line in UPSTREAMS.
"""

from collections.abc import Mapping

from weights_convert.convert.upstream import basicsr, dual_regression, edsr, own, paddlegan, rcan
from weights_convert.convert.upstream.upstream import Parcel, Source, Upstream

__all__ = ["UPSTREAMS", "Parcel", "Source", "Upstream", "upstream_of"]

# the first that recognises a file takes it: PaddleGAN's wrapper before the names inside, which it shares with the others
UPSTREAMS: tuple[Upstream, ...] = (
    basicsr.RCAN,
    paddlegan.RCAN,
    paddlegan.DUAL_REGRESSION,
    rcan.UPSTREAM,
    edsr.OFFICIAL,
    edsr.BASICSR,
    dual_regression.UPSTREAM,
    own.UPSTREAM,
)


def upstream_of(source: Source) -> Upstream:
    """The project whose names a state dict has; our own names if no others fit."""
    return next(upstream for upstream in UPSTREAMS if upstream.recognises(source))


def by_names(name: str, family: str) -> Upstream | None:
    """The upstream of `--keys NAME` for a family, if there is one."""
    return next((upstream for upstream in UPSTREAMS if upstream.keys == name and family in upstream.families), None)


def key_choices() -> Mapping[str, tuple[str, ...]]:
    """`--keys` -> families that have such names."""
    choices: dict[str, tuple[str, ...]] = {}
    for upstream in UPSTREAMS:
        choices[upstream.keys] = choices.get(upstream.keys, ()) + upstream.families
    return choices
