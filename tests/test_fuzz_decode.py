"""The script that decodes a million arbitrary records, with fewer of them."""

import pytest

from tests.fuzz_decode import fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_no_record_raises_and_none_vanishes(seed):
    found = fuzz(3000, seed)
    assert found["exceptions"] == 0
    assert found["outcomes"]["readings"] > 0
