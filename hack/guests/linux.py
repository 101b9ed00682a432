"""Guest B: a small real Linux from Debian's packages: syslinux, Debian's cloud kernel, busybox, an ext4 with known files.

It boots by SeaBIOS from its first virtio disk, checks its files, counts its boots, and stays until the power button.
Nothing here needs root, a loop device or a mount. linux_init.sh is what runs inside.
Source of the recipe: measured for the design, data-plane reference 3.3.
"""

import gzip
import hashlib
import lzma
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.guests import formats
from hack.images import cache, steps

# In the order of their dependencies; ext4 is built in. button and evdev make the power button readable, and come first
# because a press before that is lost: whoever wants a guest off must press until it is.
MODULES = (
    *("evdev", "button"),
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"),
)
_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_BUSYBOX = Path("/bin/busybox")
_MBR_CODE = Path("/usr/lib/syslinux/mbr/mbr.bin")
_TOOLS = {
    "syslinux": "syslinux",
    str(_MBR_CODE): "syslinux-common",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mkfs.ext4": "e2fsprogs",
    "qemu-img": "qemu-utils",
    str(_BUSYBOX): "busybox-static",
}
_MEBI = 1 << 20
_BOOT_START = 2048
_BOOT_MIB = 48
_SPARE_MIB = 48  # for ext4's own structures and what the guest writes
_FILE_MIB = 4
_SOURCES = ("linux.py", "formats.py", "linux_init.sh")


@dataclass(frozen=True)
class Recipe:
    """What a disk of guest B is made from."""

    oneshot: bool = False  # power off after the marker
    data_mib: int = 48  # files that the guest reads and checks at boot
    seed: int = 0


@dataclass(frozen=True)
class Kernel:
    """What is taken out of Debian's kernel package."""

    image: Path
    modules: Path


def build(recipe: Recipe, out: Path, directory: Path) -> None:
    """Puts the guest at `out` (qcow2); made once per recipe and kept in `directory`."""
    with cache.exclusive(directory):
        sources = [Path(__file__).with_name(name) for name in _SOURCES]
        made = directory / f"linux-{cache.digest_of_files(sources, {'recipe': repr(recipe)})[:16]}.qcow2"
        if made.exists():
            steps.say("guest linux: nothing changed")
        else:
            steps.ensure_tools(_TOOLS)
            kernel = fetch_kernel(directory)
            with steps.step("guest linux"), cache.published(made) as temporary, TemporaryDirectory() as work:
                raw = _disk(recipe, kernel, Path(work))
                steps.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, temporary])
            cache.keep_newest(directory.glob("linux-*.qcow2"), 6)
        with cache.published(out.absolute()) as temporary:
            shutil.copyfile(made, temporary)


def fetch_kernel(directory: Path) -> Kernel:
    """Debian's current cloud kernel and the modules the guest needs, by `apt-get download`; kept."""
    kept = directory / "kernel"
    kernel = Kernel(kept / "vmlinuz", kept / "modules")
    if kept.exists():
        return kernel
    with (
        steps.step("debian kernel"),
        cache.published(kept) as temporary,
        TemporaryDirectory(dir=directory) as folder,
    ):
        work = Path(folder)
        steps.run(["apt-get", "download", "-q", _kernel_package()], cwd=work)
        (package,) = work.glob("*.deb")
        steps.run(["dpkg-deb", "-x", package, work / "root"])
        (temporary / "modules").mkdir(parents=True)
        (image,) = (work / "root" / "boot").glob("vmlinuz-*")
        shutil.copyfile(image, temporary / "vmlinuz")
        for name in MODULES:
            (module,) = (work / "root").rglob(f"{name}.ko*")
            content = module.read_bytes()
            if module.suffix == ".xz":
                content = lzma.decompress(content)
            (temporary / "modules" / f"{name}.ko").write_bytes(content)
    return kernel


