#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What mails may look like: every encoding, every shape, and everything that is wrong with them."""
import base64
import quopri

import common
from common import DigestTest, diff, items, mail, patch, table

TEXT = "Grüße, naïve “quotes”.\n\n\tTabbed — and dashed.\n---\n"
HEAD = ["MIME-Version: 1.0"]


def one(test, *mails, args=()):
    """The only entry of an archive of these mails."""
    a = test.archive()
    a.add(*mails)
    found = items(test.digest(*args, a.path))
    test.assertEqual(len(found), 1, found)
    return found[0]


class Encodings(DigestTest):
    def check_body(self, charset, cte, text=TEXT, crlf=False):
        body = text + diff()
        want = text + diff().split("\n\n")[0] + "\n"
        raw = body.replace("\n", "\r\n" if crlf else "\n").encode(charset)
        if cte == "base64":
            raw = base64.encodebytes(raw)
        elif cte == "quoted-printable":
            raw = quopri.encodestring(raw)
        with self.subTest(charset=charset, cte=cte, crlf=crlf):
            a = self.archive(f"{charset}-{cte}-{crlf}.git")
            a.add(mail("[PATCH] x", mid="a@b", charset=charset, cte=cte, raw_body=raw))
            self.assertEqual(items(self.digest(a.path))[0][4], want)

    def test_transfer_encodings(self):
        for cte in ("8bit", "base64", "quoted-printable", "binary"):
            for crlf in (False, True):
                self.check_body("utf-8", cte, crlf=crlf)

    def test_charsets(self):
        texts = {"iso-8859-1": "Grüße, naïve.\n---\n", "iso-8859-15": "5 € für Grüße\n---\n",
                 "windows-1252": "“quotes” – dash\n---\n", "koi8-r": "Привет, мир\n---\n",
                 "windows-1251": "Привет, мир\n---\n", "iso-2022-jp": "こんにちは\n---\n",
                 "shift_jis": "こんにちは\n---\n", "euc-jp": "こんにちは\n---\n",
                 "gb2312": "你好\n---\n", "gb18030": "你好\n---\n", "big5": "你好\n---\n",
                 "euc-kr": "안녕\n---\n", "us-ascii": "plain\n---\n"}
        for charset, text in texts.items():
            for cte in ("8bit", "base64", "quoted-printable"):
                self.check_body(charset, cte, text)

    def test_utf16_and_utf7(self):
        self.check_body("utf-16", "base64")
        self.check_body("utf-7", "8bit", "Grüße\n---\n")

    def test_unknown_charset_falls_back(self):
        raw = ("Grüße\n---\n" + diff()).encode()
        got = one(self, mail("[PATCH] x", mid="a@b", charset="no-such-charset", raw_body=raw))
        self.assertTrue(got[4].startswith("Grüße\n"))

    def test_latin1_without_any_charset(self):
        raw = ("Grüße\n---\n" + diff()).encode("latin-1")
        got = one(self, mail("[PATCH] x", mid="a@b", charset=None, raw_body=raw))
        self.assertTrue(got[4].startswith("Grüße\n"))

    def test_undecodable_bytes_leave_a_mark(self):
        raw = b"bad \xff\xfe\x80 bytes\n---\n" + diff().encode()
        got = one(self, mail("[PATCH] x", mid="a@b", raw_body=raw))
        self.assertTrue(got[4].startswith("bad \ufffd\ufffd\ufffd bytes\n"), got[4])

    def test_charset_name_with_a_path_or_suffix(self):
        for i, name in enumerate(("../../etc/passwd", '"UTF-8//TRANSLIT"', "x" * 300)):
            a = self.archive(f"n{i}.git")
            a.add(mail("[PATCH] x", mid="a@b", charset=name, body="ok\n---\n" + diff()))
            self.assertTrue(items(self.digest(a.path))[0][4].startswith("ok\n"))

    def test_control_characters_do_not_reach_the_terminal(self):
        raw = b"esc \x1b[31m bel \x07 nul \x00 c1 \xc2\x9b del \x7f\n---\n" + diff().encode()
        a = self.archive()
        a.add(mail("[PATCH] t \x1b]0;x\x07", mid="a@b", sender="E \x1b[2J <e@x.org>",
                   raw_body=raw))
        out = self.digest(a.path)
        self.assertFalse([c for c in out if ord(c) < 32 and c not in "\n\t" or
                          0x7f <= ord(c) < 0xa0])
        self.assertIn("esc \ufffd[31m bel \ufffd nul \ufffd c1 \ufffd del \ufffd\n", out)

    def test_encoded_words(self):
        cases = {
            "=?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=": "Grüße an alle",
            "=?UTF-8?B?R3LDvMOfZQ==?=": "Grüße",
            "=?iso-8859-1?Q?Gr=FC=DFe?= x": "Grüße x",
            "=?utf-8?q?one?=\n =?utf-8?q?_two?=": "one two",
            # A character split between words.
            "=?utf-8?q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?=": "Grüße",
            "=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=": "Grüße",
            "=?unknown-8bit?q?open=E2=80=91coded?=": "open\u2011coded",
            "=?utf-8?x?broken?=": "=?utf-8?x?broken?=",
            "=?utf-8?q?never ended": "=?utf-8?q?never ended",
            "a =?utf-8?b?////?= z": "a \ufffd\ufffd\ufffd z",
            "folded\n over\n\tlines": "folded over lines",
        }
        for i, (raw, want) in enumerate(cases.items()):
            with self.subTest(raw=raw):
                a = self.archive(f"n{i}.git")
                a.add(patch(f"[PATCH] {raw}", "a@b"))
                got = items(self.digest(a.path))[0]
                self.assertEqual(got[1:3], (want, f"[PATCH] {want}"))

    def test_raw_8bit_headers(self):
        got = one(self, patch("[PATCH] Grüße", "a@b", sender="Jörg <j@x.org>"))
        self.assertEqual(got[1:4], ("Grüße", "[PATCH] Grüße", "Jörg <j@x.org>"))
        a = self.archive("latin.git")
        a.add(patch("[PATCH] Gr\udcfc\udcdfe", "a@b"))
        self.assertEqual(items(self.digest(a.path))[0][1], "Grüße")


