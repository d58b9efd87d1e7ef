"""Nothing that exists is overwritten, except what was named as output: names, links, permissions, for every command."""

import json
import os
import re
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import load_prior, recon_volume
from bart_pogmdm.arrays.bart_dims import SLICE, to_bart
from bart_pogmdm.arrays.doubts import ReconstructionWarning, doubt
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate import simulate as scans
from bart_pogmdm.files.atomic import write_bytes
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.files.outputs import Target, bart_target, check_outputs
from bart_pogmdm.volume.output import target_of
from bart_pogmdm.volume.plan import make_plan
from bart_pogmdm.volume.run import carry_out
from bart_pogmdm.volume.slices import reconstruct_block

pytestmark = pytest.mark.slow

TRAIN = ["--steps", "2", "--batch", "2", "--patch", "65", "--keep-rules"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with k-space `ksp`, `ksp.npz` and `ksp.h5`, pattern, sensitivities, images, and links."""
    kspace, mask, _ = simulate((40, 36), coils=4)
    monkeypatch.chdir(tmp_path)
    write({"ksp": to_bart(kspace), "pat": mask, "pat_sens": mask, "maps": to_bart(kspace)})
    np.savez("ksp.npz", kspace=kspace, reference=np.ones((40, 36)))
    np.savez("pictures.npz", images=np.kron(np.random.default_rng(0).random((3, 9, 9)), np.ones((9, 9))))
    load_prior().save("prior.npz")
    with h5py.File("ksp.h5", "w") as file:
        file["kspace"] = kspace[None]
    os.link("pat.cfl", "hard.cfl")
    os.symlink("pat.cfl", "soft.cfl")
    os.symlink(".", "here")
    os.link("pictures.npz", "hard.npz")
    os.symlink("prior.npz", "soft.png")
    os.symlink("ksp.h5", "soft.h5")
    Path("mine.csv").write_text("patient,age\n")
    Path("fig_sens.cfl").write_text("precious")
    Path("notes.h5.manifest").write_text("my notes")
    Path("notes.cfl.manifest").write_text("{}")
    return tmp_path


def volume(source, out, callback=None, warnings=()):
    """Reconstruct a volume with one iteration, without other processes."""
    def blocks_done(job, blocks, count):
        for block in blocks:
            yield [replace(outcome, warnings=warnings) for outcome in reconstruct_block(job, block)]

    return carry_out(make_plan(source, iterations=1), out, blocks_done, callback=callback)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words, names", [
    (["-p", "pat", "ksp", "pat"], ["output pat would", "input pat"]),
    (["-p", "pat", "ksp", "here/pat.hdr"], ["output here/pat.hdr would", "input pat"]),
    (["-p", "pat", "ksp", "soft"], ["output soft would", "input pat"]),
    (["-p", "pat", "ksp", "hard"], ["output hard would", "input pat"]),
    (["-p", "pat.cfl", "ksp", "img", "./pat"], ["output ./pat would", "input pat.cfl"]),
    (["-I", "pat", "ksp", "img", "sens", "pat"], ["output pat would", "input pat"]),
    (["--whiten", "pat", "--keep", "pat", "ksp", "img"], ["output pat would", "input pat"]),
    (["-t", "pat", "ksp", "pat"], ["output pat would", "input pat"]),
    (["ksp", "img", "here/img.cfl"], ["output here/img.cfl would", "output img"]),
    (["ksp", "maps", "img"], ["output maps: it exists and holds 4 coils", "pogmdm kspace image sens"]),
    (["ksp", "img.h5"], ["output img.h5: expected", ".cfl, .hdr or .ra", "got .h5"]),
    (["ksp", "img", "sens.MAT"], ["output sens.MAT: expected", ".nii.gz, .nii, .npy, .npz, .dcm", "got .MAT"]),
    (["--keep", "all.png", "ksp", "img"], ["output all.png: expected", "got .png"]),
    (["volume", "-p", "pat", "ksp", "pat"], ["output pat would", "input pat"]),
    (["volume", "-p", "pat", "ksp", "soft"], ["output soft would", "input pat"]),
    (["volume", "-p", "pat_sens", "ksp", "pat"], ["output pat would", "input pat_sens"]),
    (["volume", "ksp.h5", "ksp.h5"], ["output ksp.h5 would", "input ksp.h5"]),
    (["volume", "ksp.h5", "soft.h5"], ["output soft.h5 would", "input ksp.h5"]),
    (["volume", "--prior", "prior.npz", "ksp", "prior.npz"], ["output prior.npz would overwrite the input prior.npz"]),
    (["volume", "ksp", "img.mat"], ["output img.mat: expected a name that ends in .h5, or that of BART's cfl"]),
    (["volume", "ksp", "fig"], ["output fig: it would replace fig_sens.cfl, which you did not name and no"]),
    (["volume", "--restart", "ksp", "notes.h5"], ["output notes.h5: it would replace notes.h5.manifest, which"]),
    (["volume", "ksp", "notes"], ["output notes: it would replace notes.cfl.manifest, which you did not name"]),
    (["train", "--images", "pictures.npz", "--out", "pictures.npz"], ["output pictures.npz would", "input pictures"]),
    (["train", "--images", ".", "--out", "pictures.npz"], ["output pictures.npz would", "input pictures.npz"]),
    (["train", "--images", "ksp.h5", "--validation", "pictures.npz", "--out", "hard.npz"], ["output hard.npz would",
                                                                                            "input pictures.npz"]),
    (["train", "--images", "pictures.npz", "--out", "mine.npz"], ["output mine.npz: it would replace mine.csv, which"]),
    (["show", "prior.npz", "--out", "soft.png"], ["output soft.png would", "input prior.npz"]),
    (["show", "prior.npz", "--out", "prior.npz"], ["output prior.npz: expected a name that ends in .png"]),
    (["view", "pat", "--out", "pat.cfl"], ["output pat.cfl: expected a name that ends in .png"]),
    (["compare", "ksp.npz", "--out", "nowhere.npz/../pictures.npz/x"], ["is a file"]),
], ids=" ".join)
def test_a_refused_run_changes_nothing(folder, capsys, words, names):
    before = contents(folder)
    assert main([*words, *TRAIN] if words[0] == "train" else words) == 1
    error = capsys.readouterr().err
    assert error.startswith("ERROR: ") and error.count("\n") == 1 and all(name in error for name in names), error
    assert contents(folder) == before


def test_pictures_and_comparisons_of_others_stay(folder, capsys):
    Path("pat.png").write_bytes(b"a photograph")
    assert main(["view", "pat"]) == 1 and "pat.png, which you did not name" in capsys.readouterr().err
    Path("prior.png").write_bytes(b"a photograph")
    assert main(["show", "prior.npz"]) == 1 and "prior.png, which you did not name" in capsys.readouterr().err
    Path("index.html").write_text("my page")
    assert main(["compare", "ksp.npz", "--methods", "zero-filled", "--masks", "cartesian2", "--out", "."]) == 1
    assert "output .: it would replace index.html, which you did not name" in capsys.readouterr().err
    assert Path("index.html").read_text() == "my page" and not Path("images").exists()
    os.unlink("pat.png")
    for _ in range(2):  # One's own earlier picture is replaced.
        assert main(["view", "pat"]) == 0
    Path("out/figures").mkdir(parents=True)
    Path("out/figures/ksp__cartesian2-0.png").write_bytes(b"a photograph")
    comparison = ["compare", "ksp.npz", "--methods", "zero-filled", "--masks", "cartesian2", "--out", "out"]
    assert main(comparison) == 1
    assert "output out: it would replace out/figures/ksp__cartesian2-0.png, which" in capsys.readouterr().err
    os.unlink("out/figures/ksp__cartesian2-0.png")
    for _ in range(2):
        assert main(comparison) == 0


def test_recon_volume_refuses_its_input(folder):
    for source, out, keywords in (("ksp", "ksp", {}), ("ksp.h5", "soft.h5", {}),
                                  ("ksp", "img", {"prior": "img.hdr"})):
        before = contents(folder)
        with pytest.raises(ValueError, match=f"output {out} would overwrite the input"):
            recon_volume(source, out, **keywords)
        assert contents(folder) == before


def test_the_same_command_replaces_its_own_outputs(folder):
    for _ in range(2):
        assert main(["-i1", "ksp", "img", "sens"]) == 0
        assert main(["-i1", "ksp", "img.v2"]) == 0
        volume("ksp", "vol")
        assert main(["compare", "ksp.npz", "--methods", "zero-filled", "--masks", "cartesian2", "--out", "a/b"]) == 0
    assert {"img.cfl", "img.v2.cfl", "vol_sens.hdr", "index.html"} <= contents(folder).keys()


def test_a_prior_is_trained_again_in_its_place(folder, capsys):
    pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    words = ["train", "--images", "pictures.npz", "--out", "new.npz", *TRAIN]
    assert main(words) == 0
    os.unlink("new.ckpt")
    assert main([*words, "--device", "tpu"]) == 1  # The files are as they should be.
    assert "ERROR: --device: expected cpu or cuda" in capsys.readouterr().err


def test_outputs_keep_the_permissions_of_what_they_replace(folder):
    outputs = ["img.cfl", "img.hdr", "vol.h5", "arrays.cfl", "arrays.hdr", "pat.png", "new.npz", "all.ra"]
    for name in outputs:
        Path(name).write_bytes(b"")
        os.chmod(name, 0o606)
        if os.geteuid() == 0:
            os.chown(name, 65534, 65533)
    before = os.umask(0o027)
    try:
        write_bytes("pat.png", b"")
        load_prior().save("new.npz")
        assert main(["-i1", "--samples", "1", "--keep", "all.ra", "ksp", "img", "fresh"]) == 0
        volume("ksp", "vol.h5")
        volume("ksp", "arrays")
    finally:
        os.umask(before)
    for name in outputs:
        status = os.stat(name)
        assert stat.S_IMODE(status.st_mode) == 0o606, name
        assert os.geteuid() or (status.st_uid, status.st_gid) == (65534, 65533)
    assert stat.S_IMODE(os.stat("fresh.cfl").st_mode) == stat.S_IMODE(os.stat("arrays_sens.cfl").st_mode) == 0o640


def test_a_link_stays_and_its_target_is_written(folder):
    """As with BART and `cp`; the temporary files are beside the target."""
    os.mkdir("disk")
    for name, target in (("img.cfl", "disk/far"), ("vol.h5", "disk/volume"), ("arrays.cfl", "disk/arrays")):
        os.symlink(target, name)  # The target does not exist yet.
    for _ in range(2):
        assert main(["-i1", "ksp", "img"]) == 0
        volume("ksp", "vol.h5")
        volume("ksp", "arrays")
    assert sorted(os.listdir("disk")) == ["arrays", "far", "volume"]
    assert all(os.path.islink(name) for name in ("img.cfl", "vol.h5", "arrays.cfl"))
    np.testing.assert_array_equal(read("img"), read("arrays"))


def test_places_that_cannot_be_written_are_named(folder):
    os.mkdir("sub.cfl")
    os.mkfifo("pipe.ra")
    for name, message in (("sub", "sub.cfl is a folder"), ("pipe.ra", "pipe.ra is a special file"),
                          ("none/x", "the folder none does not exist"), ("ksp.npz/x", "the folder ksp.npz is a file"),
                          ("/proc/x", "cannot write there")):
        with pytest.raises(OSError, match=f"output {name}: {message}"):
            check_outputs([bart_target(name)], [])


def test_a_link_into_a_missing_folder_names_that_folder(folder):
    os.symlink("gone/far", "img.hdr")
    with pytest.raises(FileNotFoundError, match=f"output img: the folder {re.escape(str(folder))}/gone does not exist"):
        check_outputs([bart_target("img")], [])


def test_a_folder_without_permission_to_write_is_named(folder):
    """Root may write everywhere: this process is another user for a moment, for whom the folder of tests is closed."""
    with tempfile.TemporaryDirectory() as closed:
        os.chmod(closed, 0o555)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(PermissionError, match=f"cannot write there .*: the folder {closed} must be writable"):
                check_outputs([bart_target(f"{closed}/x")], [])
        finally:
            os.seteuid(user)


def test_what_is_write_protected_stays(folder):
    """Even if its folder allows to replace it; root may write everything."""
    os.chmod(folder, 0o777)
    os.chmod("maps.cfl", 0o444)
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    with pytest.raises(PermissionError, match=r"output maps: maps.cfl is write-protected"):
        check_outputs([bart_target("maps")], [])


def test_missing_folders_are_made_only_where_that_is_said(folder):
    path = Path("a/b/c")
    check_outputs([Target("a", (path,), makes_folders=True)], [])
    assert not Path("a").exists()
    with pytest.raises(FileNotFoundError, match="output a: the folder a/b does not exist"):
        check_outputs([Target("a", (path,))], [])


DIGEST = "0" * 64
DAMAGE = [b"{}", b"[1, 2]", b"3", b"null", b'"slice"', b"NaN", b'{"slice": 1', b"\x00\xff\xfe", b"[" * 100_000, b"",
          b'{"slice": NaN}', b'{"slice": "1"}', b'{"slice": true}', b'{"slice": [1]}', b'{"slice": 1, "input": 5}',
          json.dumps({"slice": 1, "input": DIGEST, "image": None, "sens": {}}).encode(),
          json.dumps({"slice": 1, "input": DIGEST, "image": DIGEST, "sens": DIGEST, "error": 3}).encode(),
          json.dumps({"slice": 1, "input": DIGEST, "image": DIGEST, "sens": DIGEST, "warnings": "x"}).encode(),
          json.dumps({"slice": 1, "input": DIGEST, "image": DIGEST, "sens": DIGEST, "scale": float("nan")}).encode()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the volume of two slices, and its finished reconstruction."""
    folder = tmp_path_factory.mktemp("finished")
    kspace = np.stack([to_bart(simulate((40, 36), coils=2, seed=seed)[0]) for seed in (1, 2)], -1)
    write({folder / "ksp": kspace.reshape(40, 36, 1, 2, *9 * (1,), 2)})
    volume(folder / "ksp", folder / "out.h5")
    return folder


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: repr(damage[:40]))
def test_a_damaged_line_of_any_shape_is_done_again(finished, damage):
    manifest, whole = finished / "out.h5.manifest", (finished / "out.h5").read_bytes()
    lines = manifest.read_bytes().splitlines(keepends=True)
    counts: list[tuple[int, int]] = []
    for damaged, done in (([*lines[:2], damage + b"\n"], 1), ([damage + b"\n", *lines[1:]], 0)):
        manifest.write_bytes(b"".join(damaged))
        volume(finished / "ksp", finished / "out.h5", lambda *count: counts.append(count))
        assert counts[0] == (done, 2) and counts[-1] == (2, 2), damaged
        counts.clear()
        assert (finished / "out.h5").read_bytes() == whole
        assert sorted(json.loads(line).get("slice", -1) for line in manifest.read_text().splitlines()) == [-1, 0, 1]


