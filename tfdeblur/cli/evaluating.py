"""What the command `tfdeblur evaluate` does, see `evaluate`."""

import functools
import itertools
import pathlib
import sys

import keras
import numpy as np
from absl import flags

from tfdeblur import classical, evaluation, precision, restoration, weights
from tfdeblur.cli import flags as shared
from tfdeblur.data import opening
from tfdeblur.errors import InputError
from tfdeblur.evaluation import (
    complexity,
    paper_tables,
    protocols,
    reports,
    score_files,
    scoring,
    test_sets,
)
from tfdeblur.evaluation.one_kernel import KOHLER_SIZES, OneKernel
from tfdeblur.io import comparisons
from tfdeblur.weights import catalogue

FLAGS = flags.FLAGS
_NOT_OF_TABLES = (
    *("dataset", "split", "blurry_dir", "sharp_dir", "pairs", "protocol", "report", "limit"),
    *("blurry_baseline", "kernel_size", "compare_at"),
)


def run():
    """Evaluates, prints the means and writes the report."""
    chosen_precision = precision.resolve(FLAGS.precision)
    if FLAGS.table:
        return print_table(chosen_precision)
    check_names()
    networks = open_networks() if FLAGS.dataset else {}
    source = open_data()
    chosen = protocols.choose_for(source.reference, FLAGS.protocol)
    networks = networks or open_networks()
    restorers = {
        method: restorer(network, chosen_precision) for method, (network, _) in networks.items()
    }
    names = ", ".join(name for _, name in networks.values()) or "the blurry images alone"
    settings = {
        "data": source.name,
        "network": names,
        "protocol": ", ".join(protocol.name for protocol in chosen),
        "rounding": " / ".join(dict.fromkeys(protocol.rounding for protocol in chosen)),
        "SSIM": " / ".join(dict.fromkeys(protocol.ssim for protocol in chosen)),
        "precision": chosen_precision,
        "tile": FLAGS.tile or "none",
        "self-ensemble": "yes" if FLAGS.self_ensemble else "no",
        "versions": reports.versions(),
    }
    count = min(source.count, FLAGS.limit or source.count)
    print(f"Evaluating {names} on {count} images of {source.name}.")
    identity = {
        **settings,
        "data version": source.version,
        "weights": {
            method: str(network) if isinstance(network, OneKernel) else score_files.digest(network)
            for method, (network, _) in networks.items()
        },
    }
    settings["machine"] = precision.machine()
    if source.warning:
        print(f"\n{source.warning}\n", file=sys.stderr)
    scores = score(source, count, restorers, chosen, identity)
    facts = {method: describe(network) for method, (network, _) in networks.items()}
    dataset = source.dataset if count == source.count else None
    print(reports.results_table(reports.results(scores, facts, dataset)))
    if len(networks) == len(chosen) == 1 and chosen[0].measure:
        print(f"\n{reports.summary_table(evaluation.summarise(scores), chosen[0].ssim)}")
    print(reports.settings_line(settings))
    if FLAGS.report:
        path = pathlib.Path(FLAGS.report, "report.md")
        opened = {method: network for method, (network, _) in networks.items()}
        sections = write_figures(scores, chosen[0], source, restorers, opened)
        write_report(path, scores, chosen[0], settings, source, restorers, facts, dataset, sections)
        print(f"Wrote {path} and {path.with_suffix('.html')}.")
    else:
        print("With pictures and every image's scores: the same command with --report=FOLDER")


def restorer(network, chosen_precision):
    if isinstance(network, OneKernel):
        return network
    return functools.partial(
        restoration.restore_float,
        network,
        tile=shared.tile(),
        self_ensemble=FLAGS.self_ensemble,
        precision=chosen_precision,
    )