class Senders(DigestTest):
    def contributors(self, *senders):
        a = self.archive()
        a.add(*[mail("s", sender=s, mid=f"{i}@x") for i, s in enumerate(senders)])
        out = self.digest(a.path)
        return (table(out, "Top 15 contributors"), table(out, "Top 15 contributor Email domains"))

    def test_forms_of_one_address(self):
        people, domains = self.contributors(
            "A B <a@x.org>", '"A B" <a@x.org>', "=?utf-8?q?A_B?= <a@x.org>", "a@x.org (A B)",
            "A  B\n <a@x.org>")
        self.assertEqual(people, [(5, "A B <a@x.org>")])
        self.assertEqual(domains, [(5, "x.org")])

    def test_odd_ones(self):
        people, _ = self.contributors(
            "plain@x.org", "<angle@x.org>", '"Last, First" <lf@x.org>', "No Address",
            '"never ended <q@x.org>', "Enc =?utf-8?q?=3Cevil=40x=3E?= <real@x.org>", "")
        self.assertEqual({p for _, p in people},
                         {"plain@x.org", "angle@x.org", "Last, First <lf@x.org>", "No Address",
                          '"never ended <q@x.org>', "Enc <evil@x> <real@x.org>", "(no author)"})

    def test_order_of_ties(self):
        people, domains = self.contributors("B <b@b.org>", "A <a@a.org>", "C <c@c.org>",
                                            "A <a@a.org>")
        self.assertEqual(people, [(2, "A <a@a.org>"), (1, "C <c@c.org>"), (1, "B <b@b.org>")])
        self.assertEqual(domains, [(2, "a.org"), (1, "c.org"), (1, "b.org")])

    def test_domains_ignore_case(self):
        self.assertEqual(self.contributors("a@X.org", "b@x.ORG")[1], [(2, "x.org")])

    def test_opening_from_line_counts(self):
        body = "From: Other Person <o@other.org>\n\nWhy.\n---\n" + diff()
        a = self.archive()
        a.add(mail("[PATCH] x", mid="a@b", body=body))
        out = self.digest(a.path)
        self.assertEqual(table(out, "Top 15 contributors"), [(1, "Other Person <o@other.org>")])
        got = items(out)[0]
        self.assertEqual(got[3], "A U Thor <author@example.org>")
        self.assertTrue(got[4].startswith("\nWhy.\n---\n"), got[4])

    def test_opening_from_line_encoded_and_folded(self):
        body = "\nFrom: =?utf-8?q?J=C3=B6rg?=\n <j@other.org>\n\nWhy.\n---\n" + diff()
        a = self.archive()
        a.add(mail("[PATCH] x", mid="a@b", body=body))
        out = self.digest(a.path)
        self.assertEqual(table(out, "Top 15 contributors"), [(1, "Jörg <j@other.org>")])
        self.assertTrue(items(out)[0][4].startswith("\n\nWhy.\n"))

    def test_from_lines_that_open_nothing(self):
        bodies = ("Text first.\nFrom: No <no@no.org>\n", "> From: No <no@no.org>\n",
                  "From: here on, no address\n", "From: No <no@no.org>\nSent: Monday\nTo: x\n",
                  "Hello\n\nFrom here it goes on.\nFrom no@no.org Mon Sep 17 00:00:00 2001\nX: y\n")
        a = self.archive()
        a.add(*[mail("s", mid=f"{i}@x", body=b) for i, b in enumerate(bodies)])
        self.assertEqual(table(self.digest(a.path), "Top 15 contributors"),
                         [(5, "A U Thor <author@example.org>")])

    def test_from_line_in_the_middle_cuts_nothing(self):
        body = "One.\nFrom me it comes.\n\nFrom x@y Mon Sep 17 00:00:00 2001\nTwo.\n---\n" + diff()
        got = one(self, mail("[PATCH] x", mid="a@b", body=body))
        self.assertTrue(got[4].startswith(body.split("---\n")[0]), got[4])

    def test_mbox_separator_in_front(self):
        got = one(self, b"From mboxrd@z Thu Jan  1 00:00:00 1970\n" + patch("[PATCH] x", "a@b"))
        self.assertEqual(got[2], "[PATCH] x")


