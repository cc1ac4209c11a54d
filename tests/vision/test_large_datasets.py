"""Datasets of archives, lists and databases: QMNIST, SVHN, ImageNet, Places365, iNaturalist, LSUN. Small ones here."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.vision import datasets
from distrt.vision.datasets import imagenet, inaturalist
from tests.vision.dataset_files import digits, idx_bytes
from tests.vision.small_datasets import listed

pytest.importorskip("PIL", reason="needs distrt[vision]")


def photograph(number: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.full((5, 4, 3), number % 256, np.uint8)).save(file, "PNG")
    return file.getvalue()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_tar(path: Path, contents: dict[str, bytes], mode: Any = "w") -> None:
    with tarfile.open(path, mode) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def both(torchvision: ModuleType, name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    ours, theirs = (
        getattr(library.datasets, name)(*args, **options) for library in (distrt.vision, torchvision)
    )
    assert listed(ours) == listed(theirs) and len(ours) == len(theirs) > 0
    assert repr(ours) == repr(theirs)
    return ours, theirs


# QMNIST


def write_qmnist(root: Path) -> None:
    raw = root / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, (images_name, labels_name) in enumerate(
        (
            ("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int"),
            ("qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int"),
            ("xnist-images-idx3-ubyte", "xnist-labels-idx2-int"),
        )
    ):
        images, labels = digits(4, seed)
        known = np.stack([labels.astype(np.int32) + 1000 * column for column in range(8)], axis=1)
        (raw / images_name).write_bytes(idx_bytes(images))
        (raw / labels_name).write_bytes(idx_bytes(known, 12))


@pytest.mark.parametrize(
    "options", [{}, {"train": False}, {"what": "nist"}, {"what": "test10k", "compat": True}], ids=str
)
def test_qmnist_equals_torchvision(torchvision: ModuleType, tmp_path: Path, options: Any) -> None:
    write_qmnist(tmp_path)
    ours, theirs = both(torchvision, "QMNIST", str(tmp_path), **options)
    assert (ours.resources, ours.subsets, ours.classes) == (
        theirs.resources,
        theirs.subsets,
        theirs.classes,
    )
    assert ours.targets.tolist() == theirs.targets.tolist()


def test_qmnist_tells_all_that_is_known(tmp_path: Path) -> None:
    write_qmnist(tmp_path)
    known = datasets.QMNIST(tmp_path, what="test", compat=False)[1][1]
    assert known.dtype == distrt.int64 and known[1] == known[0] + 1000 and known.shape == (8,)
    assert len(datasets.QMNIST(tmp_path, what="test50k")) == 0
    with pytest.raises(ValueError, match="Unknown value 'all' for argument what"):
        datasets.QMNIST(tmp_path, what="all")
    raw = tmp_path / "QMNIST" / "raw"
    (raw / "qmnist-train-labels-idx2-int").write_bytes(idx_bytes(np.zeros((4, 8), np.uint8)))
    with pytest.raises(RuntimeError, match="expected type 12 in 2 dims, got type 8"):
        datasets.QMNIST(tmp_path)


# SVHN


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch, *libraries: Any) -> None:
    matlab = pytest.importorskip("scipy.io", reason="needs distrt[datasets]")
    rng = np.random.default_rng(0)
    labels = np.array([[1], [10], [7]], np.uint8)
    content = {"X": rng.integers(0, 256, (32, 32, 3, 3), np.uint8), "y": labels}
    matlab.savemat(root / "test_32x32.mat", content)
    for library in libraries:
        known = {**library.split_list, "test": ["", "test_32x32.mat", md5(root / "test_32x32.mat")]}
        monkeypatch.setattr(library, "split_list", known)


def test_svhn_equals_torchvision(
    torchvision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert datasets.SVHN.split_list == torchvision.datasets.SVHN.split_list
    write_svhn(tmp_path, monkeypatch, datasets.SVHN, torchvision.datasets.SVHN)
    ours, theirs = both(torchvision, "SVHN", str(tmp_path), "test")
    assert ours.labels.tolist() == theirs.labels.tolist() == [1, 0, 7]
    assert ours.data.shape == theirs.data.shape == (3, 3, 32, 32)


def test_svhn_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"download=True.*train_32x32.mat"):
        datasets.SVHN(tmp_path)
    write_svhn(tmp_path, monkeypatch, datasets.SVHN)
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:300])
    monkeypatch.setitem(datasets.SVHN.split_list, "test", ["", path.name, md5(path)])
    with pytest.raises(RuntimeError, match="is no file of MATLAB that can be read"):
        datasets.SVHN(tmp_path, "test")
    monkeypatch.setitem(__import__("sys").modules, "scipy.io", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'distrt\[datasets\]'"):
        datasets.SVHN(tmp_path, "test")


# ImageNet

WNIDS = ["n01", "n02", "n03"]


def write_imagenet(root: Path, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> None:
    """The three archives: two classes, and one group that is none."""
    matlab = pytest.importorskip("scipy.io", reason="needs distrt[datasets]")
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [
        (number, wnid, f"thing {number}, object {number}", "a thing", int(wnid == "n03"))
        for number, wnid in enumerate(WNIDS, 1)
    ]
    file = io.BytesIO()
    matlab.savemat(file, {"synsets": np.array(rows, dtype=kinds).reshape(-1, 1)})
    kit = "ILSVRC2012_devkit_t12"
    truth = b"2\n1\n2\n"
    write_tar(
        root / f"{kit}.tar.gz",
        {
            f"{kit}/data/meta.mat": file.getvalue(),
            f"{kit}/data/ILSVRC2012_validation_ground_truth.txt": truth,
        },
        "w:gz",
    )
    classes = {}
    for number, wnid in enumerate(WNIDS[:2]):
        path = root / f"{wnid}.tar"
        write_tar(path, {f"{wnid}_{each}.JPEG": photograph(10 * number + each) for each in range(2)})
        classes[path.name] = path.read_bytes()
        path.unlink()
    write_tar(root / "ILSVRC2012_img_train.tar", classes)
    images = {f"ILSVRC2012_val_0000000{each}.JPEG": photograph(100 + each) for each in range(1, 4)}
    write_tar(root / "ILSVRC2012_img_val.tar", images)
    for module in modules:
        known = {what: (name, md5(root / name)) for what, (name, _) in module.ARCHIVE_META.items()}
        monkeypatch.setattr(module, "ARCHIVE_META", known)


@pytest.mark.parametrize("split", ["train", "val"])
def test_imagenet_unpacks_as_torchvision_does(
    torchvision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    assert torchvision.datasets.imagenet.ARCHIVE_META == imagenet.ARCHIVE_META
    found = []
    for library in (distrt.vision, torchvision):
        root = tmp_path / library.__name__
        root.mkdir()
        write_imagenet(root, monkeypatch, imagenet, torchvision.datasets.imagenet)
        made = library.datasets.ImageNet(root, split)
        paths = [Path(path).relative_to(root) for path, _ in made.imgs]
        names = (made.wnids, made.classes, made.class_to_idx, made.wnid_to_idx)
        found.append((listed(made), paths, names, repr(made).replace(library.__name__, "")))
    assert found[0] == found[1]
    again = distrt.vision.datasets.ImageNet(tmp_path / "torchvision", split)
    assert listed(again) == found[1][0]  # what torchvision has unpacked serves here


def test_imagenet_of_folders_needs_no_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.io", None)
    distrt.save(({"n01": ("cat", "tom")}, ["n01"]), tmp_path / "meta.bin")
    (tmp_path / "val" / "n01").mkdir(parents=True)
    (tmp_path / "val" / "n01" / "a.JPEG").write_bytes(photograph(3))
    found = datasets.ImageNet(tmp_path, "val")
    assert (found.classes, found.class_to_idx, len(found)) == ([("cat", "tom")], {"cat": 0, "tom": 0}, 1)
    with pytest.raises(RuntimeError, match=r"ILSVRC2012_img_train.tar is not present"):
        datasets.ImageNet(tmp_path, "train")


# Places365


def write_places(root: Path, monkeypatch: pytest.MonkeyPatch, *libraries: Any) -> None:
    (root / "categories_places365.txt").write_text("/a/airfield 0\n/b/beach 1\n")
    (root / "places365_val.txt").write_text("one.png 1\ntwo.png 0\n")
    (root / "places365_test.txt").write_text("three.png\n")
    for number, name in enumerate(("val_256/one", "val_256/two", "test_256/three")):
        (root / name).parent.mkdir(exist_ok=True)
        (root / f"{name}.png").write_bytes(photograph(number))
    for library in libraries:
        lists = {
            split: (name, md5(root / name) if (root / name).exists() else "")
            for split, (name, _) in library._FILE_LIST_META.items()
        }
        monkeypatch.setattr(library, "_FILE_LIST_META", lists)
        name = library._CATEGORIES_META[0]
        monkeypatch.setattr(library, "_CATEGORIES_META", (name, md5(root / name)))


@pytest.mark.parametrize("split", ["val", "test"])
def test_places_equal_torchvision(
    torchvision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    ours, theirs = datasets.Places365, torchvision.datasets.Places365
    for name in ("_DEVKIT_META", "_CATEGORIES_META", "_FILE_LIST_META", "_IMAGES_META", "_SPLITS"):
        assert getattr(ours, name) == getattr(theirs, name)
    write_places(tmp_path, monkeypatch, ours, theirs)
    made, expected = both(torchvision, "Places365", str(tmp_path), split, small=True)
    assert (made.classes, made.class_to_idx, made.imgs, made.targets) == (
        expected.classes,
        expected.class_to_idx,
        expected.imgs,
        expected.targets,
    )


def test_places_that_are_not_there_say_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"categories_places365.txt does not exist or is corrupted"):
        datasets.Places365(tmp_path)


# iNaturalist

LIVING = [
    "00000_Animalia_Chordata_Aves_Passeriformes_Corvidae_Corvus_corax",
    "00001_Plantae_Tracheophyta_Magnoliopsida_Rosales_Rosaceae_Rosa_canina",
    "00002_Animalia_Chordata_Mammalia_Carnivora_Felidae_Felis_silvestris",
]


def write_living(root: Path, folders: list[str]) -> None:
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        (root / folder / "a.png").write_bytes(photograph(number))


#: torchvision leaves files open.
LEAVES_OPEN = "ignore::pytest.PytestUnraisableExceptionWarning"


@pytest.mark.filterwarnings(LEAVES_OPEN)
@pytest.mark.parametrize(
    ("version", "kinds", "folders"),
    [
        ("2021_train_mini", "full", LIVING),
        ("2021_valid", ["full", "kingdom", "genus"], LIVING),
        ("2017", ["super", "full"], ["Aves/Corvus corax", "Aves/Pica pica", "Plantae/Rosa canina"]),
        ("2018", "super", ["Aves/2", "Aves/0", "Plantae/1"]),
    ],
)
def test_inaturalist_equals_torchvision(
    torchvision: ModuleType, tmp_path: Path, version: str, kinds: Any, folders: list[str]
) -> None:
    theirs = torchvision.datasets.inaturalist
    assert (inaturalist.DATASET_URLS, inaturalist.DATASET_MD5) == (theirs.DATASET_URLS, theirs.DATASET_MD5)
    write_living(tmp_path / version, folders)
    ours, expected = both(torchvision, "INaturalist", str(tmp_path), version, kinds)
    for name in ("all_categories", "categories_index", "categories_map", "index"):
        assert getattr(ours, name) == getattr(expected, name), name
    kind = "kingdom" if version.startswith("2021") else "super"
    assert ours.category_name(kind, 1) == expected.category_name(kind, 1)
    assert ours.category_name("full", 0) == expected.category_name("full", 0)


def test_inaturalist_of_other_folders_is_refused(tmp_path: Path) -> None:
    for version, folder, message in (
        ("2021_train", "00000_Animalia_Corvus", "wrong number of pieces"),
        ("2021_valid", LIVING[1], "Unexpected category id 00001, expecting 00000"),
        ("2018", "Aves/raven", "non-numeric dir name: raven"),
        ("2019", "Aves/1", "Missing category 0"),
    ):
        write_living(tmp_path / version, [folder])
        with pytest.raises(RuntimeError, match=message):
            datasets.INaturalist(tmp_path, version)
    with pytest.raises(RuntimeError, match="Dataset not found"):
        datasets.INaturalist(tmp_path, "2017")
    with pytest.raises(ValueError, match="Unknown value 'kingdom' for argument target_type"):
        datasets.INaturalist(tmp_path, "2018", "kingdom")


# LSUN


def write_lsun(root: Path) -> None:
    lmdb = pytest.importorskip("lmdb", reason="needs distrt[datasets]")
    for first, name in ((0, "bedroom_val"), (5, "tower_val")):
        with (
            lmdb.open(str(root / f"{name}_lmdb"), map_size=1 << 20) as database,
            database.begin(write=True) as txn,
        ):
            for number in range(first, first + 2 + first // 5):
                txn.put(f"key {number}".encode(), photograph(number))


@pytest.mark.filterwarnings(LEAVES_OPEN)
def test_lsun_equals_torchvision(
    torchvision: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # torchvision writes its lists of keys here
    chosen, made = ["bedroom_val", "tower_val"], []
    for library in (distrt.vision, torchvision):
        root = tmp_path / library.__name__
        root.mkdir()
        write_lsun(root)
        made.append(library.datasets.LSUN(str(root), chosen))
    ours, theirs = made
    assert listed(ours) == listed(theirs) and [target for _, target in listed(ours)] == [0, 0, 1, 1, 1]
    assert repr(ours).replace("distrt.vision", "torchvision") == repr(theirs)
    for each in theirs.dbs:
        each.env.close()
    again = pickle.loads(pickle.dumps(ours))  # for a worker
    assert listed(again) == listed(ours)


def test_lsun_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for classes, message in (
        (["cave_train"], "Unknown value 'cave' for LSUN class"),
        (["tower_all"], "Unknown value 'all' for postfix"),
        (3, "Expected type str or Iterable"),
        ([3], "Expected type str for elements"),
    ):
        with pytest.raises(ValueError, match=message):
            datasets.LSUN(tmp_path, classes)  # type: ignore[arg-type]
    pytest.importorskip("lmdb", reason="needs distrt[datasets]")
    with pytest.raises(RuntimeError, match="is no database of LMDB"):
        datasets.LSUN(tmp_path, "test")
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'distrt\[datasets\]'"):
        datasets.LSUN(tmp_path, "test")
