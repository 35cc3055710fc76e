"""How far each network, loss and measure is from what its authors' code computed.

python benchmarks/parity.py ../shared/golden --published=../shared/published
KERAS_BACKEND=jax python benchmarks/parity.py tests/golden

Takes every golden file of the folder. A network is told from the names and shapes of its weights,
as `tfdeblur weights convert` does, and computes all outputs of the file's blurry image, the final
one a second time as restoring does; the largest difference is printed at each, in units of the
value range, beside the tolerance. Losses, measures and pyramids come after. Ends with status 1
where a tolerance is exceeded, or the weights of a file are not there: `--published` has those of
two files, which their authors published.
"""

import json
import pathlib
import sys

import keras
import numpy as np
from absl import app, flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "helpers"))

import golden

from tfdeblur import errors, losses, metrics, models, pyramid, weights
from tfdeblur.evaluation import PROTOCOLS, reports
from tfdeblur.weights import flax_networks, tf1_networks, torch_networks

FLAGS = flags.FLAGS
flags.DEFINE_string("published", None, "A folder with dmphn_1_2_4_8 and maxim_gopro.")

# Each network's tolerance, and what its authors' outputs are of the images in [0, 1].
NETWORKS = {
    "deepdeblur": (1e-4, lambda y: 255 * y),
    "mimo_unet": (1e-4, lambda y: y),
    "dmphn": (1e-4, lambda y: y),
    "maxim": (2e-5, lambda y: y),
    "srn": (1e-4, lambda y: y),
    "pss_nsc": (1e-4, lambda y: y),
    "mt_rnn": (4e-5, lambda y: 255 * y),
    "mprnet": (1e-4, lambda y: y),
    "nafnet": (1e-4, lambda y: y),
    "restormer": (2e-4, lambda y: y),
    "deblurgan": (1e-4, lambda y: 2 * y - 1),
    "deblurgan_v2": (3e-4, lambda y: 2 * y - 1),
}
PUBLISHED = {"dmphn_1_2_4_8": "dmphn_1_2_4_8", "maxim_gopro_crop": "maxim_gopro/weights.npz"}
LOSSES = {
    "charbonnier": losses.charbonnier,
    "edge": losses.edge,
    "psnr_loss": losses.psnr_loss,
    "l1": losses.multi_scale_l1,
}
SSIMS = {"deepdeblur_pytorch": "ssim_deepdeblur_pytorch", "nah2017": "ssim_3d"}  # by protocol
OF_OTHERS = ("dmphn_seeded", "tlc")  # the tests' own, in forms of their own


def main(argv):
    if len(argv) != 2:
        raise app.UsageError("give the folder of golden files.")
    rows, failed = [], []
    paths = [x for x in sorted(pathlib.Path(argv[1]).glob("*.npz")) if x.stem not in OF_OTHERS]
    if not paths:
        raise errors.InputError(f"{argv[1]} holds no golden files (.npz): name their folder.")
    for path in paths:
        try:
            found = differences(path)
        except FileNotFoundError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            failed.append(path.stem)
            continue
        for what, difference, tolerance in found:
            rows.append([path.stem, what, f"{difference:.1e}", f"{tolerance:.0e}"])
            if not difference <= tolerance:  # NaN, too
                failed.append(path.stem)
        print(f"{path.stem}: {len(found)} compared", file=sys.stderr, flush=True)
    backend = keras.backend.backend()
    print(reports.table(["file", f"compared, on {backend}", "difference", "tolerance"], rows))
    if failed:
        sys.exit(f"Not within the tolerance, or not compared: {', '.join(dict.fromkeys(failed))}.")


def differences(path):
    """What a golden file holds, compared: a list of (what, largest difference, tolerance)."""
    arrays = dict(np.load(path))
    values = path.with_suffix(".json")
    values = json.loads(values.read_text()) if values.exists() else {}
    others = {
        "discriminator": discriminator,
        "gaussian_pyramid": gaussian_pyramid,
        "mimo_loss": mimo_loss,
        "restoration_losses": restoration_losses,
        "metrics": measures,
        "realblur_ecc": realblur,
    }
    if path.stem in others:
        return others[path.stem](arrays, values)
    return list(outputs(path.stem, arrays))


def outputs(stem, arrays):
    x = arrays["input"].astype("float32") / 255
    height, width = x.shape[1:3]
    for net, expected in networks(stem, arrays):
        tolerance, in_authors_range = NETWORKS[net.name.removesuffix("_plus")]
        # Of the range of the authors' outputs: 255, 1 or 2.
        extent = in_authors_range(1.0) - in_authors_range(0.0)
        padded = x
        if stem == "nafnet":  # the authors' network itself pads by zeros, and cuts them off
            padded = np.pad(x, [(0, 0), (0, -height % 16), (0, -width % 16), (0, 0)])
        # Restoring may compute the same in another way, see `Network.restoring`.
        levels = [*net(padded), net.restore_on_batch(padded)]
        names = [*expected, expected[0]]
        for i, (name, y) in enumerate(zip(names, levels, strict=True)):
            y = in_authors_range(np.asarray(y))[:, :height, :width] / extent
            what = f"{net.name}, {name}" + (", restoring" if i == len(expected) else "")
            yield what, np.abs(y - arrays[name] / extent).max(), tolerance


