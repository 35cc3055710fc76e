"""TensorFlow 1 checkpoints, and the authors' names in them."""

import dataclasses
import shutil

import golden
import numpy as np
import pytest
import tensorflow as tf

from tfdeblur import models, weights
from tfdeblur.cli.weights import _run as weights_command
from tfdeblur.errors import InputError
from tfdeblur.weights import catalogue, tf1_files, tf1_networks

SMALL = [
    ("srn", {"variant": "lstm", "filters": 2}),
    ("srn", {"variant": "color", "filters": 2}),
    ("srn", {"variant": "gray", "filters": 2}),
    ("pss_nsc", {"filters": 2}),
]


def variables(name, hyperparameters):
    """Random weights of a small network, under the authors' names."""
    net, random = models.build(name, **hyperparameters), np.random.default_rng(0)
    return {
        f"g_net/{theirs}/{kind}": random.random(variable.shape, "float32")
        for theirs, layer in tf1_networks._TF1_LAYERS[type(net)](net).items()
        for kind, variable in (("weights", layer.kernel), ("biases", layer.bias))
    }


def write_checkpoint(prefix, arrays, trained=True):
    """As the authors' programs save: all variables, those of Adam and its step counter among."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        kept = [
            tf.compat.v1.get_variable(name, initializer=np.asarray(array, "float32"))
            for name, array in arrays.items()
        ]
        if trained:
            step = tf.compat.v1.Variable(initial_value=0, dtype=tf.int32, trainable=False)
            loss = tf.add_n([tf.reduce_sum(variable) for variable in kept])
            tf.compat.v1.train.AdamOptimizer(1e-4).minimize(loss, step)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(prefix), write_meta_graph=False)


def all_weights(net):
    return [np.array(w) for w in net.get_weights()]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The prefix of a small SRN's checkpoint."""
    prefix = tmp_path_factory.mktemp("checkpoints") / "deblur.model-523000"
    write_checkpoint(prefix, variables(*SMALL[0]))
    return prefix


@pytest.mark.parametrize(("name", "hyperparameters"), SMALL)
def test_networks_are_recognised_and_all_their_weights_assigned(name, hyperparameters):
    arrays = variables(name, hyperparameters)
    assert tf1_networks.recognise(arrays) == (name, hyperparameters)
    net = models.build(name, **hyperparameters)
    weights.from_tf1(net, arrays)
    assigned = sum(float(w.sum()) for w in all_weights(net))
    assert assigned == pytest.approx(sum(float(x.sum()) for x in arrays.values()), rel=1e-5)


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_checkpoints_are_loaded_without_what_training_left(checkpoint, ending):
    stored = tf1_files.read_variables(checkpoint)
    arrays = variables(*SMALL[0])
    assert {"Variable", "beta1_power", "beta2_power"} < stored.keys()
    assert len(stored) == 3 * len(arrays) + 3
    net, other = models.build("srn", filters=2), models.build("srn", filters=2)
    weights.load(net, f"{checkpoint}{ending}")
    weights.from_tf1(other, arrays)
    for now, then in zip(all_weights(net), all_weights(other), strict=True):
        np.testing.assert_array_equal(now, then)


def test_checkpoints_decide_about_hyperparameters(checkpoint):
    net, source = weights.open_network("srn", checkpoint)
    assert net.hyperparameters == {"variant": "lstm", "filters": 2}
    assert source == f"srn with {checkpoint}"
    with pytest.raises(InputError, match="are of srn: give `model=srn`"):
        weights.open_network("pss_nsc", checkpoint)


def test_conversion(checkpoint, tmp_path, capsys):
    target = tmp_path / "srn.keras"
    weights_command(["weights", "convert", str(checkpoint), str(target)])
    assert f"{checkpoint} holds srn {{'variant': 'lstm'" in capsys.readouterr().out
    converted, net = weights.load_network(target), models.build("srn", filters=2)
    weights.load(net, checkpoint)
    for now, then in zip(all_weights(converted), all_weights(net), strict=True):
        np.testing.assert_array_equal(now, then)


