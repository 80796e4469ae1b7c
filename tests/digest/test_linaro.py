#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The 364 real mails: what the digest says of them against git and Python's email package.

The oracle below shares nothing with the program: git lists the mails, Python's package decodes
them, and a few lines here do what the specification says with the result.
"""
import collections
import email
import email.policy
import email.utils
import json
import re
import subprocess

import common
from common import DigestTest, items, table

STAT = re.compile(r"^[ \t]*\d+ files? changed(?:,.*)?$", re.M)


class Oracle:
    """One mail as the specification sees it."""

    def __init__(self, raw):
        m = email.message_from_bytes(raw, policy=email.policy.default)
        self.mid = str(m["message-id"]).strip().strip("<>")
        self.raw_from = str(m["from"])
        self.sender = self.person(self.raw_from)
        self.subject = str(m["subject"])
        text = m.get_body(("plain",)).get_content()
        self.body = re.sub(r"\r*\n", "\n", text)
        self.author = self.sender
        opening = re.match(r"\n*From: (.*)\n", self.body)
        if opening:
            self.author = self.person(opening.group(1))
            self.body = self.body[:opening.start(1) - 6] + self.body[opening.end():]
        tags = re.match(r"((?:\[[^]]*\]\s*)*)(.*)", self.subject, re.S)
        self.title = tags.group(2)
        self.reply = self.title.lower().startswith("re:")
        number = re.search(r"(\d+)/(\d+)\]", tags.group(1))
        self.number = int(number.group(1)) if number else None
        self.total = int(number.group(2)) if number else 0
        self.patch = not self.reply and "PATCH" in tags.group(1)
        version = re.search(r"\bv(\d+)\b", tags.group(1))
        self.version = int(version.group(1)) if version else 1

    @staticmethod
    def person(value):
        name, addr = email.utils.parseaddr(value)
        return (f"{name} <{addr}>" if name else addr, addr.rsplit("@", 1)[1].lower())

    def message(self):
        end = STAT.search(self.body)
        return self.body[:end.end()] + "\n" if end else self.body.rstrip() + "\n"


class Linaro(DigestTest):
    def setUp(self):
        super().setUp()
        self.path = self.linaro()
        self.commits = self.git("rev-list", "--reverse", "HEAD").split()
        self.mails = [Oracle(raw) for raw in self.blobs()]
        self.assertEqual(len(self.mails), 364)

    def blobs(self):
        names = "".join(c + ":m\n" for c in self.commits).encode()
        out = subprocess.run(["git", "-C", self.path, "cat-file", "--batch"], check=True,
                             env=self.env, input=names, capture_output=True).stdout
        while out:
            head, _, out = out.partition(b"\n")
            size = int(head.split()[2])
            yield out[:size]
            out = out[size + 1:]

    def git(self, *args):
        return subprocess.run(["git", "-C", self.path, *args], check=True, env=self.env,
                              capture_output=True, text=True).stdout

    def check_tables(self, out, mails):
        people = collections.Counter(m.author[0] for m in mails)
        domains = collections.Counter(m.author[1] for m in mails)

        def order(counter):
            rows = sorted(counter.items(), key=lambda i: i[0].encode(), reverse=True)
            return [(n, text) for text, n in sorted(rows, key=lambda i: -i[1])]

        self.assertEqual(table(out, "Top 1000 contributors"), order(people))
        self.assertEqual(table(out, "Top 1000 contributor Email domains"), order(domains))
        self.assertEqual(sum(n for n, _ in table(out, "Top 1000 contributors")), len(mails))

    def test_counts_of_all(self):
        out = self.digest("--top", 1000, self.path)
        self.check_tables(out, self.mails)
        self.assertIn((86, "Christian König <christian.koenig@amd.com>"),
                      table(out, "Top 1000 contributors"))

    def test_counts_of_spans(self):
        for a, b in ((0, 363), (10, 11), (100, 250), (362, 363), (5, 5)):
            out = self.digest("--top", 1000, self.path, f"{self.commits[a]}..{self.commits[b]}")
            self.check_tables(out, self.mails[a + 1:b + 1])
            self.assertTrue(out.startswith(f"From {self.commits[a][:9]} to {self.commits[b][:9]}\n"))

    def test_counts_by_date(self):
        """--since and --until choose what git's own filter by commit date chooses."""
        for since, until in (("2026-01-11", "2026-01-17"), ("2026-01-20", "2026-01-20"),
                             ("2025-12-28", "2025-12-28")):
            ids = self.git("rev-list", f"--since={since}T00:00:00Z", f"--until={until}T23:59:59Z",
                           "HEAD").split()
            out = self.digest("--top", 1000, "--since", since, "--until", until, self.path)
            self.assertTrue(ids)
            self.check_tables(out, [m for c, m in zip(self.commits, self.mails) if c in ids])

    def test_items(self):
        """Every tagged cover, first patch and single patch, newest first, and three covers and
        one patch whose subjects carry no tag."""
        untagged = {"Reasonable maximum signaling timeout for dma_fences",
                    "Independence for dma_fences! v4", "Independence for dma_fences! v5",
                    "Independence for dma_fences! v6",
                    "types: reuse common phys_vec type instead of DMABUF open\u2011coded variant"}
        want = [m for m in reversed(self.mails)
                if (m.patch and m.number in (None, 0, 1)) or m.title in untagged]
        got = items(self.digest(self.path))
        self.assertEqual([g[2] for g in got], [m.subject for m in want])
        for (_, title, subject, author, body), m in zip(got, want):
            self.assertEqual((title, Oracle.person(author), body), (m.title, m.sender, m.message()),
                             subject)

    def test_all_patches(self):
        got = items(self.digest("--all-patches", self.path))
        want = [m.subject for m in reversed(self.mails) if m.patch]
        self.assertEqual(len(want), 114)
        self.assertEqual([g[2] for g in got if "PATCH" in g[2]], want)
        self.assertEqual(len(got), 119)

    def test_revoke_versions(self):
        """Three versions, three titles, one series."""
        states = {g[2].removeprefix("[Linaro-mm-sig] "): g[0] for g in items(self.digest(self.path))}
        revoke = "revoke mechanism to invalidate shared buffers"
        self.assertEqual(states[f"[PATCH 0/4] dma-buf: add {revoke}"], "New")
        self.assertEqual(states["[PATCH 1/4] dma-buf: Introduce revoke semantics"], "New")
        self.assertEqual(states[f"[PATCH v2 0/4] dma-buf: document {revoke}"], "Updated")
        self.assertEqual(states[f"[PATCH v3 0/7] dma-buf: Use {revoke}"], "Updated")
        rename = "dma-buf: Rename .move_notify() callback to a clearer identifier"
        self.assertEqual(states[f"[PATCH v2 1/4] {rename}"], "Updated")
        self.assertEqual(states[f"[PATCH v3 1/7] {rename}"], "Updated")

    def test_updated_looks_before_the_span(self):
        """A span of v3 alone still knows v2; an archive that ends before it does not."""
        first = next(i for i, m in enumerate(self.mails) if m.version == 3 and m.patch)
        got = items(self.digest(self.path, f"{self.commits[first - 1]}.."))
        self.assertEqual({g[0] for g in got}, {"Updated"})

    def test_json_series(self):
        d = json.loads(self.digest("--format", "json", self.path))
        self.assertEqual((d["list"], d["mails"], d["unreadable"], d["duplicates"]),
                         ("linaro-mm-sig", 364, [], 0))
        revoke = [s for s in d["series"] if "invalidate shared buffers" in s["title"]]
        self.assertEqual([(s["version"], s["total"], len(s["patches"]), s["state"],
                           [p["version"] for p in s["previous_versions"]]) for s in revoke],
                         [(3, 7, 8, "updated", [2, 1]), (2, 4, 5, "updated", [1]),
                          (1, 4, 5, "new", [])])
        fences = [s for s in d["series"] if "Independence" in s["title"]]
        self.assertEqual([(s["version"], s["total"], len(s["patches"])) for s in fences],
                         [(6, 9, 10), (5, 10, 11), (4, 19, 20)])
        # What the patches of a series touch is what git says their diffs touch.
        by_id = {m.mid: m for m in self.mails}
        for s in d["series"]:
            for p in s["patches"]:
                m = by_id[p["message_id"]]
                if p["number"] or not p["total"]:
                    want = re.findall(r"^diff --git a/(\S+) b/\S+$", m.body, re.M)
                    if want:
                        self.assertEqual(p["paths"], want, p["subject"])

    def test_reviews(self):
        """Tags in unquoted lines of replies, found here by searching every reply."""
        d = json.loads(self.digest("--format", "json", self.path))
        got = {(r["tag"], r["person"], r["message_id"]) for s in d["series"] for r in s["reviews"]}
        want = set()
        for m in self.mails:
            if m.reply:
                for tag, who in re.findall(r"^[ \t]*(Reviewed|Acked|Tested)-by: *(.*?) *$", m.body,
                                           re.M):
                    want.add((f"{tag}-by", self.plain(who), m.mid))
        self.assertTrue(got)
        # Replies to what the archive doesn't hold belong to no series here.
        self.assertLessEqual(got, want)
        known = {p["message_id"] for s in d["series"] for p in s["patches"]}
        missing = {w for w in want - got if self.answers(w[2]) & known}
        self.assertEqual(missing, set())

    @staticmethod
    def plain(who):
        return Oracle.person(who)[0] if "@" in who else who

    def answers(self, mid):
        i = next(i for i, m in enumerate(self.mails) if m.mid == mid)
        raw = self.git("cat-file", "blob", self.commits[i] + ":m")
        m = email.message_from_string(raw, policy=email.policy.default)
        return {r.strip("<>") for r in f"{m['in-reply-to']} {m['references']}".split()}

    def test_path_filter(self):
        got = items(self.digest("--all-patches", "--path", "drivers/vfio/*", self.path))
        want = {m.subject for m in self.mails if not m.reply and m.number != 0 and
                re.search(r"^diff --git a/drivers/vfio/", m.body, re.M)}
        self.assertTrue(want)
        self.assertEqual({g[2] for g in got if not re.search(r" 0+/\d+\]", g[2])}, want)

    def test_author_and_subject_filters(self):
        got = items(self.digest("--author", "bagas", self.path))
        self.assertEqual({g[3] for g in got}, {"Bagas Sanjaya <bagasdotme@gmail.com>"})
        self.assertEqual(len(got), 4)
        got = items(self.digest("--subject", "*mm-hotfixes*", "--author", "bagas", self.path))
        self.assertEqual(len(got), 2)
        out = self.digest("--author", "nobody@nowhere", self.path)
        self.assertEqual(items(out), [])


if __name__ == "__main__":
    common.main()
