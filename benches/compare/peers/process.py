"""Processes and files of a server under measurement.

Laws
- Only processes started here are ended, by their pid; a server's children are its own.
- Every listener is on loopback, on a port that the kernel gave.
"""

import os
import socket
import subprocess
import time
from pathlib import Path


class ServerError(Exception):
    """A server or a tool of it did not do what it was started for."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address, process, seconds=60):
    """Until the listener greets."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ServerError(f"{process.args[0]} ended with {process.returncode} before it listened")
        try:
            with socket.create_connection(address, 5) as probe:
                if probe.recv(10).startswith(b"* OK"):
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise ServerError(f"{process.args[0]} does not listen after {seconds} s")


def end(process, seconds=60):
    """SIGTERM, and SIGKILL to it alone where that does not end it."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(command, timeout=None, env=None, stdin=None):
    """Run a tool to its end; its stdout. None where the time was up."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    try:
        out, err = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        end(process, 10)
        process.communicate()
        return None
    if process.returncode:
        raise ServerError(f"{' '.join(map(str, command))} ended with {process.returncode}: "
                          f"{err.decode(errors='replace')[-1500:]}")
    return out


def family(pid):
    """A process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, ())
    return found


def resident_bytes(pid, field="VmRSS"):
    """Of a process and its descendants, the sum; pages that they share are counted in each."""
    total = 0
    for one in family(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(pid):
    """CPU that a process, its descendants and the children it has waited for have used."""
    ticks = 0
    for one in family(pid):
        try:
            stat = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(int(n) for n in stat[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def disk_bytes(folder):
    """What `du` counts: allocated blocks of the files below a folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                continue
    return total


def chown_tree(folder, user):
    for where, folders, names in os.walk(folder):
        for name in (".", *folders, *names):
            os.lchown(os.path.join(where, name), user.pw_uid, user.pw_gid)
