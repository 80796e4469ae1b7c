#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Series, versions, reviews, filters."""
import json

import common
from common import EPOCH, DigestTest, diff, items, mail, patch

DAY = 86400


def series(tag, titles, ident, cover=None, sender="A U Thor <author@example.org>", thread=True,
           body="Why.\n", prefix="", **kw):
    """A series as git send-email sends it: cover first, all in reply to it."""
    n, out = len(titles), []
    if cover:
        out.append(mail(f"{prefix}[{tag} 0/{n}] {cover}", mid=f"{ident}-0@x", sender=sender,
                        body=body + diff().split("\n\n")[0] + "\n", **kw))
    for i, t in enumerate(titles, 1):
        irt = f"{ident}-0@x" if cover else f"{ident}-1@x" if i > 1 else None
        out.append(patch(f"{prefix}[{tag} {i}/{n}] {t}", f"{ident}-{i}@x", sender=sender,
                         irt=irt if thread else None, path=f"dir{i}/f.c", **kw))
    return out


class Series(DigestTest):
    def json(self, *args):
        return json.loads(self.digest("-f", "json", *args))

    def states(self, *args):
        """[(state, subject)], oldest first."""
        return [(i[0], i[2]) for i in items(self.digest(*args))][::-1]

    def check(self, mails, want, *args):
        a = self.archive()
        a.add(*mails)
        self.assertEqual(self.states(*args, a.path), want)
        return a

    def test_what_is_shown(self):
        self.check(series("PATCH", ["a", "b", "c"], "s", "cover") + [patch("[PATCH] one", "1@x")],
                   [("New", "[PATCH 0/3] cover"), ("New", "[PATCH 1/3] a"), ("New", "[PATCH] one")])

    def test_what_is_no_patch(self):
        self.check([mail("Re: [PATCH] x", mid="1@x"), mail("[ANNOUNCE] y", mid="2@x"),
                    mail("[GIT PULL] z", mid="3@x", body=diff()), mail("PATCH", mid="4@x"),
                    mail("[list] Re: [PATCH 1/2] w", mid="5@x"), mail("Fwd: [PATCH] v", mid="6@x"),
                    mail("AW: [PATCH] u", mid="7@x"), mail("[PULL 0/3] q", mid="8@x"),
                    mail("[dispatch] not", mid="9@x")], [])

    def test_tags(self):
        subjects = ("[PATCH v2] a", "[patch] b", "[PATCHv3] c", "[RFC PATCH] d", "[PATCH RFC v2] e",
                    "[list] [PATCH] f", "[PATCH][next] g", "[PATCH kvm-unit-tests 1/1] h",
                    "[kvm-unit-tests PATCH v2 1/1] i", "[RFC/PATCH] j", "[PATCH 6.1.y] k",
                    "[PATCH,RESEND] l", "[RFC v2 1/1] m")
        self.check([patch(s, f"{i}@x") for i, s in enumerate(subjects)],
                   [("New", s) for s in subjects])
        a = self.archive("t.git")
        a.add(*[patch(s, f"{i}@x") for i, s in enumerate(subjects)])
        self.assertEqual([i[1] for i in items(self.digest(a.path))], list("mlkjihgfedcba"))

    def test_a_diff_without_a_tag_is_a_patch(self):
        self.check([patch("x86: fix it", "1@x"), mail("question", mid="2@x")],
                   [("New", "x86: fix it")])

    def test_versions_by_subject_and_author(self):
        self.check([patch("[PATCH] it", "1@x"), patch("[PATCH v2] it", "2@x"),
                    patch("[PATCH v3] It", "3@x"),
                    patch("[PATCH v2] it", "4@x", sender="Somebody Else <e@else.org>")],
                   [("New", "[PATCH] it"), ("Updated", "[PATCH v2] it"),
                    ("Updated", "[PATCH v3] It"), ("New", "[PATCH v2] it")])

    def test_same_person_other_address(self):
        self.check([patch("[PATCH] it", "1@x"),
                    patch("[PATCH v2] it", "2@x", sender="A U Thor <work@corp.com>"),
                    patch("[PATCH v3] it", "3@x", sender="Thor <WORK@corp.com>")],
                   [("New", "[PATCH] it"), ("Updated", "[PATCH v2] it"),
                    ("Updated", "[PATCH v3] it")])

    def test_versions_in_the_title(self):
        self.check([patch("[PATCH] it", "1@x"), patch("[PATCH] it v2", "2@x"),
                    patch("[PATCH] it (v3)", "3@x")],
                   [("New", "[PATCH] it"), ("Updated", "[PATCH] it v2"),
                    ("Updated", "[PATCH] it (v3)")])

    def test_rfc_then_patch_then_resend(self):
        self.check([patch("[RFC PATCH v3] it", "1@x"), patch("[PATCH] it", "2@x"),
                    patch("[PATCH RESEND] it", "3@x")],
                   [("New", "[RFC PATCH v3] it"), ("Updated", "[PATCH] it"),
                    ("Updated", "[PATCH RESEND] it")])

    def test_a_later_arrival_is_no_earlier_version(self):
        self.check([patch("[PATCH v2] it", "2@x"), patch("[PATCH] it", "1@x")],
                   [("New", "[PATCH v2] it"), ("New", "[PATCH] it")])

    def test_a_renamed_cover_with_a_patch_in_common(self):
        self.check(series("PATCH", ["a", "b"], "s", "first name") +
                   series("PATCH v2", ["new", "b"], "t", "another name") +
                   series("PATCH v2", ["c", "d"], "u", "unrelated"),
                   [("New", "[PATCH 0/2] first name"), ("New", "[PATCH 1/2] a"),
                    ("Updated", "[PATCH v2 0/2] another name"), ("Updated", "[PATCH v2 1/2] new"),
                    ("New", "[PATCH v2 0/2] unrelated"), ("New", "[PATCH v2 1/2] c")])

    def test_a_changelog_that_links(self):
        first = series("PATCH", ["a"], "s", "first")
        for body, state in (("v1: https://host/list/s-0@x/\n", "Updated"),
                            ("- Link to v1: https://host/r/s-0@x\n", "Updated"),
                            ("[v1] <https://host/list/s-0%40x/T/#t>\n", "Updated"),
                            ("Based on https://host/list/s-0@x/\n", "New")):
            with self.subTest(body=body):
                a = self.archive(f"c{abs(hash(body))}.git")
                a.add(*first, *series("PATCH v2", ["z"], "t", "second", body=body))
                self.assertEqual(self.states(a.path)[2:], [(state, "[PATCH v2 0/1] second"),
                                                           (state, "[PATCH v2 1/1] z")])

    def test_a_change_id(self):
        body = "Why.\n\nchange-id: 20260101-thing-0123456789ab\n"
        a = self.archive()
        a.add(*series("PATCH", ["a"], "s", "first", body=body),
              *series("PATCH v2", ["z"], "t", "second", body=body))
        self.assertEqual([s for s, _ in self.states(a.path)], ["New", "New", "Updated", "Updated"])

    def test_before_the_span_is_enough(self):
        a = self.archive()
        first = a.add(patch("[PATCH] it", "1@x"))[-1]
        a.add(patch("[PATCH v2] it", "2@x"))
        self.assertEqual(self.states(a.path, f"{first}.."), [("Updated", "[PATCH v2] it")])

    def test_what_comes_after_the_span_changes_nothing(self):
        a = self.archive()
        ids = a.add(patch("[PATCH] it", "1@x"),
                    mail("Re: [PATCH] it", mid="r@x", irt="1@x", body="hm\n"))
        before = self.digest("-f", "json", a.path, f"..{ids[0]}")
        a.add(mail("Re: [PATCH] it", mid="s@x", irt="1@x", body="Acked-by: K <k@x.org>\n"))
        self.assertEqual(self.digest("-f", "json", a.path, f"..{ids[0]}"), before)

    def test_grouping(self):
        """Threaded, deep, unthreaded, out of order, without a cover: one series each."""
        deep = series("PATCH", ["a", "b", "c"], "deep", "deep cover")
        deep[2] = patch("[PATCH 2/3] b", "deep-2@x", irt="deep-1@x")
        deep[3] = patch("[PATCH 3/3] c", "deep-3@x", irt="deep-2@x")
        sets = [deep, series("PATCH", ["d", "e"], "nocover"),
                series("PATCH v2", ["f", "g", "h"], "loose", thread=False),
                series("PATCH", ["i", "j"], "rev", "reversed")[::-1],
                series("PATCH", ["k", "l", "m", "n"], "lost", "lost cover")[1:]]
        a = self.archive()
        a.add(*[m for s in sets for m in s])
        got = sorted((s["title"], s["total"], len(s["patches"])) for s in self.json(a.path)["series"])
        self.assertEqual(got, sorted([("deep cover", 3, 4), ("d", 2, 2), ("f", 3, 3),
                                      ("reversed", 2, 3), ("k", 4, 4)]))

    def test_two_unthreaded_series_alike(self):
        a = self.archive()
        a.add(*series("PATCH", ["a", "b"], "s", thread=False),
              *series("PATCH", ["c", "d"], "t", thread=False))
        self.assertEqual(sorted(s["title"] for s in self.json(a.path)["series"]), ["a", "c"])

    def test_a_version_sent_in_reply_to_the_one_before(self):
        a = self.archive()
        v2 = series("PATCH v2", ["a", "b"], "v2", "cover")
        v2[0] = mail("[PATCH v2 0/2] cover", mid="v2-0@x", irt="v1-0@x", body="x\n")
        a.add(*series("PATCH", ["a", "b"], "v1", "cover"), *v2)
        got = [(s["version"], len(s["patches"]), [p["version"] for p in s["previous_versions"]])
               for s in self.json(a.path)["series"]]
        self.assertEqual(got, [(2, 3, [1]), (1, 3, [])])

    def test_an_untagged_cover(self):
        a = self.archive()
        a.add(mail("Make it fast v2", mid="c@x", body="All of it.\n"),
              patch("[PATCH 1/2] a", "1@x", irt="c@x"), patch("[PATCH 2/2] b", "2@x", irt="c@x"),
              mail("question", mid="q@x", sender="Q <q@x.org>"),
              patch("[PATCH 1/2] answer", "3@x", irt="q@x"))
        self.assertEqual([s for _, s in self.states(a.path)],
                         ["Make it fast v2", "[PATCH 1/2] a", "[PATCH 1/2] answer"])
        self.assertEqual([s["version"] for s in self.json(a.path)["series"]], [1, 2])

    def test_all_patches_by_themselves(self):
        a = self.archive()
        a.add(*series("PATCH", ["a", "b"], "s", "name"), *series("PATCH v2", ["a", "b", "c"], "t", "name"))
        got = dict((s, st) for st, s in self.states("--all-patches", a.path))
        self.assertEqual(len(got), 7)
        self.assertEqual((got["[PATCH v2 2/3] b"], got["[PATCH v2 3/3] c"]), ("Updated", "New"))
        text = self.digest("--all-patches", a.path)
        listed = text.split("in this time period =====\n\n")[1].split("\n\n")[0].split("\n")
        self.assertEqual(listed, [i[2] for i in items(text)])

    def test_reviews(self):
        a = self.archive()

        def reply(n, to, who, *lines):
            return mail("Re: x", mid=f"r{n}@x", irt=to, sender=who, body="\n".join(lines) + "\n")

        a.add(*series("PATCH", ["a", "b"], "s", "cover"),
              reply(1, "s-0@x", "Rev <rev@x.org>", "Nice.", "", "Reviewed-by: Rev <rev@x.org>"),
              reply(2, "s-2@x", "Ack <ack@x.org>", "> Reviewed-by: Quoted <q@x.org>",
                    "Acked-by: Ack <ack@x.org>", "Acked-by: Ack <ack@x.org>"),
              reply(3, "r2@x", "Tess <t@x.org>", "  tested-by: Tess <t@x.org> # on a board"),
              reply(4, "s-1@x", "Both <b@x.org>", "Reviewed-and-tested-by: Both <b@x.org>"),
              reply(5, "s-1@x", "Fwd <f@x.org>", "Acked-by: Absent <absent@x.org>"),
              reply(6, "s-1@x", "No <n@x.org>", "Signed-off-by: No <n@x.org>", "Cc: x <x@x.org>"),
              patch("[PATCH] own", "own@x", body="Reviewed-by: Old <o@x.org>\n"))
        got = [[(r["tag"], r["person"], r["patch"], r["by_sender"]) for r in s["reviews"]]
               for s in self.json(a.path)["series"]]
        self.assertEqual(got, [[], [
            ("Reviewed-by", "Rev <rev@x.org>", 0, True), ("Acked-by", "Ack <ack@x.org>", 2, True),
            ("Tested-by", "Tess <t@x.org>", 2, True), ("Reviewed-by", "Both <b@x.org>", 1, True),
            ("Tested-by", "Both <b@x.org>", 1, True), ("Acked-by", "Absent <absent@x.org>", 1, False)]])
        text = self.digest("--review", a.path)
        self.assertIn("\nAcked-by: Absent <absent@x.org> (patch 1) (sent by Fwd <f@x.org>)\n", text)
        self.assertNotIn("Reviewed-by: Rev", self.digest(a.path))

    def test_path_filter(self):
        a = self.archive()
        a.add(*series("PATCH", ["a", "b", "c"], "s", "cover"),
              mail("Re: b", mid="r@x", irt="s-2@x", sender="R <r@r.org>"),
              mail("Re: a", mid="q@x", irt="s-1@x", sender="Q <q@q.org>"),
              patch("[PATCH] other", "o@x", path="arch/riscv/kvm/vcpu.c"))
        self.assertEqual(self.states("--path", "arch/riscv/kvm/*", a.path), [("New", "[PATCH] other")])
        self.assertEqual(self.states("--path", "arch/riscv/", a.path), [("New", "[PATCH] other")])
        self.assertEqual(self.states("--path", "arch/risc", a.path), [])
        # The cover speaks for patch 2; where it's gone, patch 2 speaks for itself.
        self.assertEqual(self.states("--path", "dir2/*", a.path), [("New", "[PATCH 0/3] cover")])
        self.assertEqual(self.states("--path", "dir1/*", "--path", "dir2/*", a.path),
                         [("New", "[PATCH 0/3] cover"), ("New", "[PATCH 1/3] a")])
        d = self.json("--path", "dir2/*", a.path)
        self.assertEqual({c["address"]: c["count"] for c in d["contributors"]},
                         {"author@example.org": 2, "r@r.org": 1})
        b = self.archive("b.git")
        b.add(*series("PATCH", ["a", "b", "c"], "s"))
        self.assertEqual(self.states("--path", "dir2/*", b.path), [("New", "[PATCH 2/3] b")])

    def test_paths_of_every_kind_of_diff(self):
        head = "x\n---\n"
        cases = {
            "diff --git a/p/new.c b/p/new.c\n--- /dev/null\n+++ b/p/new.c\n@@ -0,0 +1 @@\n+x\n": ["p/new.c"],
            "diff --git a/p/gone.c b/p/gone.c\n--- a/p/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n": ["p/gone.c"],
            "diff --git a/p/a.c b/q/b.c\nsimilarity index 100%\nrename from p/a.c\nrename to q/b.c\n": ["p/a.c", "q/b.c"],
            "diff --git a/p/x.bin b/p/x.bin\nindex 1..2\nBinary files a/p/x.bin and b/p/x.bin differ\n": ["p/x.bin"],
            "--- linux.orig/p/s.c\t2026-01-01\n+++ linux/p/s.c\t2026-01-02\n@@ -1 +1 @@\n-a\n+b\n": ["p/s.c"],
            "diff --git a/p/with b c.c b/p/with b c.c\nold mode 100644\nnew mode 100755\n": ["p/with b c.c"],
        }
        a = self.archive()
        a.add(*[mail(f"[PATCH] {i}", mid=f"{i}@x", body=head + d) for i, d in enumerate(cases)])
        got = [s["patches"][0]["paths"] for s in self.json(a.path)["series"]]
        self.assertEqual(got[::-1], list(cases.values()))

    def test_author_and_subject_filters(self):
        a = self.archive()
        a.add(patch("[PATCH] KVM: one", "1@x", sender="Ann <ann@x.org>"),
              patch("[PATCH] vfio: two", "2@x", sender="Bob <bob@y.org>"),
              mail("[PATCH] KVM: three", mid="3@x", sender="Bob <bob@y.org>",
                   body="From: Ann <ann@x.org>\n\nWhy.\n---\n" + diff()))
        for args, want in ((("--author", "ann"), ["KVM: one", "KVM: three"]),
                           (("--author", "BOB"), ["vfio: two", "KVM: three"]),
                           (("--author", "*@y.org>"), ["vfio: two", "KVM: three"]),
                           (("--author", "ann", "--author", "bob"), ["KVM: one", "vfio: two", "KVM: three"]),
                           (("--subject", "kvm:"), ["KVM: one", "KVM: three"]),
                           (("--subject", "KVM: t*"), ["KVM: three"]),
                           (("--subject", "kvm", "--author", "bob"), ["KVM: three"]),
                           (("--subject", "?two"), [])):
            self.assertEqual([s.removeprefix("[PATCH] ") for _, s in self.states(*args, a.path)],
                             want, args)


if __name__ == "__main__":
    common.main()
