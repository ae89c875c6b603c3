#!/usr/bin/env python3
"""A store with a segment of which the disk gives one half only: the kernel's own EIO, not ours.

The segment lies on an ext4 of its own, behind a loop device whose file is cut short: what was behind the cut cannot be read.
Stopped in order: the store opens, serves all that was before the cut, names the file and the place; a backup goes on around it
and says so; `repair` mends it, and `check --deep` is clean. Killed: where what was acknowledged last cannot be read, the store
is not opened and nothing is changed; once the disk gives it, everything is there.
"""

import shutil
from pathlib import Path

from lib import mail
from lib.check import Context, equal, main
from lib.disk import needs_disks, run as run_command

PAGE = 4096


class HalfDisk:
    """ext4 that holds one file, which a store has a link to. No journal: nothing is wanted but the file."""

    def __init__(self, folder, path):
        self.folder, self.path = Path(folder), Path(path)
        self.folder.mkdir()
        self.image, self.at = self.folder / "disk.img", self.folder / "mnt"
        self.at.mkdir()
        self.is_mounted = False
        with self.image.open("wb") as image:
            image.truncate(self.path.stat().st_size + (16 << 20))
        run_command("mkfs.ext4", "-q", "-F", "-b", str(PAGE), "-O", "^has_journal", self.image)
        self.device = run_command("losetup", "-f", "--show", self.image).strip()
        self._mount()
        self.content_end = end_of(self.path)
        with self.path.open("rb") as source, (self.at / self.path.name).open("wb") as target:
            target.write(source.read(self.content_end))
            target.truncate(self.path.stat().st_size)
        run_command("sync")
        self.path.unlink()
        self.path.symlink_to(self.at / self.path.name)

    def _mount(self):
        run_command("mount", self.device, self.at)
        self.is_mounted = True

    def _unmount(self):
        if self.is_mounted:
            run_command("umount", self.at)
            self.is_mounted = False

    def _place(self):
        """The block of the disk in which the file begins. It is in one piece, so small and first."""
        extents = [line.split() for line in run_command("filefrag", "-v", self.at / self.path.name).splitlines()
                   if line.strip().startswith("0:")]
        equal(len(extents), 1, "first extents of the segment")
        first, last, place = extents[0][1].rstrip(".:"), extents[0][2].rstrip(":"), extents[0][3].rstrip(".:")
        equal(int(first), 0, "where the file begins")
        if (int(last) + 1) * PAGE < self.content_end:
            raise AssertionError("the segment is not in one piece")
        return int(place)

    def cut(self, page):
        """From this page of the file on nothing can be read."""
        keep = (self._place() + page) * PAGE
        self._unmount()
        with self.image.open("r+b") as image:
            image.seek(keep)
            self.rest = image.read()
            image.truncate(keep)
        run_command("blockdev", "--flushbufs", self.device)
        self._mount()
        try:
            with (self.at / self.path.name).open("rb") as file:
                file.seek(page * PAGE)
                file.read(1)
        except OSError:
            return
        raise AssertionError("the page can be read all the same")

    def heal(self):
        """The disk gives it after all."""
        self._unmount()
        with self.image.open("r+b") as image:
            image.seek(0, 2)
            image.write(self.rest)
        run_command("blockdev", "--flushbufs", self.device)
        self._mount()

    def close(self):
        self._unmount()
        run_command("losetup", "-d", self.device)


def end_of(path):
    """Where the last byte ends that is not zero."""
    end, at = 0, 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            if stripped := chunk.rstrip(b"\0"):
                end = at + len(stripped)
            at += len(chunk)
    return end


def largest_segment(store):
    return max((store / "log").glob("*.seg"), key=end_of)


def tool(context, *words, status, says=()):
    done = context.server.tool(*words, check=False)
    output = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode != status:
        raise AssertionError(f"mailcask {' '.join(map(str, words))} ended with {done.returncode}, "
                             f"expected {status}: {output[-3000:]}")
    for words_said in says:
        if words_said not in output:
            raise AssertionError(f"mailcask {words[0]} does not say {words_said!r}: {output[-3000:]}")
    return output


