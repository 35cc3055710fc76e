"""Seconds and memory of restoring an image: tfdeblur beside the authors' own code.

git clone https://github.com/SeungjunNah/DeepDeblur-PyTorch
git clone https://github.com/chosj95/MIMO-UNet
git clone https://github.com/HongguangZhang/DMPHN-cvpr19-master
python -m venv torch && torch/bin/pip install torch numpy imageio
python benchmarks/restore.py --image=DMPHN-cvpr19-master/test_samples/000001.png \\
    --peer_python=torch/bin/python --deepdeblur_code=DeepDeblur-PyTorch \\
    --mimo_unet_code=MIMO-UNet --dmphn_code=DMPHN-cvpr19-master

git clone https://github.com/google-research/maxim
python -m venv flax && flax/bin/pip install jax flax einops numpy
python benchmarks/restore.py --networks=maxim --size=256x256 --image=... \\
    --peer_python=flax/bin/python --maxim_code=maxim --maxim_weights=checkpoint.npz

git clone https://github.com/megvii-research/NAFNet
git clone https://github.com/swz30/Restormer
git clone https://github.com/swz30/MPRNet
torch/bin/pip install einops
python benchmarks/restore.py --networks=nafnet,restormer,mprnet --size=640x352 --image=... \\
    --peer_python=torch/bin/python --nafnet_code=NAFNet --restormer_code=Restormer \\
    --mprnet_code=MPRNet

git clone https://github.com/jiangsutx/SRN-Deblur
python benchmarks/restore.py --networks=srn --image=... --peer_python=python --srn_code=SRN-Deblur

All programs restore the same image with the same weights: DMPHN's are the published ones, the
others' those that the authors' networks begin with. Theirs run as shipped (float32) and at their
best (PyTorch's: bfloat16 autocast, channels_last, inference_mode; Flax's: bfloat16 parameters and
images; TensorFlow 1's: its automatic mixed precision). Each program runs in a process of its own;
they take turns, one image each, while the others wait: absolute times of a shared machine drift,
their ratio much less. Each ends with its result on the host. Without --peer_python only ours is
measured, with fresh weights.

"Of peak" compares the operations per second with those of bare convolutions of the network's sizes
in the same precision, measured here. On a GPU all of them use it, memory is the GPU's, and
--peak_tflops is what its data sheet gives for bfloat16; without it, the share is likewise of
convolutions measured here.
"""

import itertools
import pathlib
import shutil
import subprocess
import sys
import tempfile
from statistics import median

import numpy as np
import restore_ours
import stopwatch
from absl import flags

from tfdeblur import errors, metrics, models, pyramid
from tfdeblur.evaluation import complexity, reports
from tfdeblur.io import images

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "networks",
    ["deepdeblur", "mimo_unet", "mimo_unet_plus", "dmphn"],
    f"Of {', '.join(restore_ours.CONVOLUTIONS)}.",
)
flags.DEFINE_list("precisions", ["float32", "bfloat16"], "Of the programs.")
flags.DEFINE_string("image", None, "A photograph; cropped or mirrored to --size.", required=True)
flags.DEFINE_string("size", "1280x720", "Width and height, multiples of 16; of 64 for MAXIM.")
flags.DEFINE_integer("rounds", 5, "Timed images of each, after one that is not timed.", 1)
flags.DEFINE_integer("threads", None, "Of each program; None: what its library chooses.", 1)
flags.DEFINE_string(
    "peer_python", None, "The Python of an environment with PyTorch, Flax or, for SRN, TensorFlow."
)
flags.DEFINE_string("deepdeblur_code", None, "A checkout of SeungjunNah/DeepDeblur-PyTorch.")
flags.DEFINE_string("mimo_unet_code", None, "A checkout of chosj95/MIMO-UNet.")
flags.DEFINE_string("dmphn_code", None, "A checkout of HongguangZhang/DMPHN-cvpr19-master.")
flags.DEFINE_string("maxim_code", None, "A checkout of google-research/maxim.")
flags.DEFINE_string("nafnet_code", None, "A checkout of megvii-research/NAFNet.")
flags.DEFINE_string("restormer_code", None, "A checkout of swz30/Restormer.")
flags.DEFINE_string("mprnet_code", None, "A checkout of swz30/MPRNet.")
flags.DEFINE_string("srn_code", None, "A checkout of jiangsutx/SRN-Deblur.")
flags.DEFINE_string("maxim_weights", None, "The authors' checkpoint.npz.")
flags.DEFINE_float("peak_tflops", None, "The device's peak for bfloat16; None: measured.")

HERE = pathlib.Path(__file__).parent


