"""Work on stacks of images, shared among threads."""

import numpy as np
import pytest

from bart_pogmdm.arrays.threads import CACHE_BYTES, SHARE_BYTES, SHARES, share, share_arrays


@pytest.mark.parametrize("count, shape", [(1, (8, 8)), (8, (128, 130)), (20, (256, 256)), (16, (640, 372)),
                                          (3, (1024, 1024)), (40, (64, 64))])
def test_shares_hold_all_indices_and_enough_work(count, shape):
    image = np.broadcast_to(np.complex64(0), shape)
    shares = share(lambda pieces: pieces, count, image)
    assert [i for pieces in shares for piece in pieces for i in range(count)[piece]] == list(range(count))
    assert len(shares) <= SHARES
    sizes = [sum(piece.stop - piece.start for piece in pieces) * image.nbytes for pieces in shares]
    assert len(shares) == 1 or sum(sizes) / len(sizes) > 0.7 * SHARE_BYTES
    pieces = [piece for of_share in shares for piece in of_share]
    assert all(piece.stop - piece.start == 1 or (piece.stop - piece.start) * image.nbytes <= CACHE_BYTES
               for piece in pieces)


def test_arrays_come_in_the_order_of_their_indices():
    image = np.broadcast_to(np.complex64(0), (512, 512))
    np.testing.assert_array_equal(share_arrays(lambda piece: np.arange(7)[piece] ** 2, 7, image), np.arange(7) ** 2)
