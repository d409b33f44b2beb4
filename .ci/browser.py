#!/usr/bin/python3
"""Reads the book in a real browser, as its readers do:

    .ci/browser.py                      the whole book
    .ci/browser.py --only ch02          pages whose name begins with ch02; no links, no search
    .ci/browser.py --shots FOLDER       also writes a screenshot of each page

Serves the book with `mdbook serve` and opens every page in a light and a dark theme, on a phone
and on a desk. Needs mdbook, chromium, chromium-driver and python3-selenium.
"""

import argparse
import concurrent.futures
import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

sys.dont_write_bytecode = True

# That many browsers check pages at the same time.
BROWSERS = 2
BOOK = pathlib.Path(__file__).resolve().parent.parent / "book"
WIDTHS = {"phone": 390, "desk": 1280}
THEMES = {"light": "light", "dark": "navy"}

# What is wrong with the pictures of a page. A text must lie inside its picture, be large enough
# to read, and not be black in the dark theme.
PICTURES = """
const wrong = [];
const dark = localStorage.getItem('mdbook-theme') === 'navy';
const wide = document.documentElement.scrollWidth;
if (wide > window.innerWidth) wrong.push(`the page is ${wide} px wide`);
for (const svg of document.querySelectorAll('figure svg')) {
  const frame = svg.getBoundingClientRect();
  if (frame.width === 0) continue;
  const name = `picture '${svg.getAttribute('aria-label') ?? ''}'`.slice(0, 60);
  if (!svg.getAttribute('aria-label')) wrong.push('a picture has no text alternative');
  if (frame.left < 0 || frame.right > window.innerWidth + 1) wrong.push(`${name} is cut off`);
  for (const text of svg.querySelectorAll('text')) {
    const at = text.getBoundingClientRect();
    const size = parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a;
    if (at.left < frame.left - 1 || at.right > frame.right + 1 || at.bottom > frame.bottom + 1
        || at.top < frame.top - 1) wrong.push(`${name}: '${text.textContent}' sticks out`);
    if (size < 8.5) wrong.push(`${name}: '${text.textContent}' has ${size.toFixed(1)} px`);
    if (dark && getComputedStyle(text).fill === 'rgb(0, 0, 0)')
      wrong.push(`${name}: '${text.textContent}' is black on dark`);
  }
}
return wrong;
"""

# Captions that are not seen directly above a block of code.
CAPTIONS = """
const wrong = [];
for (const caption of document.querySelectorAll('p.file, details.file > summary')) {
  const name = `caption '${caption.textContent.trim()}'`;
  const code = caption.nextElementSibling;
  const at = caption.getBoundingClientRect();
  if (caption.closest('details:not([open])') && caption.tagName === 'P') continue;
  if (!caption.textContent.trim() || !at.width || !caption.checkVisibility())
    wrong.push(`${name} is not visible`);
  if (code?.tagName !== 'PRE') wrong.push(`${name} is not above a block of code`);
  else if (code.checkVisibility()
      && Math.abs(code.getBoundingClientRect().top - at.bottom) > 1)
    wrong.push(`${name} does not touch its block`);
}
return wrong;
"""

# Blocks of code that scroll sideways, or are indented as a whole.
CODE = """
const wrong = [];
for (const fold of document.querySelectorAll('main details')) fold.open = true;
for (const code of document.querySelectorAll('pre, pre > code')) {
  const name = `the block '${code.textContent.trim().slice(0, 40)}'`;
  if (code.scrollWidth > code.clientWidth)
    wrong.push(`${name} scrolls sideways: ${code.scrollWidth} px in ${code.clientWidth}`);
}
for (const code of document.querySelectorAll('pre > code')) {
  const lines = code.textContent.split('\\n').filter((line) => line.trim());
  if (lines.length && lines.every((line) => line.startsWith(' ')))
    wrong.push(`the block '${lines[0].trim().slice(0, 40)}' is indented`);
}
return wrong;
"""

# What the sidebar shows below its chapters, and what it should show: the pages of the folder
# in which the current page lies.
SIDEBAR = """
const pages = [...document.querySelectorAll('#mdbook-sidebar ol.section > li > span > a[href]')];
const folder = (address) => address.replace(/[^/]*$/, '');
return {
  shown: pages.filter((it) => it.checkVisibility()).map((it) => it.href),
  wanted: pages.map((it) => it.href).filter((it) => folder(it) === folder(location.href)),
};
"""

LINKS = """
return {
  ids: [...document.querySelectorAll('[id]')].map((it) => it.id),
  links: [...document.querySelectorAll('main a[href], #mdbook-sidebar a[href]')]
    .map((it) => it.href),
};
"""

