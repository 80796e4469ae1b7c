# SPDX-License-Identifier: MIT
"""A mailing list that never was: series in several versions, replies with tags, real encodings.

The same seed gives the same mails. Each mail remembers what an update has to say of it, so that a
test can compare; the benchmark uses the same list.
"""
import base64
import collections
import email.utils
import quopri
import random
import subprocess

START = 1735689600  # 2025-01-01
WORDS = """address bitmap buffer cache channel config context control counter descriptor device
dirty domain emulation entry event exception fault fence file filter flag guest handler header
host interrupt iova kernel latency level limit list lock mapping memory memslot message mode
module page path pinned queue range region register reserve reset revoke sample segment shadow
signal slot source space stage state status steal table target timer token trace vector window
write""".split()
AREAS = ["KVM: x86", "KVM: SVM", "RISC-V: KVM", "KVM: arm64", "vfio/pci", "iommufd", "dma-buf",
         "selftests: kvm", "virtio", "vhost"]
DIRS = ["arch/x86/kvm", "arch/x86/kvm/svm", "arch/riscv/kvm", "arch/arm64/kvm", "drivers/vfio/pci",
        "drivers/iommu/iommufd", "drivers/dma-buf", "tools/testing/selftests/kvm",
        "drivers/virtio", "drivers/vhost"]
NAMES = ["Ada", "Bjørn", "Chloé", "Dmitri", "Eva", "Fatima", "Grażyna", "Hiro", "Ines", "Jürgen",
         "Kofi", "Lena", "Miloš", "Nadia", "Oleg", "Priya", "Quentin", "Rosa", "Søren", "Tariq"]
TAGS = ["Reviewed-by", "Acked-by", "Tested-by"]


class Mail:
    __slots__ = ("subject", "sender", "author", "mid", "irt", "body", "time", "shown", "later")

    def __init__(self, **kw):
        for k, v in kw.items():
            setattr(self, k, v)


