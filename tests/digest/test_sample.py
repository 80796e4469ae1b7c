#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The sample's own mails, set up as an archive, give the sample byte for byte.

The mails are put together from the sample: what it prints is what was sent. What it doesn't print
(the diffs, patches 2 and later, the sixteenth mail) is made up; what the sample counts fixes how
many there are and from whom. The two commits' names differ, as an archive made today has others.
"""
import base64
import quopri
import re

import common
from common import SAMPLE, DigestTest, diff, mail

LEON = "Leon Romanovsky <leon@kernel.org>"
SEAN = "Sean Christopherson <seanjc@google.com>"
BY_LEON = "From: Leon Romanovsky <leonro@nvidia.com>\n"


def sample():
    with open(SAMPLE, encoding="utf-8") as f:
        return f.read()


def printed(text):
    """subject -> (author, body) of what the sample prints."""
    out = {}
    body = text.split("===== Patch Commit Messages ====\n\n")[1]
    for part in body.split("\n" + "-" * 70 + "\n\n")[:-1]:
        _, subject, author, rest = part.split("\n", 3)
        out[subject] = (author.removeprefix("Author: "), rest.removeprefix("\n"))
    return out


def titles(cover):
    """The shortlog's lines, those that were folded put together."""
    lines = re.search(r"^\S.* \(\d+\):\n((?: +\S.*\n)+)", cover, re.M).group(1)
    return re.sub(r"\n {4}(?=[a-z])", " ", lines).strip("\n").replace("\n      ", "\n").split("\n")


def encoded(subject, sender, mid, text, how, **kw):
    raw = text.encode("utf-8")
    if how == "base64":
        raw = base64.encodebytes(raw.replace(b"\n", b"\r\n"))
    elif how == "quoted-printable":
        raw = quopri.encodestring(raw)
    return mail(subject=subject, sender=sender, mid=mid, cte=how, raw_body=raw, **kw)


def sample_mails(text):
    """All sixteen, oldest first, each transfer encoding among them."""
    found = printed(text)
    name = "[PATCH v5 0/8] dma-buf: Use revoke mechanism to invalidate shared buffers"
    svm = "[PATCH v2 0/4] KVM: SVM: Fix IRQ window inhibit handling"
    sta = "[PATCH] RISC-V: KVM: Validate SBI STA shmem alignment in kvm_sbi_ext_sta_set_reg"
    assert [found[s][0] for s in (name, svm)] == [LEON, SEAN]
    tail = "\n" + diff().split("\n\n", 1)[1]
    mails = [encoded(svm, SEAN, "svm-0@x", found[svm][1], "8bit")]
    for n, title in enumerate(titles(found[svm][1]), 1):
        subject = f"[PATCH v2 {n}/4] {title.strip()}"
        body = found[subject][1] if n == 1 else "More.\n---\n" + diff()
        mails.append(encoded(subject, SEAN, f"svm-{n}@x", body + (tail if n == 1 else ""), "8bit",
                             irt="svm-0@x"))
    author, body = found[sta]
    mails.append(encoded(sta, author, "sta@x", body + tail, "quoted-printable"))
    mails.append(encoded("Re: " + sta, "Vasiliy Kovalev <kovalev@altlinux.org>", "re-sta@x",
                         "> Fix this\n\nThanks.\n", "7bit", irt="sta@x"))
    mails.append(encoded(name, LEON, "buf-0@x", found[name][1], "base64"))
    for n, title in enumerate(titles(found[name][1]), 1):
        subject = f"[PATCH v5 {n}/8] {title.strip()}"
        body = found[subject][1] if n == 1 else "\nMore.\n---\n" + diff()
        mails.append(encoded(subject, LEON, f"buf-{n}@x", BY_LEON + body + (tail if n == 1 else ""),
                             "base64", irt="buf-0@x"))
    assert len(mails) == 16, len(mails)
    return mails


class Sample(DigestTest):
    def expect(self, a, b):
        text = sample()
        self.assertEqual(text.count("5bf4b86f6"), 2)
        self.assertEqual(text.count("926d99911"), 2)
        return text.replace("5bf4b86f6", a[:9]).replace("926d99911", b[:9])

    def filled(self, **kw):
        a = self.archive(**kw)
        before = a.add(mail("an older mail", mid="old@x"))[0]
        after = a.add(*sample_mails(sample()))[-1]
        a.add(mail("a newer mail", mid="new@x"))
        return a, before, after

    def test_byte_for_byte(self):
        a, before, after = self.filled()
        out = self.digest("--list", "KVM", a.path, f"{before}..{after}")
        self.assertEqual(out, self.expect(before, after))

    def test_again_from_the_index(self):
        a, before, after = self.filled()
        span = f"{before[:12]}..master~1"
        first = self.digest("--list", "KVM", a.path, span)
        self.assertEqual(self.digest("--list", "KVM", a.path, span), first)
        self.assertEqual(first, self.expect(before, after))

    def test_not_bare(self):
        a, before, after = self.filled(name="kvm", bare=False)
        self.assertEqual(self.digest("--list=KVM", a.path, f"{before}..{after}"),
                         self.expect(before, after))

    def test_in_two_epochs(self):
        mails = sample_mails(sample())
        first, second = self.archive("kvm.0.git"), self.archive("kvm.1.git")
        before = first.add(mail("an older mail", mid="old@x"))[0]
        first.add(*mails[:7])
        second.time = first.time
        after = second.add(*mails[7:])[-1]
        for name in ("kvm", "kvm.0.git", "kvm.1.git"):
            out = self.digest("--list=KVM", f"{self.dir}/{name}", f"{before}..{after}")
            self.assertEqual(out, self.expect(before, after), name)

    def test_to_a_file(self):
        a, before, after = self.filled()
        self.assertEqual(self.digest("--list=KVM", "-o", f"{self.dir}/out", a.path,
                                     f"{before}..{after}"), "")
        with open(f"{self.dir}/out", encoding="utf-8") as f:
            self.assertEqual(f.read(), self.expect(before, after))

    def test_all_patches(self):
        a, before, after = self.filled()
        out = self.digest("--list=KVM", "--all-patches", a.path, f"{before}..{after}")
        self.assertEqual(out.count("\nNew:  "), 15)
        self.assertEqual(out.count("\nUpdated:  "), 0)


if __name__ == "__main__":
    common.main()
