// Which rows the diagram has: the events of a level, with those that belong together in
// one row, and arrows between processes.

"use strict";

if (typeof require !== "undefined") {
  var { describe, some } = require("./words.js");
}

const LEVELS = ["life", "story", "calls", "all"];

/** A pause this long, in seconds, has a row of its own. */
const GAP = 0.3;

/** So many calls of one process without anything else are one row. */
const FOLD = 4;

/** The lane of everything that is not traced. */
const OUTSIDE = "outside";

/**
 * The rows and arrows of a run. Events are added one after another, so a live page does
 * not begin again with each of them.
 *
 * A row: `{ kind, first, last, time, pid }`; it stands for the events from `first` to
 * `last`, of which the page selects the last. `kind` is the first event's; or `fold`, with
 * the calls in `counts`; or `traffic`, with `answers` and `messages`; or `gap`, with
 * `seconds`. What is written in a row is made when it is drawn (`rowText`), for a name may
 * be known only later.
 *
 * An arrow: `{ from: { row, pid }, to: { row, pid }, color }`.
 */
class Rows {
  constructor(events, facts, { level, unfolded = new Set() }) {
    this.events = events;
    this.facts = facts;
    this.level = level;
    this.most = LEVELS.indexOf(level);
    this.unfolded = unfolded;
    /** How many events were looked at. */
    this.count = 0;
    this.list = [];
    this.arrows = [];
    /** The calls of one process that say little, and follow each other at the end. */
    this.dull = null;
  }

  /** Looks at the next event. */
  add() {
    const event = this.events[this.count];
    this.count += 1;
    const isShown = LEVELS.indexOf(event.level) <= this.most;
    const isTraffic = this.level === "life" && event.level !== "all"
      && event.level !== "calls" && (event.kind === "answer" || event.kind === "receive");
    if (!(isShown || isTraffic)) return;
    if (!isShown) {
      this.addTraffic(event);
    } else if (this.isDull(event)) {
      this.addDull(event);
    } else {
      this.dull = null;
      const before = this.list.at(-1);
      const isStep = before !== undefined && before.first === before.last
        && isSecondHalf(this.events[before.first], event);
      if (isStep) before.last = event.number;
      else this.push(rowOf(event.kind, event));
      this.arrows.push(...arrowsOf(event, this));
    }
  }

  push(row) {
    const before = this.list.at(-1);
    const seconds = before === undefined ? 0 : row.time - this.events[before.last].time;
    if (seconds > GAP) this.list.push({ ...row, kind: "gap", last: before.last, seconds });
    this.list.push(row);
  }

  addTraffic(event) {
    this.dull = null;
    const before = this.list.at(-1);
    const isPause = before !== undefined && event.time - this.events[before.last].time > GAP;
    if (before?.kind !== "traffic" || isPause) {
      this.push({ ...rowOf("traffic", event), pid: null, answers: 0, messages: 0 });
    }
    const row = this.list.at(-1);
    row.last = event.number;
    if (event.kind === "answer") row.answers += 1;
    else row.messages += event.messages.length;
  }

  isDull(event) {
    const closed = event.call === "close" ? this.facts.objects.get(event.changes?.[0]?.was) : undefined;
    const isStory = event.level === "life" || event.call === "listen"
      || closed?.kind === "listener" || closed?.kind === "connection";
    return DULL.has(event.kind) && !isStory && !this.unfolded.has(event.number);
  }

  addDull(event) {
    if (this.dull?.pid !== event.pid) {
      this.push(rowOf(event.kind, event));
      const counts = new Map();
      this.dull = { pid: event.pid, row: this.list.length - 1, count: 0, counts };
    } else if (this.dull.count + 1 < FOLD) {
      this.push(rowOf(event.kind, event));
    } else {
      this.list.length = this.dull.row + 1;
      const row = this.list.at(-1);
      row.kind = "fold";
      row.last = event.number;
      row.count = this.dull.count + 1;
      row.counts = this.dull.counts;
    }
    const name = event.call ?? CALLS[event.kind] ?? event.kind;
    this.dull.counts.set(name, (this.dull.counts.get(name) ?? 0) + 1);
    this.dull.count += 1;
  }

  /** The row with an event, or the last one before it; -1 if there is none. */
  before(number) {
    return rowBefore(this.list, number);
  }

  /** The row with an event; undefined if it has none. */
  with(number) {
    const at = this.before(number);
    return at >= 0 && number <= this.list[at].last ? at : undefined;
  }

  /**
   * The rows that a filter leaves, and the arrows between them. At the time `until` it goes
   * on with what was looked at before, and says that this is not all.
   */
  filtered(filter, until = Infinity) {
    const words = filter.toLowerCase().split(/\s+/).filter((it) => it !== "" && it !== "-");
    this.isAll = true;
    if (words.length === 0) return this;
    const isWanted = matcher(words);
    const places = new Map();
    const list = [];
    let isAll = true;
    this.list.forEach((row, at) => {
      if (row.kind === "gap") return;
      if (row.searched?.last !== row.last) {
        isAll &&= performance.now() < until;
        if (!isAll) return;
        row.searched = this.searched(row);
      }
      if (!isWanted(row.searched.text, row.searched.takers)) return;
      places.set(at, list.length);
      list.push(row);
    });
    const moved = (end) => ({ ...end, row: places.get(end.row) });
    const arrows = this.arrows
      .filter(({ from, to }) => places.has(from.row) && places.has(to.row))
      .map(({ from, to, color }) => ({ from: moved(from), to: moved(to), color }));
    return { list, arrows, isAll, before: (number) => rowBefore(list, number) };
  }

