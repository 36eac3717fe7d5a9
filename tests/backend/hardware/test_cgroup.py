from __future__ import annotations

from pathlib import Path

import pytest

from backend.hardware.cgroup import cpu_quota, memory_limit

GIB = 2**30


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "sys"


def test_v2_limit_counts_without_the_file_cache(root: Path, membership: Path) -> None:
    membership.write_text("0::/job\n")
    stat = f"anon 1\ninactive_file {GIB}"
    write(root / "job", memory__max=8 * GIB, memory__current=3 * GIB, memory__stat=stat)
    limit = memory_limit(root, membership)
    assert limit is not None
    assert (limit.limit_bytes, limit.used_bytes, limit.free_bytes) == (8 * GIB, 2 * GIB, 6 * GIB)


def test_v2_takes_the_tightest_group_on_the_way_up(root: Path, membership: Path) -> None:
    membership.write_text("0::/slice/job\n")
    write(root / "slice" / "job", memory__max="max", cpu__max="max 100000")
    write(root / "slice", memory__max=4 * GIB, memory__current=0, cpu__max="150000 100000")
    limit = memory_limit(root, membership)
    assert limit is not None
    assert limit.limit_bytes == 4 * GIB
    assert cpu_quota(root, membership) == 1.5


def test_v1_limits(root: Path, membership: Path) -> None:
    membership.write_text("4:memory:/job\n2:cpuacct,cpu:/job\n0::/\n")
    write(
        root / "memory" / "job",
        memory__limit_in_bytes=2 * GIB,
        memory__usage_in_bytes=GIB,
        memory__stat=f"total_inactive_file {GIB // 2}",
    )
    write(root / "cpu" / "job", cpu__cfs_quota_us=50000, cpu__cfs_period_us=100000)
    limit = memory_limit(root, membership)
    assert limit is not None
    assert limit.free_bytes == 2 * GIB - GIB // 2
    assert cpu_quota(root, membership) == 0.5


def test_v1_without_a_limit(root: Path, membership: Path) -> None:
    membership.write_text("4:memory:/\n2:cpu:/\n")
    write(root / "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=GIB)
    write(root / "cpu", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    assert memory_limit(root, membership) is None
    assert cpu_quota(root, membership) is None


def test_a_container_whose_own_path_is_not_mounted_reads_the_root(root: Path, membership: Path) -> None:
    membership.write_text("4:memory:/docker/0123\n")
    write(root / "memory", memory__limit_in_bytes=GIB, memory__usage_in_bytes=0)
    limit = memory_limit(root, membership)
    assert limit is not None
    assert limit.limit_bytes == GIB


@pytest.mark.parametrize("text", ["", "0::/../../other\n"])
def test_no_files_at_all_is_no_limit(root: Path, membership: Path, text: str) -> None:
    membership.write_text(text)
    assert memory_limit(root, membership) is None
    assert cpu_quota(root / "nothing", membership) is None
