"""Reports of an evaluation: tables in Markdown and HTML, pictures, and the numbers as files."""

import dataclasses
import html
import importlib
import json
import math
import pathlib

import keras
import markdown
import numpy as np

from tfdeblur import files, memory, published
from tfdeblur.evaluation import protocols, score_files
from tfdeblur.evaluation.scoring import BLURRY, RESTORED, mean, median, restored_by, summarise
from tfdeblur.io import comparisons
from tfdeblur.io.comparisons import Row
from tfdeblur.restoration import quantise

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
th, td {{ border-bottom: 1px solid #ccc; padding: 0.3em 0.8em; }}
img {{ max-width: 100%; }}
</style>
{body}
</html>
"""


@dataclasses.dataclass(frozen=True)
class NetworkFacts:
    """What a report tells of a network beside its scores.

    Attributes:
        parameters: how many; None for what is no network.
        macs: multiply-accumulates for an image of 256x256; None where they cannot be counted.
        published: list of `published.Published`.
    """

    parameters: int | None
    macs: int | None
    published: list


def table(header, rows):
    """A Markdown table, aligned so that it also reads well as text.

    Args:
        header: a list of str, one for each column.
        rows: lists of cells, as long as `header`; str() is taken of each.

    Returns:
        str without a final newline. The first column is aligned to the left, others to the right.
    """
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    ]
    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def summary_table(summary, ssim_kind):
    """The table of a summary: the blurry input, the restored images, and the gain.

    Args:
        summary: of `summarise`, of the methods BLURRY and RESTORED.
        ssim_kind: "gaussian" or "volume", the kind of summary["ssim_*"]; the volume SSIM is
            always given.
    """
    columns = [("psnr", "PSNR (dB)", ".2f"), ("ssim", f"SSIM ({ssim_kind})", ".4f")]
    if ssim_kind != "volume":
        columns.append(("ssim_volume", "SSIM (volume)", ".4f"))
    blurry, restored, gain = ["blurry input"], ["restored"], ["gain"]
    for key, _, form in columns:
        before, after = summary[f"{key}_{BLURRY}"], summary[f"{key}_{RESTORED}"]
        blurry.append(number(before, form))
        restored.append(number(after, form))
        gain.append(difference(after, before, form))
    return table(["", *(title for _, title, _ in columns)], [blurry, restored, gain])


def results(scores, networks, dataset=None):
    """The means of each method by each protocol, and what else is known of the method.

    Args:
        scores: a list of Score, not empty.
        networks: {method: NetworkFacts}; none for BLURRY.
        dataset: `Data.dataset`: published scores on it are compared with.

    Returns:
        list of dict, in the order of the scores: "method", "protocol", "psnr" (dB), "ssim",
        "ssim_volume", "seconds" (median), "memory" (bytes), "parameters", "macs", and
        "published_psnr", "published_ssim", "published_seconds", "published_source"; None where
        unknown.
    """
    groups = {}
    for one in scores:
        groups.setdefault((one.method, one.protocol), []).append(one)
    return [_result(*key, group, networks, dataset) for key, group in groups.items()]


def results_table(rows):
    """`results` as Markdown."""
    header = ["", "protocol", "PSNR (dB)", "SSIM", "kind", "SSIM (volume)", "parameters"]
    header += ["MACs at 256x256", "s per image", "memory"]
    header += ["published PSNR", "published SSIM", "published s"]
    cells = [
        [
            _label(row["method"]),
            row["protocol"],
            number(row["psnr"], ".2f"),
            number(row["ssim"], ".4f"),
            protocols.PROTOCOLS[row["protocol"]].ssim,
            number(row["ssim_volume"], ".4f"),
            number(row["parameters"], ","),
            number(row["macs"] and row["macs"] / 1e9, ".1f", " G"),
            number(row["seconds"], ".3f"),
            number(row["memory"] and row["memory"] / 2**30, ".2f", " GiB"),
            _beside(row["published_psnr"], row["psnr"], ".2f"),
            _beside(row["published_ssim"], row["ssim"], ".4f"),
            row["published_seconds"] or "-",
        ]
        for row in rows
    ]
    # Columns that say nothing are left out.
    kept = [i for i in range(len(header)) if i < 3 or any(row[i] != "-" for row in cells)]
    return table([header[i] for i in kept], [[row[i] for i in kept] for row in cells])


def sequences_table(scores):
    """Mean PSNR of each method in each sequence, the part of the names before the last "/"."""
    groups = {}
    for one in scores:
        name, _, _ = one.image.rpartition("/")
        groups.setdefault(name, {}).setdefault(one.method, []).append(one.psnr)
    methods = list(next(iter(groups.values())))
    header = ["sequence", "images", *(f"{_label(method)} (dB)" for method in methods)]
    header += [f"gain of {method} (dB)" for method in methods[1:]]
    rows = []
    for name, group in sorted(groups.items()):
        means = [mean(group[method]) for method in methods]
        gains = [difference(after, means[0], ".2f") for after in means[1:]]
        rows.append([name, len(group[methods[0]]), *(number(x, ".2f") for x in means), *gains])
    return table(header, rows)


def distribution_table(scores):
    """Quartiles over the images of each method's PSNR, and of the gain over the blurry input."""
    values = {}
    for one in scores:
        values.setdefault(_label(one.method), []).append(one.psnr)
    for method in dict.fromkeys(one.method for one in scores if one.method != BLURRY):
        values[f"gain of {method}"] = list(_gains(scores, method).values())
    header = ["dB", "lowest", "lower quartile", "median", "upper quartile", "highest"]
    rows = [[name, *(number(x, ".2f") for x in _quartiles(x))] for name, x in values.items()]
    return table(header, rows)


def settings_line(settings):
    """What a number depends on, in one line: "protocol: nah2017; precision: float32; ..."."""
    return "; ".join(f"{key}: {value}" for key, value in settings.items())


def versions():
    """The versions of this library and those that compute: "tfdeblur 0.1.0, keras 3.15.0, ..."."""
    # Asked of the modules: the backend's package has several names (tensorflow, tensorflow-cpu).
    names = ("tfdeblur", "keras", keras.backend.backend(), "numpy")
    return ", ".join(f"{name} {importlib.import_module(name).__version__}" for name in names)


def examples(scores, pairs, restore, method=RESTORED):
    """The rows of a comparison for the images with the best, the median and the worst gain.

    Args:
        scores: a list of Score of one protocol, not empty.
        pairs: the iterable that they come from, once more.
        restore: as for `evaluate`; called again, since images are not kept while scoring.
        method: whose gain.

    Returns:
        list of one to three Row, the best first.
    """
    psnr = {(one.image, one.method): one.psnr for one in scores}
    chosen = ranked(scores, method)
    rows = {}
    for name, blurry, reference in pairs:
        if name in chosen:
            before, after = psnr[name, BLURRY], psnr[name, method]
            whose = "" if method == RESTORED else f"{method}, "
            caption = f"{whose}{chosen[name]}: {name}, {before:.2f} -> {after:.2f} dB"
            restored = restored_by(restore, (name, blurry, reference))
            sharp = _sharp(reference, restored)
            rows[name] = Row(caption, blurry, quantise(restored), sharp)
        if len(rows) == len(chosen):
            break
    return [rows[name] for name in chosen if name in rows]


def ranked(scores, method):
    """{image: "best", "median" or "worst"} by a method's gain in PSNR, the best first."""
    gains = _gains(scores, method)
    ranking = sorted(gains, key=gains.get, reverse=True)
    ranks = {"worst": len(ranking) - 1, "median": len(ranking) // 2, "best": 0}
    chosen = {rank: label for label, rank in ranks.items()}
    return {ranking[rank]: chosen[rank] for rank in sorted(chosen)}


def write_report(path, scores, protocol, settings, rows, networks=None, dataset=None, sections=()):
    """Writes a Markdown report, and beside it the same as HTML, its pictures and its numbers.

    These are report.html, comparison.png, scores.csv and metrics.json.

    Args:
        path: the Markdown file; its folder is made where missing, files in it are replaced.
        scores: a list of Score, not empty.
        protocol: the Protocol that the summary and the distributions follow; the first table has
            all that the scores have.
        settings: dict of str to str, what else the numbers depend on: see `settings_line`.
        rows: a list of Row for the picture, see `examples`.
        networks, dataset: see `results`.
        sections: what follows in the end, in Markdown.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    score_files.write(path.with_name(score_files.SCORES), scores)
    followed = [one for one in scores if one.protocol == protocol.name]
    summary = summarise(followed)
    means = results(scores, networks or {}, dataset)
    numbers = {**summary, "settings": settings, "results": means}
    _write_numbers(path.with_name("metrics.json"), numbers)
    parts = [f"# Evaluation on {summary['images']} images", results_table(means)]
    if f"psnr_{RESTORED}" in summary:
        parts.append(summary_table(summary, protocol.ssim))
    parts += [
        f"Means over the images. Seconds are medians, without images that a network compiled for; "
        f"memory is that of {memory.whose()} at its peak. Every image: "
        "[scores.csv](scores.csv); the means: [metrics.json](metrics.json).",
        _sources(means),
        f"Settings: {settings_line(settings)}.",
    ]
    if any("/" in one.image for one in followed):
        parts += [f"## Sequences, by `{protocol.name}`", sequences_table(followed)]
    parts += ["## Distribution over the images", distribution_table(followed)]
    if rows:
        comparisons.comparison(path.with_name("comparison.png"), rows)
        parts += [
            "## Best, median and worst gain",
            "![blurry, restored and sharp images, and the error](comparison.png)",
        ]
    quoted = published.on_dataset(dataset)
    if quoted:
        parts += [
            "## Others on this data",
            "As quoted by papers that state neither the protocol nor, for GOPRO, the blur variant: "
            "not comparable to the last digits.",
            _quoted_table(quoted),
        ]
    _write_pages(path, [*parts, *sections])


def write_comparisons(path, scores, settings, networks):
    """Writes the report on images that have no ground truth: pictures without scores.

    The pictures are those of `comparisons.write_page`.

    Args:
        path, settings, networks: as for `write_report`.
        scores: a list of Score, which name the images.
    """
    path = pathlib.Path(path)
    numbers = {**summarise(scores), "settings": settings}
    _write_numbers(path.with_name("metrics.json"), numbers)
    sections = [
        f"# {numbers['images']} images without ground truth",
        results_table(results(scores, networks)),
        f"Settings: {settings_line(settings)}.",
    ]
    for name in sorted({one.image for one in scores}):
        sections += [f"## {name}", f"![blurry and restored]({comparisons.page_file(name)})"]
    _write_pages(path, sections)


def _result(method, protocol, scores, networks, dataset):
    network = networks.get(method)
    same = published.find(network.published, dataset, protocol) if network else None
    peaks = [one.memory for one in scores if one.memory is not None]
    return {
        "method": method,
        "protocol": protocol,
        **{key: mean(getattr(one, key) for one in scores) for key in _METRICS},
        "seconds": median(one.seconds for one in scores),
        "memory": max(peaks, default=None),
        "parameters": network and network.parameters,
        "macs": network and network.macs,
        "published_psnr": same and same.psnr,
        "published_ssim": same and same.ssim,
        "published_seconds": same and _seconds(same),
        "published_source": same and _source(same),
    }


def _seconds(one):
    """As reported, then as measured again: "0.18, 0.162"; None where there are none."""
    return ", ".join(f"{x:g}" for x in (one.seconds, one.remeasured) if x is not None) or None


def _source(one):
    unsure = "" if one.protocol_stated else f"; by which protocol is not stated: `{one.protocol}`"
    return f"{one.source}{unsure}{' is taken' if unsure else ''}"


_METRICS = ("psnr", "ssim", "ssim_volume")


def _label(method):
    return "blurry input" if method == BLURRY else method


def number(value, form, unit=""):
    """In a form as of `format`, with its unit; "-" for None."""
    return "-" if value is None else format(value, form) + unit


def difference(after, before, form):
    """With its sign, in a form as of `format`; "-" where one is None."""
    if after is None or before is None:
        return "-"
    # Two perfect images would give inf - inf.
    return format(0.0 if before == after else after - before, "+" + form)


def _beside(reported, measured, form):
    """A published number, and by how much the measured one differs."""
    if reported is None:
        return "-"
    return f"{reported:{form}} ({difference(measured, reported, form)})"


def _gains(scores, method):
    """{image: dB by which a method raised the PSNR}."""
    before = {one.image: one.psnr for one in scores if one.method == BLURRY}
    return {
        one.image: 0.0 if one.psnr == before[one.image] else one.psnr - before[one.image]
        for one in scores
        if one.method == method
    }


def _quartiles(values):
    # Between infinity and another number there is nothing to interpolate.
    return np.quantile(values, (0, 0.25, 0.5, 0.75, 1), method="nearest")


def best_sharp(reference, methods):
    """What restored images are shown beside: of the frames of a movement, the first one's best.

    Args:
        reference: what a protocol compares with: uint8 [H, W, 3] or [N, H, W, 3].
        methods: {name: uint8 [H, W, 3]}; none: the middle frame.
    """
    if reference.ndim == 4 and not methods:
        return reference[len(reference) // 2]
    return _sharp(reference, next(iter(methods.values()), reference).astype(np.float32) / 255)


def _sharp(reference, restored):
    """What a restored image is shown beside: of the frames of a movement, the best one."""
    if reference.ndim == 3:
        return reference
    best = np.argmax([psnr for psnr, _ in protocols.kohler_by_frame(reference, restored)])
    return reference[best]


def _sources(means):
    names = dict.fromkeys(row["protocol"] for row in means)
    chosen = [protocols.PROTOCOLS[name] for name in names]
    lines = [f"- `{p.name}`: {p.source}; {p.rounding}; SSIM: {p.ssim}." for p in chosen]
    reported = dict.fromkeys(row["published_source"] for row in means if row["published_source"])
    lines += [f"- published: {source}" for source in reported]
    return "\n".join(lines)


def _quoted_table(quoted):
    header = ["network", "PSNR (dB)", "SSIM", "s at 1280x720", "again", "parameters", "source"]
    rows = [
        [
            one.network,
            f"{one.psnr:.2f}",
            number(one.ssim, ".3f"),
            number(one.seconds, "g"),
            number(one.remeasured, "g"),
            number(one.parameters, "g", " M"),
            one.source,
        ]
        for one in quoted
    ]
    return table(header, rows)


def _finite(value):
    """The same with None for infinity (the PSNR of equal images), which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, list):
        return [_finite(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_numbers(path, numbers):
    files.write_text(path, json.dumps(_finite(numbers), indent=2, allow_nan=False) + "\n")


def _write_pages(path, sections):
    text = "\n\n".join(sections) + "\n"
    title = html.escape(sections[0].lstrip("# "))
    page = _PAGE.format(title=title, body=markdown.markdown(text, extensions=["tables"]))
    files.write_text(path, text)
    files.write_text(path.with_suffix(".html"), page)
