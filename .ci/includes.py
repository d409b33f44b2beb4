#!/usr/bin/env python3
"""Checks what mdBook lets pass: .ci/includes.py

- Blocks of Rust, console, bash and JavaScript in the book are includes and nothing else.
- Every include has something in it: the file is there, the anchor is there, once, and not empty.
- Every recording, picture, script and anchor is shown somewhere, and every recording has its session.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
INCLUDE = re.compile(r"\{\{#(?:rustdoc_)?include\s+([^\s:}]+)(?::([\w-]+))?\}\}")
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.M | re.S)
RECORDED = {"rust", "console", "bash", "js"}


def anchored(text, anchor):
    """What is between the two marks of an anchor; None if these are not there just once."""
    begin = re.findall(rf"ANCHOR: *{anchor}\b *$", text, re.M)
    parts = re.search(rf"ANCHOR: *{anchor} *\n(.*?)^[^\n]*ANCHOR_END: *{anchor} *$", text, re.M | re.S)
    return parts.group(1) if len(begin) == 1 and parts else None


def main():
    problems, shown = [], set()
    for page in sorted((BOOK / "src").rglob("*.md")):
        text, name = page.read_text(), page.relative_to(ROOT)
        for language, body in FENCE.findall(text):
            if language in RECORDED and INCLUDE.sub("", body).strip():
                problems.append(f"{name}: a {language} block is typed, not included: {body[:60]!r}")
        for target, anchor in INCLUDE.findall(text):
            file = (page.parent / target).resolve()
            shown.add((file, anchor))
            shown.add((file, None))
            content = file.read_text() if file.is_file() else None
            if content is not None and anchor:
                content = anchored(content, anchor)
            if not (content or "").strip():
                problems.append(f"{name}: {target} {anchor or ''} comes out empty")

    for pattern in ("console/*.out", "pictures/*", "scripts/*", "node/*"):
        for file in sorted(BOOK.glob(pattern)):
            used = (file, None) in shown or file.name == "lib.sh"
            if not used and not any(file.name in it.read_text() for it in BOOK.glob("console/*.sh")):
                problems.append(f"{file.relative_to(ROOT)} is shown nowhere")
    for recording in sorted(BOOK.glob("console/*.out")):
        if not recording.with_suffix(".sh").is_file():
            problems.append(f"{recording.relative_to(ROOT)} has no session")
    for session in sorted(BOOK.glob("console/*.sh")):
        if not session.with_suffix(".out").is_file():
            problems.append(f"{session.relative_to(ROOT)} was never recorded")
    for source in sorted(ROOT.glob("chapters/*/src/**/*.rs")):
        for anchor in re.findall(r"ANCHOR: *([\w-]+)", source.read_text()):
            if (source, anchor) not in shown:
                problems.append(f"{source.relative_to(ROOT)}: anchor {anchor} is shown nowhere")

    for problem in problems:
        print(f"NOT ok: {problem}")
    if problems:
        sys.exit(1)
    print(f"ok: {len(shown)} includes")


main()
