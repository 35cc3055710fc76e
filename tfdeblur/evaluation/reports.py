"""Reports: Markdown tables, before/after pictures, and the numbers as CSV and JSON."""

import csv
import dataclasses
import importlib
import json
import math
import pathlib

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfdeblur import images
from tfdeblur.evaluation.scoring import Score, summarise
from tfdeblur.restoration import quantise

# Pictures, in pixels: what is shown of an image, and room for text.
_SHOWN_WIDTH, _SHOWN_HEIGHT = 480, 360
_LEAST_WIDTH = 160
_GAP, _LINE = 6, 22


@dataclasses.dataclass(frozen=True)
class Row:
    """One image of a comparison: three uint8 [H, W, 3] of one size."""

    caption: str
    blurry: np.ndarray
    restored: np.ndarray
    sharp: np.ndarray


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
        summary: of `summarise`.
        ssim_kind: "gaussian" or "volume", the kind of summary["ssim_*"]; the volume SSIM is
            always given.
    """
    columns = [("psnr", "PSNR (dB)", ".2f"), ("ssim", f"SSIM ({ssim_kind})", ".4f")]
    if ssim_kind != "volume":
        columns.append(("ssim_volume", "SSIM (volume)", ".4f"))
    blurry, restored, gain = ["blurry input"], ["restored"], ["gain"]
    for key, _, form in columns:
        before, after = summary[f"{key}_blurry"], summary[f"{key}_restored"]
        blurry.append(format(before, form))
        restored.append(format(after, form))
        gain.append(format(0.0 if before == after else after - before, "+" + form))
    return table(["", *(title for _, title, _ in columns)], [blurry, restored, gain])


def settings_line(settings):
    """What a number depends on, in one line: "protocol: nah2017; precision: float32; ..."."""
    return "; ".join(f"{key}: {value}" for key, value in settings.items())


def versions():
    """The versions of this library and those that compute: "tfdeblur 0.1.0, keras 3.15.0, ..."."""
    # Asked of the modules: the backend's package has several names (tensorflow, tensorflow-cpu).
    names = ("tfdeblur", "keras", keras.backend.backend(), "numpy")
    return ", ".join(f"{name} {importlib.import_module(name).__version__}" for name in names)


def examples(scores, pairs, restore):
    """The rows of a comparison for the images with the best, the median and the worst gain.

    Args:
        scores: a list of Score, not empty.
        pairs: the iterable that they come from, once more.
        restore: as for `evaluate`; called again, since images are not kept while scoring.

    Returns:
        list of one to three Row, the best first.
    """
    ranking = sorted(scores, key=lambda score: score.gain, reverse=True)
    ranks = {"worst": len(ranking) - 1, "median": len(ranking) // 2, "best": 0}
    chosen = {ranking[rank].name: (label, ranking[rank]) for label, rank in ranks.items()}
    rows = {}
    for name, blurry, sharp in pairs:
        if name in chosen:
            label, score = chosen[name]
            psnr = f"{score.psnr_blurry:.2f} -> {score.psnr_restored:.2f} dB"
            rows[score] = Row(f"{label}: {name}, {psnr}", blurry, quantise(restore(blurry)), sharp)
        if len(rows) == len(chosen):
            break
    return [rows[score] for score in ranking if score in rows]


def comparison(path, rows):
    """Writes a picture with the columns blurry, restored and sharp.

    Images are shown at full resolution: the centre of those above 480x360 pixels; small ones are
    enlarged by pixel repetition.

    Args:
        path: an image file, see `tfdeblur.images.write`.
        rows: a list of Row, not empty.
    """
    font = ImageFont.load_default(size=14)
    rows = [
        (row.caption, [_shown(image) for image in (row.blurry, row.restored, row.sharp)])
        for row in rows
    ]
    width = max(_LEAST_WIDTH, *(shown[0].width for _, shown in rows)) + _GAP
    height = _LINE + sum(_LINE + shown[0].height + _GAP for _, shown in rows)
    canvas = Image.new("RGB", (3 * width + _GAP, height), "white")
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(("blurry", "restored", "sharp")):
        draw.text((_GAP + column * width, 3), label, fill="black", font=font)
    top = _LINE
    for caption, shown in rows:
        draw.text((_GAP, top + 2), caption, fill="black", font=font)
        top += _LINE
        for column, picture in enumerate(shown):
            canvas.paste(picture, (_GAP + column * width, top))
        top += shown[0].height + _GAP
    images.write(path, np.asarray(canvas))


def write_report(path, scores, protocol, settings, rows):
    """Writes a Markdown report, and beside it scores.csv, metrics.json and comparison.png.

    Args:
        path: the Markdown file; its folder is made where missing, files in it are replaced.
        scores: a list of Score, not empty.
        protocol: the Protocol that they follow.
        settings: dict of str to str, what else the numbers depend on: see `settings_line`.
        rows: a list of Row for the picture, see `examples`.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    summary = summarise(scores)
    comparison(path.with_name("comparison.png"), rows)
    _write_scores(path.with_name("scores.csv"), scores)
    numbers = {key: value if math.isfinite(value) else None for key, value in summary.items()}
    # Infinity (the PSNR of equal images) is not JSON.
    path.with_name("metrics.json").write_text(
        json.dumps({**numbers, "settings": settings}, indent=2, allow_nan=False) + "\n"
    )
    path.write_text(
        f"""# Evaluation on {summary["images"]} images

{summary_table(summary, protocol.ssim)}

Means over the images; {summary["seconds"]:.3f} s per image (median). Protocol `{protocol.name}`:
{protocol.source}. Every image: [scores.csv](scores.csv); the means: [metrics.json](metrics.json).

Settings: {settings_line(settings)}.

## Best, median and worst gain

![blurry, restored and sharp images](comparison.png)
"""
    )


def _shown(image):
    """The part of an image that is shown, as a picture."""
    height, width, _ = image.shape
    top, left = max(height - _SHOWN_HEIGHT, 0) // 2, max(width - _SHOWN_WIDTH, 0) // 2
    shown = Image.fromarray(image[top : top + _SHOWN_HEIGHT, left : left + _SHOWN_WIDTH])
    scale = max(1, min(math.ceil(_LEAST_WIDTH / width), _SHOWN_HEIGHT // height))
    return shown.resize((shown.width * scale, shown.height * scale), Image.Resampling.NEAREST)


def _write_scores(path, scores):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Score)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(score) for score in scores)