def print_table(chosen_precision):
    """The papers' tables, with the scores of what --model names, or of the weights at hand."""
    for name in _NOT_OF_TABLES:
        if FLAGS[name].present:
            raise InputError(
                f"--table={FLAGS.table} measures what its rows say, on whole test splits: leave "
                f"out --{name}."
            )
    if FLAGS.weights and not FLAGS.model:
        raise InputError(f"--weights={','.join(FLAGS.weights)} beside --table: name their --model.")
    wanted = {
        row.own for group in paper_tables.rows(FLAGS.table).values() for row in group if row.own
    }
    datasets = {one.dataset for one in wanted}
    built = {x for x in datasets if opening.is_built(opening.find_builder(x, FLAGS.data_dir))}
    if missing := sorted(datasets - built):
        print(
            f"Not measured here, as not built: {', '.join(missing)}. evaluate "
            f"--dataset={missing[0]} builds one.",
            file=sys.stderr,
        )
    wanted = {one for one in wanted if one.dataset in built}
    groups = {}  # what one pass over the images measures: {name: (restorer, Published)}
    for name, network, reported in networks_at_hand(built) if built else ():
        for one in wanted.intersection(reported):
            group = groups.setdefault((one.dataset, one.protocol), {})
            group[name] = restorer(network, chosen_precision), one
    measured = {}
    for (dataset, protocol), networks in groups.items():
        source = test_sets.from_tfds(dataset, "test", FLAGS.data_dir, FLAGS.manual_dir)
        measured.update(measure(source, protocol, networks))
    print(paper_tables.markdown(FLAGS.table, measured))
    if measured:
        print(f"\nSeconds here: {precision.machine()}, {chosen_precision}.")


def measure(source, protocol, networks):
    """{Published: (PSNR, SSIM, seconds)} of {name: (restorer, Published)}, on a whole source."""
    print(f"Evaluating {', '.join(networks)} on {source.name}, {protocol}.", file=sys.stderr)
    restorers = {name: restore for name, (restore, _) in networks.items()}
    chosen = protocols.choose_for(source.reference, protocol)
    scored = scoring.score(source.read(), restorers, chosen)
    scores = [one for group in scoring.progress(scored, source.count) for one in group]
    means = {}
    for name, (_, one) in networks.items():
        own = [score for score in scores if score.method == name]
        means[one] = (
            scoring.mean(x.psnr for x in own),
            scoring.mean(x.ssim for x in own),
            scoring.median(x.seconds for x in own),
        )
    return means


def networks_at_hand(datasets):
    """Yields (name, network, what is published of it) of --model, or of what the cache has.

    Args:
        datasets: names of those that are built; what is published on others is not opened.
    """
    if FLAGS.model:
        for network, name in open_networks().values():
            yield name, network, describe(network).published
        return
    for entry in catalogue.cached():
        if any(one.dataset in datasets for one in entry.published):
            network, name = weights.open_network(entry.network, entry.name)
            yield name, network, catalogue.published_of(network, FLAGS.self_ensemble)


def check_names():
    """What is mistyped is told before a dataset is fetched or made for hours."""
    compare_at()
    if FLAGS.protocol not in (None, "all"):
        protocols.choose(FLAGS.protocol)
    own = (FLAGS.blurry_dir, FLAGS.sharp_dir, FLAGS.pairs)
    alone = FLAGS.sharp_dir and not FLAGS.blurry_dir and not FLAGS.pairs
    if bool(FLAGS.dataset) == any(own) or alone:
        raise InputError(
            "give either --dataset, or both --blurry_dir and --sharp_dir, or --pairs, or "
            "--blurry_dir alone: that gives pictures without scores."
        )
    for name in ("split", "data_dir", "manual_dir"):
        if FLAGS[name].present and not FLAGS.dataset:
            raise InputError(f"--{name} is for --dataset: leave it out.")
    if FLAGS.kernel_size and not set(FLAGS.model).intersection(classical.MODELS):
        raise InputError(f"--kernel_size is of --model={' or '.join(classical.MODELS)}.")
    for name in FLAGS.dataset.split("+") if FLAGS.dataset else ():
        reference = test_sets.reference(name, FLAGS.data_dir)
        others = test_sets.references(name, FLAGS.data_dir)  # looked at where none fits
        protocols.choose_for(reference, FLAGS.protocol, others)


