import pathlib
import threading
import time

import numpy as np
import tensorflow_datasets as tfds

from tfdeblur.data import opening


class SlowPairs(tfds.core.GeneratorBasedBuilder):
    """One pair, which takes a while to make."""

    pkg_dir_path = pathlib.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")
    built = 0

    def _info(self):
        image = tfds.features.Image(shape=(4, 4, 3))
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"blurry": image, "sharp": image}),
            supervised_keys=("blurry", "sharp"),
        )

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        SlowPairs.built += 1
        time.sleep(0.5)
        image = np.zeros((4, 4, 3), "uint8")
        yield 0, {"blurry": image, "sharp": image}


def test_of_two_that_open_a_dataset_at_once_one_builds_it(tmp_path, capfd):
    counts = []

    def open_it():
        counts.append(opening.open_dataset("slow_pairs", "test", tmp_path)[1])

    threads = [threading.Thread(target=open_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1, 1] and SlowPairs.built == 1
    assert "slow_pairs/1.0.0: waiting for it." in capfd.readouterr().err
