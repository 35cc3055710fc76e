import golden
import numpy as np
import pytest

from tfdeblur import models, weights


def test_released_logits_equal_the_reference():
    arrays = golden.arrays("discriminator")
    net = models.build("discriminator", filters=8, layout="release")
    weights.from_torch(net, golden.state_dict(arrays))
    logits = net(arrays["input"].astype("float32") / 255)
    largest = np.abs(arrays["logits"]).max()
    np.testing.assert_allclose(logits, arrays["logits"], atol=1e-3 * largest)


@pytest.mark.parametrize(
    ("layout", "channels", "strides"),
    [
        ("paper", [32, 64, 64, 128, 128, 256, 256, 512, 512], [2, 1, 2, 1, 4, 1, 4, 1, 4]),
        (
            "release",
            [32, 32, 64, 64, 128, 128, 256, 256, 512, 512],
            [1, 2, 1, 2, 1, 4, 1, 4, 1, 4],
        ),
    ],
)
def test_layouts(layout, channels, strides):
    net = models.build("discriminator", layout=layout)
    convolutions = [x for x in net.layers if hasattr(x, "kernel")]
    assert [x.filters for x in convolutions] == [*channels, 1]
    assert [x.strides[0] for x in convolutions] == [*strides, 1]
    assert not any(x.use_bias for x in convolutions)
    assert net(np.zeros((2, 256, 256, 3))).shape == (2, 1)


def test_paper_layout_takes_pytorch_weights():
    net = models.build("discriminator", filters=8)
    rng = np.random.default_rng(0)
    convolutions = [x for x in net.layers if hasattr(x, "kernel")]
    names = [f"conv_layers.{i}.weight" for i in range(9)] + ["dense.weight"]
    state = {
        name: rng.normal(size=np.transpose(x.kernel, (3, 2, 0, 1)).shape).astype("float32")
        for name, x in zip(names, convolutions, strict=True)
    }
    weights.from_torch(net, state)
    # The released code sees [0, 255]; the first kernel makes up for it.
    np.testing.assert_allclose(
        np.asarray(convolutions[0].kernel)[1, 2, 0, 3],
        255 * state["conv_layers.0.weight"][3, 0, 1, 2],
        rtol=1e-6,
    )
    np.testing.assert_array_equal(
        np.asarray(convolutions[4].kernel)[1, 2, 0, 3], state["conv_layers.4.weight"][3, 0, 1, 2]
    )