def open_data():
    """The `test_sets.Data` that the flags mean."""
    if FLAGS.dataset:
        return test_sets.from_tfds(FLAGS.dataset, FLAGS.split, FLAGS.data_dir, FLAGS.manual_dir)
    if not FLAGS.sharp_dir and not FLAGS.pairs:
        return test_sets.from_folder(FLAGS.blurry_dir)
    return test_sets.from_folders(FLAGS.blurry_dir, FLAGS.sharp_dir, FLAGS.pairs)


def open_networks():
    """{method: (network, where it came from)} of what the flags mean."""
    if FLAGS.blurry_baseline:
        useless = [x for x in ("model", "weights", "tile", "self_ensemble") if FLAGS[x].value]
        if useless:
            raise InputError(
                "--blurry_baseline is for the blurry images alone: leave out "
                f"--{' and --'.join(useless)}. A network's report has a row of them anyway."
            )
        return {}
    if FLAGS.weights and len(FLAGS.weights) != max(1, len(FLAGS.model)):
        raise InputError(
            f"--weights={','.join(FLAGS.weights)} names {len(FLAGS.weights)}, --model "
            f"{len(FLAGS.model)}: give as many of each, in the same order."
        )
    opened = [
        open_one(model, given)
        for model, given in itertools.zip_longest(FLAGS.model or [None], FLAGS.weights)
    ]
    if len(opened) == 1:
        return {scoring.RESTORED: opened[0]}
    networks = {name: (network, name) for network, name in opened}
    if len(networks) < len(opened):
        raise InputError(f"--model={','.join(FLAGS.model)} names one network twice.")
    return networks


def open_one(model, given):
    """A network, or a method of one kernel, and where it came from."""
    if model not in classical.MODELS:
        return weights.open_network(model, given)
    if given or FLAGS.tile or FLAGS.self_ensemble:
        raise InputError(
            f"`model={model}` is no network: leave out --weights, --tile and --self_ensemble."
        )
    if FLAGS.kernel_size:
        method = OneKernel(model, FLAGS.kernel_size)
    elif (FLAGS.dataset or "").partition("/")[0] == "kohler":
        method = OneKernel(model, sizes=KOHLER_SIZES)
    else:
        method = OneKernel(model)
    return method, str(method)


def score(source, count, restorers, chosen, identity):
    """Scores of the first images, of which those that the report's folder holds are not repeated.

    Args:
        source: `test_sets.Data`.
        count: how many images.
        restorers: {method: function}, see `scoring.score`.
        chosen: list of Protocol.
        identity: see `score_files.Records`.
    """
    scores, record, on_restored = [], None, None
    scores_per_image = (1 + len(restorers)) * len(chosen)
    if FLAGS.report:
        record = score_files.Records(FLAGS.report, identity, scores_per_image)
        scores = record.scores[: count * scores_per_image]
        if source.pages:
            on_restored = functools.partial(write_page, record)
    elif source.reference == "nothing":
        raise InputError(f"{source.name} has no sharp images: give --report=FOLDER for pictures.")
    done = len(scores) // scores_per_image
    if done:
        print(f"{done} of them are in {record.path} already.")
    rest = map(with_square, itertools.islice(source.read(done), count - done))
    scored = scoring.score(rest, restorers, chosen, on_restored)
    try:
        for group in scoring.progress(scored, count, done):
            scores += group
            if record:
                record.add(group)
    except KeyboardInterrupt:
        if record:
            print(f"\nThe same command goes on after what {record.path} holds.", file=sys.stderr)
        raise
    return scores


def with_square(example):
    """An example, whose image holds the square of --compare_at: told before it is restored."""
    name, blurry, _ = example
    if FLAGS.compare_at:
        comparisons.find_square({"blurry": blurry}, compare_at(), name)
    return example


def write_page(record, example, restored):
    name, blurry, sharp = example
    record.owned.claim(comparisons.page_file(name))
    versions = in_versions(blurry, restored, sharp)
    comparisons.write_page(FLAGS.report, name, versions, compare_at())


