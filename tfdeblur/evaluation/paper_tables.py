"""The tables of the papers, as they are quoted, with a column for what was measured here."""

import dataclasses

from tfdeblur import recipes
from tfdeblur.evaluation.reports import table
from tfdeblur.published import QUOTED, Published

DATASETS = ("gopro", "hide", "kohler", "realblur")
OTHERS = "What no table quoted here has"
HEADER = (
    *("", "PSNR", "SSIM", "s reported", "s measured again", "M parameters", "dataset, protocol"),
    *("measured here", "SSIM", "s"),
)
ALWAYS = (0, 1, 2, 6, 7, 8)  # columns that also stand where they are empty
# How far quoted numbers may be from those of a recipe: some are rounded, some cut off.
NEAR = {"psnr": 0.005, "ssim": 0.001}


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A published score.

    Attributes:
        quoted: as its table has it.
        own: the same score as it stands in a recipe, on the dataset with the variant of the blur
            and by the protocol that a measured one has to share with it; None where there is none,
            or its protocol is not stated.
    """

    quoted: Published
    own: Published | None


def rows(dataset):
    """{source or OTHERS: list of `TableRow`} of what is published on one of `DATASETS`."""
    own = [one for one in recipes.published() if _is_on(one, dataset)]
    quoted = [one for one in QUOTED if _is_on(one, dataset)]
    others = [one for one in own if not any(_same(one, other) for other in quoted)]
    tables = {}
    for one in quoted:
        same = next((x for x in own if x.protocol and _same(x, one)), None)
        tables.setdefault(one.source, []).append(TableRow(one, same))
    if others:
        tables[OTHERS] = [TableRow(one, one if one.protocol else None) for one in others]
    return tables


def markdown(dataset, measured):
    """The tables of a dataset as Markdown.

    Args:
        dataset: one of `DATASETS`.
        measured: {`TableRow.own`: (PSNR, SSIM, seconds)}, seconds or None.
    """
    parts = []
    for source, group in rows(dataset).items():
        cells = [_cells(row, source, measured.get(row.own)) for row in group]
        kept = [k for k in range(len(HEADER)) if k in ALWAYS or any(row[k] for row in cells)]
        shown = [[row[k] for k in kept] for row in cells]
        parts.append(f"{source}\n\n{table([HEADER[k] for k in kept], shown)}")
    return "\n\n".join(parts)


def _cells(row, source, scores):
    one, own = row.quoted, row.own
    psnr, ssim, seconds = scores or (None, None, None)
    return [
        f"{one.network} ({one.source})" if source == OTHERS else one.network,
        f"{one.psnr:.2f}",
        _ssim(one.ssim),
        _number(one.seconds, "g"),
        _number(one.remeasured, "g"),
        _number(one.parameters, "g"),
        _measured_by(one, own),
        _number(psnr, ".2f"),
        _number(ssim, ".4f"),
        _number(seconds, ".3f"),
    ]


def _measured_by(one, own):
    if own is None:
        return f"{one.dataset}, not stated"
    return f"{own.dataset}, {own.protocol}" + ("" if own.protocol_stated else " (not stated)")


def _ssim(value):
    """With as many digits as it is published."""
    return _number(value, ".3f" if value is None or round(value, 3) == value else ".4f")


def _number(value, form):
    return "" if value is None else format(value, form)


def _is_on(one, dataset):
    return f"{one.dataset}/".startswith(f"{dataset}/")


def _same(one, other):
    """Whether two are one score, in papers that round and name networks each in their own way."""
    if not (_is_on(one, other.dataset) or _is_on(other, one.dataset)):
        return False
    pairs = [(getattr(one, key), getattr(other, key), near) for key, near in NEAR.items()]
    return all(None in (a, b) or abs(a - b) <= near for a, b, near in pairs)
