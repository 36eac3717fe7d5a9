from __future__ import annotations

import pytest

from backend.hardware.visible import select

UUIDS = ["GPU-aa11", "GPU-aa22", "GPU-bb33"]


@pytest.mark.parametrize(
    ("variable", "chosen", "ended_by"),
    [
        (None, (0, 1, 2), None),
        ("", (), ""),
        ("0", (0,), None),
        ("2,0", (2, 0), None),
        (" 1 , 2 ", (1, 2), None),
        ("1gpu", (1,), None),
        ("+1", (1,), None),
        ("-1", (), "-1"),
        ("0,-1,1", (0,), "-1"),
        ("0,3,1", (0,), "3"),
        ("0,1,0", (), "0"),
        ("none", (), "none"),
        ("NoDevFiles", (), "NoDevFiles"),
        ("GPU-bb33", (2,), None),
        ("GPU-bb,GPU-aa1", (2, 0), None),
        ("GPU-aa", (), "GPU-aa"),
        ("GPU-bb33,GPU-zz", (2,), "GPU-zz"),
        ("GPU-bb33,1", (2,), "1"),
        ("0,GPU-bb33", (0,), "GPU-bb33"),
        ("GPU-aa11,GPU-aa1", (), "GPU-aa1"),
    ],
)
def test_the_variable_is_read_as_cuda_reads_it(
    variable: str | None, chosen: tuple[int, ...], ended_by: str | None
) -> None:
    selection = select(variable, UUIDS)
    assert (selection.chosen, selection.ended_by) == (chosen, ended_by)


def test_a_number_takes_the_first_slice_of_a_gpu_in_mig_mode() -> None:
    uuids, parents = ["MIG-11", "MIG-22", "GPU-bb33"], [0, 0, 1]
    assert select("0", uuids, parents).chosen == (0,)
    assert select("1", uuids, parents).chosen == (2,)
    assert select("MIG-22", uuids, parents).chosen == (1,)


def test_only_numbers_depend_on_cudas_order() -> None:
    assert select("0", UUIDS).by_index
    assert not select("GPU-bb33", UUIDS).by_index
    assert not select(None, UUIDS).by_index