  /** What a filter looks at: the text of a row, its calls, and its processes. */
  searched(row) {
    const events = [this.events[row.first], this.events[row.last]];
    const [text] = rowText(row, this.events, this.facts);
    const takers = events.flatMap((it) => {
      const senders = it.kind === "receive" ? it.messages.map((message) => message.from) : [];
      const takers = it.kind === "send" ? [...this.facts.usersOf(it.to).users] : [it.to];
      return [it.pid, it.child, it.from, ...takers, ...senders];
    });
    // Of a line of strace, the name of the call: the rest is not shown.
    const calls = events.map((it) => /^\w*/.exec(it.raw ?? "")[0]);
    const all = [text, ...calls].join(" ").toLowerCase();
    return { last: row.last, text: all, takers };
  }
}

function rowBefore(list, number) {
  let [from, to] = [0, list.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (list[middle].first <= number) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}

/** Calls that say little. */
const DULL = new Set(["call", "wait", "thread", "action", "death-signal", "other"]);

/** The calls that make these events. */
const CALLS = { action: "sigaction", thread: "clone", wait: "wait", "death-signal": "prctl" };

function rowOf(kind, { number, time, pid }) {
  return { kind, first: number, last: number, time, pid };
}

/** What is written in a row, and the class of its colour. */
function rowText(row, events, facts) {
  if (row.kind === "gap") return [`${row.seconds.toFixed(1)} s later`, "gap"];
  if (row.kind === "fold") return [foldText(row), "dim"];
  if (row.kind === "traffic") return [trafficText(row), "dim"];
  const [text, color] = describe(events[row.first], facts);
  if (row.kind !== "accept" || row.first === row.last) return [text, color];
  return [`${text} · ${describe(events[row.last], facts)[0]}`, color];
}

function foldText({ count, counts }) {
  const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const names = most.map(([name, times]) => (times === 1 ? name : `${name} ×${times}`));
  const more = counts.size > 3 ? ", …" : "";
  return `${some(count, "call")}: ${names.join(", ")}${more}`;
}

function trafficText({ answers, messages }) {
  const parts = [];
  if (answers > 0) parts.push(some(answers, "answer"));
  if (messages > 0) parts.push(some(messages, "message"));
  return parts.join(", ");
}

/** Words that must occur, `-word` that must not, and pids, one of which must take part. */
function matcher(words) {
  const pids = words.filter((it) => /^\d+$/.test(it)).map(Number);
  const unwanted = words.filter((it) => it.startsWith("-")).map((it) => it.slice(1));
  const wanted = words.filter((it) => !/^\d+$/.test(it) && !it.startsWith("-"));
  return (text, takers) => {
    if (pids.length > 0 && !pids.some((it) => takers.includes(it) || text.includes(String(it)))) {
      return false;
    }
    return wanted.every((it) => text.includes(it)) && !unwanted.some((it) => text.includes(it));
  };
}

/** Whether an event and the next one are one step: sent and received, accepted and read. */
function isSecondHalf(event, next) {
  switch (event.kind) {
    case "send": {
      // A descriptor on its way is worth a row.
      if (next.kind !== "receive" || (event.handles ?? []).length > 0) return false;
      const received = next.messages.map((it) => it.message);
      return received.length === event.messages.length
        && event.messages.every((it) => received.includes(it));
    }
    case "kill":
      return next.kind === "signal" && next.pid === event.to && next.from === event.pid;
    case "signalled":
      return next.kind === "signal" && next.pid === event.to && next.signal === event.signal;
    case "accept":
      return next.kind === "request" && next.pid === event.pid && next.fd === event.fd;
    default:
      return false;
  }
}

/** The arrows that end at an event, which is in the last row. */
function arrowsOf(event, rows) {
  const { events, facts } = rows;
  const here = rows.list.length - 1;
  const arrow = (from, to, color) => ({ from, to, color });
  const at = (row, pid) => ({ row, pid });
  switch (event.kind) {
    case "fork":
      return [arrow(at(here, event.pid), at(here, event.child), "life")];
    case "reap":
      return [arrow(at(here, event.child), at(here, event.pid), "wait")];
    case "signal": {
      if (event.from === undefined || event.from === event.pid) return [];
      const from = facts.life(event.from, event.number) === undefined ? OUTSIDE : event.from;
      return [arrow(at(here, from), at(here, event.pid), "signal")];
    }
    case "accept": {
      // From where it was asked: meanwhile it was in the backlog.
      const asked = facts.requests.get(event.objects?.[0]?.id);
      const start = asked === undefined ? undefined : rows.with(asked.number);
      return [arrow(at(start ?? here, OUTSIDE), at(here, event.pid), "net")];
    }
    case "answer":
      return [arrow(at(here, event.pid), at(here, OUTSIDE), "net")];
    case "signalled":
      return [arrow(at(here, OUTSIDE), at(here, event.to), "signal")];
    case "receive": {
      const starts = new Set(event.messages.map((it) => facts.sent.get(it.message)?.number));
      const color = (event.handles ?? []).length > 0 ? "handle" : "message";
      const shown = [...starts].filter((it) => it !== undefined && rows.with(it) !== undefined);
      return shown.map((start) =>
        arrow(at(rows.with(start), events[start].pid), at(here, event.pid), color));
    }
    default:
      return [];
  }
}

if (typeof module !== "undefined") module.exports = { Rows, rowText, LEVELS, OUTSIDE };