def in_versions(blurry, restored, sharp):
    """{label: uint8 [H, W, 3]} of what is shown of an image, for `comparisons`."""
    methods = {method: restoration.quantise(image) for method, image in restored.items()}
    last = {} if sharp is None else {"sharp": reports.best_sharp(sharp, methods)}
    return {"blurry": blurry, **methods, **last}


def compare_at():
    """(left, top, side) of --compare_at, or None."""
    if not FLAGS.compare_at:
        return None
    if not FLAGS.report:
        raise InputError("--compare_at says what a report's pictures show: give --report=FOLDER.")
    if len(FLAGS.compare_at) != 3 or not all(text.isdecimal() for text in FLAGS.compare_at):
        raise InputError(f"--compare_at={','.join(FLAGS.compare_at)}: give x,y,size in pixels.")
    return tuple(map(int, FLAGS.compare_at))


def write_figures(scores, protocol, source, restorers, networks):
    """Pictures of several methods, and of what a two-way network is the sum of.

    Returns:
        list of str: the report's sections about them.
    """
    sections = [f"**{source.warning}**"] if source.warning else []
    two_way = [
        one
        for one in networks.values()
        if not isinstance(one, OneKernel) and one.hyperparameters.get("two_way")
    ]
    if not protocol.measure or not (two_way or len(restorers) > 1 or FLAGS.compare_at):
        return sections
    followed = [one for one in scores if one.protocol == protocol.name]
    chosen = reports.ranked(followed, next(iter(restorers)))
    found = (example for example in source.read() if example[0] in chosen)
    shown = []
    for example in itertools.islice(found, len(chosen)):
        name, blurry, sharp = example
        restored = {m: scoring.restored_by(restore, example) for m, restore in restorers.items()}
        shown.append((f"{chosen[name]}: {name}", in_versions(blurry, restored, sharp)))
    comparisons.compare_methods(pathlib.Path(FLAGS.report, "methods.png"), shown, compare_at())
    sections += ["## The methods, at one place", "![each method, enlarged](methods.png)"]
    if two_way:
        parts = [(caption, branches(two_way[0], x["blurry"])) for caption, x in shown]
        comparisons.compare_methods(pathlib.Path(FLAGS.report, "two_way.png"), parts, compare_at())
        sections += [
            "## The two ways, and their sum",
            "![blurry, lower decoder, upper decoder, sum](two_way.png)",
        ]
    return sections


def branches(network, blurry):
    """What `MTWNet.branches` gives of an image, for pictures; padded as for restoring it."""
    height, width, _ = blurry.shape
    padding = [(0, -side % network.stride) for side in (height, width)]
    padded = np.pad(blurry, [*padding, (0, 0)], mode="reflect")
    images = network.branches(padded[None].astype("float32") / 255)
    finest = {
        name: keras.ops.convert_to_numpy(images[name][0])[0, :height, :width] for name in images
    }
    return {
        "blurry": blurry,
        "lower decoder": restoration.quantise(finest["down"]),
        "upper decoder": restoration.quantise(finest["up"]),
        "sum": restoration.quantise(finest["latent"]),
    }


def write_report(path, scores, protocol, settings, source, restorers, facts, dataset, sections):
    if not protocol.measure:
        reports.write_comparisons(path, scores, settings, facts)
        return
    followed = [one for one in scores if one.protocol == protocol.name]
    rows = []
    for method, restore in restorers.items():
        rows += reports.examples(followed, source.read(), restore, method)
    if source.pages:
        sections.append("Whole pictures of every image: the folder comparison.")
    reports.write_report(path, scores, protocol, settings, rows, facts, dataset, sections)


def describe(network):
    """What a report tells of a network."""
    if isinstance(network, OneKernel):
        return reports.NetworkFacts(parameters=None, macs=None, published=[])
    counted = keras.backend.backend() == "tensorflow"
    return reports.NetworkFacts(
        parameters=network.count_params(),
        macs=complexity.multiply_accumulates(network, 256, 256) if counted else None,
        published=catalogue.published_of(network, FLAGS.self_ensemble),
    )
