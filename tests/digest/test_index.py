#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The index: built, extended, torn, killed, shared, refused. What is printed never depends on it."""
import fcntl
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess

import common
from common import DIGEST, DigestTest, mail, patch

HEADER = 24


def mails(n, start=0):
    return [patch(f"[PATCH v{i % 3 + 1}] thing {i // 3}", f"{i}@x") if i % 2 else
            mail(f"Re: thing {i}", mid=f"{i}@x", irt=f"{i - 1}@x", body="Reviewed-by: R <r@x.org>\n")
            for i in range(start, start + n)]


def batches(data):
    """Where each batch of an index ends."""
    ends, at = [], HEADER
    while at < len(data):
        assert data[at:at + 4] == b"SVDB", at
        at += 32 + int.from_bytes(data[at + 16:at + 24], "little")
        ends.append(at)
    return ends


class Index(DigestTest):
    def setUp(self):
        super().setUp()
        self.a = self.archive()
        self.a.add(*mails(2500))
        self.index = f"{self.dir}/list.softvirt-digest"
        self.want = self.digest("-f", "json", "--no-index", self.a.path)
        self.assertFalse(os.path.exists(self.index))

    def check(self):
        self.assertEqual(self.digest("-f", "json", self.a.path), self.want)

    def read(self):
        with open(self.index, "rb") as f:
            return f.read()

    def write(self, data):
        with open(self.index, "wb") as f:
            f.write(data)

    def test_built_once(self):
        self.check()
        before, data = os.stat(self.index), self.read()
        self.assertEqual(len(batches(data)), 3)
        self.check()
        after = os.stat(self.index)
        self.assertEqual((before.st_mtime_ns, before.st_ino), (after.st_mtime_ns, after.st_ino))
        self.assertEqual(self.read(), data)

    def test_extended_not_rebuilt(self):
        self.check()
        data = self.read()
        self.a.add(*mails(10, 2500))
        self.want = self.digest("-f", "json", "--no-index", self.a.path)
        self.check()
        self.assertEqual(self.read()[:len(data)], data)
        self.assertEqual(len(batches(self.read())), 4)

    def test_torn_anywhere(self):
        """Cut at every kind of place, then mended: the same file again."""
        self.check()
        data = self.read()
        ends = batches(data)
        rng = random.Random(1)
        cuts = {0, 1, HEADER - 1, HEADER, HEADER + 1, HEADER + 31, HEADER + 32, len(data) - 1}
        cuts |= set(ends) | {e + d for e in ends[:-1] for d in (-1, 1, 16, 40)}
        cuts |= {rng.randrange(len(data)) for _ in range(8)}
        for cut in sorted(cuts):
            with self.subTest(cut=cut):
                self.write(data[:cut])
                self.check()
                self.assertEqual(batches(self.read())[-1], len(self.read()))

    def test_a_batch_whose_head_never_came(self):
        self.check()
        data = self.read()
        first = batches(data)[0]
        self.write(data[:first] + bytes(32) + data[first + 32:])
        self.check()
        self.assertEqual(self.read(), data)

    def test_rot(self):
        """Any flipped byte is noticed: never a crash, never another report."""
        self.check()
        data = self.read()
        rng = random.Random(2)
        # The header's magic is apart: a file without it is somebody else's.
        for at in [16, 19, 20, 23] + [rng.randrange(HEADER, len(data)) for _ in range(12)]:
            with self.subTest(at=at):
                self.write(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1:])
                self.check()
        self.assertEqual(self.read(), data)

    def test_garbage_behind_it(self):
        self.check()
        data = self.read()
        self.write(data + b"SVDB" + b"\xff" * 100)
        self.a.add(*mails(1, 2500))
        self.want = self.digest("-f", "json", "--no-index", self.a.path)
        self.check()
        self.assertEqual(self.read()[:len(data)], data)
        self.assertEqual(batches(self.read())[-1], len(self.read()))

    def test_killed_at_any_moment(self):
        """Killed once at each tenth of the work, then finished by the next run."""
        self.check()
        whole = self.read()
        kept = set()
        for percent in list(range(0, 100, 10)) * 2:
            if os.path.exists(self.index):
                os.unlink(self.index)
            p = subprocess.Popen([DIGEST, "--progress", self.a.path], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, env=self.env)
            seen = b""
            while True:
                seen += p.stderr.read1(64)
                done = re.findall(rb"(\d+)% ", seen)
                if (done and int(done[-1]) >= percent) or p.poll() is not None:
                    break
            p.kill()
            p.wait()
            p.stderr.close()
            if os.path.exists(self.index):
                kept.add(os.path.getsize(self.index))
            self.check()
        self.assertTrue(kept)
        self.assertLessEqual(max(kept), len(whole))

    def test_killed_while_extending_again_and_again(self):
        self.check()
        rng = random.Random(3)
        for n in range(8):
            self.a.add(*mails(300, 2500 + 300 * n))
            p = subprocess.Popen([DIGEST, self.a.path], stdout=subprocess.DEVNULL, env=self.env)
            try:
                p.wait(rng.random() / 10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.want = self.digest("-f", "json", "--no-index", self.a.path)
        self.check()
        self.assertEqual(batches(self.read())[-1], len(self.read()))

    def test_many_at_once(self):
        """All of them right, and the file as if one alone had built it."""
        self.check()
        alone = self.read()
        for _ in range(3):
            os.unlink(self.index)
            runs = [subprocess.Popen([DIGEST, "-q", "-f", "json", self.a.path], env=self.env,
                                     stdout=subprocess.PIPE) for _ in range(6)]
            for p in runs:
                self.assertEqual(p.communicate()[0].decode(), self.want)
                self.assertEqual(p.returncode, 0)
            self.assertEqual(self.read(), alone)

    def test_many_at_once_while_mails_arrive_and_some_are_killed(self):
        for n in range(4):
            self.a.add(*mails(400, 2500 + 400 * n))
            runs = [subprocess.Popen([DIGEST, "-q", self.a.path], env=self.env,
                                     stdout=subprocess.DEVNULL) for _ in range(4)]
            runs[0].kill()
            self.assertEqual([p.wait() for p in runs][1:], [0, 0, 0])
        self.want = self.digest("-f", "json", "--no-index", self.a.path)
        self.check()

    def test_a_second_run_waits_for_the_first(self):
        with open(self.index, "wb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            p = subprocess.Popen([DIGEST, "-f", "json", self.a.path], env=self.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            line = p.stderr.readline()
            self.assertIn(b"waiting for another run", line)
            self.assertIsNone(p.poll())
        out, _ = p.communicate()
        self.assertEqual(out.decode(), self.want)

    def test_rewritten_history(self):
        self.check()
        tail = self.a.git("rev-list", "--reverse", "HEAD").split()
        self.a.git("update-ref", "refs/heads/master", tail[99])
        self.a.commits = tail[:100]
        self.a.add(*mails(20, 5000))
        want = self.digest("-f", "json", "--no-index", self.a.path)
        r = self.run_digest("-f", "json", self.a.path)
        self.assertEqual((r.returncode, r.stdout.decode()), (0, want))
        self.assertIn(b"rewritten", r.stderr)
        self.want = want
        self.check()

    def test_another_archive_in_its_place(self):
        self.check()
        shutil.rmtree(self.a.path)
        self.a = self.archive()
        self.a.add(*mails(5, 7000))
        self.want = self.digest("-f", "json", "--no-index", self.a.path)
        r = self.run_digest("-q", "-f", "json", self.a.path)
        self.assertEqual((r.stdout.decode(), r.stderr), (self.want, b""))

    def test_another_version_of_the_format(self):
        self.check()
        data = self.read()
        self.write(data[:16] + b"\x63\0\0\0" + data[20:])
        self.check()
        self.assertEqual(self.read(), data)

    def test_somebody_elses_file_is_left_alone(self):
        for content in (b"Dear diary,\n", b"s" * 5000, b"softvirt-digest-notes\n"):
            self.write(content)
            self.check()
            self.assertEqual(self.read(), content)
            self.assertIn("can be neither read nor written",
                          self.fails("--index", self.index, self.a.path))
            self.assertEqual(self.read(), content)

    def test_no_link_is_followed(self):
        target = f"{self.dir}/target"
        os.symlink(target, self.index)
        self.check()
        self.assertFalse(os.path.exists(target))
        os.unlink(self.index)
        os.mkfifo(self.index)
        self.check()
        self.assertTrue(stat.S_ISFIFO(os.stat(self.index).st_mode))

    def test_a_file_of_ones_choice(self):
        path = f"{self.dir}/elsewhere"
        self.assertEqual(self.digest("-f", "json", "--index", path, self.a.path), self.want)
        self.assertTrue(os.path.exists(path))
        self.assertFalse(os.path.exists(self.index))
        self.assertIn("can be neither", self.fails("--index", f"{self.dir}/no/dir", self.a.path))

    def test_a_full_disk(self):
        """A limit on the file's size stands for it; the file stays good and grows later."""
        self.check()
        whole = self.read()
        self.assertGreater(len(whole), 300000)
        os.unlink(self.index)

        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, len(whole) // 2))

        r = subprocess.run([DIGEST, self.a.path], env=self.env, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, preexec_fn=small)
        self.assertEqual(r.returncode, 0)
        self.assertIn(b"cannot be extended", r.stderr)
        self.assertEqual(batches(self.read())[-1], len(self.read()))
        self.check()
        self.assertEqual(batches(self.read())[-1], len(self.read()))

    def test_progress(self):
        r = self.run_digest("--progress", self.a.path)
        self.assertRegex(r.stderr.decode(), r"\rindexing \[#{30}\] 100% 2500 of 2500 mails\n$")
        self.assertEqual(self.run_digest("--progress", self.a.path).stderr, b"")

    def unprivileged(self, home, *args):
        """A run by somebody who owns nothing of this: root may write everywhere."""
        exe = f"{self.dir}/digest"
        shutil.copy(DIGEST, exe)
        os.chmod(exe, 0o755)
        os.chmod(self.dir, 0o755)

        def drop():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)

        env = dict(self.env, HOME=home, XDG_CACHE_HOME=f"{home}/cache")
        return subprocess.run([exe, *args], env=env, capture_output=True, preexec_fn=drop)

    def test_a_read_only_place_uses_the_cache(self):
        home = f"{self.dir}/home"
        os.mkdir(home)
        os.chmod(home, 0o777)
        if os.getuid():
            os.mkdir(f"{self.dir}/ro")
            shutil.move(self.a.path, f"{self.dir}/ro/list.git")
            self.a.path = f"{self.dir}/ro/list.git"
            os.chmod(f"{self.dir}/ro", 0o555)
            self.addCleanup(os.chmod, f"{self.dir}/ro", 0o755)
        for _ in range(2):
            r = self.unprivileged(home, "-f", "json", self.a.path)
            self.assertEqual((r.stdout.decode(), r.stderr), (self.want, b""))
        self.assertEqual(len(os.listdir(f"{home}/cache/softvirt-digest")), 1)
        self.assertFalse(os.path.exists(self.index))

    def test_an_index_somebody_else_keeps_is_used(self):
        self.check()
        home = f"{self.dir}/home"
        os.mkdir(home)
        os.chmod(home, 0o777)
        os.chmod(self.index, 0o644)
        r = self.unprivileged(home, "-f", "json", self.a.path)
        self.assertEqual((r.stdout.decode(), r.stderr), (self.want, b""))
        if os.getuid() == 0:
            self.assertEqual(os.listdir(home), [])

    def test_nowhere_to_write(self):
        if os.getuid():
            os.mkdir(f"{self.dir}/ro")
            shutil.move(self.a.path, f"{self.dir}/ro/list.git")
            self.a.path = f"{self.dir}/ro/list.git"
            os.chmod(f"{self.dir}/ro", 0o555)
            self.addCleanup(os.chmod, f"{self.dir}/ro", 0o755)
        r = self.unprivileged("/proc/nowhere", "-f", "json", self.a.path)
        self.assertEqual(r.stdout.decode(), self.want)
        self.assertIn(b"no index can be kept", r.stderr)


if __name__ == "__main__":
    common.main()
