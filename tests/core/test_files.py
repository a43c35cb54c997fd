"""Files and folders are there whole or not at all."""

import os
import socket
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from varbump.core.archive import Archive
from varbump.core.files import alone_in, new_file, new_folder, remove_leftovers, replacing


def write(beside, text="new"):
    (beside / "part" if beside.is_dir() else beside).write_text(text)


def content(path):
    return {str(p.relative_to(path)): p.read_text() for p in path.rglob("*") if p.is_file()}


@pytest.fixture(params=[new_file, new_folder])
def writer(request):
    return request.param


@pytest.fixture
def place(writer, tmp_path):
    """A path at which something lies already, of the kind that the writer makes."""
    path = tmp_path / "out"
    if writer is new_folder:
        path.mkdir()
        (path / "old").write_text("old")
    else:
        path.write_text("old")
    return path


def test_nothing_of_the_old_remains(writer, place, tmp_path):
    with writer(place) as beside:
        write(beside)
        at_place = {name: text for name, text in content(tmp_path).items() if name.startswith("out")}
        assert at_place == ({"out/old": "old"} if writer is new_folder else {"out": "old"})
    assert content(tmp_path) == ({"out/part": "new"} if writer is new_folder else {"out": "new"})


def test_what_did_not_exist_appears_at_the_end(writer, tmp_path):
    with writer(tmp_path / "out") as beside:
        write(beside)
        assert not (tmp_path / "out").exists()
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(28, "No space left on device")])
def test_an_error_in_the_block_leaves_the_old(writer, place, tmp_path, error):
    before = content(tmp_path)
    raised = type(error) if isinstance(error, OSError) else error
    with pytest.raises(raised) as caught, writer(place) as beside:  # noqa: PT012
        write(beside)
        raise error
    if isinstance(error, OSError):
        assert caught.value.errno == 28
        assert caught.value.strerror == f"{place} could not be written (No space left on device)"
    assert content(tmp_path) == before
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_moving_into_place_leaves_the_old(writer, place, tmp_path, monkeypatch, step):
    before = content(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(OSError, match="could not be written"), writer(place) as beside:
            write(beside)
    assert content(tmp_path) == before
    assert os.listdir(tmp_path) == ["out"]


def test_an_error_names_the_outermost_path_once(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, new_folder(tmp_path / "run") as folder:  # noqa: PT012
        with replacing(folder / "model"):
            raise OSError(28, "No space left on device")
    assert caught.value.strerror == f"{tmp_path / 'run'} could not be written (No space left on device)"


def test_places_where_nothing_can_be_made(writer, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match="there is no folder"), writer(tmp_path / "none" / "out"):
        pass
    other, error = ("file", NotADirectoryError) if writer is new_folder else ("folder", IsADirectoryError)
    with pytest.raises(error, match=f"{other} is a {other}"), writer(tmp_path / other):
        pass


@pytest.mark.skipif(os.name != "posix", reason="links and permissions of POSIX")
def test_links_are_followed_and_permissions_kept(writer, place, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(place)
    if writer is new_file:
        place.chmod(0o640)
    with writer(link) as beside:
        write(beside)
    assert link.is_symlink()
    assert "new" in content(tmp_path).values()
    assert "old" not in content(tmp_path).values()
    assert writer is new_folder or stat.S_IMODE(place.stat().st_mode) == 0o640


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    path = tmp_path / "a[1]"
    for name in (".a[1].0123.tmp", ".a1.0123.tmp", ".a[1].0123", "a[1]"):
        (tmp_path / name).write_text("")
    (tmp_path / ".a[1].4567.tmp").mkdir()
    remove_leftovers(path)
    assert sorted(os.listdir(tmp_path)) == [".a1.0123.tmp", ".a[1].0123", "a[1]"]


@pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and devices of POSIX")
def test_nothing_but_files_and_folders_is_replaced(writer, tmp_path, monkeypatch):
    pipe, made = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(made))  # names of sockets are short
    (tmp_path / "link").symlink_to(pipe)
    refused = FileExistsError if writer is new_file else NotADirectoryError
    for path, kind in ((pipe, "named pipe"), (made, "socket"), (tmp_path / "link", "named pipe")):
        mode = os.lstat(path).st_mode
        with pytest.raises(refused, match=f"{path} is a {kind}") as caught, writer(path):
            pass
        assert "\n" not in str(caught.value)
        assert os.lstat(path).st_mode == mode
    monkeypatch.setattr(os, "replace", None)  # whoever runs this may be allowed to replace a device
    before = os.stat(os.devnull)
    with pytest.raises(refused, match=f"{os.devnull} is a device"), writer(os.devnull):
        pass
    assert os.path.samestat(os.stat(os.devnull), before)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "socket"]


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_that_leads_nowhere_is_refused(writer, tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError, match="link is a link to nothing, which does not exist"):
        with writer(tmp_path / "link"):
            pass
    with pytest.raises(OSError, match="loop"), writer(tmp_path / "loop"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["link", "loop"]


HOLDS = """
import sys, time
sys.argv[0] = "varbump"  # as the command line, which does not begin with TensorFlow
from varbump.core.files import alone_in
with alone_in(sys.argv[1]):
    print("in", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_folder_is_free_again_when_the_process_in_it_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"in\n"
            with pytest.raises(BlockingIOError, match="is in use"), alone_in(tmp_path):
                pass
        finally:
            process.kill()
    with alone_in(tmp_path):
        with pytest.raises(BlockingIOError), alone_in(tmp_path):  # in one process too
            pass
    with alone_in(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


WRITES = """
import sys, numpy as np
sys.argv[0] = "varbump"
from varbump.core.archive import write_archive
for number in range(10**9):
    write_archive(sys.argv[1], "test", {"of": sys.argv[2]}, {"a": np.full(200_000, float(sys.argv[2]))})
    if number == 0:
        print("begun", flush=True)
"""


def test_one_path_written_by_two_processes_that_are_killed_holds_one_whole_file(tmp_path):
    path = tmp_path / "model.varbump"
    generator = np.random.default_rng(0)
    for _ in range(3):
        processes = [
            subprocess.Popen([sys.executable, "-c", WRITES, path, str(of)], stdout=subprocess.PIPE) for of in (1, 2)
        ]
        for process in processes:
            assert process.stdout.readline() == b"begun\n"
        time.sleep(generator.uniform(0.0, 0.1))
        for process in processes:
            process.kill()
            process.communicate()
        with Archive(path) as archive:
            assert set(archive.array("a")) == {float(archive.configuration["of"])}
