"""An author's folder becomes one archive, from which the inputs are read."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from flows.core.duel.golden_set import INPUTS, LARGEST
from flows.core.errors import GoldenSetRejected
from flows.services.models import golden_set_files
from tests.services import golden_sets


def pack(folder: Path) -> None:
    golden_set_files.pack(folder, folder.with_suffix(".tar"), name="digits", version="1")


def test_every_input_is_read_back(tmp_path: Path) -> None:
    archive, golden = golden_sets.packed(tmp_path / "digits")
    archive.rename(tmp_path / INPUTS)
    with golden_set_files.opened(tmp_path) as inputs:
        contents = [inputs.read(example) for example in golden.examples]
    assert contents == [f"picture {number}".encode() for number in range(100)]


def test_the_same_inputs_give_the_same_archive_whatever_their_times_are(tmp_path: Path) -> None:
    _, first = golden_sets.packed(tmp_path / "first", version="")
    _, second = golden_sets.packed(tmp_path / "second", version="")
    assert (first.digest, first.version) == (second.digest, second.version)
    _, other = golden_sets.packed(tmp_path / "other", version="", n7=b"another seven")
    assert other.version != first.version


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoldenSetRejected, match=r"There is no file .*manifest\.json"):
        pack(tmp_path)


def test_an_input_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = golden_sets.write(tmp_path / "digits")
    (folder / "inputs" / "0042.png").unlink()
    with pytest.raises(GoldenSetRejected, match=r"holds no file inputs/0042\.png"):
        pack(folder)


def test_an_input_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = golden_sets.write(tmp_path / "digits")
    (tmp_path / "secret").write_text("password")
    (folder / "inputs" / "0042.png").unlink()
    (folder / "inputs" / "0042.png").symlink_to(tmp_path / "secret")
    with pytest.raises(GoldenSetRejected, match=r"holds no file inputs/0042\.png"):
        pack(folder)


def test_inputs_that_are_the_same_are_named(tmp_path: Path) -> None:
    folder = golden_sets.write(tmp_path / "digits", n7=b"one", n9=b"one")
    with pytest.raises(GoldenSetRejected, match=r"inputs/0009\.png and inputs/0007\.png"):
        pack(folder)


def test_ten_gigabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    folder = golden_sets.write(tmp_path / "digits")
    with (folder / "inputs" / "0042.png").open("wb") as file:
        file.truncate(10 * LARGEST)  # a file with a hole: it takes no place
    with pytest.raises(GoldenSetRejected, match="The inputs have 10737 MB together"):
        pack(folder)
    assert not folder.with_suffix(".tar").exists()


def archive_of(folder: Path, *entries: tarfile.TarInfo) -> Path:
    with tarfile.open(folder / INPUTS, "w") as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
    return folder


def entry(name: str, size: int = 9, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname = size if kind == tarfile.REGTYPE else 0, kind, target
    return found


@pytest.mark.parametrize(
    "content",
    [
        [],
        [entry("inputs/0001.png")],
        [entry("inputs/0000.png", size=10)],
        [entry("inputs/0000.png", kind=tarfile.SYMTYPE, target="/etc/passwd")],
        [entry("inputs/0001.png"), entry("inputs/0000.png", kind=tarfile.LNKTYPE, target="inputs/0001.png")],
        [entry("inputs/0000.png", kind=tarfile.DIRTYPE)],
    ],
    ids=["nothing", "another", "larger", "a link", "a hard link", "a folder"],
)
def test_an_archive_that_is_not_as_its_manifest_says_is_refused(
    tmp_path: Path, content: list[tarfile.TarInfo]
) -> None:
    _, golden = golden_sets.packed(tmp_path / "digits")
    with (
        golden_set_files.opened(archive_of(tmp_path, *content)) as inputs,
        pytest.raises(GoldenSetRejected, match=r"holds no inputs/0000\.png as its manifest describes it"),
    ):
        inputs.read(golden.examples[0])


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / INPUTS).write_text("no archive")
    with pytest.raises(GoldenSetRejected, match="can't be read"), golden_set_files.opened(tmp_path):
        pass


def test_a_manifest_of_another_size_than_one_has_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"description": "x" * (17 << 20)}))
    with pytest.raises(GoldenSetRejected, match="bytes"):
        pack(tmp_path)
