#!/usr/bin/python3
"""Uses the lab in a real browser, as a teacher does:

    .ci/lab.py PROGRAMS                     PROGRAMS: the folder with the lab and the chapters
    .ci/lab.py PROGRAMS --shots FOLDER      also writes screenshots
    .ci/lab.py PROGRAMS --only loop         a crash loop without end; this takes a minute

Needs chromium, chromium-driver, python3-selenium and strace.
"""

import argparse
import concurrent.futures
import contextlib
import faulthandler
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from selenium import webdriver
from selenium.webdriver.common.by import By

sys.dont_write_bytecode = True

ROWS = "return page.rows.list.map((it) => rowText(it, page.history.events, page.facts)[0])"

# A program that opens, copies, sends and closes descriptors in all ways.
DESCRIPTORS = r"""
import ctypes, fcntl, os, select, socket, tempfile, time

CLOSE_RANGE, PIDFD_GETFD, CLONE_FILES = 436, 438, 0x400
FIOCLEX, FIONCLEX, CLOSE_RANGE_CLOEXEC = 0x5451, 0x5450, 4
libc = ctypes.CDLL(None)
listener = socket.create_server(("127.0.0.1", 0))
one, other = socket.socketpair()
read, write = os.pipe()
os.dup2(read, 50)
os.dup2(write, 51, inheritable=True)
copy = os.dup(listener.fileno())
fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, 80)
fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD, 90)
fcntl.fcntl(50, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
fcntl.ioctl(51, FIOCLEX)
fcntl.ioctl(90, FIONCLEX)
opened = [select.epoll(), os.pidfd_open(os.getpid()), socket.socket(socket.AF_UNIX),
          tempfile.TemporaryFile(), os.open("/tmp", os.O_RDONLY | os.O_DIRECTORY)]
memory = os.memfd_create("memory")
packets, ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
socket.send_fds(packets, [b"x"], [read, write, listener.fileno()])
received = [socket.recv_fds(ends, 10, 5)]
socket.send_fds(one, [b"y"], [memory])
other.recv(1, socket.MSG_PEEK)
received += [socket.recv_fds(other, 10, 5)]
socket.send_fds(one, [b"z"], [memory, read])  # stays on its way
socket.send_fds(packets, [b"t"], [read, write, listener.fileno()])
received += [ends.recvmsg(10, socket.CMSG_SPACE(4))]  # has room for one
for fd in range(200, 220):
    os.dup2(read, fd)
libc.syscall(CLOSE_RANGE, ctypes.c_uint(205), ctypes.c_uint(209), 0)
libc.syscall(CLOSE_RANGE, ctypes.c_uint(210), ctypes.c_uint(212), CLOSE_RANGE_CLOEXEC)
os.closerange(213, 218)
if os.fork() == 0:
    os.close(80)
    libc.unshare(CLONE_FILES)
    os.execv("/bin/sh", ["sh", "-c", "exec 7</dev/null 8>&1; sleep 60 & sleep 60"])
if os.fork() == 0:
    parent = os.pidfd_open(os.getppid())
    taken = libc.syscall(PIDFD_GETFD, parent, listener.fileno(), 0)
    time.sleep(60)
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nyes")
    connection.close()
"""

# The longest time between two frames, since the last call.
FRAMES = """
window.longest = 0;
let before = performance.now();
const frame = () => {
  const now = performance.now();
  window.longest = Math.max(window.longest, now - before);
  before = now;
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""


def browser_with(folder):
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    browser = webdriver.Chrome(options=options)
    metrics = {"width": 1280, "height": 720, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return browser


def until(what, limit, test):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = test()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"NOT ok: not within {limit} s: {what}")


def processes_below(pid):
    """The descendants of a process."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += [int(child), *processes_below(child)]
    return found


