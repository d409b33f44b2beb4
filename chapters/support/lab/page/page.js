// The page: it takes events from the lab or from a recording, and shows them.

"use strict";

const $ = (id) => document.getElementById(id);

const LEVEL_NOTES = {
  life: "processes and signals; traffic is counted",
  story: "with messages, descriptors, requests, prints",
  calls: "with every call that changes something",
  all: "all lines",
};

/** The first line of a recording. */
const FORMAT = "lab-recording-1";

/** Milliseconds between two rows when it plays. */
const PLAY = 700;

/** Milliseconds for new rows, in each frame. */
const FRAME = 30;

/** Milliseconds after the last key until the filter is used. */
const TYPING = 150;

/** Milliseconds between two requests for events. */
const PAUSE = 60;

class Page {
  constructor() {
    this.diagram = new Diagram($("heads"), $("rows"), (row) => this.select(row));
    const onPick = (pid) => this.pick(this.picked === pid ? null : pid);
    this.tree = new Tree($("tree"), onPick, (pid, name) => this.signal(pid, name));
    this.level = "story";
    this.filter = "";
    this.unfolded = new Set();
    this.picked = null;
    /** How many requests are under way, and how many had ended before. */
    this.asked = null;
    this.count = 0;
    this.reset({ program: [] }, false);
  }

  /** Begins again, with the events of another run. */
  reset(meta, isLive) {
    this.meta = meta;
    this.isLive = isLive;
    this.hasEnded = !isLive;
    this.history = new History();
    this.facts = new Facts();
    this.selected = 0;
    this.follows = isLive;
    this.unfolded.clear();
    this.rebuild();
    const name = shortCommand(meta.program ?? []);
    $("title").textContent = name === "" ? "lab" : `lab: ${name}`;
    document.title = $("title").textContent;
  }

  add(events) {
    for (const event of events) {
      this.history.add(event);
      this.facts.add(event);
      if (event.kind === "end") this.hasEnded = true;
    }
    this.fill();
  }

  /** Begins the rows again: another level was chosen, or a row was unfolded. */
  rebuild() {
    const { history, facts, level, unfolded } = this;
    const selected = this.view?.list[this.selected]?.last;
    this.rows = new Rows(history.events, facts, { level, unfolded });
    this.fill(selected);
  }

  /**
   * Makes the rows of new events, as many as can be made in a short time, and shows them;
   * the rest in the next frame. Then selects the row with the event `selected`.
   */
  fill(selected) {
    cancelAnimationFrame(this.frame);
    const until = performance.now() + FRAME;
    const { rows, history } = this;
    while (rows.count < history.events.length && performance.now() < until) {
      for (let i = 0; i < 100 && rows.count < history.events.length; i += 1) rows.add();
    }
    this.view = rows.filtered(this.filter, until);
    if (this.follows) this.selected = this.view.list.length - 1;
    else if (selected !== undefined) this.selected = Math.max(0, this.view.before(selected));
    this.show();
    if (rows.count < history.events.length || !this.view.isAll) {
      this.frame = requestAnimationFrame(() => this.fill(selected));
    }
  }

  select(row) {
    this.follows = false;
    const { list } = this.view;
    const chosen = list[row];
    if (chosen?.kind === "fold" && row === this.selected) {
      for (let it = chosen.first; it <= chosen.last; it += 1) this.unfolded.add(it);
      this.rebuild();
      return;
    }
    this.selected = Math.max(0, Math.min(list.length - 1, row));
    this.show();
  }

  setFilter(filter) {
    this.filter = filter;
    this.fill(this.view.list[this.selected]?.last ?? this.count - 1);
  }

  /** To the end; live, it goes on from there. */
  last() {
    if (this.isLive && !this.hasEnded) {
      this.follows = true;
      this.fill();
    } else {
      this.select(this.view.list.length - 1);
    }
  }

