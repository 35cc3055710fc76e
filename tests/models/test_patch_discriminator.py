import numpy as np
import pytest

from tfdeblur import models
from tfdeblur.errors import InputError


def test_the_judges_have_the_sizes_of_the_released_code():
    patch, both = (models.build("patch_discriminator", depths=d) for d in ((3,), (3, 5)))
    assert patch.count_params() == 2_764_737
    assert both.count_params() == 2_764_737 + 11_154_369
    assert [tuple(x.shape) for x in both(np.zeros((1, 256, 256, 3)))] == [
        (1, 35, 35, 1),
        (1, 11, 11, 1),
    ]


def test_no_depths_are_refused():
    with pytest.raises(InputError, match="depths="):
        models.build("patch_discriminator", depths=())