class Corpus:
    def __init__(self, count, seed=1, weeks=40):
        self.rng = random.Random(seed)
        self.people = [(f"{n} {chr(65 + i)}.", f"{i}.{k}@{d}") for i, d in enumerate(
            ("example.org", "corp.example", "kernel.example", "mail.example", "uni.example"))
            for k, n in enumerate(NAMES)]
        self.step = weeks * 7 * 86400 // count
        self.mails, self.pending = [], []
        self.reviews, self.replies = collections.Counter(), 0
        self.serial = 0
        while len(self.mails) < count:
            self.turn(count - len(self.mails))

    def words(self, n):
        return " ".join(self.rng.choice(WORDS) for _ in range(n))

    def text(self, lines):
        return "".join(self.words(self.rng.randint(6, 11)).capitalize() + ".\n" for _ in range(lines))

    def add(self, **kw):
        kw.setdefault("author", kw["sender"])
        kw.setdefault("shown", False)
        kw.setdefault("later", False)
        kw.setdefault("irt", None)
        kw["time"] = START + len(self.mails) * self.step
        self.mails.append(Mail(**kw))
        return self.mails[-1]

    def diff(self, area):
        files = [f"{DIRS[area]}/{self.rng.choice(WORDS)}_{self.rng.choice(WORDS)}.c"
                 for _ in range(self.rng.randint(1, 4))]
        out = "".join(f" {f} | {self.rng.randint(1, 40)} +-\n" for f in files)
        out += f" {len(files)} file{'s' if len(files) > 1 else ''} changed, 9 insertions(+)\n\n"
        for f in files:
            out += (f"diff --git a/{f} b/{f}\nindex 0123456789ab..ba9876543210 100644\n--- a/{f}\n"
                    f"+++ b/{f}\n@@ -10,6 +10,9 @@ int {self.rng.choice(WORDS)}(void)\n")
            for _ in range(self.rng.randint(3, 40)):
                out += self.rng.choice(" +-") + "\t" + self.words(self.rng.randint(2, 8)) + ";\n"
        return out + "-- \n2.47.0\n"

    def patches(self, room):
        """A series, new or the next version of one that is waiting."""
        if self.pending and self.rng.random() < 0.4:
            s = self.pending.pop(self.rng.randrange(len(self.pending)))
            s["version"] += 1
        else:
            self.serial += 1
            area = self.rng.randrange(len(AREAS))
            s = {"id": self.serial, "area": area, "who": self.rng.choice(self.people), "version": 1,
                 "n": self.rng.choice([1, 1, 1, 2, 3, 5, 8, 14]),
                 "name": f"{AREAS[area]}: {self.words(3)} {self.serial}"}
            s["titles"] = [f"{AREAS[area]}: {self.words(3)} {self.serial}.{i}" for i in range(s["n"])]
        if s["n"] + 1 > room:
            return
        version, later = s["version"], s["version"] > 1
        tag = "PATCH" + (f" v{version}" if later else "")
        sender = f"{s['who'][0]} <{s['who'][1]}>"
        sent, mid = [], f"{s['id']}-v{version}"
        if s["n"] > 1:
            sent.append(self.add(subject=f"[{tag} 0/{s['n']}] {s['name']}", sender=sender,
                                 mid=f"{mid}-0@gen.example", shown=True, later=later,
                                 body=self.text(12) + "\n" + self.diff(s["area"]).split("\n\n")[0] + "\n"))
        for i, t in enumerate(s["titles"], 1):
            number = f" {i}/{s['n']}" if s["n"] > 1 else ""
            author, opening = sender, ""
            if self.rng.random() < 0.1:
                other = self.rng.choice(self.people)
                author = f"{other[0]} <{other[1]}>"
                opening = f"From: {author}\n\n"
            sent.append(self.add(subject=f"[{tag}{number}] {t}", sender=sender, author=author,
                                 mid=f"{mid}-{i}@gen.example", shown=i == 1, later=later,
                                 irt=sent[0].mid if s["n"] > 1 else None,
                                 body=f"{opening}{self.text(8)}\nSigned-off-by: {author}\n---\n"
                                      f"{self.diff(s['area'])}"))
        s["sent"] = sent
        s["tagged"] = set()
        self.pending.append(s)

    def reply(self):
        s = self.rng.choice(self.pending)
        to = self.rng.choice(s["sent"])
        who = self.rng.choice(self.people)
        sender = f"{who[0]} <{who[1]}>"
        body = "".join(f"> {line}\n" for line in to.body.split("\n")[:20]) + "\n" + self.text(3)
        if self.rng.random() < 0.3:
            tag = self.rng.choice(TAGS)
            target = to
            while target not in s["sent"][:s["n"] + 1] or target.subject.startswith("Re:"):
                target = next(m for m in s["sent"] if m.mid == target.irt)
            body += f"\n{tag}: {sender}\n"
            if (tag, sender, target.mid) not in s["tagged"]:
                s["tagged"].add((tag, sender, target.mid))
                self.reviews[tag] += 1
        self.replies += 1
        s["sent"].append(self.add(subject="Re: " + to.subject.removeprefix("Re: "), sender=sender,
                                  mid=f"re{len(self.mails)}@gen.example", irt=to.mid, body=body))

    def turn(self, room):
        kind = self.rng.random()
        if self.pending and kind < 0.7:
            self.reply()
        elif kind < 0.75 or room < 15:
            who = self.rng.choice(self.people)
            self.add(subject=f"{self.words(4)}?", sender=f"{who[0]} <{who[1]}>",
                     mid=f"q{len(self.mails)}@gen.example", body=self.text(10))
        else:
            self.patches(room)

    def raw(self, m):
        how = m.time // self.step % 3
        body = m.body.encode()
        cte = ("8bit", "quoted-printable", "base64")[how]
        if how == 1:
            body = quopri.encodestring(body)
        elif how == 2:
            body = base64.encodebytes(body)
        name, addr = email.utils.parseaddr(m.sender)
        if not name.isascii():
            name = "=?utf-8?q?" + "".join(f"={b:02X}" for b in name.encode()) + "?="
        head = [f"Received: from relay{i}.example by list.example with ESMTPS id {m.mid}; "
                f"{email.utils.formatdate(m.time)}" for i in range(4)]
        head += [f"From: {name} <{addr}>", f"Subject: {m.subject}", f"Message-Id: <{m.mid}>",
                 f"Date: {email.utils.formatdate(m.time)}", "List-Id: <generated.example>"]
        if m.irt:
            head += [f"In-Reply-To: <{m.irt}>", f"References: <{m.irt}>"]
        head += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
                 f"Content-Transfer-Encoding: {cte}"]
        return ("\n".join(head) + "\n\n").encode() + body

    def write(self, path, env):
        """A bare public-inbox repository of all mails."""
        subprocess.run(["git", "init", "-q", "--bare", "-b", "master", path], check=True, env=env)
        p = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE,
                             env=env)
        for m in self.mails:
            raw, title = self.raw(m), m.subject.encode()
            name, addr = email.utils.parseaddr(m.sender)
            p.stdin.write(b"commit refs/heads/master\n" + f"author {name} <{addr}> {m.time} +0000\n"
                          f"committer list <list@gen.example> {m.time} +0000\n"
                          f"data {len(title)}\n".encode() + title +
                          b"\nM 100644 inline m\n" + f"data {len(raw)}\n".encode() + raw + b"\n")
        p.stdin.close()
        if p.wait():
            raise RuntimeError("git fast-import failed")
