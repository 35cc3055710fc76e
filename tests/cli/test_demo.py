"""The page of `tfdeblur demo`: what it restores, and how it looks to a real browser."""

import asyncio
import concurrent.futures
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tfdeblur import models, restoration
from tfdeblur.cli import demo, demo_guard, demo_page
from tfdeblur.errors import InputError
from tfdeblur.io import images, photos, tiff

COMMAND = "import sys; from tfdeblur import cli; sys.argv.insert(1, 'demo'); cli.main()"
FLAGS = ("--model=runs/new/model.keras", "--precision=float32", "--max_megapixels=0.02")
SECONDS = 300  # how long a busy machine may take; nothing here waits in vain


@pytest.fixture(scope="module")
def net():
    return models.build("mimo_unet", filters=8, resblocks=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, net):
    """With networks, one of them broken, and photos: on its side, too large, and none at all."""
    folder = tmp_path_factory.mktemp("demo")
    for run in ("new", "broken"):
        (folder / "runs" / run).mkdir(parents=True)
    net.save(folder / "runs" / "new" / "model.keras")
    (folder / "runs" / "broken" / "model.keras").write_text("no network")
    pixels = np.random.default_rng(0).integers(0, 256, (70, 101, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.fromarray(pixels).save(folder / "on its side.jpg", exif=exif)
    Image.new("RGB", (200, 101)).save(folder / "large.png")
    (folder / "text.png").write_text("no image")
    return folder


def test_restored_photo(net, folder, tmp_path):
    shares = []
    path = folder / "on its side.jpg"
    before, after, kernel = demo_page.restore_photo(
        net, path, tmp_path, 1, "float32", shares.append
    )
    assert kernel is None
    assert (before.name, after.name) == ("on its side_blurry.png", "on its side_restored.png")
    assert images.size(after) == (70, 101)
    np.testing.assert_array_equal(images.read(before), images.read(path))
    expected = restoration.restore(net, images.read(path), precision="float32")
    np.testing.assert_array_equal(images.read(after), expected)
    assert shares[-1] == 1


def test_visitors_are_told_of_a_file_by_its_name_alone(net, folder, tmp_path):
    with pytest.raises(InputError, match=r"^text\.png cannot be read as an image"):
        demo_page.restore_photo(net, folder / "text.png", tmp_path, 1, "float32")
    with pytest.raises(InputError, match=r"^large\.png has 0\.0202 megapixels.* 0\.02 at most"):
        demo_page.restore_photo(net, folder / "large.png", tmp_path, 0.02, "float32")


def test_a_size_is_asked_before_floating_point_is_read(tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "scan.tif", np.zeros((100, 200, 3), np.float32))
    monkeypatch.setattr(tiff, "read", lambda *_: pytest.fail("it was read"))
    demo_page.check_photo(tmp_path / "scan.tif", 0.02)
    with pytest.raises(InputError, match=r"^scan\.tif has 0\.02 megapixels"):
        demo_page.check_photo(tmp_path / "scan.tif", 0.019)


def test_photo_restored_by_its_kernel(folder, tmp_path):
    path = folder / "on its side.jpg"
    _, after, kernel = demo_page.restore_photo("xu2013", path, tmp_path, 1, None, kernel_size=5)
    assert images.size(after) == (70, 101)
    assert (images.read(after) != images.read(path)).any()
    shown = images.read(kernel)
    assert shown.shape == (259, 259, 3) and shown.max() == 255  # 51 for each pixel, and a frame
    assert "on its side, the blur kernel" in demo_page.compared(path, after, kernel)


@pytest.fixture(scope="module")
def address(folder):
    """Of a running demo; ends it by Ctrl-C, and checks that nothing is left."""
    pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    (folder / "tmp").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, f"--port={port}", *FLAGS],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "tmp"), "http_proxy": "http://127.0.0.1:9"},
        stdout=subprocess.PIPE,
        text=True,
        # A shell may have started this one with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    said = process.stdout.readline()
    assert said == "Restoring with runs/new/model.keras, or what is chosen on the page.\n"
    said = process.stdout.readline()
    assert said == f"Open http://127.0.0.1:{port}/ in a browser. Ctrl-C ends the demo.\n"
    yield f"http://127.0.0.1:{port}/"
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 0
    assert not list((folder / "tmp").glob("tfdeblur_demo_*"))


