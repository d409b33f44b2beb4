#!/usr/bin/env python3
"""Checks what the book promises and mdBook does not check:

    .ci/includes.py            the whole book
    .ci/includes.py ch02       only what is wrong in lines that contain "ch02"

- Every block of Rust, console, bash, JavaScript or configuration is an include; no include
  is empty.
- Above every block of a source file stands a caption with the name of the file.
- A chapter's library and program are shown whole, each of its steps in one block, and a
  recorded session runs each step.
- Shown code fits the width of a page, and a page has at most one long script or output.
- Every recording, picture, script and anchor is used, and every recording has its session.
"""

import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
INCLUDED_LANGUAGES = {"rust", "console", "bash", "js", "ini", "nginx", "haproxy"}
LONG = 45
WIDE = 88

FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.M | re.S)
INCLUDE = re.compile(r"\{\{#include\s+([^\s:}]+)(?::([\w-]+))?\}\}")
CAPTION = re.compile(
    r'(?:<p class="file">(?P<line>[^\n]*)</p>'
    r'|<details class="file">\s*<summary>(?P<fold>[^\n]*)</summary>)\s*\Z')
# What needs no place of its own in the book when each method is shown alone.
FRAME = re.compile(r"^(\}|impl(?!.* for ).* \{|)$")
MARK = re.compile(r"ANCHOR(_END)?: *([\w-]+)")


@dataclasses.dataclass(frozen=True)
class Include:
    """A file that a page shows; all of it, or what is between the marks of an anchor."""

    page: pathlib.Path
    file: pathlib.Path
    anchor: str | None

    def __str__(self):
        name = relative(self.file)
        return f"{name}:{self.anchor}" if self.anchor else name

    def lines(self):
        """The numbers of the lines that are shown, from 0. An error if there are none."""
        if not self.file.is_file():
            raise ValueError("there is no such file")
        lines = self.file.read_text().splitlines()
        numbers = self.anchored(lines) if self.anchor else range(len(lines))
        shown = {number for number in numbers if not MARK.search(lines[number])}
        if not any(lines[number].strip() for number in shown):
            raise ValueError("nothing is in it")
        return shown

    def shown(self):
        """The same, but none in place of an error, which check_includes reports."""
        try:
            return self.lines()
        except ValueError:
            return set()

    def text(self):
        """The lines that are shown."""
        shown = self.shown()
        lines = self.file.read_text().splitlines() if shown else []
        return [line for number, line in enumerate(lines) if number in shown]

    def anchored(self, lines):
        marks = [(number, mark.group(1)) for number, line in enumerate(lines)
                 if (mark := MARK.search(line)) and mark.group(2) == self.anchor]
        if [end for _, end in marks] != [None, "_END"]:
            raise ValueError("the anchor must begin once and end once")
        return range(marks[0][0], marks[1][0])


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code or output on a page."""

    page: pathlib.Path
    language: str
    body: str
    caption: str | None

    def includes(self):
        return includes_in(self.page, self.body)

    def lines(self):
        """The included lines, as they come out."""
        return [line for include in self.includes() for line in include.text()]


def relative(file):
    return str(file.relative_to(ROOT))


def includes_in(page, text):
    return [Include(page, (page.parent / target).resolve(), anchor or None)
            for target, anchor in INCLUDE.findall(text)]


def blocks_in(page):
    text = page.read_text()
    for fence in FENCE.finditer(text):
        caption = CAPTION.search(text[:fence.start()])
        caption = caption and (caption["line"] or caption["fold"])
        yield Block(page, fence.group(1), fence.group(2), caption)


def caption_of(file):
    """What the caption of a file says: its path, in which `chapters/` is left out."""
    return relative(file).removeprefix("chapters/")


def is_source(file):
    return relative(file).startswith(
        ("chapters/", "exercises/", "solutions/", "book/scripts/", "book/node/",
         "book/service/"))


def anchors_in(file):
    return [mark.group(2) for mark in MARK.finditer(file.read_text()) if not mark.group(1)]


# The checks. Each yields what is wrong.

def check_typed(blocks):
    for block in blocks:
        typed = INCLUDE.sub("", block.body).strip()
        if block.language in INCLUDED_LANGUAGES and typed:
            yield (f"{relative(block.page)}: a {block.language} block is typed, not included "
                   f"(or it includes lines by number): {typed[:60]!r}")


def check_includes(includes):
    for include in includes:
        try:
            include.lines()
        except ValueError as why:
            yield f"{relative(include.page)}: cannot include {include}: {why}"


def check_captions(blocks):
    for block in blocks:
        for include in block.includes():
            if block.language == "console" or not is_source(include.file):
                continue
            name = caption_of(include.file)
            if not block.caption:
                yield f"{relative(block.page)}: no caption {name} above {include}"
            elif block.caption != name and not block.caption.startswith(f"{name}: "):
                yield (f"{relative(block.page)}: above {include} stands {block.caption!r}, "
                       f"not {name!r}")


def check_wide(blocks):
    """A page dedents what it shows (look/dedent.js), and wraps output."""
    for block in blocks:
        lines = [] if block.language in ("console", "text") else block.lines()
        indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
        for line in lines:
            if len(line) - min(indents) > WIDE:
                yield (f"{relative(block.page)}: a line of {block.includes()[0]} is longer "
                       f"than {WIDE}: {line.strip()!r}")


def check_long(blocks):
    long = {}
    for block in blocks:
        if block.language in ("bash", "console") and len(block.lines()) > LONG:
            long.setdefault(block.page, []).append(block)
    for page, found in long.items():
        if len(found) > 1:
            shown = ", ".join(f"{it.includes()[0]} ({len(it.lines())})" for it in found)
            yield f"{relative(page)}: more than one block of over {LONG} lines: {shown}"


def check_library(chapter, includes):
    """Every line of src/ is shown in the chapter's pages, but for what needs no place."""
    for file in sorted((chapter / "src").rglob("*.rs")):
        shown = set().union(*(it.shown() for it in includes if it.file == file))
        missing = [number for number in lines_to_show(file) if number not in shown]
        if missing:
            yield f"{relative(file)}: not in the book: lines {ranges(missing)}"