STEPPER = """
const figure = arguments[0];
const shown = () => [...figure.querySelectorAll('.caption')]
  .filter((it) => it.checkVisibility()).map((it) => it.textContent);
const [back, next] = figure.querySelectorAll('button');
const seen = [shown()];
while (!next.disabled) { next.click(); seen.push(shown()); }
while (!back.disabled) { back.click(); }
return { seen, again: shown(), all: figure.querySelectorAll('.caption').length };
"""

HIDDEN_STEPS = """
return [...arguments[0].querySelectorAll('[data-step]')]
  .filter((it) => !it.checkVisibility({opacityProperty: true})
    || getComputedStyle(it).opacity < 1).length;
"""

# Recordings that do not show the moment that their figure names.
RECORDINGS = """
const wrong = [];
for (const figure of document.querySelectorAll('figure.lab')) {
  const { recording } = figure.dataset;
  const first = figure.querySelector('.caption[data-moment]') ?? figure;
  const { moment } = first.dataset;
  // `page` is a constant of the frame's script, which only its own code can name.
  const page = figure.querySelector('iframe').contentWindow.eval('page');
  const event = page.rows.list[page.selected]?.last;
  const named = [...figure.querySelectorAll('[data-moment]'), figure].map((it) => it.dataset.moment);
  for (const it of named) {
    if (it !== undefined && !(it in page.meta.moments)) wrong.push(`${recording} has no '${it}'`);
  }
  if (page.history.events.length === 0) wrong.push(`the recording ${recording} is empty`);
  else if (!(event >= page.meta.moments[moment])) wrong.push(`${recording} does not show '${moment}'`);
}
return wrong;
"""

IS_VISIBLE = "return arguments[0].checkVisibility({contentVisibilityAuto: true})"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_browser():
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options)


def resize(browser, width, height=900):
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@contextlib.contextmanager
def on_paper(browser):
    """The page looks as it is printed. The browser takes a moment to change to that."""
    print_is = "return matchMedia('print').matches === arguments[0]"
    for media, printed in (("print", True), ("", False)):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media})
        WebDriverWait(browser, 10).until(lambda it: it.execute_script(print_is, printed))
        if printed:
            yield


def screenshot(browser, path):
    whole = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return window.innerWidth")
    resize(browser, width, min(whole, 12000))
    browser.save_screenshot(str(path))


def console_errors(browser):
    return [it["message"] for it in browser.get_log("browser") if it["level"] == "SEVERE"]


# The checks of one page. Each yields what is wrong.

def check_themes(browser, url, name, shot):
    """Errors, pictures and captions in each theme, on each device."""
    # All pages at once, for paper: that has one theme and one width, and takes seconds to load.
    themes = ["light"] if name == "print" else THEMES
    widths = ["desk"] if name == "print" else WIDTHS
    for theme in themes:
        setting = THEMES[theme]
        browser.execute_script(f"localStorage.setItem('mdbook-theme', '{setting}')")
        for device in widths:
            resize(browser, WIDTHS[device])
            browser.get(url)
            wrong = console_errors(browser)
            wrong += browser.execute_script(PICTURES) + browser.execute_script(CAPTIONS)
            yield from (f"{theme}, {device}: {it}" for it in wrong)
            if shot:
                screenshot(browser, shot.with_name(f"{shot.name}-{theme}-{device}.png"))


def check_sidebar(browser):
    """The sidebar shows the pages of the current chapter, and no pages of another."""
    sidebar = browser.execute_script(SIDEBAR)
    if sidebar["shown"] != sidebar["wanted"]:
        yield f"the sidebar shows {sidebar['shown']} and not {sidebar['wanted']}"


def check_folds(browser):
    """Folded code is opened by a click and closed by another, and it is printed."""
    codes = []
    for fold in browser.find_elements(By.CSS_SELECTOR, "details.file"):
        summary = fold.find_element(By.TAG_NAME, "summary")
        code = fold.find_element(By.TAG_NAME, "pre")
        codes.append((summary.text, code))
        for expected in (False, True, False):
            if not becomes_visible(browser, code, expected):
                yield f"the fold '{summary.text}' is not {'open' if expected else 'closed'}"
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", summary)
            summary.click()
        summary.click()  # The last of the three has opened it.
    if codes:
        with on_paper(browser):
            for name, code in codes:
                if not becomes_visible(browser, code, True):
                    yield f"the fold '{name}' is not open on paper"


def becomes_visible(browser, element, expected):
    """Whether `element` is visible, or hidden, as expected. The browser draws a little later."""
    try:
        WebDriverWait(browser, 5, 0.05).until(
            lambda it: it.execute_script(IS_VISIBLE, element) == expected)
    except WebDriverException:
        return False
    return True