  /** Shows the descriptors of a process; of all, without one. */
  pick(pid) {
    this.picked = pid;
    this.show();
  }

  step(by) {
    const { list } = this.view;
    let row = this.selected + by;
    while (list[row]?.kind === "gap") row += by;
    if (list[row] !== undefined) this.select(row);
  }

  show() {
    const { view, facts, selected, history } = this;
    const { events } = history;
    const row = view.list[selected];
    // Without a row, what was shown stays.
    if (row !== undefined) this.count = row.last + 1;
    if (this.follows) this.count = events.length;
    // What a process waits for belongs to the row before it.
    while (events[this.count]?.kind === "wait") this.count += 1;
    const count = Math.min(this.count, events.length);
    const moment = history.at(count);
    this.diagram.show({ rows: view, facts, events, selected });
    this.diagram.reveal(selected);
    const canSignal = this.isLive && !this.hasEnded;
    this.tree.show(moment, facts, { picked: this.picked, canSignal });
    const event = events[count - 1];
    const isOne = this.picked !== null && moment.processes.has(this.picked);
    $("all-objects").hidden = !isOne;
    $("table-title").textContent = isOne ? `Descriptors of ${this.picked}` : "Who holds what";
    if (isOne) showTable($("table"), moment, facts, this.picked);
    else showHolders($("table"), moment, facts, event);
    const from = Math.max(row?.first ?? 0, (row?.last ?? 0) - 200);
    const inRow = row === undefined ? [] : events.slice(from, row.last + 1);
    const shown = inRow.filter((it) => it.pid === row.pid || it === event).slice(-12);
    showDetail($("detail"), shown, facts, history);
    this.showBar(row);
  }

  showBar(row) {
    const status = this.isLive ? (this.hasEnded ? "ended" : this.follows ? "live" : "paused") : "recording";
    $("status").textContent = status;
    $("status").className = status;
    $("slider").max = Math.max(0, this.view.list.length - 1);
    $("slider").value = this.selected;
    const none = this.filter === "" ? "" : "no row has this";
    $("clock").textContent = row?.time === undefined ? none : `${row.time.toFixed(3)} s`;
    $("pause").hidden = !this.isLive || this.hasEnded;
    this.showTally();
    $("pause").textContent = this.follows ? "Pause" : "Now";
    $("ask").hidden = !this.isLive || this.hasEnded;
    for (const button of $("levels").children) {
      button.className = button.dataset.level === this.level ? "on" : "";
    }
  }

  /** While requests are under way, how many have ended so far. */
  showTally() {
    if (this.asked === null) return;
    const { answered, lost } = this.facts.ended;
    const [some, none] = [answered - this.asked.answered, lost - this.asked.lost];
    const waiting = this.asked.count - some - none;
    $("tally").textContent = `${some} answered, ${none} lost, ${waiting} waiting`;
  }

  // The lab.

  async call(path, options = {}) {
    const headers = { "X-Lab-Token": this.token };
    const response = await fetch(path, { ...options, headers });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return response;
  }

  async post(path, value) {
    return this.call(path, { method: "POST", body: JSON.stringify(value) });
  }

  async signal(pid, signal) {
    try {
      await this.post("/api/signal", { pid, signal });
    } catch (error) {
      $("tally").textContent = error.message;
    }
  }

  async ask(atOnce) {
    const count = Number($("requests").value);
    $("in-turn").disabled = $("at-once").disabled = true;
    this.asked = { count, ...this.facts.ended };
    this.showTally();
    try {
      const result = await (await this.post("/api/ask", { count, at_once: atOnce })).json();
      this.asked = null;
      $("tally").textContent = `${result.answered} answered, ${result.lost} lost`;
    } catch (error) {
      this.asked = null;
      $("tally").textContent = error.message;
    }
    $("in-turn").disabled = $("at-once").disabled = false;
  }

