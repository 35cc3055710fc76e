import itertools

import numpy as np
import pytest

from tfdeblur.errors import InputError
from tfdeblur.restoration import tiles


@pytest.mark.parametrize("size", [1, 15, 64, 65, 100, 257, 1000])
@pytest.mark.parametrize(("longest", "overlap", "stride"), [(64, 32, 4), (64, 8, 8), (96, 40, 16)])
def test_spans_cover_the_image_and_overlap(size, longest, overlap, stride):
    spans = tiles.spans(size, longest, overlap, stride)
    assert spans[0].start == 0 and spans[-1].stop == size
    assert len({span.length for span in spans}) == 1 and spans[0].length <= longest
    for span in spans:
        assert span.start % stride == span.length % stride == 0
        assert 0 < span.stop - span.start == len(span.weights) <= span.length
    for one, following in itertools.pairwise(spans):
        assert one.stop - following.start >= overlap


@pytest.mark.parametrize("size", [200, 257, 1000])
def test_weights_sum_to_one_and_are_smooth(size):
    spans = tiles.spans(size, longest=128, overlap=64, stride=4)
    total = np.zeros(size)
    for span in spans:
        total[span.start : span.stop] += span.weights
        assert np.abs(np.diff(span.weights)).max() < 0.1
        assert span.start == 0 or not span.weights[:16].any()  # beside a cut
        assert span.stop == size or not span.weights[-16:].any()
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_spans_are_even():
    (one, other) = tiles.spans(110, longest=100, overlap=10, stride=2)
    assert one.length == other.length == 60


def test_one_span_where_the_image_fits():
    (span,) = tiles.spans(61, longest=64, overlap=16, stride=4)
    assert (span.start, span.stop, span.length) == (0, 61, 64) and (span.weights == 1).all()
    (span,) = tiles.spans(6001, longest=None, overlap=16, stride=4)
    assert span.length == 6004


def test_buckets_are_few_and_little_larger():
    buckets = {tiles.bucket(n) for n in range(1, 4097)}
    assert len(buckets) <= 8 * 12
    assert all(n <= tiles.bucket(n) <= max(1.125 * n, 1) for n in range(1, 4097))
    lengths = {
        tiles.spans(n, longest=256, overlap=64, stride=4, bucketed=True)[0].length
        for n in range(1, 2000)
    }
    assert len(lengths) <= 8 * 6 and max(lengths) == 256


def test_tiles_smaller_than_two_overlaps_are_refused():
    with pytest.raises(InputError, match=r"`tile=60`.*at least 64"):
        tiles.spans(100, longest=60, overlap=32, stride=4)
