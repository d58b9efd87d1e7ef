"""Pictures of reconstructions: `bart-pogmdm view` and `Result.plot`."""

import io as memory
import subprocess
import sys

import numpy as np
import pytest

from bart_pogmdm import Result, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.toolbox.find_bart import find

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure
from matplotlib.image import imread

from bart_pogmdm.commands.view import roles
from bart_pogmdm.plot.reconstruction_picture import draw_reconstruction, png

SHAPE = (30, 44)


def results(rng, coils=3, slices=1, plane=SHAPE):
    """image, sens, std (READ, PHS1, 1, COIL, …) with 1 % of the pixels at the maximum, which is then the window."""
    def array(*shape):
        return rng.standard_normal(shape).astype("f4") + 1j * rng.standard_normal(shape).astype("f4")

    image = array(*plane, 1, 1, slices)
    image /= np.abs(image).max()
    image[5:8, 10:16] = 1
    return {"image": image, "sens": array(*plane, 1, coils, slices), "std": np.abs(array(*plane, 1, 1, slices)) + 0j}


@pytest.fixture
def folder(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(results(rng))
    return tmp_path


def pixels(picture):
    """The figure as it is saved: 8-bit grey values (y, x) of its red channel."""
    return (255 * imread(memory.BytesIO(png(picture)))[..., 0]).round().astype(int)


def panel(picture, number):
    """The pixels of one panel of the saved figure."""
    shown = pixels(picture)
    box = [axes for axes in picture.axes if axes.images][number].get_position()
    height, width = shown.shape
    left, right = (round(x * width) for x in (box.x0, box.x1))
    top, bottom = (round((1 - y) * height) for y in (box.y1, box.y0))
    return shown[top:bottom, left:right]


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])  # READ x PHS1, PHS1 x PHS2, READ x PHS2
def test_the_image_is_that_of_toimg_pixel_by_pixel(bart, rng, tmp_path, monkeypatch, axes):
    monkeypatch.chdir(tmp_path)
    write({"image": results(rng)["image"].transpose(*axes, 3, 4)})
    subprocess.run([find(), "toimg", "image", "toimg.png"], check=True, capture_output=True)
    expected = (255 * imread("toimg.png")[..., 0]).round().astype(int)
    assert expected.shape == SHAPE
    picture = draw_reconstruction(read("image"))
    drawn = panel(picture, 0)
    zoom = drawn.shape[0] // SHAPE[0]
    assert drawn.shape == (zoom * SHAPE[0], zoom * SHAPE[1]) and zoom > 1
    assert np.abs(drawn - expected.repeat(zoom, 0).repeat(zoom, 1)).max() <= 1


