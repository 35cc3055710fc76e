"""Measures a network on blurry/sharp pairs, by a paper's own protocol.

python evaluate.py --dataset=gopro/blur_gamma --protocol=deepdeblur_pytorch --report=report/
python evaluate.py --blurry_dir=blurry/ --sharp_dir=sharp/ --model=runs/quickstart/model.keras
"""

import functools
import itertools
import pathlib

from absl import flags

from tfdeblur import errors, evaluation, images, pipeline, precision, restoration, weights
from tfdeblur.errors import InputError
from tfdeblur.evaluation import protocols, reports

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "model",
    None,
    "A .keras file, or a network's name (then with --weights). Default: the newest model.keras "
    "under runs/.",
)
flags.DEFINE_string("weights", None, "Weights for the network that --model names.")
flags.DEFINE_string("dataset", None, "A dataset of pairs, such as gopro/blur_gamma.")
flags.DEFINE_string("split", "test", "The split of --dataset.")
flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its files.")
flags.DEFINE_string("blurry_dir", None, "Instead of --dataset: a folder with blurry images.")
flags.DEFINE_string("sharp_dir", None, "The sharp images of --blurry_dir, under the same names.")
flags.DEFINE_string("protocol", protocols.DEFAULT, ", ".join(protocols.PROTOCOLS))
flags.DEFINE_string("report", None, "A folder for report.md, scores.csv, metrics.json, pictures.")
flags.DEFINE_string("precision", "float32", "float32, bfloat16, float16, or auto.")
flags.DEFINE_integer(
    "tile", None, "Restore in square tiles of so many pixels, to save memory.", lower_bound=64
)
flags.DEFINE_bool(
    "self_ensemble", False, "Mean over four rotations: slightly better, four times slower."
)
flags.DEFINE_integer("limit", None, "Only the first so many pairs.", lower_bound=1)


def main(argv):
    """Evaluates, prints the summary and writes the report."""
    if argv[1:]:
        raise InputError(f"unexpected argument {argv[1]!r}: flags are given as --flag=value.")
    if FLAGS.report and pathlib.Path(FLAGS.report).is_file():
        raise InputError(f"--report={FLAGS.report} is a file: name a folder.")
    protocol = protocols.choose(FLAGS.protocol)
    chosen_precision = precision.resolve(FLAGS.precision)
    source, count, pairs = _open_pairs()
    net, description = weights.open_network(FLAGS.model, FLAGS.weights)
    restore = functools.partial(
        restoration.restore_float,
        net,
        tile=FLAGS.tile,
        self_ensemble=FLAGS.self_ensemble,
        precision=chosen_precision,
    )
    print(f"Evaluating {description} on {count} pairs of {source}.")
    scores = evaluation.evaluate(pairs(), restore, protocol, total=count)
    settings = {
        "data": source,
        "network": description,
        "protocol": protocol.name,
        "rounding": protocol.rounding,
        "SSIM": protocol.ssim,
        "precision": chosen_precision,
        "tile": FLAGS.tile or "none",
        "self-ensemble": "yes" if FLAGS.self_ensemble else "no",
        "versions": reports.versions(),
    }
    print(reports.summary_table(evaluation.summarise(scores), protocol.ssim))
    print(reports.settings_line(settings))
    if FLAGS.report:
        path = pathlib.Path(FLAGS.report, "report.md")
        rows = reports.examples(scores, pairs(), restore)
        reports.write_report(path, scores, protocol, settings, rows)
        print(f"Wrote {path}.")


def _open_pairs():
    """The data in words, how many pairs, and a function that iterates over them."""
    folders = (FLAGS.blurry_dir, FLAGS.sharp_dir)
    if bool(FLAGS.dataset) == any(folders) or any(folders) != all(folders):
        raise InputError("give either --dataset, or both --blurry_dir and --sharp_dir.")
    if FLAGS.dataset:
        dataset = pipeline.from_tfds(FLAGS.dataset, FLAGS.split, FLAGS.data_dir)
        source, count, pairs = dataset.name, dataset.count, dataset.numpy_pairs
    else:
        found = images.find_pairs(*folders)
        source = f"{FLAGS.blurry_dir} against {FLAGS.sharp_dir} (blur variant not known)"
        count, pairs = len(found), functools.partial(map, _read_pair, found)
    count = min(count, FLAGS.limit or count)
    return source, count, lambda: itertools.islice(pairs(), count)


def _read_pair(pair):
    return pair.name, images.read(pair.blurry), images.read(pair.sharp)


if __name__ == "__main__":
    errors.run(main)