def test_a_foreign_manifest_of_another_run_stays(finished):
    manifest = finished / "out.h5.manifest"
    before = contents(finished)
    with pytest.raises(ValueError, match="with `iterations` 1 instead of 2; `restart=True`"):
        carry_out(make_plan(finished / "ksp", iterations=2), finished / "out.h5", lambda *_: iter(()))
    manifest.write_bytes(before[manifest.name] + b"damage")
    with pytest.raises(ValueError, match="another run"):
        carry_out(make_plan(finished / "ksp", iterations=2), finished / "out.h5", lambda *_: iter(()))
    assert manifest.read_bytes() == before[manifest.name] + b"damage"
    manifest.write_bytes(before[manifest.name])


def test_an_input_that_changes_during_the_run_is_noticed(finished):
    kspace = read(finished / "ksp")

    def change(done, count):
        if done == 1:
            write({finished / "ksp": np.flip(kspace, SLICE)})

    (finished / "out.h5.manifest").unlink()
    with pytest.raises(ValueError, match=r"ksp: the file has changed during the run; the same command compares it"):
        volume(finished / "ksp", finished / "out.h5", change)
    with pytest.raises(ValueError, match=r"ksp: the k-space of slice 0 has changed since it was reconstructed"):
        volume(finished / "ksp", finished / "out.h5")
    write({finished / "ksp": kspace})


