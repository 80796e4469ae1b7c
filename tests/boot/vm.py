# SPDX-License-Identifier: MIT
"""What the boot tests share: running softvirt, payloads, a terminal, TAP."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

# A safety net only: no test waits for time to pass. Far above what a loaded machine needs.
LIMIT = float(os.environ.get("SOFTVIRT_TEST_LIMIT", 900))


class Failure(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(w) for w in what))


def check_equal(got, want, what):
    check(got == want, f"{what}:\n  got  {got!r}\n  want {want!r}")


class Env:
    """Where things are: the program, the scripts, the fetched kernel, a folder of the test's."""

    def __init__(self, exe, scripts, tmp):
        self.exe, self.tmp = exe, tmp
        self.mkinitramfs = os.path.join(scripts, "mkinitramfs")
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.debian = os.path.join(cache, "softvirt", "debian-riscv64")
        self.kernel = os.path.join(self.debian, "vmlinux")
        self.initrd = os.path.join(self.debian, "initrd")

    def path(self, name):
        return os.path.join(self.tmp, name)

    def payload(self, name, script, *files):
        """An initramfs that runs the script instead of a shell."""
        with open(self.path(name + ".sh"), "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + script)
        out = self.path(name + ".cpio")
        subprocess.run([self.mkinitramfs, "-b", self.initrd, "-s", self.path(name + ".sh"),
                        "-o", out, *files], check=True)
        return out

    def boot(self, initrd, *args, append="quiet", status=0, **kw):
        """Boots Debian's kernel to its end; returns the console's lines from BEGIN to END."""
        cmd = [self.exe, "boot", "--kernel", self.kernel, "--initrd", initrd, "--append", append,
               *args]
        r = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
                           check=False, **kw)
        text = r.stdout.decode("utf-8", "replace").replace("\r", "")
        check(r.returncode == status, "exit status", r.returncode, "instead of", status, "\n", text[-3000:],
              r.stderr.decode("utf-8", "replace"))
        self.stderr = r.stderr.decode("utf-8", "replace")
        return between(text)


def between(text):
    """Kernel messages, which may come at any time, are taken out."""
    m = re.search(r"^BEGIN\n(.*?)^END$", text, re.S | re.M)
    check(m, "no BEGIN and END in the console's output:\n", text[-3000:])
    return [line for line in m.group(1).splitlines() if not re.match(r"\[ *\d+\.\d+\] ", line)]


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, cmd):
        self.master, slave = pty.openpty()
        self.slave = slave
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        self.before = termios.tcgetattr(slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.proc = subprocess.Popen(cmd, stdin=slave, stdout=slave, stderr=slave,
                                     preexec_fn=own_terminal)
        self.text = self.waiting = ""
        self.deadline = time.monotonic() + LIMIT

    def read(self):
        left = self.deadline - time.monotonic()
        check(left > 0, f"waiting for {self.waiting!r}, nothing more came:\n", self.text[-2000:])
        if select.select([self.master], [], [], min(left, 1))[0]:
            self.text += os.read(self.master, 65536).decode("utf-8", "replace").replace("\r", "")
        elif self.proc.poll() is not None:
            raise Failure(f"ended with {self.proc.returncode}:\n{self.text[-2000:]}")

    def expect(self, pattern):
        """Waits for it; what was there up to its end is forgotten."""
        self.waiting = pattern
        while True:
            m = re.search(pattern, self.text, re.M)
            if m:
                self.text = self.text[m.end():]
                return m
            self.read()

    def send(self, data):
        os.write(self.master, data.encode())

    def end(self):
        """The exit status, with the terminal drained so that nothing blocks."""
        while self.proc.poll() is None:
            check(time.monotonic() < self.deadline, "it does not end:\n", self.text[-2000:])
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode("utf-8", "replace").replace("\r", "")
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536).decode("utf-8", "replace").replace("\r", "")
        return self.proc.returncode

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        os.close(self.master)
        os.close(self.slave)


def run_cases(cases, env_args):
    """TAP: one line for each case."""
    failed = 0
    print(f"1..{len(cases)}", flush=True)
    for n, case in enumerate(cases, 1):
        name = case.__name__
        tmp = tempfile.mkdtemp(prefix="softvirt-boot-")
        try:
            case(Env(*env_args, tmp))
            print(f"ok {n} - {name}", flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            why = str(e) if isinstance(e, Failure) else traceback.format_exc()
            for line in why.splitlines():
                print("#", line)
            print(f"not ok {n} - {name}", flush=True)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
    return 1 if failed else 0


def main(cases):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    exe, scripts = sys.argv[1:3]
    wanted = sys.argv[3:]
    if wanted:
        cases = [c for c in cases if c.__name__ in wanted]
    sys.exit(run_cases(cases, (os.path.abspath(exe), os.path.abspath(scripts))))