class Shapes(DigestTest):
    def multipart(self, kind, *parts, subject="[PATCH] x", boundary="=_b",
                  mid="a@b"):
        body = "".join(f"--{boundary}\n{p}\n" for p in parts) + f"--{boundary}--\n"
        return mail(subject, mid=mid, charset=None, body=body,
                    headers=HEAD + [f'Content-Type: multipart/{kind}; boundary="{boundary}"'])

    PLAIN = "Content-Type: text/plain; charset=utf-8\n\n"
    HTML = "Content-Type: text/html\n\n"

    def test_alternative_takes_the_plain_one(self):
        got = one(self, self.multipart("alternative", self.HTML + "<p>no</p>",
                                       self.PLAIN + "yes\n---\n" + diff()))
        self.assertTrue(got[4].startswith("yes\n"))

    def test_signed(self):
        got = one(self, self.multipart("signed", self.PLAIN + "yes\n---\n" + diff(),
                                       "Content-Type: application/pgp-signature\n\nxx\n"))
        self.assertTrue(got[4].endswith("1 file changed, 1 insertion(+), 1 deletion(-)\n"))

    def test_nested(self):
        inner = ('Content-Type: multipart/alternative; boundary="=_i"\n\n--=_i\n' + self.PLAIN +
                 "yes\n---\n" + diff() + "\n--=_i--\n")
        self.assertTrue(one(self, self.multipart("mixed", inner))[4].startswith("yes\n"))

    def test_patch_as_an_attachment(self):
        for i, kind in enumerate(("Content-Type: text/x-patch; name=a.patch",
                                  "Content-Type: application/octet-stream; name=0001-x.patch")):
            a = self.archive(f"n{i}.git")
            a.add(self.multipart("mixed", self.PLAIN + "See the attachment.",
                                 kind + "\nContent-Transfer-Encoding: base64\n"
                                 "Content-Disposition: attachment\n\n" +
                                 base64.encodebytes(("Log.\n---\n" + diff("x/y.c")).encode())
                                 .decode(), subject="a patch"))
            got = items(self.digest(a.path))
            self.assertEqual(len(got), 1)
            self.assertEqual(got[0][4].split("\n")[:3], ["See the attachment.", "Log.", "---"])
            self.assertEqual(len(items(self.digest("--path", "x/*", a.path))), 1)
            self.assertEqual(len(items(self.digest("--path", "y/*", a.path))), 0)

    def test_html_only(self):
        got = one(self, mail("[PATCH] x", mid="a@b", charset=None, headers=HEAD + [
            "Content-Type: text/html"], body="<p>a &lt;b&gt;<br>c</p><script>no()</script>"))
        self.assertEqual(got[4], "a <b>\nc\n")

    def test_broken_multiparts(self):
        a = self.archive()
        a.add(self.multipart("mixed"), self.multipart("mixed", boundary="", mid="b@b"),
              mail("[PATCH] y", mid="c@d", charset=None, body="--x\n\nhi\n",
                   headers=HEAD + ["Content-Type: multipart/mixed"]))
        out = self.digest(a.path)
        self.assertEqual(sum(n for n, _ in table(out, "Top 15 contributors")), 3)

    def test_deep_nesting(self):
        head, n = "", 3000
        for i in range(n):
            head += f'Content-Type: multipart/mixed; boundary="b{i}"\n\n--b{i}\n'
        a = self.archive()
        a.add(b"From: a@x.org\nSubject: [PATCH] deep\nMessage-Id: <d@x>\n" + head.encode())
        self.assertEqual(len(items(self.digest(a.path))), 1)

    def test_no_stat_stops_at_the_diff(self):
        body = "Why.\n\nSigned-off-by: A <a@x.org>\n---\ndiff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
        got = one(self, mail("[PATCH] x", mid="a@b", body=body))
        self.assertEqual(got[4], "Why.\n\nSigned-off-by: A <a@x.org>\n---\n")

    def test_stat_lines(self):
        for i, line in enumerate((" 2 files changed, 3 insertions(+)", " 1 file changed, 1 deletion(-)",
                                  " 10 files changed", " 0 files changed, 0 insertions(+)")):
            a = self.archive(f"n{i}.git")
            a.add(mail("[PATCH] x", mid="a@b", body=f"I say 3 files changed, twice.\n\n{line}\n\nrest\n"))
            self.assertEqual(items(self.digest(a.path))[0][4],
                             f"I say 3 files changed, twice.\n\n{line}\n")

    def test_empty_bodies(self):
        a = self.archive()
        a.add(mail("[PATCH] x", mid="a@b", body=""), mail("[PATCH]", mid="c@d", body="\n\n\n"))
        self.assertEqual([(i[1], i[4]) for i in items(self.digest(a.path))],
                         [("[PATCH]", ""), ("x", "")])

    def test_endless_body_is_cut_with_a_line(self):
        a = self.archive()
        a.add(mail("[PATCH] x", mid="a@b", body="0123456789\n" * 300000))
        got = items(self.digest(a.path))[0][4]
        self.assertLess(len(got), 1 << 21)
        self.assertRegex(got.rsplit("\n", 2)[1], r"^\[\d+ more bytes are not shown\]$")


