"""What a run is measured against in the end: the published scores of its recipe.

Each belongs to a dataset and a protocol, which may be others than those that the run is watched by:
DeepDeblur's training on linear blur is judged by the images of Köhler et al.
"""

from tfdeblur import recipes
from tfdeblur.data import opening
from tfdeblur.errors import InputError
from tfdeblur.evaluation import protocols, test_sets
from tfdeblur.evaluation.reports import difference, number, table


def why_none(recipe, train_pairs, initial_weights=None):
    """Why no published score belongs to a run, as the rest of a sentence; "" where one may.

    Args:
        recipe: a `recipes.Recipe`.
        train_pairs: `data.pairs.Pairs`.
        initial_weights: where the run begins with weights, their file.
    """
    changed = recipes.departures(recipe)
    if recipe.name not in recipes.RECIPES:
        return f"no paper has the recipe {recipe.name}"
    if changed:
        return f"it departs from the recipe {recipe.name} in {', '.join(changed)}"
    if train_pairs.dataset != recipe.dataset:
        return f"it was trained on {train_pairs.name}, not on {recipe.dataset}"
    if initial_weights:
        return f"it began with the weights {initial_weights}"
    return ""


def none_belongs(reason):
    """What `why_none` gives, as a sentence."""
    return f"No published number belongs to this run, because {reason}."


def find_others(recipe, test_pairs, data_dir=None, manual_dir=None):
    """The test sets of published scores, without `test_pairs`.

    Those that are built already; one that is not is built if no score belongs to `test_pairs`.

    Args:
        recipe: a `recipes.Recipe`.
        test_pairs: `data.pairs.Pairs`.
        data_dir, manual_dir: see `opening.open_dataset`.

    Returns:
        list of `test_sets.Data`, and list of str: why others, of which scores are published, are
        not there.
    """
    if recipe.name not in recipes.RECIPES or recipes.departures(recipe):
        return [], []
    if test_pairs.dataset != recipe.test_dataset:
        return [], []
    names = dict.fromkeys(one.dataset for one in recipes.published_of(recipe))
    others = [name for name in names if name != test_pairs.dataset]
    found, missing = [], []
    for name in others:
        if len(others) < len(names) and not opening.is_built(opening.find_builder(name, data_dir)):
            missing.append(f"{name} is not built")
            continue
        try:
            found.append(test_sets.from_tfds(name, "test", data_dir, manual_dir))
        except InputError as error:
            missing.append(f"{name} cannot be opened ({error})")
    return found, missing


def protocols_for(data, published):
    """The protocols that a test set is measured by: the usual one, and those of published scores.

    Returns:
        list of `protocols.Protocol`.

    Raises:
        InputError: OpenCV is missing, which one of them needs.
    """
    chosen = protocols.choose_for(data.reference)
    for one in published:
        if one.dataset == data.dataset and one.protocol:
            chosen += protocols.choose_for(data.reference, one.protocol)
    return list(dict.fromkeys(chosen))


def section(rows, missing, reason=""):
    """Measured, published and their difference, in Markdown; "" where nothing is published.

    Args:
        rows: list of (name of the dataset, dict of `reports.results`).
        missing: of `find_others`.
        reason: of `why_none`, where the recipe itself has published scores.
    """
    if reason:
        return f"## Measured and published\n\n{none_belongs(reason)}"
    cells = [
        [
            f"{dataset}, {row['protocol']}",
            metric,
            number(measured, form),
            number(published, form),
            difference(measured, published, form),
        ]
        for dataset, row in rows
        for metric, measured, published, form in (
            ("PSNR (dB)", row["psnr"], row["published_psnr"], ".2f"),
            ("SSIM", row["ssim"], row["published_ssim"], ".4f"),
        )
        if published is not None
    ]
    if not cells and not missing:
        return ""
    parts = ["## Measured and published"]
    if cells:
        parts.append(table(["", "", "measured", "published", "difference"], cells))
        sources = dict.fromkeys(
            row["published_source"] for _, row in rows if row["published_psnr"] is not None
        )
        parts.append("Published: " + "; ".join(sources) + ".")
    parts += [f"Not measured: {reason}." for reason in missing]
    return "\n\n".join(parts)
