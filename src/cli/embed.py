#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: embed.py FILE NAME OUT: writes FILE's bytes as a C array into OUT."""
import sys

with open(sys.argv[1], "rb") as f:
    data = f.read()
lines = [", ".join(str(b) for b in data[i:i + 20]) for i in range(0, len(data), 20)]
with open(sys.argv[3], "w", encoding="ascii") as f:
    f.write("static const unsigned char %s[] = {\n%s\n};\n" % (sys.argv[2], ",\n".join(lines)))
