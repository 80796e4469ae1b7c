#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's riscv64 kernel, from power-on to power-off.

usage: test_debian.py SOFTVIRT SCRIPTS [CASE...]
"""
import functools
import hashlib
import http.server
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

from vm import Failure, Terminal, check, check_equal, main


def fetch(env):
    """The kernel is there, or comes now; a second time nothing happens."""
    for _ in range(2):
        r = subprocess.run([env.exe, "fetch", "debian-riscv64"], capture_output=True, text=True,
                           check=False)
        check(r.returncode == 0, r.stderr)
    check("already there" in r.stderr, r.stderr)
    for f in (env.kernel, env.initrd):
        check(os.path.getsize(f) > 1 << 20, f)


# busybox asks the terminal where the cursor is.
PROMPT = r"~ # (\x1b\[6n)?"

SHELL_SCRIPT = r"""
echo BEGIN
uname -sm
nproc
echo $((6 * 7)) | sed 's/4/four/; s/2/two/'
i=0; sum=0
while [ $i -lt 1000 ]; do sum=$((sum + i)); i=$((i + 1)); done
echo $sum
seq 1 5000 | sha256sum
seq 1 200 | awk '{ s += $1 * $1 / 7 } END { printf "%.6f\n", s }'
(for j in 1 2 3 4 5 6 7 8; do (seq $j 8 4000 | md5sum > /tmp/$j) & done; wait)
cat /tmp/[1-8] | sort | sha256sum
grep -c '^processor' /proc/cpuinfo
head -c 32 /dev/hwrng | wc -c
ls /sys/class/rtc
trap 'echo caught' USR1; kill -USR1 $$
false || echo false is $?
echo END
"""


def shell_output(vcpus):
    """The same, computed here."""
    def md5(j):
        text = "".join(f"{k}\n" for k in range(j, 4001, 8))
        return hashlib.md5(text.encode()).hexdigest() + "  -\n"

    def sha(text):
        return hashlib.sha256(text.encode()).hexdigest() + "  -"

    return ["Linux riscv64", str(vcpus), "fourtwo", "499500",
            sha("".join(f"{k}\n" for k in range(1, 5001))),
            f"{sum(k * k / 7 for k in range(1, 201)):.6f}",
            sha("".join(sorted(md5(j) for j in range(1, 9)))), str(vcpus), "32", "rtc0", "caught",
            "false is 1"]


def shell_on(vcpus, env):
    out = env.boot(env.payload("shell", SHELL_SCRIPT), "--smp", str(vcpus), "--net", "none")
    check_equal(out, shell_output(vcpus), "the script's output")


def shell_on_1_vcpu(env):
    shell_on(1, env)


def shell_on_4_vcpus(env):
    shell_on(4, env)


def interactive_shell(env):
    """The default: a shell on the terminal, its help, its interrupt key, its end."""
    t = Terminal([env.exe, "boot", "debian-riscv64", "--append", "quiet", "--net", "none"])
    try:
        t.expect(r"using Debian's kernel")
        t.expect(r"Debian's kernel \S+ on 1 vCPU")
        t.expect(PROMPT)
        check(not t.restored(), "the terminal is not raw")
        t.send("echo $((1000 + 234))\n")
        t.expect(r"^1234$")
        t.send("\x01h")
        t.expect(r"Ctrl-A x")
        t.send("sh -c 'echo begun; exec sleep 100000'\n")
        t.expect(r"^begun$")
        t.send("\x03")
        t.expect(PROMPT)
        t.send("echo status $?\n")
        t.expect(r"^status 130$")
        # Job control: a stopped job, and the escape character itself.
        t.send("sh -c 'echo begun; exec sleep 100000'\n")
        t.expect(r"^begun$")
        t.send("\x1a")
        t.expect(r"Stopped")
        t.send("jobs; kill -KILL %1; wait; stty -a | grep -c intr\n")
        t.expect(r"^1$")
        t.send("exit\n")
        check_equal(t.end(), 0, "exit status")
        check(t.restored(), "the terminal is not restored")
    finally:
        t.close()


def leave_with_escape(env):
    t = Terminal([env.exe, "boot", "--append", "quiet", "--net", "none"])
    try:
        t.expect(PROMPT)
        t.send("\x01x")
        check_equal(t.end(), 0, "exit status")
        check(t.restored(), "the terminal is not restored")
    finally:
        t.close()


def signals_restore_the_terminal(env):
    for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        t = Terminal([env.exe, "boot", "--append", "quiet", "--net", "none"])
        try:
            t.expect(r"using Debian's kernel")
            while t.restored():
                t.read()
            t.proc.send_signal(signo)
            check_equal(t.end(), 128 + signo, "exit status")
            check(t.restored(), "the terminal is not restored after", signo)
        finally:
            t.close()


def stopping_and_continuing(env):
    """A stopped guest leaves the terminal to the shell, and takes it again."""
    def wait_state(pid, letters):
        while True:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                if f.read().rsplit(")", 1)[1].split()[0] in letters:
                    return
    t = Terminal([env.exe, "boot", "--append", "quiet", "--net", "none"])
    try:
        t.expect(PROMPT)
        t.proc.send_signal(signal.SIGTSTP)
        wait_state(t.proc.pid, "T")
        check(t.restored(), "the terminal is not restored")
        t.proc.send_signal(signal.SIGCONT)
        while t.restored():
            pass
        t.send("echo $((11 * 11))\n")
        t.expect(r"^121$")
        t.send("exit\n")
        check_equal(t.end(), 0, "exit status")
        check(t.restored(), "the terminal is not restored")
    finally:
        t.close()


def a_crash_restores_the_terminal(env):
    t = Terminal([env.exe, "boot", "--append", "quiet", "--net", "none"])
    try:
        t.expect(r"using Debian's kernel")
        while t.restored():
            t.read()
        t.proc.send_signal(signal.SIGABRT)
        check_equal(t.end(), -signal.SIGABRT, "exit status")
        check(t.restored(), "the terminal is not restored")
    finally:
        t.close()


DISK_WRITE = r"""
modprobe ext4
mount -t ext4 /dev/vda /mnt || exit 1
echo BEGIN
cat /mnt/from-host
mkdir /mnt/d
seq 1 30000 > /mnt/d/numbers
cp /bin/busybox /mnt/d/busybox
sha256sum < /mnt/d/numbers
sync
umount /mnt
echo END
"""
DISK_READ = r"""
modprobe ext4
mount -t ext4 -o ro /dev/vda /mnt || exit 1
echo BEGIN
sha256sum < /mnt/d/numbers
cmp /mnt/d/busybox /bin/busybox && echo same
cat /sys/block/vda/ro
echo END
"""


def make_ext4(env, name, megabytes):
    disk = env.path(name)
    with open(disk, "wb") as f:
        f.truncate(megabytes << 20)
    with open(env.path("from-host"), "w", encoding="ascii") as f:
        f.write("written by mkfs\n")
    os.mkdir(env.path("root"))
    os.rename(env.path("from-host"), env.path("root/from-host"))
    subprocess.run([tool("mkfs.ext4"), "-q", "-d", env.path("root"), disk], check=True)
    return disk


def tool(name):
    for d in os.environ["PATH"].split(":") + ["/sbin", "/usr/sbin"]:
        if os.access(os.path.join(d, name), os.X_OK):
            return os.path.join(d, name)
    raise Failure(f"{name} is not installed; it is in the package e2fsprogs")


def disk_keeps_a_file_system(env):
    """Written and synced by one guest, read by the next, and found whole by e2fsck."""
    disk = make_ext4(env, "disk", 48)
    numbers = "".join(f"{k}\n" for k in range(1, 30001)).encode()
    want = hashlib.sha256(numbers).hexdigest() + "  -"
    out = env.boot(env.payload("write", DISK_WRITE), "--disk", disk, "--net", "none")
    check_equal(out, ["written by mkfs", want], "the first guest")
    out = env.boot(env.payload("read", DISK_READ), "--disk", disk + ",ro", "--net", "none")
    check_equal(out, [want, "same", "1"], "the second guest")
    r = subprocess.run([tool("e2fsck"), "-fn", disk], capture_output=True, text=True, check=False)
    check(r.returncode == 0, r.stdout, r.stderr)
    r = subprocess.run([tool("debugfs"), "-R", "cat /d/numbers", disk], capture_output=True,
                       check=True)
    check(r.stdout == numbers, "the file that the host reads differs")


DISK_RAW = r"""
echo BEGIN
md5sum < /dev/vdb
dd if=/dev/vdb of=/dev/vda bs=64k conv=fsync 2>/dev/null && echo copied
dd if=/dev/zero of=/dev/vdb bs=512 count=1 conv=fsync 2>/dev/null || echo read only
blkdiscard -o 65536 -l 131072 /dev/vda && echo discarded
dd if=/dev/vda bs=64k skip=1 count=2 2>/dev/null | tr -d '\0' | wc -c
echo $(cat /sys/block/vda/serial)
cat /sys/block/vda/size
echo END
"""


def disks_carry_raw_data(env):
    data = random.Random(1).randbytes(3 << 20)
    with open(env.path("source"), "wb") as f:
        f.write(data)
    with open(env.path("target"), "wb") as f:
        f.truncate(4 << 20)
    out = env.boot(env.payload("raw", DISK_RAW), "--disk", env.path("target"), "--disk",
                   env.path("source") + ",ro", "--net", "none", "--smp", "2")
    check_equal(out[:5], [hashlib.md5(data).hexdigest() + "  -", "copied", "read only",
                          "discarded", "0"], "the guest")
    check(out[5].endswith("target") and out[6] == "8192", out)
    with open(env.path("target"), "rb") as f:
        got = f.read()
    want = data[:65536] + bytes(131072) + data[196608:] + bytes(1 << 20)
    check(got == want, "the target's contents differ")


FULL = r"""
echo BEGIN
dd if=/dev/zero of=/dev/vda bs=1M count=2 conv=fsync 2>/dev/null && echo first
dd if=/dev/zero of=/dev/vda bs=1M seek=6 count=1 conv=fsync 2>/dev/null || echo error
dd if=/dev/vda bs=1M skip=7 count=1 2>/dev/null | wc -c
echo END
"""


def a_full_disk_is_an_io_error(env):
    """The host may not write the file beyond 4 MiB: the guest is told."""
    with open(env.path("disk"), "wb") as f:
        f.truncate(8 << 20)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
    out = env.boot(env.payload("full", FULL), "--disk", env.path("disk"), "--net", "none",
                   preexec_fn=limit)
    check_equal(out, ["first", "error", "1048576"], "the guest")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def network_fetches_from_loopback(env):
    data = random.Random(2).randbytes(2 << 20)
    os.mkdir(env.path("www"))
    with open(env.path("www/file"), "wb") as f:
        f.write(data)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=env.path("www")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        script = f"""
