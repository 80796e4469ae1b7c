#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Markdown, HTML and JSON, of mails that would rather be something else."""
import base64
import hashlib
import html.parser
import json
import re

import common
from common import DigestTest, diff, mail

EVIL = ("<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</pre><script>alert(2)</script>",
        "</title></style><svg onload=alert(3)>", "javascript:alert(4)", "&lt;b&gt; & &amp;",
        "'; alert(5) //", "<!-- -->", "]]>", "\u202eover\u202d", "`code` *bold* [a](javascript:b)",
        "| a | b |", "# heading", "{{template}}", "\\", "</details></summary>")
URL = "https://lists.example.org/list/"


class Page(html.parser.HTMLParser):
    """What a browser would see: elements, attributes, text."""
    VOID = {"meta", "input", "br", "img", "rect", "link", "hr"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.text, self.stack = [], [], "", []
        self.raw = {"script": "", "style": ""}
        self.errors = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            self.links.append(dict(attrs).get("href"))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.errors.append(tag)

    def handle_data(self, data):
        if self.stack and self.stack[-1] in self.raw:
            self.raw[self.stack[-1]] += data
        else:
            self.text += data


def hostile():
    out = []
    for i, e in enumerate(EVIL):
        head = e.replace("\n", " ")
        out.append(mail(f"[PATCH {i}/{len(EVIL)}] {head}", mid=f"{i}\"'&%3c@x", irt="c@x",
                        sender=f'{head} <evil@x.org>', body=f"{e}\n```\n{e}\n````\n---\n" + diff(f"p/{i}'\"&.c")))
        out.append(mail(f"Re: {head}", mid=f"r{i}@x", irt=f"{i}\"'&%3c@x", sender=f'{head} <r@{i}.org>',
                        body=f"Reviewed-by: {head} <r@x.org>\n"))
        out.append(mail(f"talk {head}", mid=f"t{i}@x", sender=f'{head} <t@x.org>'))
    return out + [mail("[PATCH 0/16] <cover>", mid="c@x", sender="E <evil@x.org>", body="<b>\n" + diff().split("\n\n")[0])]


class Output(DigestTest):
    def setUp(self):
        super().setUp()
        self.a = self.archive()
        self.a.add(*hostile())

    def page(self, *args):
        text = self.digest("-f", "html", *args, self.a.path)
        return text, Page(text)

    def test_html_is_well_formed_and_only_ours(self):
        for args in ((), ("--url", URL), ("--all-patches", "--url", URL), ("--list", EVIL[0])):
            text, page = self.page(*args)
            self.assertEqual((page.errors, page.stack), ([], []), args)
            names = [t for t, _ in page.tags]
            self.assertEqual((names.count("script"), names.count("style"), names.count("img")),
                             (1, 1, 0))
            for tag, attrs in page.tags:
                self.assertFalse([a for a in attrs if a.startswith("on") or a in ("style", "src")],
                                 (tag, attrs))
            for e in EVIL:
                self.assertIn(e, page.text)
            self.assertNotIn("<script>alert", text)

    def test_html_policy_names_our_style_and_script(self):
        _, page = self.page()
        policy = next(a["content"] for t, a in page.tags if "http-equiv" in a)

        def source(text):
            digest = hashlib.sha256(text.encode()).digest()
            return f"'sha256-{base64.b64encode(digest).decode()}'"

        self.assertEqual(policy, f"default-src 'none'; style-src {source(page.raw['style'])}; script-src "
                         f"{source(page.raw['script'])}; base-uri 'none'; form-action 'none'")

    def test_html_loads_nothing(self):
        text, page = self.page("--url", URL)
        self.assertFalse([t for t, _ in page.tags if t in ("link", "iframe", "object", "embed", "base",
                                                           "form", "image", "use")])
        self.assertNotIn("url(", page.raw["style"])
        self.assertNotRegex(page.raw["script"], r"fetch|XMLHttp|import|eval|innerHTML")
        self.assertTrue(page.links)
        for link in page.links:
            self.assertTrue(link.startswith(URL), link)
            self.assertRegex(link, r"^[\x21-\x7e]+$")

    def test_html_links_every_mail_shown(self):
        _, page = self.page("--url", URL.rstrip("/"))
        ids = [l.removeprefix(URL) for l in page.links if l != URL]
        for i in range(len(EVIL)):
            self.assertIn(f"{i}%22%27%26%253c@x/", ids)
        self.assertIn("c@x/", ids)
        self.assertIn("t3@x/", ids)

    def test_html_without_an_address_has_no_links(self):
        self.assertEqual(self.page()[1].links, [])

    def test_the_address_comes_from_the_remote(self):
        for remote, want in (("https://host.example/kvm/0", "https://host.example/kvm/"),
                             ("https://host.example/kvm/git/3.git", "https://host.example/kvm/"),
                             ("http://host.example/kvm", "http://host.example/kvm/"),
                             ("https://user:secret@host.example/kvm/0", "https://host.example/kvm/"),
                             ("https://host.example/kvm.git", None), ("git@host.example:kvm", None),
                             ("/srv/kvm", None), ("javascript:alert(1)", None)):
            self.a.git("config", "remote.origin.url", remote)
            d = json.loads(self.digest("-f", "json", self.a.path))
            self.assertEqual(d["url"], want, remote)

    def test_html_has_charts_search_and_folding(self):
        _, page = self.page()
        names = [t for t, _ in page.tags]
        self.assertEqual(sum(a.get("role") == "img" for t, a in page.tags if t == "svg"), 2)
        self.assertEqual(sum(a.get("type") == "search" for t, a in page.tags if t == "input"), 1)
        self.assertEqual(sum(a.get("class") == "series" for t, a in page.tags if t == "details"), 1)
        self.assertEqual(names.count("summary"), names.count("details"))
        bars = [a["width"] for t, a in page.tags if t == "rect" and a["class"] == "bar"]
        self.assertTrue(all(0 < float(w.rstrip("%")) <= 100 for w in bars))
        self.assertIn("100.00%", bars)

    def test_json_says_it_all(self):
        d = json.loads(self.digest("-f", "json", "--all-patches", "--url", URL, self.a.path))
        self.assertEqual(d["mails"], 3 * len(EVIL) + 1)
        got = {i["number"]: i for i in d["items"]}
        for i, e in enumerate(EVIL):
            if i:
                self.assertEqual(got[i]["title"], e)
                self.assertTrue(got[i]["message"].startswith(f"{e}\n```\n{e}\n````\n---\n"))
                self.assertEqual(got[i]["message_id"], f"{i}\"'&%3c@x")
                self.assertEqual(got[i]["paths"], [f"p/{i}'\"&.c"])
        self.assertEqual(len(d["threads"]), len(EVIL))
        self.assertEqual(sum(c["count"] for c in d["contributors"]), d["mails"])
        self.assertEqual(sum(c["count"] for c in d["domains"]), d["mails"])
        self.assertEqual(d["to"], self.a.commits[-1])

    def test_markdown_leaves_no_markup_to_mails(self):
        text = self.digest("-f", "markdown", "--all-patches", "--url", URL, self.a.path)
        outside, fence = [], None
        for line in text.split("\n"):
            m = re.match(r"(`{3,})(text)?$", line)
            if fence is None and m and m.group(2):
                fence = m.group(1)
            elif fence is not None and line == fence:
                fence = None
            elif fence is None:
                outside.append(line)
        self.assertIsNone(fence)
        rest = "\n".join(outside)
        self.assertNotIn("<script", rest)
        # What is left are our own links, and every mail's bracket is escaped.
        for target in re.findall(r"(?<!\\)\]\(<?([^)>]*)", rest):
            self.assertTrue(target.startswith(URL), target)
        self.assertIn("\\`code\\` \\*bold\\* \\[a\\]\\(javascript:b\\)", rest)
        for line in outside:
            if line.startswith("|"):
                self.assertEqual(len(re.findall(r"(?<!\\)\|", line)), 3, line)

    def test_an_empty_span(self):
        b = self.archive("b.git")
        first = b.add(mail("x", mid="x@x"))[0]
        span = f"{first}..{first}"
        self.assertEqual(self.digest("--list", "L", b.path, span),
                         f"From {first[:9]} to {first[:9]}\n"
                         f"L mailing list update from {first[:9]} to {first[:9]}\n\n"
                         "Top 15 contributor Email domains (Based on Email Body)\n\n\n"
                         "Top 15 contributors (Based on Email Body)\n\n\n"
                         "===== Patch list in this time period =====\n\n\n"
                         "===== Patch Commit Messages ====\n\n")
        d = json.loads(self.digest("-f", "json", b.path, span))
        self.assertEqual((d["mails"], d["items"], d["series"], d["threads"]), (0, [], [], []))
        page = Page(self.digest("-f", "html", b.path, span))
        self.assertEqual((page.errors, page.stack), ([], []))
        self.assertTrue(self.digest("-f", "markdown", b.path, span))

    def test_the_lists_name(self):
        b = self.archive("some-name.git")
        b.add(mail("x", mid="x@x"))
        self.assertIn("\nsome-name mailing list update from", self.digest(b.path))
        b.add(mail("y", mid="y@x", headers=["List-Id: Kernel Virtual Machine <kvm.vger.kernel.org>"]))
        self.assertIn("\nkvm mailing list update from", self.digest(b.path))
        self.assertIn("\nKVM mailing list update from", self.digest("--list", "KVM", b.path))

    def test_tables_are_cut_at_top(self):
        b = self.archive("b.git")
        b.add(*[mail("x", mid=f"{i}@x", sender=f"P{i:02} <p@d{i:02}.org>") for i in range(30)])
        text = self.digest(b.path)
        self.assertEqual(text.count("\n      1 d"), 15)
        self.assertIn("      1 d29.org\n      1 d28.org\n", text)
        text = self.digest("--top", "3", b.path)
        self.assertIn("Top 3 contributors (Based on Email Body)\n\n      1  P29 <p@d29.org>\n", text)
        self.assertEqual(text.count("\n      1  P"), 3)
        self.assertNotIn("P26", text)


if __name__ == "__main__":
    common.main()
