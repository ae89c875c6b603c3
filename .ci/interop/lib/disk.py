"""Disks of our own: ext4 in a file behind a loop device, and tmpfs.

Laws
- Root alone can do it; elsewhere `needs_disks` skips the check and says why.
- Whatever was mounted is unmounted, and thawed, by `close`, in whatever state the check ended.
- `Cut` takes what reached the block layer at one moment and nothing else: no sync is asked for. The file behind the
  loop device lies on a second ext4, which is frozen while the copy is made, so no write is under way in it.
"""

import os
import subprocess
from pathlib import Path

from .check import Skip


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, timeout=300)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")


def needs_disks(folder):
    """Skip where no disk of our own can be mounted."""
    if os.geteuid():
        raise Skip("mounting needs root")
    probe = Ext4(Path(folder) / "probe", 16)
    try:
        probe.mount()
    except (OSError, subprocess.SubprocessError) as error:
        raise Skip(f"no loop device can be mounted: {error}") from None
    finally:
        probe.close()


class Mounted:
    """A folder that a file system is mounted on."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.at = self.folder / "mnt"
        self.is_mounted = self.is_frozen = False

    def freeze(self):
        """Every write to it waits from here on."""
        run("fsfreeze", "--freeze", self.at)
        self.is_frozen = True

    def thaw(self):
        if self.is_frozen:
            self.is_frozen = False
            run("fsfreeze", "--unfreeze", self.at)

    def close(self):
        self.thaw()
        if self.is_mounted:
            self.is_mounted = False
            run("umount", self.at)

    def free_bytes(self):
        there = os.statvfs(self.at)
        return there.f_bavail * there.f_frsize


class Ext4(Mounted):
    """ext4 in a file: FOLDER/disk.img, mounted at FOLDER/mnt."""

    def __init__(self, folder, mebibytes, image=None):
        super().__init__(folder)
        self.image = Path(image) if image else self.folder / "disk.img"
        self.at.mkdir(parents=True, exist_ok=True)
        if not self.image.exists():
            with self.image.open("wb") as file:
                file.truncate(mebibytes << 20)
            # Nothing is written behind our back later on, and nothing is kept for root.
            run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)

    def mount(self):
        run("mount", "-o", "loop", self.image, self.at)
        self.is_mounted = True


class Tmpfs(Mounted):
    def __init__(self, folder, mebibytes):
        super().__init__(folder)
        self.mebibytes = mebibytes
        self.at.mkdir(parents=True, exist_ok=True)

    def mount(self):
        run("mount", "-t", "tmpfs", "-o", f"size={self.mebibytes}m", "mailcask-check", self.at)
        self.is_mounted = True


class Cut:
    """A disk that loses its power again and again: two ext4 that take turns in holding the file behind it."""

    def __init__(self, folder, mebibytes):
        self.folder = Path(folder)
        self.mebibytes = mebibytes
        self.holders = [Ext4(self.folder / name, mebibytes * 2) for name in ("one", "two")]
        for holder in self.holders:
            holder.mount()
        self.disk = self._inner(self.holders[0])
        self.disk.mount()

    def _inner(self, holder):
        return Ext4(self.folder / "inner", self.mebibytes, holder.at / "disk.img")

    @property
    def at(self):
        return self.disk.at

    def cut(self, kill):
        """Power goes: what is on the disk is what reached it. `kill` ends the processes that use it, and must not
        wait for them; call `go_on` once they are gone."""
        first, second = self.holders
        first.freeze()
        try:
            run("cp", "--sparse=always", first.at / "disk.img", second.at / "disk.img")
            kill()
        finally:
            first.thaw()

    def go_on(self):
        """Power comes back: the disk as it was at the cut, its journal replayed by the kernel."""
        self.disk.close()
        self.disk.image.unlink()
        self.holders.reverse()
        self.disk = self._inner(self.holders[0])
        self.disk.mount()

    def close(self):
        for mounted in (*self.holders, self.disk):
            mounted.thaw()
        for mounted in (self.disk, *self.holders):
            mounted.close()


def boot(folder, binary, number):
    """A program that runs `binary` as if the machine had been booted since: the kernel's boot_id is another one."""
    folder = Path(folder)
    boot_id, wrapper = folder / f"boot-{number}.id", folder / f"boot-{number}.sh"
    boot_id.write_text(f"00000000-0000-4000-8000-{number:012d}\n")
    wrapper.write_text(
        "#!/bin/sh\n"
        "exec unshare --mount sh -c 'id=$0; mount --bind \"$id\" /proc/sys/kernel/random/boot_id && exec \"$@\"' "
        f"'{boot_id}' '{binary}' \"$@\"\n")
    wrapper.chmod(0o755)
    return wrapper