@pytest.fixture(scope="module")
def browser():
    """A real browser, and the hosts that it asks for anything."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("there is no chromium to look at the page with")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page, just opened, in a window of its own."""
    page = browser.new_page()
    page.set_default_timeout(1000 * SECONDS)
    page.hosts = set()

    def note(request):
        if not request.url.startswith(("data:", "blob:")):  # which lie in the page
            page.hosts.add(urlsplit(request.url).hostname)

    page.on("request", note)
    page.goto(address)
    yield page
    page.close()


def restore(page, path):
    page.set_input_files("input[type=file]", path)
    page.locator("button:enabled", has_text="Restore").click()


def refused(page, path):
    """What is said of a file as soon as it is chosen; it does not stay in the list."""
    page.set_input_files("input[type=file]", path)
    said = message(page)
    page.locator("button:disabled", has_text="Restore").wait_for()
    return said


def downloaded(page, path):
    with page.expect_download() as download:
        page.locator("a[download*=_restored]").last.click()
    download.value.save_as(path)
    return download.value.suggested_filename


def message(page):
    return page.get_by_test_id("toast-body").inner_text()


@pytest.mark.slow
def test_page(page, net, folder, tmp_path):
    restore(page, folder / "on its side.jpg")
    assert downloaded(page, tmp_path / "restored.png") == "on its side_restored.png"
    blurry = images.read(folder / "on its side.jpg")
    expected = restoration.restore(net, blurry, precision="float32")
    np.testing.assert_array_equal(images.read(tmp_path / "restored.png"), expected)
    assert (expected != blurry).any()
    sizes = "pictures => pictures.map(picture => [picture.naturalWidth, picture.naturalHeight])"
    assert page.locator(".compare img").evaluate_all(sizes) == [[70, 101], [70, 101]]
    slider = page.get_by_label("on its side: blurry left of here, restored right")
    slider.focus()
    page.keyboard.press("ArrowRight")
    split = "slider => slider.parentNode.style.getPropertyValue('--split')"
    assert slider.evaluate(split) == "51%"
    assert slider.evaluate("slider => getComputedStyle(slider).outlineStyle") == "solid"
    assert page.hosts == {"127.0.0.1"}