def test_a_row_for_each_slice_with_one_scale(rng):
    arrays = results(rng, slices=2)
    arrays["image"][..., 1] *= 0.5
    picture = draw_reconstruction(**arrays)
    shown = [axes.images[0] for axes in picture.axes if axes.images]
    assert len(shown) == 8
    assert [axes.get_title() for axes in picture.axes if axes.images][4] == "magnitude, slice 1"
    for number in range(2):
        np.testing.assert_allclose(shown[4 * number].get_array(), np.abs(arrays["image"][:, :, 0, 0, number]))
        np.testing.assert_allclose(shown[4 * number + 1].get_array(), np.angle(arrays["image"][:, :, 0, 0, number]))
        np.testing.assert_allclose(shown[4 * number + 3].get_array(), arrays["std"][:, :, 0, 0, number].real)
        assert shown[4 * number].get_clim() == (0, 1) and shown[4 * number + 1].get_clim() == (-np.pi, np.pi)
        mosaic = shown[4 * number + 2].get_array()
        ny, nx = SHAPE
        assert mosaic.shape == (2 * ny, 2 * nx) and not mosaic[ny:, nx:].any()
        for coil in range(3):
            tile = mosaic[coil // 2 * ny:, coil % 2 * nx:][:ny, :nx]
            np.testing.assert_allclose(tile, np.abs(arrays["sens"][:, :, 0, coil, number]))


def test_the_scale_ends_at_the_quantile(rng):
    image = rng.random((40, 50)) + 0j
    image[3, 4] = 100
    assert draw_reconstruction(image).axes[0].images[0].get_clim()[1] == np.quantile(image.real, 0.995)
    assert draw_reconstruction(0 * image).axes[0].images[0].get_clim() == (0, 1)
    lonely = np.zeros((40, 50)) + 0j
    lonely[3, 4] = 100
    assert draw_reconstruction(lonely).axes[0].images[0].get_clim() == (0, 100)


def test_files_are_told_apart_by_their_coils(rng):
    several, single = results(rng), results(rng, coils=1)
    arrays = {name: to_bart(array[:, :, 0, :, 0].transpose(2, 0, 1)) for name, array in several.items()}
    one = {name: to_bart(array[:, :, 0, :, 0].transpose(2, 0, 1)) for name, array in single.items()}
    assert list(roles({"a": arrays["image"]})) == ["image"]
    assert list(roles({"a": arrays["sens"]})) == ["sens"]
    found = roles({"c": arrays["sens"], "a": arrays["image"], "b": arrays["std"]})
    assert found["image"] is arrays["image"] and found["sens"] is arrays["sens"] and found["std"] is arrays["std"]
    found = roles({"a": one["image"], "b": one["std"]})
    assert found["image"] is one["image"] and found["std"] is one["std"]
    found = roles(one)
    assert found["sens"] is one["sens"] and found["std"] is one["std"]


def test_command_writes_the_same_bytes_each_time(folder, capsys):
    assert main(["view", "image", "sens.hdr", "std"]) == 0
    assert capsys.readouterr().out == "picture: image.png\n"
    first = (folder / "image.png").read_bytes()
    assert main(["view", "sens", "image", "std.cfl", "-o", "again.png"]) == 0
    assert (folder / "again.png").read_bytes() == first
    assert b"Software" not in first and b"tIME" not in first
    assert sorted(path.name for path in folder.iterdir() if path.suffix not in (".cfl", ".hdr")) == [
        "again.png", "image.png"]
    shown = imread("image.png")
    assert shown.shape[2] == 4 and shown[..., 3].min() == 1


def test_command_refuses_what_it_cannot_draw(folder, capsys, rng):
    (folder / "trap.png").symlink_to("image.cfl")
    nan = results(rng)["image"]
    nan[0, 0] = np.nan
    write({"nan": nan, "volume": np.ones((4, 5, 6), "c8"), "small": np.ones((20, 20), "c8"),
              "many": np.ones((4, 5, 1, 1, 40), "c8")})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for words, said in ((["none"], "none.hdr: no such file"),
                        (["image", "-o", "image.cfl"], "output image.cfl: expected a name that ends in .png"),
                        (["image", "-o", "trap.png"], "output trap.png would overwrite the input image"),
                        (["image", "-o", "nowhere/x.png"], "output nowhere/x.png: the folder nowhere does not exist"),
                        (["sens", "image", "sens.hdr"], "several coils (the sensitivities), got sens, sens.hdr"),
                        (["image", "std", "nan", "sens"], "at most one standard deviation, got image, std, nan"),
                        (["image", "small"], "std: expected slices, rows and columns as in image, (1, 30, 44), got"),
                        (["volume"], "volume: expected two of READ, PHS1, PHS2 longer than 1 (a 2-D slice), got 4 x 5"),
                        (["many"], "image: expected at most 32 slices, got 40: take some with `bart extract`"),
                        (["nan"], "image: expected finite values, got NaN or infinite ones"),
                        ([], "the following arguments are required: RESULT")):
        assert main(["view", *words]) == 1
        message = capsys.readouterr().err
        assert said in message and message.startswith("ERROR: ") and message.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("coils", [None, 1, 4])
def test_a_result_draws_itself(phantom, coils):
    kspace, mask, _ = phantom
    kspace = kspace[0] if coils is None else kspace[:coils]
    result = recon(kspace, mask, iterations=2, samples=1)
    picture = result.plot()
    assert isinstance(picture, Figure)
    drawn = [axes.images[0].get_array() for axes in picture.axes if axes.images]
    assert len(drawn) == 4
    np.testing.assert_allclose(drawn[0], np.abs(result.image))
    np.testing.assert_allclose(drawn[3], result.std)
    assert picture._repr_png_() == png(picture)


def test_plot_and_command_draw_the_same(folder):
    arrays = {name: read(name) for name in ("image", "sens", "std")}
    main(["view", "image", "sens", "std"])
    assert png(Result(**arrays, info={}).plot()) == (folder / "image.png").read_bytes()


def test_without_matplotlib_it_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["view", "image"]) == 1
    assert capsys.readouterr().err == "ERROR: pictures need matplotlib: pip install 'bart_pogmdm[plot]'\n"
    with pytest.raises(ImportError, match="pip install"):
        Result(read("image"), read("sens"), None, {}).plot()
    assert not list(folder.glob("*.png"))
