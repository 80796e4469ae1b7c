#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Input that cannot be used: exit status 2, one line that says why, nothing half done.

usage: test_bad_input.py SOFTVIRT SCRIPTS [CASE...]
"""
import gzip
import os
import struct
import subprocess
import sys

from vm import check, check_equal, main

LIMIT = 300


def refuse(this, args, *words, **kw):
    """softvirt boot ARGS ends with 2 and one line that holds the words."""
    before = sorted(os.listdir(this.tmp))
    r = subprocess.run([this.exe, "boot", *args], stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, errors="replace", timeout=LIMIT, check=False, **kw)
    what = f"{args} gave status {r.returncode}, {r.stdout!r}, {r.stderr!r}"
    check(r.returncode == 2, what)
    check(r.stdout == "", what)
    check(r.stderr.count("\n") == 1 and r.stderr.endswith("\n"), what)
    check(r.stderr.startswith("softvirt boot: "), what)
    for w in words:
        check(w in r.stderr, f"no {w!r} in:", what)
    check_equal(sorted(os.listdir(this.tmp)), before, "the folder afterwards")


def image(size=0x4000, text_offset=0x200000, flags=0, pe_end=None):
    """An Image whose code powers the machine off through SBI; with a PE header if pe_end."""
    code = struct.pack("<II", 0x0400006F, 0)  # j .+64
    head = code + struct.pack("<QQQIIQ8s4sI", text_offset, size, flags, 2, 0, 0, b"RISCV\0\0\0",
                              b"RSC\x05", 64 if pe_end else 0)
    assert len(head) == 64
    if pe_end:
        head = b"MZ" + struct.pack("<H", 0xA011) + head[4:]  # c.j over the header's rest
        pe = b"PE\0\0" + struct.pack("<HHIIIHH", 0x5064, 1, 0, 0, 0, 0, 0)
        section = b".text\0\0\0" + struct.pack("<IIIIIIHHI", 0, 0, pe_end - 4096, 4096, 0, 0, 0, 0, 0)
        return (head + pe + section).ljust(0x4000, b"\0")
    # li a7, SRST; li a6, 0; li a0, 0; li a1, 0; ecall
    off = struct.pack("<IIIIII", 0x535258B7, 0x3548889B, 0x00000813, 0x00000513, 0x00000593,
                      0x00000073)
    return (head + off).ljust(0x4000, b"\0")


def elf(machine=243, klass=2, data=1, typ=2, paddr=0x80200000, filesz=24, memsz=24, entry=None,
        offset=120, phnum=1, code=b"\x13\0\0\0" * 6):
    ident = b"\x7fELF" + bytes([klass, data, 1, 0]) + bytes(8)
    head = ident + struct.pack("<HHIQQQIHHHHHH", typ, machine, 1, paddr if entry is None else entry,
                               64, 0, 0, 64, 56, phnum, 0, 0, 0)
    ph = struct.pack("<IIQQQQQQ", 1, 5, offset, paddr, paddr, filesz, memsz, 4096)
    return head + ph + code


def put(env, name, data):
    with open(env.path(name), "wb") as f:
        f.write(data)
    return env.path(name)


def the_images_of_this_test_boot(env):
    """What follows is refused for its faults, not because these builders make nothing good."""
    for name, data in (("image", image()), ("gz", gzip.compress(image()))):
        r = subprocess.run([env.exe, "boot", "--kernel", put(env, name, data), "--net", "none"],
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
        check_equal((r.returncode, r.stdout, r.stderr), (0, b"", b""), name)


def files_that_are_no_kernel(env):
    hint = "RISC-V Linux Image"
    for name, data, word in (
            ("text", b"hello\n" * 1000, "no kernel"), ("short", b"MZ", "no kernel"),
            ("zeroes", bytes(100000), "no kernel"),
            ("gz", gzip.compress(b"not a kernel" * 1000), "no kernel"),
            ("cpio", b"070701" + bytes(1000), "cpio"), ("xz", b"\xfd7zXZ\0" + bytes(1000), "xz"),
            ("zstd", b"\x28\xb5\x2f\xfd" + bytes(1000), "zstd"),
            ("arm64", bytes(0x38) + b"ARM\x64" + bytes(5000), "arm64"),
            ("x86", bytes(0x202) + b"HdrS" + bytes(5000), "x86"),
            ("big-endian", image(flags=1), "big-endian")):
        refuse(env, ["--kernel", put(env, name, data)], name, word, hint)
    refuse(env, ["--kernel", put(env, "empty", b"")], "empty")
    refuse(env, ["--kernel", "/dev/null"], "not a regular file")
    refuse(env, ["--kernel", env.tmp], "not a regular file")


def truncated_kernels(env):
    with open(env.kernel, "rb") as f:
        debian = f.read()
    for n in (5000, len(debian) // 2, len(debian) - 1):
        refuse(env, ["--kernel", put(env, "cut", debian[:n])], "cut off")
    packed = gzip.compress(image(), 9)
    for n in (3, 12, len(packed) // 2, len(packed) - 1):
        refuse(env, ["--kernel", put(env, "cut.gz", packed[:n])], "cut off")
    damaged = bytearray(packed)
    damaged[-6] ^= 0xff  # in its checksum
    refuse(env, ["--kernel", put(env, "damaged.gz", bytes(damaged))], "cut off")
    whole = elf()
    for n in (5, 63, 64, 119, len(whole) - 1):
        refuse(env, ["--kernel", put(env, "cut.elf", whole[:n])], "cut off")
    refuse(env, ["--kernel", put(env, "pe", image(pe_end=0x4001))], "cut off")


def elf_files_that_cannot_run(env):
    for data, word in (
            (elf(machine=62), "another architecture"), (elf(klass=1), "32-bit"),
            (elf(data=2), "big-endian"), (elf(typ=1), "no executable"),
            (elf(phnum=0), "program header"), (elf(filesz=24, memsz=8), "impossible"),
            (elf(paddr=1 << 64 - 1, memsz=1 << 63), "impossible"),
            (elf(paddr=0x1001), "no RAM"), (elf(paddr=0x200000000), "memory"),
            (elf(memsz=1 << 40), "memory"), (elf(entry=0x90000000), "entry point")):
        refuse(env, ["--kernel", put(env, "elf", data)], word)
    nothing = bytearray(elf())
    nothing[64] = 4  # PT_NOTE
    refuse(env, ["--kernel", put(env, "elf", bytes(nothing))], "nothing to load")


def kernels_too_large_for_memory(env):
    refuse(env, ["--kernel", env.kernel, "--memory", "24M"], "memory", "--memory")
    refuse(env, ["--kernel", put(env, "huge", image(size=1 << 40))], "memory")
    refuse(env, ["--kernel", put(env, "far", image(text_offset=1 << 62))], "memory")
    refuse(env, ["--kernel", put(env, "wrap", image(text_offset=(1 << 64) - 4096))], "memory")
    bomb = gzip.compress(image() + bytes(64 << 20))
    refuse(env, ["--kernel", put(env, "bomb", bomb), "--memory", "16M"], "memory")
    os.truncate(put(env, "big", b""), 600 << 20)
    refuse(env, ["--kernel", put(env, "image", image()), "--initrd", env.path("big")], "memory")


def files_that_are_missing_or_unreadable(env):
    ok = put(env, "image", image())
    for option in ("--kernel", "--initrd", "--disk"):
        args = [option, env.path("none")]
        if option != "--kernel":
            args += ["--kernel", ok]
        refuse(env, args, "No such file", env.path("none"))
    refuse(env, ["--kernel", ok, "--initrd", put(env, "empty", b"")], "empty")
    refuse(env, ["--kernel", ok, "--console", env.path("no/such/folder")], "No such file")
    refuse(env, ["--kernel", ok, "--dump-dtb", env.path("no/such/folder")], "No such file")
    refuse(env, ["--kernel", env.path("a\nb\x1b[31m")], "a?b?[31m")
    if os.getuid():
        os.chmod(ok, 0)
        refuse(env, ["--kernel", ok], "Permission denied")


def places_that_are_full(env):
    ok = put(env, "image", image())
    refuse(env, ["--dump-dtb", "/dev/full"], "No space left")
    # A program that prints: its console cannot be written, and the machine stops.
    text = bytearray(image())
    # lui a0, 0x10000; li a1, 'A'; loop: sb a1, (a0); j loop
    text[64:80] = struct.pack("<IIII", 0x10000537, 0x04100593, 0x00B50023, 0xFFDFF06F)
    refuse(env, ["--kernel", put(env, "prints", bytes(text)), "--console", "/dev/full",
                 "--net", "none"], "No space left")

    def limit():
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
    refuse(env, ["--kernel", ok, "--dump-dtb", env.path("dtb")], "too large", preexec_fn=limit)


def sizes_and_numbers(env):
    ok = ["--kernel", put(env, "image", image())]
    for size in ("0", "0M", "1M", "1K", "-1", "", "x", "12X", "1MM", "M", "999T", "1e9",
                 "99999999999999999999999", "18446744073709551615K"):
        refuse(env, ok + ["--memory", size], "--memory")
    for n in ("0", "1000", "513", "1000000000", "99999999999999999999", "-1", "", "x", "1x", "1.5"):
        refuse(env, ok + ["--smp", n], "--smp", "512")


def options(env):
    ok = ["--kernel", put(env, "image", image())]
    refuse(env, ["--no-such-option"], "--no-such-option", "--help")
    refuse(env, ["-x"], "-x", "--help")
    refuse(env, ["--kernel"], "--kernel", "needs a value")
    refuse(env, [env.path("image")], "--kernel")
    refuse(env, ok + ["--net", "tap"], "user or none")
    refuse(env, ok + ["--console", ""], "empty")
    refuse(env, ok + ["--virtio-console", "stdio"], "both")
    refuse(env, ok + sum((["--disk", "d"] for _ in range(25)), []), "at most 24")
    env_without = dict(os.environ, XDG_CACHE_HOME=env.path("nowhere"))
    refuse(env, [], "softvirt fetch debian-riscv64", env=env_without)
    for args, word in (([], "no command"), (["bot"], "'bot'"), (["fetch"], "debian-riscv64"),
                       (["fetch", "fedora"], "fedora"), (["help", "bot"], "'bot'")):
        r = subprocess.run([env.exe, *args], capture_output=True, text=True, check=False)
        check(r.returncode == 2 and r.stderr.count("\n") == 1 and word in r.stderr, args, r)
    for args in (["--help"], ["help"], ["boot", "--help"], ["help", "boot"], ["fetch", "--help"],
                 ["version"], ["--version"]):
        r = subprocess.run([env.exe, *args], capture_output=True, text=True, check=False)
        check(r.returncode == 0 and r.stdout and not r.stderr, args, r)


def disks_that_cannot_be_used(env):
    ok = ["--kernel", put(env, "image", image()), "--net", "none"]
    refuse(env, ok + ["--disk", put(env, "odd", bytes(513))], "512")
    refuse(env, ok + ["--disk", put(env, "empty", b"")], "512")
    refuse(env, ok + ["--disk", env.tmp + ",ro"], "neither a file")
    disk = put(env, "disk", bytes(4096))
    refuse(env, ok + ["--disk", disk, "--disk", disk], "in use")
    refuse(env, ok + ["--disk", disk, "--disk", disk + ",ro"], "in use")
    r = subprocess.run([env.exe, "boot", *ok, "--disk", disk + ",ro", "--disk", disk + ",ro"],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
    check_equal((r.returncode, r.stderr), (0, b""), "two readers")
    # A second machine, while the first one has the disk.
    spin = bytearray(image())
    spin[64:68] = struct.pack("<I", 0x0000006F)
    p = subprocess.Popen([env.exe, "boot", "--kernel", put(env, "spin", bytes(spin)), "--net", "none",
                          "--console", "pty", "--disk", disk], stdin=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    try:
        check(b"the console is" in p.stderr.readline(), "the first machine does not start")
        # The console is opened before the disk.
        wait_for_lock(disk)
        refuse(env, ok + ["--disk", disk], "in use")
        refuse(env, ok + ["--disk", disk + ",ro"], "in use")
    finally:
        p.kill()
        p.wait()
        p.stderr.close()


def wait_for_lock(path):
    """Until somebody has the file locked, as the kernel lists it."""
    inode = str(os.stat(path).st_ino)
    while True:
        with open("/proc/locks", encoding="ascii") as f:
            if any(f":{inode} " in line for line in f):
                return


CASES = [
    the_images_of_this_test_boot, files_that_are_no_kernel, truncated_kernels,
    elf_files_that_cannot_run, kernels_too_large_for_memory, files_that_are_missing_or_unreadable,
    places_that_are_full, sizes_and_numbers, options, disks_that_cannot_be_used,
]

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(CASES)
