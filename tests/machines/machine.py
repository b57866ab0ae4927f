"""Machine: one emulated Debian machine (QEMU without KVM), driven from outside.

``up`` starts it, ``run`` runs a shell command in it through QEMU's guest agent, ``power_cut``
kills the process with nothing flushed, ``reboot`` is a real ``systemctl reboot``. The disk is a
copy-on-write overlay of the image, so that unflushed writes are lost with the power as on a real
disk. Everything is ten to twenty times slower than the host: timeouts are chosen for that.
"""

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

from json_socket import JsonSocket
from lan import GATEWAY, open_tap
from paths import IMAGE, PAYLOAD, RUN

KERNEL = (
    "root=/dev/vda rw rootfstype=ext4 net.ifnames=0 quiet loglevel=3 mitigations=off nokaslr "
    "audit=0 cryptomgr.notests random.trust_cpu=on systemd.show_status=0 systemd.firstboot=off "
    "no_timer_check tsc=reliable cgroup_no_v1=all console=ttyS0"
)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MEMORY_MB = 512
SYNC_SECONDS = 5.0
CPUS = 2


class MachineError(Exception):
    """Its text has the machine, what was tried, and what the machine said."""


class Machine:
    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.dir = RUN / name
        self._agent: JsonSocket | None = None

    # -- life ------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.dir / "pid").read_text())
            if f"-name\0{self.name}\0" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
        return None

    def up(self, *, clock: str = "", kernel: str = "") -> None:
        """Boots, from the disk as it was left; returns when commands can be run. ``clock``: what
        the board's clock says (2024-02-01T00:00:00); ``kernel``: more words for its command line.
        """
        if self.pid is None:
            self._start(clock=clock, kernel=kernel)
        self._wait_for_agent(120)

    def remove(self) -> None:
        self.power_cut()
        shutil.rmtree(self.dir, ignore_errors=True)

    def power_cut(self) -> None:
        self.disconnect()
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)
            _wait_until_gone(pid)

    def reboot(self, timeout: float = 300) -> None:
        """Returns when the machine answers with another boot id."""
        before = self._boot_id()
        with contextlib.suppress(OSError, ValueError, MachineError):  # stopped before it answers
            self.run("systemctl reboot --no-block", timeout=10)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.disconnect()
            time.sleep(0.2)
            with contextlib.suppress(OSError, ValueError, MachineError):
                self._call("guest-ping", timeout=1.0)
                if self._boot_id() not in ("", before):
                    return
        raise MachineError(f"{self.name}: no reboot within {timeout} s")

    def cable(self, *, plugged: bool) -> None:
        """The machine's cable to the LAN."""
        sock = JsonSocket(self.dir / "qmp.sock", timeout=30)
        try:
            sock.receive()
            for command, arguments in (
                ("qmp_capabilities", {}),
                ("set_link", {"name": "n1", "up": plugged}),
            ):
                sock.send({"execute": command, "arguments": arguments})
                while "return" not in (answer := sock.receive()):
                    if "error" in answer:
                        raise MachineError(f"{self.name}: {command}: {answer['error']}")
        finally:
            sock.close()

    def _start(self, *, clock: str, kernel: str) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        self._ensure_disk()
        for name in ("qmp.sock", "qga.sock"):
            (self.dir / name).unlink(missing_ok=True)
        tap = open_tap(f"t-{self.name}")
        try:
            with open(self.dir / "qemu.log", "wb") as log:
                process = subprocess.Popen(
                    self._command(tap, clock=clock or "utc", kernel=kernel),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(tap,),
                )
        finally:
            os.close(tap)
        (self.dir / "pid").write_text(str(process.pid))
        while not (self.dir / "qga.sock").exists():
            if process.poll() is not None:
                raise MachineError(f"{self.name}: {(self.dir / 'qemu.log').read_text()}")
            time.sleep(0.01)

    def _ensure_disk(self) -> None:
        """An overlay over an image that was made anew would be a corrupt disk."""
        disk, base, stamp = self.dir / "disk.qcow2", IMAGE / "base.qcow2", self.dir / "base"
        now = f"{base.stat().st_size} {base.stat().st_mtime_ns}"
        if disk.exists() and stamp.read_text() == now:
            return
        disk.unlink(missing_ok=True)
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, disk]
        subprocess.run(create, check=True)
        stamp.write_text(now)

    def _command(self, tap: int, *, clock: str, kernel: str) -> list[str]:
        serial = zlib.crc32(self.name.encode())
        tail = ":".join(f"{serial >> shift & 255:02x}" for shift in (16, 8, 0))
        kernel = (
            f"{KERNEL} {kernel} vm.host={self.name} vm.net=eth0,10.0.2.15/24 "
            # The LAN has the default route: eth0's address is the same in every guest.
            f"vm.net=eth1,{self.address}/24,{GATEWAY} systemd.machine_id={serial:08x}{serial:024x}"
        )
        nic = "virtio-net-pci,netdev=n{0},mac=52:54:0{0}:" + tail + ",romfile="
        disks = ((self.dir / "disk.qcow2", "qcow2", ""), (PAYLOAD, "raw", ",readonly=on"))
        words = (
            f"qemu-system-x86_64 -name {self.name} -accel tcg,thread=multi,tb-size=256"
            f" -cpu Nehalem-v1 -machine q35,usb=off,vmport=off -m {MEMORY_MB} -smp {CPUS}"
            f" -nodefaults -no-user-config -display none -rtc base={clock}"
            f" -kernel {IMAGE}/vmlinuz -initrd {IMAGE}/initrd"
            f" -chardev file,id=con,path={self.dir}/console.log,append=on -serial chardev:con"
            f" -qmp unix:{self.dir}/qmp.sock,server=on,wait=off"
            f" -chardev socket,id=qga,path={self.dir}/qga.sock,server=on,wait=off"
            " -device virtio-serial-pci -device virtio-rng-pci"
            " -device virtserialport,chardev=qga,name=org.qemu.guest_agent.0"
            f" -netdev user,id=n0,restrict=on,ipv6=off -device {nic.format(0)}"
            f" -netdev tap,id=n1,fd={tap} -device {nic.format(1)}"
        ).split()
        for number, (path, form, more) in enumerate(disks):
            drive = f"file={path},if=none,id=d{number},format={form},cache=writeback{more}"
            words += ["-drive", drive, "-device", f"virtio-blk-pci,drive=d{number}"]
        return [*words, "-append", kernel]

    # -- commands in the machine -----------------------------------------------------------

    def run(self, command: str, *, timeout: float = 120, check: bool = True) -> str:
        """Runs a shell command; its output. Raises MachineError where it fails, if ``check``."""
        code, out = self.try_run(command, timeout=timeout)
        if check and code:
            raise MachineError(f"{self.name}: {command}\nended with {code}:\n{out}")
        return out

    def try_run(self, command: str, *, timeout: float = 120) -> tuple[int, str]:
        """(exit code, stdout and stderr together)."""
        arguments = {
            "path": "/bin/sh",
            "arg": ["-c", f"exec 2>&1\n{command}"],
            "env": [PATH, "HOME=/root", "LANG=C.UTF-8"],
            "capture-output": True,
        }
        pid = self._call("guest-exec", **arguments)["pid"]
        deadline, pause = time.monotonic() + timeout, 0.02
        while True:
            status = self._status_of(pid)
            if status["exited"]:
                break
            if time.monotonic() > deadline:
                raise MachineError(f"{self.name}: {command}\nnot done after {timeout} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        out = base64.b64decode(status.get("out-data", "")).decode(errors="replace")
        return status.get("exitcode", 128 + status.get("signal", 0)), out

    def _status_of(self, pid: int) -> Any:
        """Asked once more where the answer was lost: it is kept until somebody has heard it."""
        try:
            return self._call("guest-exec-status", pid=pid)
        except TimeoutError:
            return self._call("guest-exec-status", pid=pid)

    def wait_until(self, command: str, *, timeout: float, what: str) -> float:
        """Runs the command until it succeeds; the seconds that took."""
        begun = time.monotonic()
        while True:
            left = timeout - (time.monotonic() - begun)
            code, out = self.try_run(command, timeout=max(left, 60))
            if code == 0:
                return time.monotonic() - begun
            if left <= 0:
                raise MachineError(f"{self.name}: {what}: not within {timeout} s\n{out}")
            time.sleep(1)

    def disconnect(self) -> None:
        if self._agent:
            self._agent.close()
            self._agent = None

    def _boot_id(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id", timeout=10).strip()

    def _wait_for_agent(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._call("guest-ping", timeout=1.0)
                return
            except (OSError, ValueError) as err:
                self.disconnect()
                if self.pid is None or time.monotonic() > deadline:
                    said = (self.dir / "qemu.log").read_text()
                    raise MachineError(f"{self.name}: did not boot: {said}") from err
                time.sleep(0.05)

    def _call(self, command: str, *, timeout: float = 60, **arguments: Any) -> Any:
        """One call of the guest agent, which talks with one client at a time."""
        if self._agent is None:
            self._agent = self._connect(timeout)
        try:
            self._agent.send({"execute": command, "arguments": arguments})
            answer = self._agent.receive(timeout)
        except BaseException:
            self.disconnect()  # an answer that comes late would be taken for the next call's
            raise
        if "error" in answer:
            raise MachineError(f"{self.name}: {command}: {answer['error']}")
        return answer["return"]

    def _connect(self, timeout: float) -> JsonSocket:
        """A sync sent while nobody listens is lost, so it is sent again and again."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._greet(min(timeout, SYNC_SECONDS))
            except (TimeoutError, BlockingIOError):  # the second: those before us still wait
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _greet(self, timeout: float) -> JsonSocket:
        sock = JsonSocket(self.dir / "qga.sock", timeout=timeout)
        token = time.monotonic_ns() & 0x7FFFFFFF
        try:
            sock.send({"execute": "guest-sync", "arguments": {"id": token}})
            while sock.receive(timeout).get("return") != token:
                pass
        except BaseException:
            sock.close()
            raise
        return sock


def _wait_until_gone(pid: int, timeout: float = 30) -> None:
    """Until its memory, tap and disk lock are released: the leader is a zombie before that."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            if state == "Z" and len(os.listdir(f"/proc/{pid}/task")) <= 1:
                return
        except OSError:
            return
        time.sleep(0.01)
