"""Training steps per second and their memory: tfdeblur beside the authors' PyTorch code.

git clone https://github.com/SeungjunNah/DeepDeblur-PyTorch
git clone https://github.com/chosj95/MIMO-UNet
python -m venv torch && torch/bin/pip install torch numpy imageio
python benchmarks/train_step.py --peer_python=torch/bin/python \\
    --deepdeblur_code=DeepDeblur-PyTorch --mimo_unet_code=MIMO-UNet

A step is forward, loss, backward and Adam on one batch of random images. Theirs are their networks,
losses and optimizer in a loop like theirs, as shipped (float32) and at its best (bfloat16
autocast, channels_last). Each program runs in a process of its own; they take turns, one step
each, while the others wait: absolute times of a shared machine drift, their ratio much less. A step
ends with its results on the host. Without --peer_python only ours is measured.

PyTorch's threads wait for each other much longer than TensorFlow's where other programs take cores
from them. --threads=1 measures the code, not the scheduler: on a busy machine, compare CPU time.

On a GPU all of them use it, and memory is the GPU's. --peak_tflops is then what its data sheet
gives; without it, the share is of a convolution measured here.
"""

import itertools
import pathlib
import sys
from statistics import median

import stopwatch
from absl import flags

from tfdeblur import errors
from tfdeblur.evaluation import reports

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", ["deepdeblur", "mimo_unet"], "Also: mimo_unet_plus.")
flags.DEFINE_list("precisions", ["float32", "bfloat16"], "Of the steps.")
flags.DEFINE_bool("gradient_checkpointing", False, "Measures ours with it, too (gc).")
flags.DEFINE_integer("batch_size", 1, "Crops per step.", 1)
flags.DEFINE_integer("crop", 256, "Their height and width.", 4)
flags.DEFINE_integer("rounds", 7, "Timed steps of each, after one that is not timed.", 1)
flags.DEFINE_integer("threads", None, "Of each program; None: what its library chooses.", 1)
flags.DEFINE_string("peer_python", None, "The Python of an environment with PyTorch.")
flags.DEFINE_string("deepdeblur_code", None, "A checkout of SeungjunNah/DeepDeblur-PyTorch.")
flags.DEFINE_string("mimo_unet_code", None, "A checkout of chosj95/MIMO-UNet.")
flags.DEFINE_float("peak_tflops", None, "The device's peak in the precision; None: measured.")

# Floating-point operations of a step on one 256x256 image: two for each multiply-accumulate, and
# backward, to features and to weights, two times what forward takes. See train_step_ours.py for the
# convolution.
OPERATIONS = {
    "deepdeblur": 3 * 2 * 335.9e9,
    "mimo_unet": 3 * 2 * 63.7e9,
    "mimo_unet_plus": 3 * 2 * 150.7e9,
    "convolution": 20 * 2 * 256**2 * 5 * 5 * 64 * 64,
}
HERE = pathlib.Path(__file__).parent


def main(argv):
    del argv
    print(f"{reports.versions()}; {FLAGS.batch_size} crop(s) of {FLAGS.crop}x{FLAGS.crop}\n")
    for network in FLAGS.networks:
        programs = {("ours", p): start_ours(network, p) for p in FLAGS.precisions}
        if FLAGS.gradient_checkpointing:
            option = "--gradient_checkpointing"
            programs |= {("ours, gc", p): start_ours(network, p, option) for p in FLAGS.precisions}
        if FLAGS.peer_python:
            programs |= {("theirs", p): start_theirs(network, p) for p in FLAGS.precisions}
        if not FLAGS.peak_tflops:
            programs |= {("convolution", p): start_ours("convolution", p) for p in FLAGS.precisions}
        answers = stopwatch.take_turns(programs, FLAGS.rounds)
        print(report(network, answers), "\n", flush=True)  # the next may take long


def start_ours(network, precision, *options):
    return start(sys.executable, "train_step_ours.py", network, precision, *options)


def start_theirs(network, precision):
    flag = "deepdeblur_code" if network == "deepdeblur" else "mimo_unet_code"
    if not FLAGS[flag].value:
        raise errors.InputError(f"--{flag} is missing: the checkout to compare {network} with.")
    code = f"--code={FLAGS[flag].value}"
    return start(FLAGS.peer_python, "train_step_theirs.py", network, precision, code)


def start(python, program, *args):
    sizes = [f"--batch_size={FLAGS.batch_size}", f"--crop={FLAGS.crop}"]
    return stopwatch.start(python, HERE / program, *args, *sizes, threads=FLAGS.threads)


def report(network, answers):
    """The table of one network and, below it, how much faster we are.

    The two columns of memory are the whole process and what it took since its libraries were
    imported.
    """
    columns = [network, "precision", "patches/s", "CPU s", "TFLOP/s", "of peak", "MiB", "MiB more"]
    rows = []
    for (code, precision), rounds in answers.items():
        speed = tflops(code if code in OPERATIONS else network, rounds)
        peak = FLAGS.peak_tflops or tflops("convolution", answers["convolution", precision])
        last = rounds[-1]
        row = [
            f"{FLAGS.batch_size / median(r['seconds'] for r in rounds):.2f}",
            f"{median(r['cpu_seconds'] for r in rounds):.2f}",
            f"{speed:.2f}",
            f"{speed / peak:.0%}",
            f"{last['bytes'] / 2**20:.0f}",
            f"{(last['bytes'] - last['bytes_at_start']) / 2**20:.0f}",
        ]
        rows.append([code, precision, *row])
    lines = [
        f"theirs in {theirs} takes {ratio(answers, ours, theirs, 'seconds'):.2f} times as long as "
        f"ours in {ours}, and {ratio(answers, ours, theirs, 'cpu_seconds'):.2f} times the CPU time."
        for ours, theirs in itertools.product(FLAGS.precisions, repeat=2)
        if ("theirs", theirs) in answers
    ]
    return "\n".join([reports.table(columns, rows), "", *lines])


def tflops(name, rounds):
    patches = FLAGS.batch_size / median(r["seconds"] for r in rounds)
    return patches * OPERATIONS[name] * (FLAGS.crop / 256) ** 2 / 1e12


def ratio(answers, ours, theirs, key):
    pairs = zip(answers["theirs", theirs], answers["ours", ours], strict=True)
    return median(a[key] / b[key] for a, b in pairs)


if __name__ == "__main__":
    errors.run(main)
