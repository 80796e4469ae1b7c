#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spans, epochs, deletions, duplicates, and what is no archive."""
import os
import subprocess

import common
from common import EPOCH, DigestTest, diff, items, mail, patch, table

DAY = 86400


def single(n, **kw):
    return patch(f"[PATCH] number {n}", f"{n}@x", **kw)


class Spans(DigestTest):
    def setUp(self):
        super().setUp()
        self.a = self.archive()
        self.ids = self.a.add(*[single(n) for n in range(10)],
                              times=[EPOCH + n * DAY for n in range(10)])

    def numbers(self, *args):
        return [int(i[1].split()[1]) for i in items(self.digest(*args))]

    def test_commits(self):
        p, ids = self.a.path, self.ids
        self.assertEqual(self.numbers(p), list(range(9, -1, -1)))
        self.assertEqual(self.numbers(p, f"{ids[2]}..{ids[5]}"), [5, 4, 3])
        self.assertEqual(self.numbers(p, f"{ids[7][:10]}.."), [9, 8])
        self.assertEqual(self.numbers(p, f"..{ids[1]}"), [1, 0])
        self.assertEqual(self.numbers(p, f"{ids[4]}..{ids[4]}"), [])
        self.assertEqual(self.numbers(p, "HEAD~2..master"), [9, 8])

    def test_a_tag(self):
        self.a.git("tag", "-m", "week 1", "w1", self.ids[6])
        self.assertEqual(self.numbers(self.a.path, "w1.."), [9, 8, 7])

    def test_headings(self):
        p, ids = self.a.path, self.ids

        def head(*args):
            return self.digest("--list", "L", p, *args).split("\n")[:2]

        a, b, last = ids[2][:9], ids[5][:9], ids[9][:9]
        self.assertEqual(head(f"{ids[2]}..{ids[5]}"),
                         [f"From {a} to {b}", f"L mailing list update from {a} to {b}"])
        self.assertEqual(head()[0], f"From the beginning to {last}")
        self.assertEqual(head("--abbrev", "12", f"{ids[2]}..")[0],
                         f"From {ids[2][:12]} to {ids[9][:12]}")
        # By date: from the commit before the first to the last.
        self.assertEqual(head("--since", "2026-01-08", "--until", "2026-01-10")[0],
                         f"From {a} to {b}")
        self.assertEqual(head("--since", "2027-01-01")[0], f"From {last} to {last}")

    def test_dates(self):
        p = self.a.path
        cases = {
            ("--since", "2026-01-13"): [9, 8],
            ("--until", "2026-01-06"): [1, 0],
            ("--since", "2026-01-06", "--until", "2026-01-07"): [2, 1],
            ("--since", "2026-01-06 00:00:01 +0000"): [9, 8, 7, 6, 5, 4, 3, 2],
            ("--since", "2026-01-13T02:00+02:00"): [9, 8],
            ("--since", f"@{EPOCH + 8 * DAY}"): [9, 8],
            ("--until", f"@{EPOCH + DAY}"): [0],
            ("--since", "2026-01-13", f"{self.ids[8]}.."): [9],
        }
        for args, want in cases.items():
            opts = [a for a in args if ".." not in a]
            rest = [a for a in args if ".." in a]
            self.assertEqual(self.numbers(*opts, p, *rest), want, args)

    def test_dates_are_local(self):
        env = dict(self.env, TZ="Etc/GMT+5")  # five hours west
        r = self.run_digest("--since", "2026-01-12", self.a.path, env=env)
        self.assertEqual([i[1] for i in items(r.stdout.decode())], ["number 9", "number 8"])

    def test_last(self):
        p, now = self.a.path, "2026-01-14 00:00 Z"
        self.assertEqual(self.numbers("--now", now, "--last", "7d", p), [9, 8, 7, 6, 5, 4, 3, 2])
        self.assertEqual(self.numbers("--now", now, "--last", "1w", p), [9, 8, 7, 6, 5, 4, 3, 2])
        self.assertEqual(self.numbers("--now", now, "--last", "24h", p), [9, 8])
        self.assertEqual(self.numbers("--now", "2026-01-10", "--last", "1d", p), [5, 4])

    def test_last_counts_from_the_clock(self):
        r = self.run_digest("--last", "1h", self.a.path)
        self.assertEqual((r.returncode, items(r.stdout.decode())), (0, []))
        self.assertIn("the archive's newest is of 2026-01-14", r.stderr.decode())

    def test_adjoining_spans_lose_and_double_nothing(self):
        """Commits whose times run backwards, too."""
        a = self.archive("back.git")
        a.add(*[single(n) for n in range(50)],
              times=[EPOCH + (n * 37 % 50) * DAY // 5 for n in range(50)])
        seen = []
        for day in range(10):
            t = f"@{EPOCH + day * DAY}"
            seen += self.numbers("--since", t, "--until", f"@{EPOCH + (day + 1) * DAY}", a.path)
        self.assertEqual(sorted(seen), list(range(50)))

    def test_wrong_spans(self):
        p, ids = self.a.path, self.ids
        self.assertIn("there is no commit 'nonsense' in", self.fails(p, "nonsense.."))
        self.assertIn("there is no commit '0123456789'", self.fails(p, f"{ids[0]}..0123456789"))
        self.assertIn(f"the span is '{ids[1]}..{ids[3]}'", self.fails(p, f"{ids[3]}..{ids[1]}"))
        self.assertIn("write A..B", self.fails(p, ids[3]))
        self.assertIn("write A..B", self.fails(p, f"{ids[1]}...{ids[3]}"))
        tree = self.a.git("rev-parse", "HEAD^{tree}").strip()
        self.assertIn("names no commit", self.fails(p, f"{tree}.."))
        self.assertIn("there is no commit 'HEAD~99'", self.fails(p, "HEAD~99.."))

    def test_a_commit_beside_the_archive(self):
        tree = self.a.git("rev-parse", "HEAD^{tree}").strip()
        other = subprocess.run(["git", "-C", self.a.path, "commit-tree", "-m", "o", tree],
                               check=True, env=self.env, capture_output=True, text=True).stdout.strip()
        self.assertIn("none of the branch", self.fails(self.a.path, f"{other}.."))

    def test_an_ambiguous_name(self):
        """Thousands of commits, so that two of them begin alike."""
        a = self.archive("many.git")
        ids = a.add(*[mail("s", mid=f"{n}@m") for n in range(2000)])
        heads = {}
        for i in ids:
            heads.setdefault(i[:4], []).append(i)
        twin = next(v for v in heads.values() if len(v) > 1)
        self.assertIn("give more characters", self.fails(a.path, f"{twin[0][:4]}.."))
        out = self.digest("--abbrev", "4", a.path, f"{twin[0]}..")
        name = out.split()[1]
        self.assertEqual([i for i in ids if i.startswith(name)], [twin[0]])

    def test_branches(self):
        """A merged archive: A..B is what git says, not what lies between."""
        g = self.archive("merged.git")
        base = g.add(single(100))[0]
        left = g.add(single(101), single(102))
        g.git("update-ref", "refs/heads/right", base)
        g.git("update-ref", "refs/heads/left", left[-1])
        g.git("update-ref", "refs/heads/master", base)
        right = g.add(single(201), single(202))
        tree = g.git("rev-parse", f"{right[-1]}^{{tree}}").strip()
        merge = subprocess.run(["git", "-C", g.path, "commit-tree", "-m", "m", "-p", left[-1], "-p",
                                right[-1], tree], check=True, env=self.env, capture_output=True,
                               text=True).stdout.strip()
        g.git("update-ref", "refs/heads/master", merge)
        for a, b in ((left[0], merge), (right[0], merge), (base, right[1]), (base, left[1])):
            want = {s for s in (101, 102, 201, 202) for c, k in
                    zip(left + right, (101, 102, 201, 202)) if k == s and
                    c in g.git("rev-list", f"{a}..{b}").split()}
            self.assertEqual(set(self.numbers(g.path, f"{a}..{b}")), want, (a, b))


class Deleted(DigestTest):
    def subjects(self, path, *args):
        return [i[1] for i in items(self.digest(path, *args))]

    def test_deleted_mails_stay_out(self):
        a = self.archive()
        a.add(single(1), single(2), single(3))
        a.delete(single(2))
        self.assertEqual(self.subjects(a.path), ["number 3", "number 1"])
        self.assertEqual(len(table(self.digest(a.path), "Top 15 contributors")), 1)

    def test_deleted_after_the_span(self):
        a = self.archive()
        ids = a.add(single(1), single(2), single(3))
        self.assertEqual(self.subjects(a.path, f"{ids[0]}..{ids[1]}"), ["number 2"])
        a.delete(single(2))
        self.assertEqual(self.subjects(a.path, f"{ids[0]}..{ids[1]}"), [])

    def test_deleted_in_another_form(self):
        """The same mail with a relay's header on top."""
        a = self.archive()
        a.add(single(1), b"Received: by a relay\n" + single(2))
        a.delete(single(2))
        self.assertEqual(self.subjects(a.path), ["number 1"])

    def test_deleted_and_added_again(self):
        a = self.archive()
        a.add(single(1))
        a.delete(single(1))
        self.assertEqual(self.subjects(a.path), [])
        a.add(single(1))
        self.assertEqual(self.subjects(a.path), ["number 1"])

    def test_an_unreadable_one_deleted(self):
        a = self.archive()
        a.add(b"no mail\n", single(1))
        a.delete(b"no mail\n")
        self.assertEqual(self.subjects(a.path), ["number 1"])

    def test_the_file_d_stays_around(self):
        """Some tools leave d in the tree; what a commit changed is what counts."""
        a = self.archive("work", bare=False)

        def commit(**files):
            for name, data in files.items():
                with open(os.path.join(a.path, name), "wb") as f:
                    f.write(data)
            subprocess.run("git add -A && git commit -q -m x", shell=True, check=True, env=self.env,
                           cwd=a.path)

        commit(m=single(1))
        commit(m=single(2))
        commit(d=single(1))
        commit(m=single(3))
        self.assertEqual(self.subjects(a.path), ["number 3", "number 2"])

    def test_a_deletion_in_a_later_epoch(self):
        a, b = self.archive("l.0.git"), self.archive("l.1.git")
        a.add(single(1), single(2))
        b.delete(single(1))
        b.add(single(3))
        self.assertEqual(self.subjects(f"{self.dir}/l"), ["number 3", "number 2"])

    def test_duplicates_count_once(self):
        a = self.archive()
        ids = a.add(single(1), b"Received: again\n" + single(1), single(1), single(2))
        self.assertEqual(self.subjects(a.path), ["number 2", "number 1"])
        self.assertEqual(table(self.digest(a.path), "Top 15 contributors")[0][0], 2)
        # The copy isn't new in a later span.
        self.assertEqual(self.subjects(a.path, f"{ids[0]}.."), ["number 2"])

    def test_a_stolen_message_id_hides_nothing(self):
        a = self.archive()
        a.add(patch("[PATCH] evil", "1@x", sender="E <e@e.org>"), single(1))
        self.assertEqual(self.subjects(a.path), ["number 1", "evil"])


class Epochs(DigestTest):
    def fill(self, *names, **kw):
        n = 0
        for name in names:
            os.makedirs(os.path.dirname(f"{self.dir}/{name}"), exist_ok=True)
            a = self.archive(name, **kw)
            a.time = EPOCH + n
            a.add(single(n), single(n + 1))
            n += 2
        return a

    def numbers(self, path, *args):
        return [int(i[1].split()[1]) for i in items(self.digest(f"{self.dir}/{path}", *args))]

    def test_layouts(self):
        for i, (names, paths) in enumerate((
                (("list.0.git", "list.1.git"), ("list", "list.0.git", "list.1.git", "")),
                (("git/0.git", "git/1.git"), ("", "git", "git/1.git")),
                (("0.git", "1.git", "2.git"), ("", "0.git")),
                (("list.9.git", "list.10.git"), ("list", "")),
                (("list.1.git", "list.3.git"), ("list",)))):
            base = f"case{i}"
            self.fill(*[f"{base}/{n}" for n in names])
            for p in paths:
                with self.subTest(names=names, path=p):
                    self.assertEqual(self.numbers(f"{base}/{p}"), list(range(2 * len(names)))[::-1])

    def test_not_bare(self):
        self.fill("list.0.git", "list.1.git", bare=False)
        self.assertEqual(self.numbers("list"), [3, 2, 1, 0])
        self.assertEqual(self.numbers("list.0.git/.git"), [3, 2, 1, 0])

    def test_spans_across(self):
        a = self.archive("l.0.git")
        ids = a.add(*[single(n) for n in range(5)])
        b = self.archive("l.1.git")
        b.time = a.time
        ids += b.add(*[single(n) for n in range(5, 10)])
        self.assertEqual(self.numbers("l", f"{ids[3]}..{ids[6]}"), [6, 5, 4])
        self.assertEqual(self.numbers("l", f"{ids[4]}.."), [9, 8, 7, 6, 5])
        self.assertEqual(self.numbers("l", "HEAD~1.."), [9])

    def test_versions_across(self):
        a = self.archive("l.0.git")
        a.add(patch("[PATCH] it", "1@x"))
        b = self.archive("l.1.git")
        b.time = a.time
        b.add(patch("[PATCH v2] it", "2@x"))
        got = items(self.digest(f"{self.dir}/l"))
        self.assertEqual([(g[0], g[2]) for g in got], [("Updated", "[PATCH v2] it"),
                                                       ("New", "[PATCH] it")])

    def test_an_empty_newest_epoch(self):
        self.fill("l.0.git")
        self.archive("l.1.git")
        self.assertEqual(self.numbers("l"), [1, 0])

    def test_an_epoch_that_comes_later(self):
        self.fill("l.0.git")
        self.assertEqual(self.numbers("l"), [1, 0])
        b = self.archive("l.1.git")
        b.add(single(7))
        self.assertEqual(self.numbers("l"), [7, 1, 0])

    def test_two_lists_in_one_place(self):
        self.fill("kvm.0.git", "vfio.0.git")
        self.assertIn("several archives", self.fails(self.dir))
        self.assertEqual(self.numbers("kvm"), [1, 0])
        self.assertEqual(self.numbers("vfio.0.git"), [3, 2])


class NoArchive(DigestTest):
    def test_nothing_there(self):
        self.assertIn("does not exist", self.fails(f"{self.dir}/nowhere"))
        self.assertIn("does not exist", self.fails(f"{self.dir}/no/where"))
        self.assertIn("'' does not exist", self.fails(""))

    def test_no_repository(self):
        os.mkdir(f"{self.dir}/plain")
        self.assertIn("is no git repository", self.fails(f"{self.dir}/plain"))
        os.mkdir(f"{self.dir}/plain/0.git")
        self.assertIn("is no git repository", self.fails(f"{self.dir}/plain"))

    def test_a_file(self):
        with open(f"{self.dir}/f.bundle", "w", encoding="ascii") as f:
            f.write("x")
        self.assertIn("git clone --bare", self.fails(f"{self.dir}/f.bundle"))

    def test_not_inside_a_repository_either(self):
        a = self.archive("a", bare=False)
        a.add(single(1))
        os.mkdir(f"{a.path}/sub")
        self.assertIn("is no git repository", self.fails(f"{a.path}/sub"))

    def test_an_empty_repository(self):
        self.assertIn("holds no commits", self.fails(self.archive().path))

    def test_a_repository_that_is_no_archive(self):
        a = self.archive()
        a.run([("README", b"hello\n")] * 30)
        self.assertIn("no public-inbox archive", self.fails(a.path))
        self.assertEqual(os.listdir(self.dir), ["list.git"])

    def test_m_is_a_directory(self):
        a = self.archive()
        a.run([("m/x", b"From: a\n\n")])
        self.assertIn("no public-inbox archive", self.fails(a.path))

    def test_a_broken_repository(self):
        a = self.archive()
        a.add(*[single(n) for n in range(5)])
        a.git("repack", "-adq")
        packs = f"{a.path}/objects/pack"
        self.assertTrue(os.listdir(packs))
        for name in os.listdir(packs):
            os.chmod(f"{packs}/{name}", 0o600)
            with open(f"{packs}/{name}", "r+b") as f:
                f.seek(100)
                f.write(b"\xff" * 400)
        text = self.fails(a.path)
        self.assertTrue(text.startswith("softvirt-digest: "), text)

    def test_a_missing_mail_is_counted_and_tried_again(self):
        a = self.archive()
        ids = a.add(*[single(n) for n in range(5)])
        loose(a)
        blob = a.git("rev-parse", f"{ids[2]}:m").strip()
        file = f"{a.path}/objects/{blob[:2]}/{blob[2:]}"
        os.rename(file, f"{self.dir}/kept")
        r = self.run_digest("-q", a.path)
        self.assertEqual(r.stderr.decode(),
                         f"softvirt-digest: 1 mail unreadable (in commit {ids[2][:9]})\n")
        self.assertEqual(len(items(r.stdout.decode())), 4)
        os.rename(f"{self.dir}/kept", file)
        self.assertEqual(len(items(self.digest(a.path))), 5)

    def test_a_missing_commit(self):
        a = self.archive()
        ids = a.add(*[single(n) for n in range(5)])
        loose(a)
        os.unlink(f"{a.path}/objects/{ids[2][:2]}/{ids[2][2:]}")
        self.assertIn("commits are missing", self.fails(a.path))

    def test_a_shallow_clone(self):
        a = self.archive()
        a.add(*[single(n) for n in range(8)])
        subprocess.run(["git", "clone", "-q", "--bare", "--depth", "3", f"file://{a.path}",
                        f"{self.dir}/shallow.git"], check=True, env=self.env)
        self.assertEqual(len(items(self.digest(f"{self.dir}/shallow.git"))), 3)


def loose(a):
    """Every object a file of its own."""
    packs = f"{a.path}/objects/pack"
    for name in os.listdir(packs):
        if name.endswith(".pack"):
            os.rename(f"{packs}/{name}", f"{a.path}/p")
            os.unlink(f"{packs}/{name[:-5]}.idx")
            with open(f"{a.path}/p", "rb") as f:
                subprocess.run(["git", "-C", a.path, "unpack-objects", "-q"], stdin=f, check=True,
                               env=a.env)
            os.unlink(f"{a.path}/p")


class Arguments(DigestTest):
    def test_wrong_ones(self):
        a = self.archive()
        a.add(single(1))
        for args in (("--format", "pdf", a.path), ("--since", "yesterday", a.path),
                     ("--since", "2026-02-30", a.path), ("--until", "2026-13-01", a.path),
                     ("--last", "7", a.path), ("--last", "x", a.path), ("--top", "0", a.path),
                     ("--top", "-1", a.path), ("--abbrev", "3", a.path), ("--abbrev", "41", a.path),
                     ("--url", "javascript:alert(1)", a.path), ("--url", 'https://x/"a', a.path),
                     ("--list", "", a.path), ("--path", "", a.path), (a.path, "a..b", "c"), (),
                     ("--last", "7d", "--since", "2026-01-01", a.path), ("--since", "@", a.path),
                     ("--since", "2026-01-02", "--until", "2026-01-01", a.path)):
            self.fails(*args, status=2)

    def test_unknown_option(self):
        r = self.run_digest("--no-such-thing", "x")
        self.assertEqual((r.returncode, r.stdout), (2, b""))
        self.assertIn(b"no-such-thing", r.stderr)

    def test_help_names_every_option(self):
        text = self.digest("--help")
        for o in ("since", "until", "last", "now", "path", "author", "subject", "format", "output",
                  "all-patches", "review", "list", "url", "top", "abbrev", "index", "no-index",
                  "progress", "no-progress", "quiet", "help", "version"):
            self.assertRegex(text, rf"--{o}\b")
        self.assertTrue(all(len(line) <= 90 for line in text.split("\n")))
        self.assertRegex(self.digest("--version"), r"^softvirt-digest \S+\n$")

    def test_output_that_cannot_be_written(self):
        a = self.archive()
        a.add(single(1))
        self.assertIn("cannot be written", self.fails("-o", "/nowhere/x", a.path))
        self.assertTrue(os.path.exists("/dev/full"))
        self.assertIn("cannot be written", self.fails("-o", "/dev/full", a.path))


if __name__ == "__main__":
    common.main()