def test_gray_into_color_is_refused_in_one_line(tmp_path):
    prefix = tmp_path / "deblur.model-523000"
    write_checkpoint(prefix, variables(*SMALL[2]))
    net = models.build("srn", variant="color", filters=2)
    before = all_weights(net)
    message = r"523000`: these weights are not of 'srn'.*misshaped"
    with pytest.raises(InputError, match=message) as e:
        weights.load(net, prefix)
    assert "\n" not in str(e.value)
    assert "g_net/enc1_1/weights (5, 5, 2, 2), expected (5, 5, 6, 2)" in str(e.value)
    for now, then in zip(all_weights(net), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda x: x.pop("g_net/dec1_0/biases"), "1 missing: g_net/dec1_0/biases"),
        (lambda x: x.update(extra=np.zeros(3)), "1 unexpected: extra"),
        (lambda x: x.update({"extra/Adam": np.zeros(3)}), "1 unexpected: extra/Adam"),
        (
            lambda x: x.update({"g_net/dec1_0/biases/Adam": np.zeros(3)}),
            "1 unexpected: g_net/dec1_0/biases/Adam",
        ),
        (lambda x: x.update(Variable=np.zeros(3)), "1 unexpected: Variable"),
        (
            lambda x: x.update({"g_net/dec1_0/biases": np.zeros(2)}),
            r"1 misshaped: g_net/dec1_0/biases \(2,\), expected \(1,\)",
        ),
    ],
)
def test_wrong_variables_are_refused_and_change_nothing(damage, message):
    net, arrays = models.build("srn", filters=2), variables(*SMALL[0])
    before = all_weights(net)
    damage(arrays)
    with pytest.raises(InputError, match=message):
        weights.from_tf1(net, arrays)
    for now, then in zip(all_weights(net), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_published_checkpoints_have_their_place(checkpoint, tmp_path, monkeypatch):
    entry = dataclasses.replace(catalogue.find("srn", "gopro"), hyperparameters=SMALL[0][1])
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    monkeypatch.setenv("TFDEBLUR_CACHE", str(tmp_path))
    for path in catalogue.paths(entry):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkpoint.with_name(checkpoint.name + path.suffix), path)
    net, _ = weights.open_network("srn", "gopro")
    assert net.origin == {"weights": "gopro"}
    for got, expected in zip(
        all_weights(net), all_weights(weights.import_network(checkpoint)), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_networks_without_tensorflow_1_weights_are_refused():
    with pytest.raises(InputError, match=r"no TensorFlow 1 weights are known .*'mimo_unet'"):
        weights.from_tf1(models.build("mimo_unet", filters=8, resblocks=1), {})
    with pytest.raises(InputError, match="neither SRN nor PSS-NSC"):
        tf1_networks.recognise({"conv/weights": np.zeros(3)})


def test_damaged_and_missing_files_are_refused(checkpoint, tmp_path):
    endings = (".index", ".data-00000-of-00001")
    whole_index, whole_data = (
        checkpoint.with_name(checkpoint.name + ending).read_bytes() for ending in endings
    )
    net = models.build("srn", filters=2)

    def refused(prefix, message, index=None, data=None):
        for ending, file in zip(endings, (index, data), strict=True):
            if file is not None:
                prefix.with_name(prefix.name + ending).write_bytes(file)
        with pytest.raises(InputError, match=message):
            weights.load(net, prefix)

    refused(tmp_path / "a", r"there is no \.data file", index=whole_index)
    refused(tmp_path / "b", "no such file", data=whole_data)
    refused(tmp_path / "c", "its .data files hold 100:", index=whole_index, data=whole_data[:100])
    refused(tmp_path / "d", "is damaged, or no TensorFlow", index=b"x" * 200, data=whole_data)
    changed = bytearray(whole_data)
    changed[5] ^= 1
    refused(tmp_path / "e", "is damaged", index=whole_index, data=bytes(changed))
    refused(tmp_path / "f", "too large for an index", index=bytes(2**24 + 1), data=whole_data)


@pytest.mark.parametrize("reference", ["srn_color", "srn_lstm", "pss_nsc"])
def test_the_authors_networks_are_recognised(reference):
    arrays = golden.seeded_variables(golden.arrays(f"{reference}_seeded"))
    name, hyperparameters = tf1_networks.recognise(arrays)
    assert name == reference.split("_c")[0].split("_l")[0] and hyperparameters["filters"] == 32