async def sealed(context, told, folder):
    """Half of a segment that was closed in order."""
    server = context.server
    disk = HalfDisk(folder, largest_segment(server.store))
    context.cleanups.append(disk.close)
    disk.cut(disk.content_end // PAGE // 2)
    place = str(disk.path.relative_to(server.store))
    tool(context, "check", "--deep", status=1, says=["Input/output error", place, "offset"])
    backups = context.folder / "backups"
    tool(context, "backup", backups, status=1, says=["cannot be read", place])
    tool(context, "backup", backups, status=1, says=["cannot be read", place])
    server.start()
    before = await readable(context)
    server.stop()
    equal({uid: told[uid] for uid in before}, before, "what is served")
    if not 0 < len(before) < len(told):
        raise AssertionError(f"{len(before)} of {len(told)} messages are served")
    tool(context, "repair", status=0)
    tool(context, "check", "--deep", status=0)
    server.start()
    after = await context.served()
    server.stop()
    equal(after, before, "what is served after the repair")
    tool(context, "backup", context.folder / "anew", status=0)
    return f"{len(before)} of {len(told)} messages before the cut"


async def readable(context):
    """{uid: bytes} of those that are served; the others have to be said to be damaged."""
    client = await context.imap()
    await client.ok("EXAMINE INBOX")
    uids = [int(v) for u in (await client.ok("UID SEARCH ALL")).named("SEARCH") for v in u.values]
    found = {}
    for uid in uids:
        reply = await client.command(f"UID FETCH {uid} (BODY.PEEK[])")
        if reply.status == "OK" and reply.fetches():
            found[uid] = reply.fetches()[0][1][b"BODY[]"]
        else:
            equal(reply.code, "CORRUPTION", f"FETCH of UID {uid}: {reply.status} {reply.text!r}")
    await client.logout()
    return found


async def killed(context, told, folder):
    """The end of a segment that was being written."""
    server = context.server
    disk = HalfDisk(folder, largest_segment(server.store))
    context.cleanups.append(disk.close)
    disk.cut((disk.content_end - 1) // PAGE)
    before = sorted(path.name for path in (server.store / "log").iterdir())
    place = str(disk.path.relative_to(server.store))
    tool(context, "check", status=2, says=["Input/output error", place, "ddrescue"])
    left = sorted(path.name for path in (server.store / "log").iterdir())
    equal([name for name in left if name.endswith(".seg")], [name for name in before if name.endswith(".seg")],
          "the segments that are there")
    disk.heal()
    tool(context, "check", "--deep", status=0)
    server.start()
    equal(await context.served(), told, "what is served once the disk gives everything")
    server.stop()


async def run(context: Context):
    needs_disks(context.folder)
    server = context.server
    source = context.folder / "some.mbox"
    messages, _ = mail.ham()
    source.write_bytes(b"".join(b"From ada@example.org Thu May  9 08:00:00 2024\n" + m + b"\n" for m in messages[:400]))
    server.tool("import", "--account", context.account, source)
    told = await context.served()
    server.kill()
    own, was_killed = server.store, server.store.with_name("killed")
    ignored = shutil.ignore_patterns("engine.sock", "reserve-*")
    shutil.copytree(own, was_killed, ignore=ignored)
    server.start()
    server.stop()
    was_stopped = own.with_name("stopped")
    shutil.copytree(own, was_stopped, ignore=ignored)
    server.store = was_killed
    await killed(context, told, context.folder / "end")
    server.store = was_stopped
    told_of = await sealed(context, told, context.folder / "half")
    server.store = own
    context.summary = f"sealed: {told_of}; the end of the log: refused, and whole once it could be read"


if __name__ == "__main__":
    main(run, __doc__, needs=("filefrag", "losetup", "blockdev"), mailcask_only=True)
