"""Measures networks on blurry/sharp pairs, by the papers' own protocols.

tfdeblur evaluate --dataset=gopro/blur_gamma --protocol=nah2017 --report=report/
tfdeblur evaluate --blurry_dir=blurry/ --sharp_dir=sharp/ --model=runs/quickstart/model.keras
tfdeblur evaluate --blurry_dir=photos/ --model=a.keras,b.keras --report=pictures/
tfdeblur evaluate --dataset=gopro/blur --model=a.keras,b.keras --protocol=all --report=report/
tfdeblur evaluate --dataset=kohler --blurry_baseline
tfdeblur evaluate --table=gopro

With --report, an evaluation that was stopped goes on where it was when it is started again.
"""

import pathlib
import sys

from absl import flags

from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError

FLAGS = flags.FLAGS

# Of `protocols` and `paper_tables`, which import what computes; a test holds them together.
PROTOCOLS = (
    "deepdeblur_pytorch",
    "nah2017",
    "mimo_unet",
    "mprnet",
    "nafnet",
    "srn",
    "realblur",
    "kohler",
    "lai",
)
TABLES = ("gopro", "hide", "kohler", "realblur")


def start():
    """Runs the command line in `sys.argv`, and exits."""
    shared.start(sys.modules[__name__], _define_flags, _run)


def _run(argv):
    if argv[1:]:
        raise InputError(f"unexpected argument {argv[1]!r}: flags are given as --flag=value.")
    if FLAGS.report and pathlib.Path(FLAGS.report).is_file():
        raise InputError(f"--report={FLAGS.report} is a file: name a folder.")
    # After the flags, so that a wrong one is answered at once.
    with shared.quiet_imports():
        from tfdeblur.cli import evaluating
    evaluating.run()


def _define_flags():
    shared.define_network(several=True)
    flags.DEFINE_bool("blurry_baseline", False, "Score the blurry images alone, without a network.")
    shared.define_data(
        dataset="A dataset, such as gopro/blur_gamma, kohler or lai/real; a+b: both."
    )
    flags.DEFINE_string("split", "test", "The split of --dataset.")
    flags.DEFINE_string(
        "protocol",
        None,
        f"{', '.join(PROTOCOLS)}, or all that apply. Default: {PROTOCOLS[0]}, or the one for data "
        "without pairs.",
    )
    flags.DEFINE_enum(
        "table",
        None,
        TABLES,
        "Print the papers' tables of a dataset; what --model names, or else the published weights "
        "in the cache, is measured beside them where the dataset is built.",
    )
    flags.DEFINE_string("report", None, "A folder for report.html, report.md, scores.csv and more.")
    shared.define_precision("float32")
    shared.define_restoring(tile=None)
    shared.define_kernel_size()
    flags.DEFINE_list(
        "compare_at",
        None,
        "x,y,size of the square that pictures of a report enlarge; default: where methods differ.",
    )
    flags.DEFINE_integer("limit", None, "Only the first so many images.", lower_bound=1)