def test_warnings_of_slices_stay_with_the_volume(finished):
    sentences = ("The axes look swapped.", "The residual is large.")
    (finished / "out.h5.manifest").unlink()
    for _ in range(2):  # The second run finds them in the manifest.
        with pytest.warns(ReconstructionWarning) as caught:
            report = volume(finished / "ksp", finished / "out.h5", warnings=sentences)
        assert [str(warning.message) for warning in caught] == [f"{sentence} (slices 0-1)" for sentence in sentences]
        assert report.warnings == {0: sentences, 1: sentences}


@pytest.mark.parametrize("manifest", [b"", b'{"sou', b'{"source": "ksp"', b"damage"], ids=repr)
def test_a_manifest_of_an_earlier_run_is_known(tmp_path, manifest):
    """It begins as one does, or the output is there as well."""
    (tmp_path / "out.h5.manifest").write_bytes(manifest)
    if manifest == b"damage":
        (tmp_path / "out.h5.partial").touch()
    check_outputs([target_of(tmp_path / "out.h5", sampled=False, restart=False)], [])


class DoubtingPrior:
    """The default prior, which doubts each score."""

    name, digest = "doubting", "0"

    def score(self, image, sigma):
        doubt("This is loud.")
        return load_prior().score(image, sigma)

    def curvature(self, shape, sigma, xp=np):
        return load_prior().curvature(shape, sigma, xp)


