#!/usr/bin/python3
"""Reads the book in a real browser, as its readers do: .ci/browser.py [FOLDER-FOR-SCREENSHOTS]

Serves it with `mdbook serve`, and visits every page in a light and a dark theme, on a phone and on a
desk. Needs mdbook, chromium, chromium-driver and python3-selenium.
"""

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

BOOK = pathlib.Path(__file__).resolve().parent.parent / "book"
WIDTHS = {"phone": 390, "desk": 1280}
THEMES = {"light": "light", "dark": "navy"}

# What is wrong with the pictures of a page. A text must be inside its picture, and not too small.
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

LINKS = """
return {
  ids: [...document.querySelectorAll('[id]')].map((it) => it.id),
  links: [...document.querySelectorAll('main a[href], #mdbook-sidebar a[href]')].map((it) => it.href),
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


def screenshot(browser, path):
    whole = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return window.innerWidth")
    resize(browser, width, min(whole, 12000))
    browser.save_screenshot(str(path))


def console_errors(browser):
    return [it["message"] for it in browser.get_log("browser") if it["level"] == "SEVERE"]


def look_at(browser, url, name, problems, shots):
    """All that can be seen of one page."""
    for theme, setting in THEMES.items():
        browser.execute_script(f"localStorage.setItem('mdbook-theme', '{setting}')")
        for device, width in WIDTHS.items():
            resize(browser, width)
            browser.get(url)
            seen = console_errors(browser) + browser.execute_script(PICTURES)
            problems += [f"{name}, {theme}, {device}: {it}" for it in seen]
            if shots:
                screenshot(browser, shots / f"{name.replace('/', '-')}-{theme}-{device}.png")


def step_through(browser, name, problems):
    """Each stepper shows its captions one after another, and all of them on paper."""
    for figure in browser.find_elements(By.CSS_SELECTOR, "figure.stepper"):
        told = browser.execute_script(STEPPER, figure)
        one_by_one = [text for shown in told["seen"] for text in shown]
        if [len(shown) for shown in told["seen"]] != [1] * told["all"]:
            problems.append(f"{name}: the stepper shows {told['seen']}")
        if len(set(one_by_one)) != told["all"] or told["again"] != told["seen"][0]:
            problems.append(f"{name}: the stepper does not step: {one_by_one}")
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        hidden = browser.execute_script(
            "return [...arguments[0].querySelectorAll('[data-step]')]"
            ".filter((it) => !it.checkVisibility({opacityProperty: true})"
            " || getComputedStyle(it).opacity < 1).length", figure)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        if hidden:
            problems.append(f"{name}: on paper, {hidden} steps are hidden")
    return len(browser.find_elements(By.CSS_SELECTOR, "figure.stepper"))


def search(browser, base, words, problems):
    """The book's own search finds these words."""
    resize(browser, 1280)
    browser.get(base + "index.html?search=" + words)
    found = "return document.querySelectorAll('#mdbook-searchresults li').length"
    try:
        WebDriverWait(browser, 10).until(lambda it: it.execute_script(found) > 0)
    except WebDriverException:
        problems.append(f"the search does not find {words}")
        return 0
    return browser.execute_script(found)


def dead_links(pages, base):
    """Links inside the book that lead nowhere. `pages`: address -> what is on that page."""
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
    return sorted(dead)


def main():
    shots = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    problems, pages, steppers = [], {}, 0
    with tempfile.TemporaryDirectory() as built:
        port = free_port()
        base = f"http://127.0.0.1:{port}/"
        command = ["mdbook", "serve", str(BOOK), "-n", "127.0.0.1", "-p", str(port), "-d", built]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = start_browser()
        try:
            for _ in range(200):
                try:
                    browser.get(base)
                    break
                except WebDriverException:
                    time.sleep(0.1)
            console_errors(browser)  # Of the attempts before the server was there.
            for file in sorted(pathlib.Path(built).rglob("*.html")):
                name = str(file.relative_to(built))
                if name in ("404.html", "toc.html"):
                    continue
                look_at(browser, base + name, name.removesuffix(".html"), problems, shots)
                pages[base + name] = browser.execute_script(LINKS)
                if name != "print.html":
                    steppers += step_through(browser, name, problems)
            found = search(browser, base, "SCM_RIGHTS", problems)
            problems += dead_links(pages, base)
        finally:
            browser.quit()
            server.terminate()
            server.wait()
    for problem in problems:
        print(f"NOT ok: {problem.replace(base, '')}")
    if problems:
        sys.exit(1)
    print(f"ok: {len(pages)} pages, {steppers} steppers, {found} places with SCM_RIGHTS")


main()