def lives(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Lab:
    """The lab with a program, and the address of its page."""

    all = []

    def __init__(self, programs, *command):
        command = [str(programs / "lab"), *map(str, command)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        Lab.all.append(self)
        self.address = None
        self.printed = []
        threading.Thread(target=self.read, daemon=True).start()
        until("the lab has an address", 20, lambda: self.address)

    def read(self):
        for line in self.process.stderr:
            self.printed.append(line)
            found = re.search(r"lab: (http://\S+)", line)
            if found:
                self.address = found[1]

    def end(self, number=signal.SIGTERM):
        """Sends a signal. Nothing may be left after 2 s."""
        below = processes_below(self.process.pid)
        self.process.send_signal(number)
        until(f"nothing is left after {number.name}", 2 + (number != signal.SIGKILL) * 2,
              lambda: not any(map(lives, below)))
        self.process.wait(5)
        return below


def tree(browser):
    """The pids that the page shows, with their states."""
    rows = browser.execute_script("""
        return [...document.querySelectorAll('#tree .process')]
          .map((it) => [it.querySelector('b').textContent, it.className]);
    """)
    return {int(pid): state for pid, state in rows}


def click(browser, name):
    browser.find_element(By.ID, name).click()


def level(browser, name):
    browser.find_element(By.CSS_SELECTOR, f"#levels [data-level={name}]").click()


def settled(browser):
    """Waits until all events have their rows."""
    until("all events have rows", 30, lambda: browser.execute_script(
        "return page.rows.count === page.history.events.length"))


def check_live(browser, programs, folder, shots):
    lab = Lab(programs, "--", programs / "ch05-restart", "--port", "0", "--workers", "2",
              "--crash-after", "0")
    browser.get(lab.address)
    until("three processes in the tree", 20, lambda: len(tree(browser)) == 3)
    until("a listener", 10, lambda: "listener" in browser.find_element(By.ID, "table").text)
    browser.execute_script("document.getElementById('requests').value = 4")
    click(browser, "at-once")
    until("four answers", 20, lambda: "4 answered, 0 lost" in
          browser.find_element(By.ID, "tally").text)

    # A click kills a worker, and the page shows its replacement.
    primary, victim, _ = tree(browser)
    browser.find_element(
        By.CSS_SELECTOR, f"[data-pid='{victim}'][data-signal=SIGKILL]").click()
    until("the worker is gone, and another one is there", 10, lambda:
          victim not in tree(browser) and len(tree(browser)) == 3)
    rows = browser.execute_script(ROWS)
    assert any("killed by SIGKILL from you" in it for it in rows), rows[-20:]
    browser.find_element(By.CSS_SELECTOR, "#tree summary").click()
    until("how it ended is in the list", 5, lambda:
          f"{victim} killed by SIGKILL from you" in browser.find_element(By.ID, "tree").text)

    # The row of an exec says what it closes, with names.
    rows = browser.execute_script(ROWS)
    last = max(at for at, row in enumerate(rows) if row.startswith("exec "))
    browser.execute_script("page.select(arguments[0])", last)
    detail = browser.find_element(By.ID, "detail").text
    assert re.search(r"fd \d+ closed: listener 127", detail), detail
    click(browser, "last")

    # Stopped and continued.
    worker = [it for it in tree(browser) if it != primary][0]
    for name, state in (("SIGSTOP", "stopped"), ("SIGCONT", "runs")):
        browser.find_element(
            By.CSS_SELECTOR, f"[data-pid='{worker}'][data-signal={name}]").click()
        until(f"{name}: {state}", 10, lambda: state in tree(browser).get(worker, ""))

    # A connection that no process accepts is shown in the backlog.
    for pid in list(tree(browser))[1:]:
        browser.find_element(
            By.CSS_SELECTOR, f"[data-pid='{pid}'][data-signal=SIGSTOP]").click()
        until("it is stopped", 10, lambda: "stopped" in tree(browser).get(pid, ""))
    browser.execute_script("document.getElementById('requests').value = 1")
    click(browser, "in-turn")
    until("it is in the backlog", 10, lambda: "in the backlog" in
          browser.find_element(By.ID, "table").text)
    for pid in list(tree(browser))[1:]:
        browser.find_element(
            By.CSS_SELECTOR, f"[data-pid='{pid}'][data-signal=SIGCONT]").click()
    until("one answer", 20, lambda: "1 answered, 0 lost" in
          browser.find_element(By.ID, "tally").text)
    until("it is accepted", 5, lambda: "in the backlog" not in
          browser.find_element(By.ID, "table").text)

    # A filter looks at what is shown; without a row, the moment stays.
    shown = browser.find_element(By.ID, "table").text
    for words, wanted in (("receives listener", True), ("no such word", False), ("", True)):
        browser.execute_script("""
            const filter = document.getElementById('filter');
            filter.value = arguments[0];
            filter.dispatchEvent(new Event('input'));
        """, words)
        until(f"the rows with '{words}'", 5, lambda words=words, wanted=wanted: (
            browser.execute_script("return [page.filter, page.view.list.length > 0]")
            == [words, wanted]))
        assert len(tree(browser)) == 3, "the tree is gone"
        if not words:
            assert browser.find_element(By.ID, "table").text == shown

    # Step back to the moment when the listener was on its way.
    click(browser, "pause")
    row = browser.execute_script("""
        const { list } = page.rows;
        return list.findIndex((it) => (page.history.events[it.first].handles ?? []).length > 0);
    """)
    assert row > 0, "no descriptor was sent"
    browser.execute_script("page.select(arguments[0] + 1)", row)
    browser.find_element(By.TAG_NAME, "body").send_keys("\ue012")  # the left arrow
    table = browser.find_element(By.ID, "table").text
    assert "on the way" in table and f"{primary} →" in table, table
    if shots:
        time.sleep(0.3)
        browser.save_screenshot(str(shots / "on-the-way.png"))
    click(browser, "pause")
    for name in ("life", "story", "calls", "all"):
        level(browser, name)
        settled(browser)
        time.sleep(0.3)
        if shots:
            browser.save_screenshot(str(shots / f"level-{name}.png"))

    # Saved, and opened again: the same page.
    level(browser, "story")
    settled(browser)
    click(browser, "save")
    file = folder / "recording.lab"
    until("the recording was saved", 10, lambda: file.exists() and file.stat().st_size > 0)
    before = browser.execute_script(ROWS)
    browser.find_element(By.ID, "file").send_keys(str(file))
    until("it is shown in place of the program", 5, lambda: browser.find_element(
        By.ID, "status").text == "recording")
    time.sleep(0.3)
    assert browser.execute_script(ROWS)[:len(before)] == before, "live events among the recorded"
    lab.end()
    shown = Lab(programs, file)
    browser.get(shown.address)
    until("the recording is shown", 20, lambda:
          len(browser.execute_script("return page.rows?.list ?? []")) >= len(before))
    settled(browser)
    after = browser.execute_script(ROWS)
    assert before == after[:len(before)], "the recording has other rows"
    # What is no recording is refused, and the page shows what it has shown.
    bad = folder / "bad.lab"
    for text in ("", "{}", "[1]\n", '{"format":"lab-recording-1"}\n{"number":0}\n',
                 file.read_text().replace('"kind":"fork"', '"kind":"print"', 1)):
        bad.write_text(text)
        browser.find_element(By.ID, "file").send_keys(str(bad))
        until("it is refused", 5, lambda: "is no recording" in
              browser.find_element(By.ID, "status").text)
        assert browser.execute_script(ROWS) == after
        click(browser, "last")  # The message goes.
    buttons = browser.find_elements(By.CSS_SELECTOR, ".buttons button")
    assert not any(it.is_displayed() for it in buttons), "a button, for nothing"
    shown.end()


def check_foreign(browser, programs):
    """A page of another origin can neither read nor send; nor can one without the token."""
    lab = Lab(programs, "--", "sleep", "30")
    port = int(re.search(r":(\d+)/", lab.address)[1])
    token = lab.address.partition("token=")[2]
    browser.get(lab.address)
    pid = until("a process", 20, lambda: next(iter(tree(browser)), None))

    def status(method="POST", path="/api/signal", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        body = json.dumps({"pid": pid, "signal": "SIGKILL"})
        connection.request(method, path, body, {"X-Lab-Token": token, **headers})
        return connection.getresponse().status

    assert status(Origin="http://evil.example") == 403
    assert status(Host="evil.example") == 403
    assert status(**{"X-Lab-Token": "0" * 32}) == 403
    assert status("GET", "/", **{"X-Lab-Token": ""}) == 403
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST", "/api/signal",
                       json.dumps({"pid": 1, "signal": "SIGKILL"}), {"X-Lab-Token": token})
    assert connection.getresponse().status == 404, "a process that is not the program's"

    page = f"""<!doctype html><title>foreign</title><iframe id="f" src="{lab.address}"></iframe>
    <script>
    window.results = [];
    const tell = (what) => (it) => results.push(what + (it?.ok ? ' works' : ' fails'));
    const to = 'http://127.0.0.1:{port}/api/';
    const body = JSON.stringify({{ pid: {pid}, signal: 'SIGKILL' }});
    const headers = {{ 'X-Lab-Token': '{token}' }};
    fetch(to + 'signal', {{ method: 'POST', body }}).then(tell('post'), tell('post'));
    fetch(to + 'signal', {{ method: 'POST', body, headers }}).then(tell('token'), tell('token'));
    fetch(to + 'signal', {{ method: 'POST', body, mode: 'no-cors' }}).then(tell('blind'), tell('blind'));
    fetch(to + 'events?from=0&token={token}').then(tell('read'), tell('read'));
    </script>"""

    class Foreign(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.get(f"http://127.0.0.1:{server.server_port}/")
        results = until("four results", 10, lambda: (
            lambda it: len(it) == 4 and it)(browser.execute_script("return window.results")))
        assert not [it for it in results if it.endswith("works")], results
        framed = browser.execute_script(
            "try { return document.getElementById('f').contentDocument?.title ?? null; }"
            "catch { return 'blocked'; }")
        assert framed in (None, "", "blocked"), framed
        server.shutdown()
    assert lives(pid), "a foreign page has killed it"
    lab.end()


HOSTILE = r"""
cp "$(command -v sleep)" '<img src=x onerror=hacked()>'
'./<img src=x onerror=hacked()>' 0.1
echo '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
printf '\033[2J\0\377\n' ; echo '</script><svg onload=window.hacked=1>' >&2
sleep 0.2
"""


def check_hostile(browser, programs, folder):
    """What programs print, and what they are called, is text."""
    script = folder / "hostile.sh"
    script.write_text(f"cd {folder}\n{HOSTILE}")
    lab = Lab(programs, "--", "bash", script)
    browser.get(lab.address)
    until("it has ended", 30, lambda: browser.execute_script("return page.hasEnded"))
    for name in ("life", "story", "calls", "all"):
        level(browser, name)
        settled(browser)
        for row in range(0, browser.execute_script("return page.rows.list.length"), 7):
            browser.execute_script("page.select(arguments[0])", row)
    assert browser.execute_script("return window.hacked") is None
    assert not browser.find_elements(By.TAG_NAME, "img")
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 7
    rows = browser.execute_script(ROWS)
    assert any("onerror=hacked()" in it for it in rows), rows[:20]
    lab.end()


def check_crashes(browser, programs, requests):
    """Each request ends with a crash of its worker. Nothing is lost, and the page is usable."""
    lab = Lab(programs, "--", programs / "ch05-restart", "--port", "0", "--workers", "4")
    browser.get(lab.address)
    until("five processes", 30, lambda: len(tree(browser)) == 5)
    browser.execute_script(FRAMES)
    browser.execute_script("document.getElementById('requests').value = arguments[0]", requests)
    click(browser, "at-once")
    began = time.monotonic()
    tally = until("all are answered", 600, lambda: (
        lambda it: "answered" in it and "waiting" not in it and it)(browser.find_element(By.ID, "tally").text))
    seconds = time.monotonic() - began
    time.sleep(1)
    for name in ("life", "story", "all", "story"):
        level(browser, name)
        settled(browser)
        browser.find_element(By.ID, "filter").send_keys("listener")
        time.sleep(0.3)
        browser.find_element(By.ID, "filter").send_keys("\ue003" * 8)  # Backspace.
    frame = browser.execute_script("return window.longest")
    heap = browser.execute_script("return performance.memory.usedJSHeapSize") / 1e6
    memory = memory_of(lab)
    events = browser.execute_script("return page.history.events.length")
    print(f"{requests} requests in {seconds:.0f} s: {tally}; {events} events; the longest frame "
          f"{frame:.0f} ms; memory of the lab {memory:.0f} MB, of the page {heap:.0f} MB")
    assert tally == f"{requests} answered, 0 lost", tally
    assert frame < 200 and memory < 150, "too much"
    lab.end()


NODE_FORK = """
const { fork } = require('child_process');
if (process.argv[2] === 'child') {
  process.on('message', (m, socket) => { process.send({ got: m }); socket?.end('bye'); });
  process.on('disconnect', () => process.exit(3));
} else {
  const child = fork(__filename, ['child']);
  const server = require('net').createServer((it) => child.send('connection', it));
  server.listen(0, '127.0.0.1', () => {
    const client = require('net').connect(server.address().port, '127.0.0.1');
    client.on('data', () => {}).on('close', () => { server.close(); child.disconnect(); });
  });
  child.send({ text: 'x'.repeat(100000) });
}
"""

NODE_CLUSTER = """
const cluster = require('cluster');
if (cluster.isPrimary) {
  cluster.fork(); cluster.fork();
  cluster.on('exit', () => cluster.fork());
  process.on('SIGTERM', () => process.exit(0));
} else {
  require('http').createServer((request, response) => response.end(`${process.pid}\\n`))
    .listen(0, '127.0.0.1');
}
"""

ODD = r"""
exec 3<>/dev/tcp/127.0.0.1/1 2>/dev/null
mkfifo "a, b] = 7 <unfinished ...>" 'x" ) = -1 (y'
cat < "a, b] = 7 <unfinished ...>" & printf '+++ exited with 0 +++\n"\\' > "a, b] = 7 <unfinished ...>"
(sleep 30 & echo $!) | { read -r p; kill -STOP "$p"; kill -CONT "$p"; kill -KILL "$p"; }
(exec -a 'name <with> [odd] "signs"' sleep 0.05)
trap 'echo trapped' USR1; kill -USR1 $$
for i in 1 2 3 4 5 6 7 8; do (exit $i) & done; wait
timeout 0.1 sleep 5; exec python3 -c '
import os, socket, threading
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [0, 1, 2]); print(socket.recv_fds(b, 9, 9))
t = threading.Thread(target=lambda: os.pipe()); t.start(); t.join()
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(chr(0) + "lab" + str(os.getpid())); s.sendto(b"q", s.getsockname())
os.set_inheritable(a.fileno(), True); os.dup2(b.fileno(), 60); os.closerange(50, 90)
if os.fork() == 0: os.execvp("true", ["true", "\\n\"", "é"])
os.wait()'
"""


def recorded(programs, folder, name, command, strace, seconds=3):
    """Records a program, with requests if it listens, and returns the events."""
    file = folder / f"{name}.lab"
    with subprocess.Popen([programs / "lab", "--strace", strace, "--record", file, "--", *command], cwd=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as lab:
        timer = threading.Timer(seconds, lambda: lab.send_signal(signal.SIGTERM))
        timer.start()
        for line in lab.stdout:
            found = re.search(r"listening on http://(\S+)", line)
            for _ in range(6 if found else 0):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection = http.client.HTTPConnection(found[1], timeout=5)
                    connection.request("GET", "/")
                    connection.getresponse().read()
        timer.cancel()
    lines = file.read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def check_programs(programs, folder, strace):
    """Every line of strace is understood: of all chapters, of Node, of a hostile script."""
    (folder / "fork.js").write_text(NODE_FORK)
    (folder / "cluster.js").write_text(NODE_CLUSTER)
    (folder / "odd.sh").write_text(ODD)
    chapters = {"ch01-fork-ipc": [], "ch02-balance": ["--port", "0"], "ch04-events": []}
    for name in ("ch03-handles", "ch05-restart", "ch06-reload", "ch07-cluster"):
        chapters[name] = ["--port", "0", "--workers", "2"]
    commands = {name: [programs / name, *rest] for name, rest in chapters.items()}
    commands["tour"] = [programs / "ch03-handles", "tour"]
    commands["fork"] = ["node", "fork.js"]
    commands["cluster"] = ["node", "cluster.js"]
    commands["odd"] = ["bash", "odd.sh"]
    def check(name):
        events = recorded(programs, folder, name, commands[name], strace)
        end = events[-1]
        assert end["kind"] == "end" and end["lines"] > 30, (name, end)
        assert end["odd"] == 0, (name, end, [it["raw"] for it in events if it["kind"] == "other"])
        kinds = {it["kind"] for it in events}
        return f"{name}: {end['lines']} lines of strace, {len(events)} events, {len(kinds)} kinds"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for text in pool.map(check, commands):
            print(text)


TABLES = """
const { processes, objects } = page.history.last;
return [...processes.values()].filter((it) => it.state !== "zombie").map(({ pid, table }) => [
  pid,
  [...table].map(([fd, it]) => [fd, objects.get(it.object)?.inode ?? null, it.closeOnExec]),
]);
"""


def table_of(pid):
    """What /proc says: fd -> inode of a socket or pipe, and whether exec closes it."""
    table = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink())
        found = re.match(r"(?:socket|pipe):\[(\d+)\]", target)
        flags = re.search(r"flags:\s+(\d+)", pathlib.Path(
            f"/proc/{pid}/fdinfo/{entry.name}").read_text())
        is_closed = bool(int(flags[1], 8) & 0o2000000)
        table[int(entry.name)] = (int(found[1]) if found else None, is_closed)
    return table


def compare_tables(browser):
    for pid, entries in browser.execute_script(TABLES):
        seen = {fd: (inode, closed) for fd, inode, closed in entries}
        real = table_of(pid)
        # A descriptor that was there before the program, and was never used, is not seen.
        for fd in (0, 1, 2):
            seen.pop(fd, None)
            real.pop(fd, None)
        if seen != real:
            return f"{pid}: the page shows {seen}, /proc {real}"
    return None


def send_all(lab, number):
    """Sends a signal to all processes of the program, until none is new."""
    seen = set()
    while not set(processes_below(lab.process.pid)[2:]) <= seen:
        for pid in processes_below(lab.process.pid)[2:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            seen.add(pid)


def difference_within(browser, seconds):
    """How the tables differ from /proc; None if they are the same within this time."""
    end = time.monotonic() + seconds
    while (difference := compare_tables(browser)) and time.monotonic() < end:
        time.sleep(0.1)
    return difference


def check_tables(browser, programs, folder):
    """The tables and the close-on-exec flags are those of /proc, at a quiet moment and when a
    program is stopped under load."""
    (folder / "cluster.js").write_text(NODE_CLUSTER)
    (folder / "descriptors.py").write_text(DESCRIPTORS)
    commands = [["node", folder / "cluster.js"], ["/usr/bin/python3", folder / "descriptors.py"]]
    for name in ("ch03-handles", "ch05-restart", "ch06-reload", "ch07-cluster"):
        commands.append([programs / name, "--port", "0", "--workers", "3"])
    commands.append([programs / "ch02-balance", "--port", "0"])
    for command in commands:
        lab = Lab(programs, "--", *command)
        browser.get(lab.address)
        until("a listener", 20, lambda: "listener" in browser.find_element(By.ID, "table").text)
        for count in (1, 60):
            time.sleep(1)
            browser.execute_script("document.getElementById('requests').value = arguments[0]", count)
            click(browser, "at-once")
            until("answers", 60, lambda: f"{count} answered" in
                  browser.find_element(By.ID, "tally").text)
            difference = difference_within(browser, 10)
            assert difference is None, difference
        browser.execute_script("document.getElementById('requests').value = 300")
        click(browser, "at-once")
        for _ in range(3):
            time.sleep(0.3)
            send_all(lab, signal.SIGSTOP)
            difference = difference_within(browser, 5)
            assert difference is None, f"under load: {difference}"
            send_all(lab, signal.SIGCONT)
        until("answers", 60, lambda: "300 answered" in
              browser.find_element(By.ID, "tally").text)
        tables = browser.execute_script(TABLES)
        print(f"{len(tables)} processes, {sum(len(it) for _, it in tables)} descriptors")
        lab.end()


def check_refused(programs, folder):
    """What cannot be run or opened gets a sentence."""
    bad = folder / "bad.lab"
    bad.write_text('{"format":"lab-recording-1","program":["a"]}\n{"number":1}\n')
    refuses = folder / "refuses"
    refuses.write_text("#!/bin/sh\necho 'strace: PTRACE_TRACEME: Operation not permitted' >&2; exit 1\n")
    refuses.chmod(0o755)
    for words, wanted in (
            (["/no/such"], "there is no program /no/such"),
            ([folder], "is neither a program nor a recording"),
            ([bad], "line 2 is no event"),
            (["--strace", "/no/such", "true"], "Install strace"),
            (["--strace", refuses, "true"], "ptrace_scope"),
            (["--record", "/no/such/file", "true"], "cannot write /no/such/file"),
    ):
        result = subprocess.run([programs / "lab", *words], timeout=10, check=False,
                                capture_output=True, text=True)
        assert result.returncode == 1 and wanted in result.stderr, (words, result)
    nested = ["strace", "-f", "-o", "/dev/null", programs / "lab", "true"]
    result = subprocess.run(nested, timeout=10, check=False, capture_output=True, text=True)
    assert result.returncode == 1 and "under strace" in result.stderr, result


def check_loop(browser, programs):
    """A program that makes processes without end fills neither the memory nor the page."""
    lab = Lab(programs, "--", "bash", "-c", "while :; do (exit 1); /bin/true; done")
    browser.get(lab.address)
    until("the lab says that it keeps no more", 300, lambda: browser.execute_script(
        "return page.history.events.length >= 240000"))
    browser.execute_script(FRAMES)
    for name in ("life", "all"):
        level(browser, name)
        settled(browser)
    click(browser, "first")
    time.sleep(1)
    limits = browser.execute_script(
        "return page.history.events.filter((it) => it.kind === 'limit').map((it) => it.limit)")
    memory = memory_of(lab)
    frame = browser.execute_script("return window.longest")
    print(f"{limits}; the longest frame {frame:.0f} ms; memory of the lab {memory:.0f} MB")
    assert limits == ["details", "all"] and memory < 150 and frame < 200, "too much"
    lab.end()


def memory_of(lab):
    status = pathlib.Path(f"/proc/{lab.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def check_end_after_upgrade(programs):
    """The first process has ended, and another one is asked to end."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "recording"
        command = [programs / "lab", "--record", file, "--", programs / "ch06-reload",
                   "--port", "0", "--workers", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as lab:
            until("the worker is ready", 20, lambda: "is ready" in lab.stdout.readline())
            first = processes_below(lab.pid)[2]
            os.kill(first, signal.SIGUSR2)
            until("it has taken over", 20, lambda: "has taken over" in lab.stdout.readline())
            until("the first process has ended", 10, lambda: not lives(first))
            lab.send_signal(signal.SIGTERM)
            lab.stdout.read()
        events = [json.loads(it) for it in file.read_text().splitlines()]
        asked = [it["to"] for it in events if it.get("kind") == "signalled"]
        ends = {it["pid"]: it.get("code") for it in events if it.get("kind") == "exit"}
        assert asked and first not in asked, asked
        assert set(ends.values()) == {0}, ends


def check_ends(programs):
    """However it ends, nothing is left."""
    def started():
        lab = Lab(programs, "--", programs / "ch05-restart", "--port", "0", "--workers", "2")
        below = until("strace, primary, two workers", 20, lambda: (
            lambda it: len(it) >= 5 and it)(processes_below(lab.process.pid)))
        return lab, below

    for stopped in (False, True):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            lab, below = started()
            if stopped:
                for pid in below[2:]:
                    subprocess.run(["kill", "-STOP", str(pid)], check=False)
            lab.end(number)
        for victim in (0, 1):
            lab, below = started()
            if stopped:
                subprocess.run(["kill", "-STOP", str(below[-1])], check=False)
            subprocess.run(["kill", "-KILL", str(below[victim])], check=True)
            until("nothing is left", 2.5, lambda: not any(map(lives, below)))
            lab.end()
    check_end_after_upgrade(programs)
    left = list(pathlib.Path(tempfile.gettempdir()).glob("lab-*"))
    assert not left, left


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=lambda it: pathlib.Path(it).resolve())
    parser.add_argument("--shots", type=pathlib.Path)
    parser.add_argument("--crashes", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--strace", default="strace")
    options = parser.parse_args()
    faulthandler.dump_traceback_later(900, exit=True)
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        checks = {
            "programs": lambda: check_programs(options.programs, folder, options.strace),
            "tables": lambda: check_tables(browser, options.programs, folder),
            "ends": lambda: check_ends(options.programs),
            "live": lambda: check_live(browser, options.programs, folder, options.shots),
            "foreign": lambda: check_foreign(browser, options.programs),
            "hostile": lambda: check_hostile(browser, options.programs, folder),
            "refused": lambda: check_refused(options.programs, folder),
            "loop": lambda: check_loop(browser, options.programs),
            "crashes": lambda: check_crashes(browser, options.programs, options.crashes),
        }
        # `loop` takes a minute.
        usual = [it for it in checks if it != "loop"]
        wanted = options.only.split(",") if options.only else usual
        needs_browser = not set(wanted) <= {"programs", "ends"}
        browser = browser_with(folder) if needs_browser else None
        try:
            for name, check in checks.items():
                if name in wanted:
                    check()
                    print(f"ok: {name}", flush=True)
        finally:
            if browser:
                browser.quit()
            for lab in Lab.all:
                lab.process.kill()


main()