  /** Takes events as they come, until the program has ended. */
  async live() {
    this.token = new URLSearchParams(location.search).get("token") ?? "";
    const meta = await (await this.call("/api/meta")).json();
    this.reset(meta, meta.is_live);
    const { history } = this;
    for (;;) {
      const from = history.events.length;
      const text = await (await this.call(`/api/events?from=${from}`)).text();
      // The user may have opened a recording meanwhile.
      if (this.history !== history) return;
      if (text !== "") this.add(readLines(text));
      // A recording that was saved while its program ran has no end.
      if (this.isLive ? this.hasEnded : text === "") return;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  // Recordings.

  load(text) {
    const lines = readLines(text);
    lines.slice(1).forEach(checkEvent);
    this.begin(lines);
  }

  begin([meta, ...events]) {
    if (meta?.format !== FORMAT) throw new Error(`its first line does not say ${FORMAT}`);
    this.reset(meta, false);
    this.add(events);
    this.select(0);
  }

  save() {
    const meta = { format: FORMAT, program: this.meta.program };
    const lines = [meta, ...this.history.events].map((it) => `${JSON.stringify(it)}\n`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
    link.download = "recording.lab";
    link.click();
    URL.revokeObjectURL(link.href);
  }
}

/** A value for each line. */
function readLines(text) {
  return text.split("\n").filter((it) => it !== "").map((it) => JSON.parse(it));
}

const page = new Page();

for (const level of LEVELS) {
  const button = html("button", "", level);
  button.dataset.level = level;
  button.title = LEVEL_NOTES[level];
  button.addEventListener("click", () => { page.level = level; page.rebuild(); });
  $("levels").append(button);
}

let player = null;
function play() {
  clearInterval(player);
  player = player === null ? setInterval(() => page.step(1), PLAY) : null;
  $("play").className = player === null ? "" : "on";
}

function pause() {
  page.follows = !page.follows;
  page.fill();
}

const ACTIONS = {
  first: () => page.select(0),
  back: () => page.step(-1),
  pause,
  play,
  forward: () => page.step(1),
  last: () => page.last(),
  "all-objects": () => page.pick(null),
  save: () => page.save(),
  open: () => $("file").click(),
  "in-turn": () => page.ask(false),
  "at-once": () => page.ask(true),
};
for (const [id, action] of Object.entries(ACTIONS)) $(id).addEventListener("click", action);

$("slider").addEventListener("input", () => page.select(Number($("slider").value)));
let typing = null;
$("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => page.setFilter($("filter").value), TYPING);
});
$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  try {
    page.load(await file.text());
  } catch (error) {
    $("status").textContent = `${file.name} is no recording: ${error.message}`;
  }
  // Else the same file could not be opened again.
  $("file").value = "";
});

const KEYS = { ArrowLeft: "back", ArrowUp: "back", ArrowRight: "forward", ArrowDown: "forward",
  Home: "first", End: "last", " ": "pause" };
addEventListener("keydown", (press) => {
  if (press.target.tagName === "INPUT" || KEYS[press.key] === undefined) return;
  press.preventDefault();
  ACTIONS[KEYS[press.key]]();
});

// In the book, the address says which recording is shown, from which moment on.
const wanted = () => new URLSearchParams(location.hash.slice(1));

/** A recording that lies beside this page as a script calls this. */
function openRecording(lines) {
  page.begin(lines);
  showMoment();
}

function showMoment() {
  const at = page.meta.moments?.[wanted().get("moment")] ?? 0;
  page.select(Math.max(0, page.view.before(at)));
}

const name = wanted().get("recording");
if (/^[a-z0-9-]+$/.test(name ?? "")) {
  document.body.classList.add("embedded");
  page.level = wanted().get("level") ?? "story";
  addEventListener("hashchange", showMoment);
  const script = document.createElement("script");
  script.src = `recordings/${name}.js`;
  document.body.append(script);
} else {
  page.live().catch((error) => { $("status").textContent = `the lab does not answer: ${error.message}`; });
}