def test_workers_print_no_warnings(finished):
    """They travel in the outcome."""
    plan = make_plan(finished / "ksp", iterations=1, prior=DoubtingPrior())
    assert [outcome.error for outcome in reconstruct_block(plan.job, next(plan.blocks([0], send=False)))] == [None]


def test_doubts_about_the_file_are_said_once(tmp_path, monkeypatch, capfd):
    """Not by the workers, but by a run that goes on, too."""
    pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
    from raw_data import encoding, line, lines, write_raw
    monkeypatch.chdir(tmp_path)
    kspace = scans.kspace(scans.phantom((40, 36)), 2, 0.005, 0)
    write_raw("raw.h5", encoding((40, 36)), [line(np.ones((3, 40)), 0, 19), *lines(kspace)])
    for _ in range(2):
        assert main(["volume", "-i1", "--jobs", "1", "raw.h5", "out.h5"]) == 0
        error = capfd.readouterr().err
        assert error.count("\n") == 1 and error.startswith("WARNING: raw.h5: the coils are not prewhitened"), error
    header, *_ = Path("out.h5.manifest").read_text().splitlines()
    sentence, = json.loads(header)["warnings"]
    with pytest.warns(ReconstructionWarning, match="not prewhitened") as caught:
        report = recon_volume("raw.h5", "out.h5", iterations=1, jobs=1)
    assert len(caught) == 1 and report.warnings == {0: (sentence,)}