def lines_to_show(file):
    """All lines but unit tests, marks, blank lines and the frame of a type's methods."""
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines):
        if line == "#[cfg(test)]" and lines[number + 1].startswith("mod tests"):
            return
        if not FRAME.match(line) and not MARK.search(line):
            yield number


def ranges(numbers):
    """[0, 1, 2, 6] as lines are counted: 1-3, 7."""
    found = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in found)


def check_steps(chapter, includes):
    sessions = [it.read_text() for it in BOOK.glob(f"transcripts/{chapter.name[:4]}/*.sh")]
    for step in sorted((chapter / "examples").glob("*.rs")):
        if not any(it.file == step and it.anchor is None for it in includes):
            yield f"{relative(step)}: the chapter's pages do not show it whole, in one block"
        run = re.compile(rf"{chapter.name}.*\b{step.stem}\b")
        if not any(run.search(session) for session in sessions):
            yield f"{relative(step)}: no recorded session of the chapter runs it"


def check_used(includes):
    shown = {include.file for include in includes}
    sessions = "".join(it.read_text() for it in BOOK.glob("transcripts/*/*.sh"))
    for pattern in ("transcripts/*/*.out", "pictures/*", "scripts/*", "node/*",
                    "service/*"):
        for file in sorted(BOOK.glob(pattern)):
            by_session = file.suffix in (".sh", ".js") and re.search(
                rf"\b{file.stem}\b", sessions)
            if file not in shown and not by_session and file.name != "lib.sh":
                yield f"{relative(file)} is shown nowhere"


def check_anchors(includes):
    shown = {(include.file, include.anchor) for include in includes}
    for folder in ("chapters", "exercises", "solutions"):
        for file in sorted((ROOT / folder).rglob("*.rs")):
            for anchor in anchors_in(file):
                if (file, anchor) not in shown:
                    yield f"{relative(file)}: anchor {anchor} is shown nowhere"


def check_sessions():
    for recording in sorted(BOOK.glob("transcripts/*/*.out")):
        if not recording.with_suffix(".sh").is_file():
            yield f"{relative(recording)} has no session"
    for session in sorted(BOOK.glob("transcripts/*/*.sh")):
        if not session.with_suffix(".out").is_file():
            yield f"{relative(session)} was never recorded"


def main():
    pages = sorted((BOOK / "src").rglob("*.md"))
    blocks = [block for page in pages for block in blocks_in(page)]
    includes = [it for page in pages for it in includes_in(page, page.read_text())]

    problems = [*check_typed(blocks), *check_includes(includes), *check_captions(blocks),
                *check_wide(blocks), *check_long(blocks), *check_used(includes),
                *check_anchors(includes), *check_sessions()]
    for chapter in sorted((ROOT / "chapters").glob("ch*")):
        folder = chapter.name[:4]
        own = [it for it in includes if it.page.parent.name == folder]
        problems += [*check_library(chapter, own), *check_steps(chapter, own)]

    problems = [it for it in problems if all(word in it for word in sys.argv[1:])]
    for problem in problems:
        print(f"NOT ok: {problem}")
    if problems:
        sys.exit(1)
    print(f"ok: {len(includes)} includes in {len(blocks)} blocks")


if __name__ == "__main__":
    main()