class Broken(DigestTest):
    def test_unreadable_ones_are_counted(self):
        a = self.archive()
        ids = a.add(b"", b"just a text\nwithout headers\n", b"\n\nbody only\n", b"\x00\xff\x00" * 100,
                    patch("[PATCH] fine", "a@b"), b"X-Other: header\n\nbody\n")
        r = self.run_digest(a.path)
        self.assertEqual(r.returncode, 0)
        self.assertEqual(len(items(r.stdout.decode())), 1)
        bad = [c[:9] for i, c in enumerate(ids) if i != 4]
        self.assertEqual(r.stderr.decode(), "softvirt-digest: 5 mails unreadable (in commits " +
                         " ".join(bad) + ")\n")

    def test_unreadable_ones_outside_the_span_are_not(self):
        a = self.archive()
        ids = a.add(b"", patch("[PATCH] fine", "a@b"), b"")
        self.digest(a.path, f"{ids[0]}..{ids[1]}")

    def test_a_commit_without_a_mail(self):
        a = self.archive()
        a.run([("m", mail("a", mid="a@x")), (None, None), ("m", mail("b", mid="b@x"))])
        self.assertEqual(table(self.digest(a.path), "Top 15 contributors")[0][0], 2)

    def test_mails_that_lack_headers_still_count(self):
        a = self.archive()
        a.add(mail(subject=None, mid="a@x", date=None), mail(sender=None, mid="b@x"),
              mail(subject=None, sender=None, mid="c@x", date=None), mail(mid=None, date=None),
              mail(mid=None, date=None))
        rows = dict((t, n) for n, t in table(self.digest(a.path), "Top 15 contributors"))
        self.assertEqual(rows, {"A U Thor <author@example.org>": 3, "(no author)": 2})

    def test_50_megabytes(self):
        lines = b"0123456789 abcdefghij 0123456789 abcdefghij 0123456789\n"
        big = lines * (50 * 1024 * 1024 // len(lines) + 1)
        a = self.archive()
        a.add(mail("[PATCH] big", mid="a@b", raw_body=b"Why.\n---\n" + diff().encode() + big),
              mail("Re: big", mid="c@d", irt="a@b",
                   raw_body=b"> " + big.replace(b"\n", b"\n> ") + b"\nReviewed-by: R <r@x.org>\n"),
              mail("[PATCH] line", mid="e@f", raw_body=b"x" * len(big)))
        got = items(self.digest("--review", a.path))
        self.assertEqual(len(got), 2)
        self.assertIn("Reviewed-by: R <r@x.org>", got[1][4])

    def test_huge_headers(self):
        a = self.archive()
        a.add(mail("[PATCH] " + "s" * 1000000, mid="a@b", sender="N" * 500000 + " <n@x.org>",
                   refs=[f"{i}@x" for i in range(20000)]),
              mail("many", mid="c@d", headers=[f"X-H{i}: {i}" for i in range(100000)]))
        out = self.digest(a.path)
        self.assertEqual(len(items(out)), 1)
        self.assertEqual(sum(n for n, _ in table(out, "Top 15 contributors")), 2)

    def test_odd_message_ids(self):
        a = self.archive()
        a.add(*[mail(f"[PATCH] {i}", headers=[f"Message-Id: {v}"]) for i, v in enumerate(
            ("<>", "<a b@c>", "no-brackets@x", "<" + "x" * 5000 + "@y>", "<\u00fc@x>", "<a@x"))])
        self.assertEqual(len(items(self.digest(a.path))), 6)

    def test_mail_that_refers_to_itself_and_in_a_ring(self):
        a = self.archive()
        a.add(patch("[PATCH 1/2] a", "a@x", irt="a@x"), patch("[PATCH 2/2] b", "b@x", irt="c@x"),
              mail("Re: c", mid="c@x", irt="b@x"), mail("Re: d", mid="d@x", irt="e@x"),
              mail("Re: e", mid="e@x", irt="d@x"))
        for form in ("text", "json", "html", "markdown"):
            self.assertTrue(self.digest("-f", form, a.path))


if __name__ == "__main__":
    common.main()