def initramfs(kernel: Kernel, busybox: bytes, init: bytes) -> bytes:
    """The compressed archive of init, busybox and the modules; the kernel brings /dev/console itself."""
    entries = [formats.Entry(name) for name in ("bin", "dev", "modules", "proc", "sys")]
    entries += [
        formats.Entry("init", init),
        formats.Entry("bin/busybox", busybox),
        formats.Entry("bin/sh", b"busybox", link=True),
        formats.Entry("modules/order", "\n".join(MODULES).encode() + b"\n"),
    ]
    entries += [
        formats.Entry(f"modules/{name}.ko", (kernel.modules / f"{name}.ko").read_bytes()) for name in MODULES
    ]
    return gzip.compress(formats.newc(entries), mtime=0)


def boot_config(recipe: Recipe) -> str:
    """syslinux.cfg. The serial console of 115200 baud is the guest's only one."""
    arguments = "initrd=initrd.img console=ttyS0 quiet panic=-1 tsc=reliable" + " oneshot" * recipe.oneshot
    return f"SERIAL 0 115200\nPROMPT 0\nDEFAULT linux\nLABEL linux\n  KERNEL vmlinuz\n  APPEND {arguments}\n"


def _disk(recipe: Recipe, kernel: Kernel, work: Path) -> Path:
    boot = _boot_file_system(recipe, kernel, work)
    root = _root_file_system(recipe, work)
    root_start = _BOOT_START + _sectors(boot)
    partitions = [
        formats.Partition(formats.FAT16_LBA, _BOOT_START, _sectors(boot), bootable=True),
        formats.Partition(formats.LINUX, root_start, _sectors(root)),
    ]
    disk = work / "disk.raw"
    with disk.open("wb") as whole:
        whole.write(formats.master_boot_record(_MBR_CODE.read_bytes(), partitions))
        for start, part in ((_BOOT_START, boot), (root_start, root)):
            whole.seek(start * formats.SECTOR)
            with part.open("rb") as content:
                shutil.copyfileobj(content, whole, _MEBI)
    return disk


def _boot_file_system(recipe: Recipe, kernel: Kernel, work: Path) -> Path:
    image = work / "boot.fat"
    _empty(image, _BOOT_MIB)
    steps.run(["mkfs.vfat", "-F", "16", "--invariant", image])
    init = Path(__file__).with_name("linux_init.sh").read_bytes()
    (work / "initrd.img").write_bytes(initramfs(kernel, _static_busybox(), init))
    (work / "syslinux.cfg").write_text(boot_config(recipe), encoding="ascii")
    files = [kernel.image, work / "initrd.img", work / "syslinux.cfg"]
    steps.run(["mcopy", "-i", image, *files, "::/"])
    steps.run(["syslinux", "--install", image])
    return image


def _root_file_system(recipe: Recipe, work: Path) -> Path:
    data = work / "root" / "data"
    data.mkdir(parents=True)
    generator = random.Random(recipe.seed)
    sums = []
    for index in range(max(1, recipe.data_mib // _FILE_MIB)):
        content = generator.randbytes(_FILE_MIB * _MEBI)
        name = f"file-{index:03d}"
        (data / name).write_bytes(content)
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (data / "SHA256SUMS").write_text("".join(sums), encoding="ascii")
    (work / "root" / "boots").write_text("0\n", encoding="ascii")
    image = work / "root.ext4"
    _empty(image, recipe.data_mib + _SPARE_MIB)
    # Written out whole now, so that the first boot's writes are the guest's own and no lazy initialisation.
    options = "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"
    steps.run(["mkfs.ext4", "-q", "-F", "-E", options, "-d", work / "root", image])
    return image


def _static_busybox() -> bytes:
    content = _BUSYBOX.read_bytes()
    if b"/ld-linux" in content:
        raise steps.BuildError(
            f"{_BUSYBOX} needs libraries that the guest does not have: install busybox-static"
        )
    return content


def _kernel_package() -> str:
    depends = steps.run(["apt-cache", "depends", _KERNEL_PACKAGE]).decode()
    found = re.search(r"Depends:\s*(linux-image-\S+)", depends)
    if found is None:
        raise steps.BuildError(
            f"apt knows no {_KERNEL_PACKAGE}: this guest needs Debian's package lists (apt-get update)"
        )
    return found[1]


def _empty(path: Path, mebibytes: int) -> None:
    with path.open("wb") as file:
        file.truncate(mebibytes * _MEBI)


def _sectors(path: Path) -> int:
    return path.stat().st_size // formats.SECTOR