echo BEGIN
ip -4 -o addr show dev eth0 | awk '{{ print $4 }}'
ip route | awk '$1 == "default" {{ print $3 }}'
wget -q -O - http://10.0.2.2:{server.server_port}/file | sha256sum
wget -q -O - http://10.0.2.2:{server.server_port}/none 2>/dev/null || echo missing
echo END
"""
        out = env.boot(env.payload("net", script), "--net", "user")
    finally:
        server.shutdown()
    check_equal(out, ["10.0.2.15/24", "10.0.2.2", hashlib.sha256(data).hexdigest() + "  -",
                      "missing"], "the guest")


RESET = r"""
if [ "$(head -c 5 /dev/vda)" = again ]; then
	echo BEGIN
	echo second life
	nproc
	echo END
	exit
fi
echo first life
echo again | dd of=/dev/vda conv=fsync 2>/dev/null
reboot -f
"""


def reset_starts_the_guest_again(env):
    with open(env.path("disk"), "wb") as f:
        f.truncate(1 << 20)
    out = env.boot(env.payload("reset", RESET), "--disk", env.path("disk"), "--net", "user",
                   "--smp", "2", "--stats")
    check_equal(out, ["second life", "2"], "the guest")
    check("resets                          1" in env.stderr, env.stderr)


def a_panic_with_reset_is_survived(env):
    """panic=-1 resets at once; the second time the kernel finds its /init."""
    script = RESET.replace("reboot -f", "echo c > /proc/sysrq-trigger")
    with open(env.path("disk"), "wb") as f:
        f.truncate(1 << 20)
    out = env.boot(env.payload("panic", script), "--disk", env.path("disk"), "--net", "none",
                   append="quiet panic=-1")
    check_equal(out, ["second life", "1"], "the guest")


VIRTIO_CONSOLE = r"""
echo BEGIN
seq 1 2000 > /dev/hvc0
echo END
"""


def virtio_console_carries_output(env):
    env.boot(env.payload("hvc", VIRTIO_CONSOLE), "--net", "none", "--virtio-console",
             env.path("log"))
    with open(env.path("log"), "rb") as f:
        got = f.read().replace(b"\r", b"").decode()
    check_equal(got, "".join(f"{k}\n" for k in range(1, 2001)), "the console's file")


def console_to_a_file(env):
    r = subprocess.run([env.exe, "boot", "--kernel", env.kernel, "--initrd",
                        env.payload("file", "echo BEGIN; echo END\n"), "--append", "quiet",
                        "--net", "none", "--console", env.path("log")],
                       stdin=subprocess.DEVNULL, capture_output=True, check=False)
    check_equal((r.returncode, r.stdout, r.stderr), (0, b"", b""), "the program")
    with open(env.path("log"), "rb") as f:
        check(b"BEGIN\r\nEND\r\n" in f.read(), "the console's file lacks the output")


def pipe_as_input(env):
    """What is not a terminal is the guest's, every byte of it, however slowly it reads."""
    script = r"""
stty -F /dev/ttyS0 raw -echo
echo BEGIN
head -c 20000 /dev/ttyS0 | sha256sum
echo END
"""
    data = bytes(random.Random(3).choices(range(256), k=20000))
    p = subprocess.Popen([env.exe, "boot", "--kernel", env.kernel, "--initrd",
                          env.payload("pipe", script), "--append", "quiet", "--net", "none"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        seen = b""
        while b"BEGIN\n" not in seen.replace(b"\r", b""):
            part = os.read(p.stdout.fileno(), 65536)
            check(part, "it ended:\n", seen.decode("utf-8", "replace"))
            seen += part
        p.stdin.write(data)
        p.stdin.close()
        seen += p.stdout.read()
        check_equal(p.wait(), 0, "exit status")
    finally:
        p.kill()
        p.wait()
    check(hashlib.sha256(data).hexdigest() in seen.decode("utf-8", "replace"),
          seen.decode("utf-8", "replace")[-1000:])


def suspend_sleeps_until_input(env):
    """To RAM: nothing runs until something comes from the console; a signal still ends it."""
    script = r"""
echo BEGIN
echo mem > /sys/power/state && echo woke
nproc
echo mem > /sys/power/state
"""
    def ticks(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))

    t = Terminal([env.exe, "boot", "--kernel", env.kernel, "--initrd", env.payload("suspend", script),
                  "--append", "loglevel=7 no_console_suspend", "--net", "none", "--smp", "2"])
    try:
        t.expect(r"^BEGIN$")
        t.expect(r"CPU1: off")
        time.sleep(1)
        before = ticks(t.proc.pid)
        time.sleep(2)
        check(ticks(t.proc.pid) - before < 10, "it runs while it is suspended")
        t.send("\n")
        t.expect(r"^woke$")
        t.expect(r"^2$")
        t.expect(r"CPU1: off")
        t.proc.send_signal(signal.SIGTERM)
        check_equal(t.end(), 128 + signal.SIGTERM, "exit status")
    finally:
        t.close()


CASES = [
    fetch, shell_on_1_vcpu, shell_on_4_vcpus, interactive_shell, leave_with_escape,
    signals_restore_the_terminal, stopping_and_continuing, a_crash_restores_the_terminal, disk_keeps_a_file_system,
    disks_carry_raw_data, a_full_disk_is_an_io_error, network_fetches_from_loopback,
    reset_starts_the_guest_again, a_panic_with_reset_is_survived, virtio_console_carries_output,
    console_to_a_file, pipe_as_input, suspend_sleeps_until_input,
]

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(CASES)
