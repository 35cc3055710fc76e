"""Restoring with the authors' public PyTorch code; started by restore.py.

It needs PyTorch, NumPy and, for DeepDeblur, imageio, for Restormer einops, but not tfdeblur.
"""

import argparse
import contextlib
import pathlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import stopwatch
import torch
from train_step_theirs import mimo_unet, mimo_unet_plus

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("setting", choices=("export", "float32", "bfloat16"))
    parser.add_argument("--code", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    args = parser.parse_args()
    memory = torch.cuda.max_memory_allocated if DEVICE.type == "cuda" else stopwatch.of_process
    at_start = memory()

    torch.manual_seed(0)
    make_network, restore = NETWORKS[args.network]
    network = make_network(args.code).to(DEVICE).eval()
    weights = args.folder / "weights.npz"
    if args.setting == "export":
        np.savez(weights, **{k: v.cpu().numpy() for k, v in network.state_dict().items()})
        return
    with np.load(weights) as arrays:
        network.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
    pyramid = np.load(args.folder / "blurry.npz")
    images = [torch.from_numpy(pyramid[k]).permute(0, 3, 1, 2) for k in pyramid]
    if args.setting == "float32":  # as shipped
        images = [image.contiguous() for image in images]
        contexts = [torch.no_grad()]
    else:  # their best
        network = network.to(memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
        images = [image.contiguous(memory_format=torch.channels_last) for image in images]
        contexts = [torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16)]

    def step():
        with contextlib.ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            restored = restore(network, [image.to(DEVICE) for image in images])
            return restored.float().cpu().permute(0, 2, 3, 1).numpy()

    stopwatch.serve(step, memory, at_start, args.folder / f"theirs_{args.setting}.npy")


def deepdeblur(code):
    sys.path.insert(0, f"{code}/src")
    from model.MSResNet import build_model

    network = build_model(
        SimpleNamespace(n_scales=3, n_resblocks=19, n_feats=64, kernel_size=5, rgb_range=255)
    )
    # As they begin, results have next to no contrast. So three features carry the image through.
    with torch.no_grad():
        for scale in network.body_models:
            for convolution in (scale.body[0], scale.body[-1]):
                for i in range(3):
                    convolution.weight[i, i, 2, 2] += 1
    return network


def restore_deepdeblur(network, pyramid):
    # Their data loader makes the pyramid, so its time is not counted.
    return network([255 * image for image in pyramid])[0] / 255


def restore_mimo_unet(network, pyramid):
    return network(pyramid[0])[2]


def dmphn(code):
    sys.path.insert(0, code)
    import models

    modules = {
        f"{kind.__name__.lower()}_lv{level}": kind()
        for kind in (models.Encoder, models.Decoder)
        for level in (1, 2, 3, 4)
    }
    for name, module in modules.items():
        file = f"{code}/checkpoints/DMPHN_1_2_4_8/{name}.pkl"
        module.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return torch.nn.ModuleDict(modules)


def restore_dmphn(network, pyramid):
    # Their test script is no function. Like theirs, this takes one patch after the other.
    def encode(level, patches):
        return [network[f"encoder_lv{level}"](patch) for patch in patches]

    def decode(level, features):
        return [network[f"decoder_lv{level}"](feature) for feature in features]

    def split(patches, axis):
        return [half for patch in patches for half in patch.tensor_split(2, axis)]

    def join(patches, axis):
        pairs = zip(patches[::2], patches[1::2], strict=True)
        return [torch.cat(pair, axis) for pair in pairs]

    def add(a, b):
        return [x + y for x, y in zip(a, b, strict=True)]

    level1 = [pyramid[0] - 0.5]
    level2 = split(level1, 2)
    level3 = split(level2, 3)
    level4 = split(level3, 2)
    features = join(encode(4, level4), 2)
    residuals = decode(4, features)
    features = join(add(encode(3, add(level3, residuals)), features), 3)
    residuals = decode(3, features)
    features = join(add(encode(2, add(level2, residuals)), features), 2)
    residuals = decode(2, features)
    features = add(encode(1, add(level1, residuals)), features)
    (restored,) = decode(1, features)
    return restored + 0.5


def nafnet(code):
    """Of 32 channels and with local means (TLC), as their test configuration for GOPRO has it."""
    skip_package("basicsr", code)
    skip_package("basicsr.models", code)
    skip_package("basicsr.models.archs", code)
    skip_package("basicsr.utils", code).get_root_logger = None  # imported, and not called here
    from basicsr.models.archs.NAFNet_arch import NAFNetLocal

    network = NAFNetLocal(
        width=32, enc_blk_nums=[1, 1, 1, 28], middle_blk_num=1, dec_blk_nums=[1, 1, 1, 1]
    )
    with torch.no_grad():  # factors of 0 would hide what a block computes
        for name, parameter in network.named_parameters():
            if name.endswith(("beta", "gamma")):
                parameter.normal_(std=0.1)
    return network


def restormer(code):
    """As their configuration for GOPRO has it."""
    sys.path.insert(0, f"{code}/basicsr/models/archs")
    from restormer_arch import Restormer

    return Restormer()


def mprnet(code):
    sys.path.insert(0, f"{code}/Deblurring")
    from MPRNet import MPRNet

    return MPRNet()


def skip_package(name, code):
    """An empty module in place of a package whose `__init__.py` imports all of a project."""
    module = sys.modules[name] = ModuleType(name)
    module.__path__ = [f"{code}/{name.replace('.', '/')}"]
    return module


def restore_alone(network, pyramid):
    return network(pyramid[0])


def restore_mprnet(network, pyramid):
    return network(pyramid[0])[0]


NETWORKS = {
    "deepdeblur": (deepdeblur, restore_deepdeblur),
    "mimo_unet": (mimo_unet, restore_mimo_unet),
    "mimo_unet_plus": (mimo_unet_plus, restore_mimo_unet),
    "dmphn": (dmphn, restore_dmphn),
    "nafnet": (nafnet, restore_alone),
    "restormer": (restormer, restore_alone),
    "mprnet": (mprnet, restore_mprnet),
}

if __name__ == "__main__":
    main()