def networks(stem, arrays):
    """The networks of a file, and the names of the arrays that their outputs are to equal."""
    if stem in PUBLISHED:
        if not FLAGS.published:
            raise FileNotFoundError("its weights are published; give --published.")
        net = weights.import_network(pathlib.Path(FLAGS.published, PUBLISHED[stem]))
        yield net, expected_of(net, arrays)
        return
    state = golden.state_dict(arrays) or golden.seeded_variables(arrays)
    if any(name.startswith("g_net/") for name in state):
        recognise, assign = tf1_networks.recognise, weights.from_tf1
    elif "stage_0_input_conv_0/kernel" in state:
        state = {flax_networks.WEIGHTS + name: array for name, array in state.items()}
        recognise, assign = flax_networks.recognise, weights.from_flax
    else:
        recognise, assign = torch_networks.recognise, weights.from_torch
    name, hyperparameters = recognise(state)
    variants = [{}]
    if name == "deblurgan_v2":  # its two outputs are those of two ways to normalise
        variants = [{"picture_statistics": False}, {"picture_statistics": True}]
    for i, variant in enumerate(variants, start=1):
        net = models.build(name, **{**hyperparameters, **variant})
        assign(net, state)
        yield net, [f"output_{i}"] if name == "deblurgan_v2" else expected_of(net, arrays)


def expected_of(net, arrays):
    if net.name == "maxim":
        stages = reversed(range(net.hyperparameters["stages"]))
        return [f"stage{stage}_output_{k}" for stage in stages for k in (1, 2, 3)]
    return [f"output_{k}" for k in range(1, len(net.outputs) + 1)]


def discriminator(arrays, values):
    del values
    net = models.build("discriminator", filters=8, layout="release")
    weights.from_torch(net, golden.state_dict(arrays))
    logits = np.asarray(net(arrays["input"].astype("float32") / 255))
    return [("logits, of the largest", relative(logits, arrays["logits"]), 1e-3)]


def gaussian_pyramid(arrays, values):
    del values
    levels = pyramid.gaussian_pyramid(arrays["image"][None], 3)
    return [
        (f"level_{k}, grey levels", np.abs(np.asarray(y)[0] - arrays[f"level_{k}"]).max(), 0.01)
        for k, y in enumerate(levels, start=1)
    ]


def mimo_loss(arrays, values):
    del values
    predicted = [arrays[f"pred_{k}"] for k in (1, 2, 3)]
    labels = pyramid.bilinear_pyramid(arrays["label"], 3)
    found = {
        "content": (losses.multi_scale_l1(predicted, labels), arrays["content"].sum()),
        "frequency": (losses.multi_scale_frequency(predicted, labels), arrays["frequency"].sum()),
        "total": (losses.mimo_unet_loss(predicted, labels), arrays["total"]),
    }
    return [(f"{k}, relative", relative(*pair), 1e-5) for k, pair in found.items()]


def restoration_losses(arrays, values):
    found = []
    for name, loss in LOSSES.items():
        computed = [float(loss([arrays[f"pred_{k}"]], [arrays["target"]])) for k in (1, 2, 3)]
        found.append((f"{name}, relative", relative(computed, values[name]), 1e-5))
    return found


def measures(arrays, values):
    found = []
    for case, expected in values.items():
        sharp, restored = arrays[f"sharp_{case}"], arrays[f"test_{case}"]
        psnr = metrics.psnr(sharp, restored, 255)
        found.append((f"PSNR {case}, dB", abs(psnr - expected["psnr"]), 1e-5))
        for name, key in SSIMS.items():
            quality = PROTOCOLS[name].measure(sharp, restored.astype("float32") / 255)
            found.append((f"SSIM {case} by {name}", abs(quality.ssim - expected[key]), 2e-5))
    return found


def realblur(arrays, values):
    quality = PROTOCOLS["realblur"].measure(
        arrays["sharp"], arrays["restored"].astype("float32") / 255
    )
    return [  # another version of OpenCV warps a little differently
        ("PSNR aligned, dB", abs(quality.psnr - values["psnr"]), 0.05),
        ("SSIM aligned", abs(quality.ssim - values["ssim"]), 1e-4),
    ]


def relative(computed, expected):
    computed, expected = np.asarray(computed), np.asarray(expected)
    return float(np.abs(computed - expected).max() / np.abs(expected).max())


if __name__ == "__main__":
    errors.run(main)
