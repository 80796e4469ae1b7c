# SPDX-License-Identifier: MIT
"""What the digest's tests share: archives made of given mails, and runs of the program.

The program's path is in SOFTVIRT_DIGEST, the directory of the seed in SOFTVIRT_SEED. A test that
lacks one of them, or git, fails: nothing here is skipped.
"""
import email.message
import email.policy
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

DIGEST = os.environ["SOFTVIRT_DIGEST"]
SEED = os.environ["SOFTVIRT_SEED"]
SAMPLE = os.path.join(SEED, "kvm-list-update.txt")
BUNDLE = os.path.join(SEED, "linaro-mm-sig-2026-01.bundle")

# A Monday, 2026-01-05 00:00 UTC: when generated archives begin.
EPOCH = 1767571200


def clean_env(home):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env.update(HOME=home, XDG_CACHE_HOME=os.path.join(home, "cache"), TZ="UTC", LC_ALL="C.UTF-8",
               GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org",
               GIT_COMMITTER_NAME="C", GIT_COMMITTER_EMAIL="c@example.org")
    return env


def mail(subject="a subject", sender="A U Thor <author@example.org>", body="text\n", mid=None,
         irt=None, refs=None, date=EPOCH, headers=(), charset="utf-8", cte="8bit", raw_body=None):
    """A mail as bytes, put together by hand, so that it may be as wrong as a test wants."""
    lines = []
    if sender is not None:
        lines.append(f"From: {sender}")
    if subject is not None:
        lines.append(f"Subject: {subject}")
    if mid:
        lines.append(f"Message-Id: <{mid}>")
    if irt:
        lines.append(f"In-Reply-To: <{irt}>")
    if refs:
        lines.append("References: " + "\n ".join(f"<{r}>" for r in refs))
    if date is not None:
        lines.append("Date: " + email.utils.formatdate(date))
    lines += list(headers)
    if charset:
        lines += ["MIME-Version: 1.0", f"Content-Type: text/plain; charset={charset}",
                  f"Content-Transfer-Encoding: {cte}"]
    head = ("\n".join(lines) + "\n\n").encode("utf-8", "surrogateescape")
    return head + (raw_body if raw_body is not None else body.encode("utf-8", "surrogateescape"))


def diff(path="a.c", n=1):
    return (f" {path} | {2 * n} +-\n 1 file changed, {n} insertion(+), {n} deletion(-)\n\n"
            f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n"
            f"@@ -1 +1 @@\n-old\n+new\n-- \n2.43.0\n")


def patch(subject, mid, body="Why.\n", path="a.c", **kw):
    return mail(subject=subject, mid=mid, body=body + "---\n" + diff(path), **kw)


class Archive:
    """A public-inbox repository, filled by git fast-import."""

    def __init__(self, path, env, bare=True):
        self.path, self.env, self.bare = path, env, bare
        args = ["git", "init", "-q", "-b", "master"] + (["--bare"] if bare else []) + [path]
        subprocess.run(args, check=True, env=env)
        self.commits = []
        self.time = EPOCH

    def git(self, *args):
        return subprocess.run(["git", "-C", self.path, *args], check=True, env=self.env,
                              capture_output=True, text=True).stdout

    def add(self, *mails, step=60, times=None):
        return self.run([("m", m) for m in mails], step, times)

    def delete(self, content):
        return self.run([("d", content)])

    def run(self, ops, step=60, times=None):
        """Each op is (file, bytes), or (None, None) for a commit without either."""
        out = bytearray()
        for i, (name, data) in enumerate(ops):
            self.time = times[i] if times else self.time + step
            out += f"commit refs/heads/master\nmark :{i + 1}\n".encode()
            out += f"author A <a@example.org> {self.time} +0000\n".encode()
            out += f"committer C <c@example.org> {self.time} +0000\ndata 1\nx\n".encode()
            if i == 0 and self.commits:
                out += b"from refs/heads/master^0\n"
            out += b"deleteall\n"
            if name:
                out += f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n"
        marks = tempfile.mktemp(dir=self.env["HOME"])
        subprocess.run(["git", "-C", self.path, "fast-import", "--quiet",
                        f"--export-marks={marks}"], input=bytes(out), check=True, env=self.env)
        with open(marks, encoding="ascii") as f:
            by_mark = dict(line.split() for line in f)
        os.unlink(marks)
        new = [by_mark[f":{i + 1}"] for i in range(len(ops))]
        self.commits += new
        return new


class DigestTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="digest-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = clean_env(self.dir)

    def archive(self, name="list.git", **kw):
        return Archive(os.path.join(self.dir, name), self.env, **kw)

    def linaro(self):
        self.assertTrue(os.path.exists(BUNDLE), f"{BUNDLE} is missing")
        path = os.path.join(self.dir, "linaro.git")
        subprocess.run(["git", "clone", "-q", "--bare", BUNDLE, path], check=True, env=self.env,
                       stderr=subprocess.DEVNULL)
        return path

    def run_digest(self, *args, env=None):
        return subprocess.run([DIGEST, *[str(a) for a in args]], capture_output=True,
                              env=env or self.env, timeout=300)

    def digest(self, *args, stderr=""):
        """Standard output of a run that must succeed and say `stderr`, no more."""
        r = self.run_digest(*args)
        self.assertEqual((r.returncode, r.stderr.decode()), (0, stderr), args)
        return r.stdout.decode("utf-8")

    def fails(self, *args, status=1):
        """The one line a run that must fail leaves on stderr; nothing is on stdout."""
        r = self.run_digest(*args)
        text = r.stderr.decode("utf-8")
        self.assertEqual((r.returncode, r.stdout), (status, b""), text)
        self.assertTrue(text.startswith("softvirt-digest: ") and text.endswith("\n"), text)
        self.assertEqual(text.count("\n"), 1, text)
        return text


def items(text):
    """The entries of the text form as (state, title, subject, author, body)."""
    body = text.split("===== Patch Commit Messages ====\n\n", 1)[1]
    found = []
    for part in body.split("\n" + "-" * 70 + "\n\n")[:-1]:
        head, subject, author, rest = part.split("\n", 3)
        state, title = head.split(":  ", 1)
        assert author.startswith("Author: "), author
        assert rest.startswith("\n"), part
        found.append((state, title, subject, author[8:], rest[1:]))
    return found


def table(text, heading):
    """The rows of a table as (count, text)."""
    rows = []
    for line in text.split(heading + " (Based on Email Body)\n\n", 1)[1].split("\n"):
        if not line[:7].strip().isdigit():
            return rows
        rows.append((int(line[:7]), line[7:].lstrip(" ")))
    return rows


def main():
    """Runs the file's tests; the last line counts them. What was skipped has failed."""
    result = unittest.main(exit=False).result
    bad = {t.id().split(" (")[0] for t, _ in result.failures + result.errors + result.skipped}
    failed = max(len(bad), 0 if result.wasSuccessful() else 1, 0 if result.testsRun else 1)
    print(f"{result.testsRun - len(bad)} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