def main(argv):
    del argv
    width, height = map(int, FLAGS.size.split("x"))
    print(f"{reports.versions()}; {width}x{height}; median of {FLAGS.rounds}\n")
    for network in FLAGS.networks:
        with tempfile.TemporaryDirectory() as folder:
            save_image(height, width, folder)
            answers = stopwatch.take_turns(start(network, folder), FLAGS.rounds)
            lines = [table(network, height, width, answers), *ratios(answers), *differences(folder)]
        print("\n".join(lines), "\n", flush=True)  # the next may take long


def save_image(height, width, folder):
    """Writes `--image`, and the coarser levels that DeepDeblur takes, for all programs."""
    image = images.read(FLAGS.image)[:height, :width] / np.float32(255)
    missing = [(0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)]
    levels = pyramid.gaussian_pyramid(np.pad(image, missing, "symmetric")[None], 3)
    arrays = {f"level{k}": np.asarray(level) for k, level in enumerate(levels, start=1)}
    np.savez(pathlib.Path(folder, "blurry.npz"), **arrays)


def start(network, folder):
    """`{(code, precision): process}`."""
    programs = {}
    ours = [sys.executable, HERE / "restore_ours.py", network]
    place = f"--folder={folder}"
    if FLAGS.peer_python:
        options = [place, f"--code={checkout(network)}"]
        if network == "maxim":
            theirs = [FLAGS.peer_python, HERE / "restore_theirs_flax.py", network]
            shutil.copy(FLAGS.maxim_weights, pathlib.Path(folder, "weights.npz"))
        else:
            program = "restore_theirs_tf1.py" if network == "srn" else "restore_theirs.py"
            theirs = [FLAGS.peer_python, HERE / program, network]
            subprocess.run([*theirs, "export", *options], check=True)
        for precision in FLAGS.precisions:
            command = [*theirs, precision, *options]
            programs["theirs", precision] = stopwatch.start(*command, threads=FLAGS.threads)
    for precision in FLAGS.precisions:
        command = [*ours, precision, place]
        programs["ours", precision] = stopwatch.start(*command, threads=FLAGS.threads)
        if not FLAGS.peak_tflops:
            command.append("--convolutions")
            programs["convolutions", precision] = stopwatch.start(*command, threads=FLAGS.threads)
    return programs


def checkout(network):
    flag = "mimo_unet_code" if network.startswith("mimo_unet") else f"{network}_code"
    if not FLAGS[flag].value:
        raise errors.InputError(f"--{flag} is missing: the checkout to compare {network} with.")
    return FLAGS[flag].value


def table(network, height, width, answers):
    """The two columns of memory: the whole process, and what it took after importing libraries."""
    net = models.build(network, **restore_ours.HYPERPARAMETERS.get(network, {}))
    operations = 2 * complexity.multiply_accumulates(net, height, width)
    of_convolutions = 2 * restore_ours.multiply_accumulates(network, height, width)

    def tflops(code, precision):
        count = of_convolutions if code == "convolutions" else operations
        return count / 1e12 / median(r["seconds"] for r in answers[code, precision])

    columns = [network, "precision", "seconds", "CPU s", "TFLOP/s", "of peak", "MiB", "MiB more"]
    rows = []
    for (code, precision), rounds in answers.items():
        peak = FLAGS.peak_tflops or tflops("convolutions", precision)
        last = rounds[-1]
        row = [
            f"{median(r['seconds'] for r in rounds):.3f}",
            f"{median(r['cpu_seconds'] for r in rounds):.2f}",
            f"{tflops(code, precision):.2f}",
            f"{tflops(code, precision) / peak:.0%}",
            f"{last['bytes'] / 2**20:.0f}",
            f"{(last['bytes'] - last['bytes_at_start']) / 2**20:.0f}",
        ]
        rows.append([code, precision, *row])
    return reports.table(columns, rows) + "\n"


def ratios(answers):
    for ours, theirs in itertools.product(FLAGS.precisions, repeat=2):
        if ("theirs", theirs) in answers:
            pairs = list(zip(answers["theirs", theirs], answers["ours", ours], strict=True))
            seconds, cpu = (
                median(a[key] / b[key] for a, b in pairs) for key in ("seconds", "cpu_seconds")
            )
            yield (
                f"theirs in {theirs} takes {seconds:.2f} times as long as ours in {ours}, and "
                f"{cpu:.2f} times the CPU time."
            )


def differences(folder):
    """How far the results are from ours in float32, in units of the value range [0, 1]."""
    files = {path.stem: path for path in sorted(pathlib.Path(folder).glob("*.npy"))}
    if "ours_float32" not in files:
        return
    reference = np.load(files.pop("ours_float32"))[0]
    for name, file in files.items():
        restored = np.load(file)[0]
        difference = np.abs(restored - reference)
        yield (
            f"{name} differs from ours_float32 by {difference.mean():.1e} in the mean, by "
            f"{difference.max():.1e} at most; PSNR {metrics.psnr(reference, restored, 1):.1f} dB."
        )


if __name__ == "__main__":
    errors.run(main)