@pytest.mark.slow
def test_a_phone_s_format(page, net, tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra [photos] is not installed")
    pillow_heif.from_pillow(Image.new("RGB", (96, 64), (90, 140, 30))).save(tmp_path / "phone.heic")
    restore(page, tmp_path / "phone.heic")
    downloaded(page, tmp_path / "restored.png")
    blurry = photos.read(tmp_path / "phone.heic").pixels
    expected = restoration.restore(net, blurry, precision="float32")
    np.testing.assert_array_equal(images.read(tmp_path / "restored.png"), expected)


@pytest.mark.slow
def test_file_over_the_limit(page, tmp_path):
    (tmp_path / "film.mov").write_bytes(bytes(200_000))  # 0.02 megapixels are 160,000 bytes at most
    page.set_input_files("input[type=file]", tmp_path / "film.mov")
    assert 'exceed the maximum allowed size of 156.3 Kb: "film.mov"' in message(page)


@pytest.mark.slow
def test_file_that_is_no_image(page, folder):
    said = refused(page, folder / "text.png")
    assert "text.png cannot be read as an image (unknown format)" in said


@pytest.mark.slow
def test_photo_over_the_limit(page, folder):
    said = refused(page, folder / "large.png")
    assert "large.png has 0.0202 megapixels, and this page takes 0.02 at most" in said


@pytest.mark.slow
def test_several_photos_and_strength(page, folder, tmp_path):
    Image.new("RGB", (40, 30), (10, 200, 90)).save(tmp_path / "second.png")
    page.get_by_label("number input for Strength").fill("0")
    restore(page, [folder / "on its side.jpg", tmp_path / "second.png", folder / "text.png"])
    assert "text.png cannot be read as an image" in message(page)
    page.locator(".compare").nth(1).wait_for()
    downloaded(page, tmp_path / "restored.png")
    np.testing.assert_array_equal(
        images.read(tmp_path / "restored.png"), images.read(tmp_path / "second.png")
    )


@pytest.mark.slow
def test_only_what_is_painted_is_restored(page, net, folder, tmp_path):
    page.set_input_files("input[type=file]", folder / "on its side.jpg")
    page.locator("button:enabled", has_text="Restore").wait_for()
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(3000)  # until the photo lies on it
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(1000)  # until it is drawn
    page.locator("button:enabled", has_text="Restore").click()
    downloaded(page, tmp_path / "restored.png")
    blurry, found = (
        images.read(path) for path in (folder / "on its side.jpg", tmp_path / "restored.png")
    )
    expected = restoration.restore(net, blurry, precision="float32")
    np.testing.assert_array_equal(found[40:60, 25:45], expected[40:60, 25:45])
    np.testing.assert_array_equal(found[:8], blurry[:8])
    np.testing.assert_array_equal(found[-8:], blurry[-8:])


def test_paint_is_stretched_over_the_photo(net, folder, tmp_path):
    path = folder / "on its side.jpg"
    layer = np.zeros((10, 7, 4), np.uint8)
    assert not demo_page.painted_places({"layers": [layer]}).any()
    assert (
        demo_page.painted_places(None) is None and demo_page.painted_places({"layers": []}) is None
    )
    layer[:, :3, 3] = 255
    painted = demo_page.painted_places({"layers": [layer]})
    for model in (net, "xu2013"):
        _, after, _ = demo_page.restore_photo(
            model, path, tmp_path, 1, "float32", kernel_size=5, painted=painted
        )
        changed = (images.read(after) != images.read(path)).any(axis=-1)
        assert changed[:, :20].mean() > 0.5 and not changed[:, 40:].any()


@pytest.mark.slow
def test_network_that_does_not_load(page, folder):
    page.get_by_label("Network").click()
    page.get_by_role("option", name="runs/broken/model.keras").click()
    restore(page, folder / "on its side.jpg")
    assert "runs/broken/model.keras is broken" in message(page)


@pytest.mark.slow
def test_port_that_is_taken():
    gradio = pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    page = demo_page.build_page(gradio, ["a", "b"], lambda paths: None, restore, lambda: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--host=127.0.0.1 --port={port}: if another program"):
            demo_page.serve(gradio, page, "127.0.0.1", port, max_file_size=1000)


def test_names_that_begin_with_a_dot(net, folder, tmp_path):
    for name in (".photo.jpg", ".jpg"):
        shutil.copy(folder / "on its side.jpg", tmp_path / name)
        for path in demo_page.restore_photo(net, tmp_path / name, tmp_path, 1, "float32")[:2]:
            assert not path.name.startswith(".") and path.exists()


def test_paths_of_networks_are_not_shown():
    choices = ["/home/me/secret/model.keras", "runs/a/model.keras", "../model.keras", "dmphn"]
    choices.append("runs/a/model.keras")  # named on the command line, and found again
    assert demo_page._shown(choices) == {
        "model.keras": "/home/me/secret/model.keras",
        "runs/a/model.keras": "runs/a/model.keras",
        "model.keras (2)": "../model.keras",
        "dmphn": "dmphn",
    }


def test_leftovers_of_killed_demos_are_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, content in {"dead": "tfdeblur_demo_dead", "other": "tfdeblur_demo_x"}.items():
        (tmp_path / f"tfdeblur_demo_{name}").mkdir()
        (tmp_path / f"tfdeblur_demo_{name}" / demo_page.MARKER).write_text(content)
    (tmp_path / "tfdeblur_demo_mine").mkdir()
    (tmp_path / "tfdeblur_demo_mine" / "thesis.txt").touch()
    os.symlink("tfdeblur_demo_mine", tmp_path / "tfdeblur_demo_link")
    with demo_page.visitors_folder() as running, demo_page.visitors_folder() as second:
        assert os.path.exists(running) and os.path.exists(second)
        assert not (tmp_path / "tfdeblur_demo_dead").exists()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["tfdeblur_demo_link", "tfdeblur_demo_mine", "tfdeblur_demo_other"]


def test_where_disks_know_no_locks_nothing_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(demo_page.files, "lock", lambda file: True)
    with demo_page.visitors_folder() as running, demo_page.visitors_folder():
        assert os.path.exists(running)


@pytest.mark.parametrize("size", ["inf", "nan"])
def test_sizes_without_end_are_refused(run_command, size):
    done = run_command(demo, f"--max_megapixels={size}")
    assert done.returncode == 1 and f"--max_megapixels={size}: give a finite" in done.stderr


def test_all_that_visitors_leave_goes_with_time(net, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with demo_page.visitors_folder() as place:
        visit = Path(place, "visit")
        visit.mkdir()
        (visit / demo_page.MARKER).touch()  # a visitor's name for a file
        demo_page.restore_photo("xu2013", folder / "on its side.jpg", visit, 1, None, kernel_size=5)
        demo_page.remove_old(place, demo_page.HOUR)
        assert len(list(visit.iterdir())) == 4
        demo_page.remove_old(place, -1)
        assert sorted(os.listdir(place)) == [demo_page.MARKER, "visit"] and not os.listdir(visit)


def asked(headers, chunks=(b"",), host="127.0.0.1"):
    """The status with which a guarded page answers, and the bytes that it read."""
    pytest.importorskip("python_multipart", reason="the extra [demo] is not installed")
    read, sent = [], []
    waiting = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
    waiting[-1]["more_body"] = False

    async def page(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            read.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    guard = demo_guard.Guard(page, host, 3 * demo_guard.SLACK)
    asking = guard({"type": "http", "headers": headers}, receive, send)
    with concurrent.futures.ThreadPoolExecutor() as thread:  # the browser has a loop in this one
        thread.submit(asyncio.run, asking).result()
    return sent[0]["status"], sum(map(len, read))


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:7860", None, 200),
        ("localhost:7860", "http://localhost:7860", 200),
        ("[::1]:7860", None, 200),
        ("192.168.1.7:7860", "http://192.168.1.7:7860", 200),
        ("evil.example:7860", None, 403),
        ("evil.example", "http://evil.example", 403),
        ("127.0.0.1.evil.example", None, 403),
        ("127.0.0.1:7860", "http://evil.example", 403),
        ("127.0.0.1:7860", "http://127.0.0.1:8000", 403),
        ("127.0.0.1:7860", "null", 403),
        ("127.0.0.1:7860", "http://[", 403),
        ("[", None, 403),
        ("", None, 403),
    ],
)
def test_only_who_means_this_page_is_answered(host, origin, status):
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert asked(headers)[0] == status


def test_requests_are_bounded():
    host = {"host": "localhost"}
    assert asked({**host, "content-length": "9" * 30})[0] == 413
    assert asked({**host, "content-length": str(4 * demo_guard.SLACK + 1)})[0] == 413
    status, read = asked(host, [bytes(demo_guard.SLACK)] * 9)  # whose length is not told
    assert status == 413 and read == 4 * demo_guard.SLACK
    many = {**host, "content-type": "multipart/form-data; boundary=xyz"}
    body = b"--xyz\r\n\r\nfile\r\n"
    assert asked(many, [body * demo_guard.MAX_FILES + b"--xyz--"])[0] == 200
    for parameters in ("Boundary=xyz", 'x="boundary=abc"; boundary=xyz', 'boundary="xyz"'):
        named = {**host, "content-type": f"multipart/form-data; {parameters}"}
        assert asked(named, [body * (demo_guard.MAX_FILES + 1) + b"--xyz--"])[0] == 413
    pieces = [bytes([byte]) for byte in body * (demo_guard.MAX_FILES + 1) + b"--xyz--"]
    assert asked({**many, "Content-Type": "text/plain"}, list(pieces))[0] == 413  # the first counts
    assert asked(many, pieces)[0] == 413


@pytest.mark.slow
def test_a_running_page_guards_itself_and_takes_dotted_names(address, folder, tmp_path):
    httpx = pytest.importorskip("httpx")
    client = pytest.importorskip("gradio_client")
    with httpx.Client(base_url=address, trust_env=False, timeout=SECONDS) as page:
        assert page.get("/").status_code == 200
        assert page.get("/", headers={"host": "evil.example"}).status_code == 403
        files = {"files": (".photo.jpg", (folder / "on its side.jpg").read_bytes())}
        foreign = {"origin": "http://evil.example"}
        upload = "/gradio_api/upload"
        assert page.post(upload, files=files, headers=foreign).status_code == 403
        many = [("files", (f"{i}.jpg", b"x")) for i in range(demo_guard.MAX_FILES + 1)]
        assert page.post(upload, files=many).status_code == 413
        (path,) = page.post(upload, files=files).json()
    assert str(folder / "tmp") in path
    visitor = client.Client(
        address, verbose=False, download_files=tmp_path, httpx_kwargs={"trust_env": False}
    )
    photo = {"path": path, "orig_name": ".photo.jpg", "meta": {"_type": "gradio.FileData"}}
    shown, download = visitor.predict(
        [photo], "runs/new/model.keras", 1, 9, None, api_name="/restore"
    )
    (after,) = download["value"]
    assert "photo_blurry.png" in shown and images.size(after) == (70, 101)
