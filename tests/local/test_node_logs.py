import subprocess
from pathlib import Path

from deployments.local.docker import images

TRIM = images.RECIPES / images.NODE / "trim-logs.sh"


def trim(folder: Path, size: int) -> None:
    subprocess.run(["sh", str(TRIM), str(folder), str(size)], check=True)


def test_a_log_that_is_too_large_is_emptied_and_its_writer_goes_on(tmp_path: Path) -> None:
    log, before = tmp_path / "kubelet.log", tmp_path / "kubelet.log.1"
    for round_ in ("first", "second"):
        with log.open("a") as writer:
            writer.write(f"{round_}\n" * 100)
            writer.flush()
            trim(tmp_path, 300)
            writer.write("after it\n")
        assert log.read_text() == "after it\n"
        assert before.read_text().endswith(f"{round_}\n" * 100)
    assert sorted(tmp_path.iterdir()) == [log, before]


def test_a_small_log_stays(tmp_path: Path) -> None:
    (tmp_path / "etcd.log").write_text("a line\n")
    trim(tmp_path, 300)
    assert [path.name for path in tmp_path.iterdir()] == ["etcd.log"]
