#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""20,000 mails: everything generated comes back, from the index as without it."""
import collections
import json
import os
import sys

import common
from common import SEED, DigestTest, items, table

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
from digest_corpus import Corpus  # noqa: E402


class Scale(DigestTest):
    def test_20000_mails(self):
        self.assertTrue(os.path.isdir(SEED))
        corpus = Corpus(20000, seed=7)
        path = f"{self.dir}/big.git"
        corpus.write(path, self.env)
        out = self.digest("--top", 100000, path)
        want = collections.Counter(m.author for m in corpus.mails)
        self.assertEqual(dict((t, n) for n, t in table(out, "Top 100000 contributors")), dict(want))
        self.assertEqual(sum(want.values()), 20000)
        got = items(out)
        shown = [m for m in reversed(corpus.mails) if m.shown]
        self.assertEqual([(g[0], g[2]) for g in got],
                         [("Updated" if m.later else "New", m.subject) for m in shown])
        self.assertEqual(self.digest("--top", 100000, path), out)
        self.assertEqual(self.digest("--top", 100000, "--no-index", path), out)
        d = json.loads(self.digest("-f", "json", path))
        reviews = collections.Counter()
        for s in d["series"]:
            for r in s["reviews"]:
                reviews[r["tag"]] += 1
        self.assertEqual(reviews, corpus.reviews)
        self.assertEqual(sum(s["replies"] for s in d["series"]), corpus.replies)


if __name__ == "__main__":
    common.main()