def check_steppers(browser):
    """Each stepper shows its captions one after another, and all of them on paper."""
    for figure in browser.find_elements(By.CSS_SELECTOR, "figure.stepper"):
        told = browser.execute_script(STEPPER, figure)
        one_by_one = [text for shown in told["seen"] for text in shown]
        if [len(shown) for shown in told["seen"]] != [1] * told["all"]:
            yield f"the stepper shows {told['seen']}"
        if len(set(one_by_one)) != told["all"] or told["again"] != told["seen"][0]:
            yield f"the stepper does not step: {one_by_one}"
        with on_paper(browser):
            hidden = browser.execute_script(HIDDEN_STEPS, figure)
        if hidden:
            yield f"on paper, {hidden} steps are hidden"


def check_page(browser, url, name, shot):
    yield from check_themes(browser, url, name, shot)
    if name == "print":
        return
    yield from check_sidebar(browser)
    yield from check_steppers(browser)
    yield from check_folds(browser)
    yield from browser.execute_script(CODE)
    yield from browser.execute_script(RECORDINGS)


# The checks of the whole book.

def check_search(browser, base, words):
    """The book's own search finds these words."""
    resize(browser, 1280)
    browser.get(base + "index.html?search=" + words)
    found = "return document.querySelectorAll('#mdbook-searchresults li').length"
    try:
        WebDriverWait(browser, 10).until(lambda it: it.execute_script(found) > 0)
    except WebDriverException:
        yield f"the search does not find {words}"


def check_links(pages, base):
    """Every link inside the book has a target. `pages`: address -> ids and links on the page."""
    dead = set()
    for here, page in pages.items():
        for link in page["links"]:
            where, _, anchor = link.partition("#")
            if not where.startswith(base):
                continue
            where = where if where != base else base + "index.html"
            if where not in pages:
                dead.add(f"{here}: there is no {link}")
            elif anchor and anchor not in pages[where]["ids"]:
                dead.add(f"{here}: there is no place '{anchor}' in {where}")
    yield from sorted(dead)


@contextlib.contextmanager
def served_book(browser):
    """Serves the book. Gives its address, and the folder into which it is built."""
    with tempfile.TemporaryDirectory() as built:
        port = free_port()
        base = f"http://127.0.0.1:{port}/"
        command = ["mdbook", "serve", str(BOOK), "-n", "127.0.0.1", "-p", str(port), "-d", built]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    browser.get(base)
                    break
                except WebDriverException:
                    time.sleep(0.1)
            console_errors(browser)  # Drops the errors of the attempts before the server listened.
            yield base, pathlib.Path(built)
        finally:
            server.terminate()
            server.wait()


def pages_of(built, prefix):
    names = [str(it.relative_to(built)).removesuffix(".html") for it in built.rglob("*.html")]
    # lab/page is no page of the book: it is shown in frames.
    others = ("404", "toc", "lab/page")
    return sorted(it for it in names if it.startswith(prefix) and it not in others)


def check_pages(browser, base, names, shots):
    """What is wrong with these pages, and the ids and links of each."""
    browser.get(base)  # The theme belongs to an address.
    problems, pages = [], {}
    for name in names:
        url = f"{base}{name}.html"
        shot = shots and shots / name.replace("/", "-")
        problems += (f"{name}: {it}" for it in check_page(browser, url, name, shot))
        pages[url] = browser.execute_script(LINKS)
    return problems, pages


def check_book(browsers, base, names, shots):
    """Each browser checks a part of the pages, at the same time."""
    parts = [names[number::len(browsers)] for number in range(len(browsers))]
    with concurrent.futures.ThreadPoolExecutor(len(browsers)) as pool:
        checks = [pool.submit(check_pages, browser, base, part, shots)
                  for browser, part in zip(browsers, parts)]
    pages = {}
    for problems, some in (check.result() for check in checks):
        yield from problems
        pages |= some
    if "print" in names:  # All pages are there.
        yield from check_links(pages, base)
        yield from check_search(browsers[0], base, "SCM_RIGHTS")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--shots", type=pathlib.Path)
    options = parser.parse_args()
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    browsers = []
    try:
        browsers += (start_browser() for _ in range(BROWSERS))
        with served_book(browsers[0]) as (base, built):
            names = pages_of(built, options.only)
            problems = list(check_book(browsers, base, names, options.shots))
    finally:
        for browser in browsers:
            browser.quit()
    for problem in problems:
        print(f"NOT ok: {problem.replace(base, '')}")
    if problems:
        sys.exit(1)
    print(f"ok: {len(names)} pages")


main()
