// Beside the diagram: the tree of processes, who holds what, and the selected event.

"use strict";

/** More rows than this in the table of objects are counted only. */
const MOST_OBJECTS = 40;

/** More waiting connections than this are counted only. */
const MOST_WAITING = 6;

/** More ended processes than this are counted only. */
const MOST_PAST = 100;

/** An element with a class and a text, and what it contains. */
function html(name, className = "", text = "", ...children) {
  const made = document.createElement(name);
  if (className !== "") made.className = className;
  if (text !== "") made.textContent = text;
  made.append(...children);
  return made;
}

/** The tree of processes. A row stays the same element, or a click on it could miss. */
class Tree {
  /** `onPick(pid)` is called when a process is clicked, `onSignal(pid, name)` by buttons. */
  constructor(box, onPick, onSignal) {
    this.box = box;
    this.onPick = onPick;
    this.onSignal = onSignal;
    this.rows = new Map();
    this.past = html("details", "note", "", html("summary"), html("div"));
    this.past.addEventListener("toggle", () => this.showPast());
  }

  /** Shows the processes of a moment, each below its parent. */
  show(moment, facts, { picked, canSignal }) {
    const shown = [];
    const walk = (process, depth) => {
      shown.push(process.pid);
      this.update(process, depth, moment, facts, { picked, canSignal });
      for (const child of moment.children(process.pid)) walk(child, depth + 1);
    };
    for (const process of moment.processes.values()) {
      if (process.parent === null) walk(process, 0);
    }
    for (const pid of this.rows.keys()) {
      if (!moment.processes.has(pid)) this.rows.delete(pid);
    }
    const ended = `${moment.gone} ${shown.length > 0 ? "more " : ""}have ended and are gone`;
    this.past.hidden = moment.gone === 0;
    this.past.firstChild.textContent = ended;
    this.seen = { facts, count: moment.count };
    this.showPast();
    const wanted = [...shown.map((pid) => this.rows.get(pid).row), this.past];
    const isSame = wanted.length === this.box.children.length
      && wanted.every((it, at) => it === this.box.children[at]);
    if (!isSame) this.box.replaceChildren(...wanted);
  }

  /** How each process ended that was waited for, if that is unfolded. */
  showPast() {
    if (!this.past.open) return;
    const { facts, count } = this.seen;
    const past = facts.past(count);
    const lines = past.slice(0, MOST_PAST).map(({ pid, end }) =>
      html("div", "", `${pid} ${end === null ? "was not seen to end" : endInWords(end)}`));
    if (past.length > MOST_PAST) lines.push(html("div", "", `and ${past.length - MOST_PAST} before`));
    this.past.lastChild.replaceChildren(...lines);
  }

  update(process, depth, moment, facts, { picked, canSignal }) {
    const { pid, state } = process;
    if (!this.rows.has(pid)) this.rows.set(pid, this.make(pid));
    const { row, stateText, program, buttons, pause } = this.rows.get(pid);
    const lane = facts.life(pid, moment.count)?.lane ?? 0;
    row.className = `process ${state} lane-${lane % 10}${picked === pid ? " picked" : ""}`;
    row.style.marginLeft = `${depth * 12}px`;
    stateText.textContent = stateInWords(process);
    program.textContent = program.title = facts.program(pid, moment.count);
    buttons.hidden = !canSignal || state === "zombie";
    pause.dataset.signal = state === "stopped" ? "SIGCONT" : "SIGSTOP";
    for (const button of buttons.children) {
      button.textContent = button.dataset.signal.slice(3);
      button.title = `sends ${button.dataset.signal} to ${pid}`;
    }
  }

  make(pid) {
    const stateText = html("span", "state");
    const program = html("div", "program");
    const buttons = html("div", "buttons");
    for (const name of ["SIGTERM", "SIGKILL", "SIGSTOP"]) {
      const button = buttons.appendChild(html("button"));
      Object.assign(button.dataset, { signal: name, pid });
      button.addEventListener("click", (click) => {
        click.stopPropagation();
        this.onSignal(pid, button.dataset.signal);
      });
    }
    const who = html("div", "who", "", html("b", "", String(pid)), stateText);
    const row = html("div", "process", "", who, program, buttons);
    row.addEventListener("click", () => this.onPick(pid));
    return { row, stateText, program, buttons, pause: buttons.lastChild };
  }
}

function stateInWords({ state, waits, end }) {
  if (state === "zombie") return `${endInWords(end)}; a zombie, not waited for`;
  if (state === "stopped") return "stopped";
  if (waits === null) return "runs";
  const fds = waits.fds.length === 0 || waits.fds.length > 6 ? "" : ` (fd ${waits.fds.join(" ")})`;
  return `waits in ${waits.call}${fds}`;
}

/** Objects against processes: in each cell the descriptors. */
function showHolders(box, moment, facts, event) {
  // A zombie holds nothing.
  const living = [...moment.processes.values()].filter((it) => it.state !== "zombie");
  const columns = living.map((it) => it.pid);
  const changed = new Set((event?.changes ?? []).map((it) => `${it.pid}/${it.fd}`));
  const table = html("table");
  const isOnTheWay = moment.backlog.size > 0
    || [...moment.onTheWay.values()].some((it) => it.handles.length > 0);
  const head = table.createTHead().insertRow();
  for (const name of ["", ...columns]) head.append(html("th", "", String(name)));
  if (isOnTheWay) head.append(html("th", "way", "on the way"));
  const body = table.createTBody();
  const holders = moment.holders();
  const groups = objectGroups(moment, facts, holders);
  // What belongs to one process alone is last.
  const isInside = ([id]) => facts.isInside(id);
  groups.sort((one, other) => isInside(one) - isInside(other));
  for (const ids of groups.slice(0, MOST_OBJECTS)) {
    const row = body.insertRow();
    const held = ids.flatMap((id, end) => holders.get(id).map((it) => ({ ...it, end })));
    row.append(html("th", "", facts.nameNow(ids[0], holders)));
    for (const pid of columns) {
      const cell = row.insertCell();
      for (const { fd, end, closeOnExec } of held.filter((it) => it.pid === pid)) {
        const stays = closeOnExec ? "" : "↓";
        const part = html("span", ids.length > 1 ? `end-${end}` : "", `${fd}${stays} `);
        part.title = closeOnExec ? "exec closes it" : "stays open at exec";
        cell.append(part);
        if (changed.has(`${pid}/${fd}`)) cell.className = "changed";
      }
    }
    if (isOnTheWay) {
      const messages = held.filter((it) => it.message !== undefined);
      const cell = row.insertCell();
      cell.className = "way";
      if (messages.length > 0) {
        cell.className = "way changed";
        const takers = (id) => (holders.get(id) ?? []).map((it) => it.pid ?? "…").join(", ");
        const ways = messages.map(({ message }) => `${message.from} → ${takers(message.to)}`);
        cell.textContent = ways.join("; ");
      }
    }
  }
  const waiting = [...moment.backlog];
  for (const [port, request] of waiting.slice(0, MOST_WAITING)) {
    const row = body.insertRow();
    row.append(html("th", "", `connection :${port} (request ${request})`));
    for (const _ of columns) row.insertCell();
    const cell = row.insertCell();
    cell.className = "way changed";
    cell.textContent = "in the backlog";
    cell.title = "the kernel keeps it until a process accepts it";
  }
  if (waiting.length > MOST_WAITING) {
    const row = body.insertRow();
    row.append(html("th", "", `${waiting.length - MOST_WAITING} more in the backlog`));
  }
  const more = groups.length - MOST_OBJECTS;
  const notes = [html("p", "note", "The numbers are descriptors. ↓: stays open at exec. "
    + "The two ends of a channel have two colours. With a self-pipe, a process wakes itself.")];
  if (groups.length === 0) notes[0].textContent = "No process has a socket.";
  if (more > 0) notes.unshift(html("p", "note", `and ${more} more`));
  box.replaceChildren(...(groups.length === 0 ? [] : [table]), ...notes);
}

/** Sockets and pipes that are held; the two ends together. Listeners first. */
function objectGroups(moment, facts, holders) {
  const order = ["listener", "connection", "socket", "pair", "pipe"];
  const groups = new Map();
  const objects = [...moment.objects.values()];
  const held = objects.filter((it) => order.includes(it.kind) && holders.has(it.id)
    && (it.kind !== "pipe" || it.peer !== undefined));
  held.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.id - b.id);
  for (const { id } of held) {
    const key = facts.channelOf(id);
    groups.set(key, [...(groups.get(key) ?? []), id]);
  }
  return [...groups.values()];
}

/** All descriptors of one process. */
function showTable(box, moment, facts, pid) {
  const process = moment.processes.get(pid);
  const table = html("table");
  const head = table.createTHead().insertRow();
  for (const name of ["fd", "refers to", "at exec", "also"]) head.append(html("th", "", name));
  const body = table.createTBody();
  const holders = moment.holders();
  const entries = [...(process?.table ?? [])].sort((a, b) => a[0] - b[0]);
  for (const [fd, { object, closeOnExec }] of entries) {
    const others = holders.get(object).filter((it) => it.pid !== pid || it.fd !== fd);
    const also = others.map((it) => (it.message === undefined ? `${it.pid}: ${it.fd}` : "on the way"));
    const row = body.insertRow();
    const cells = [fd, facts.nameNow(object, holders), closeOnExec ? "closed" : "stays", also.join(", ")];
    for (const text of cells) row.append(html("td", "", String(text)));
  }
  box.replaceChildren(table);
}

/** The system calls and messages of a row, and which descriptors it opens and closes. */
function showDetail(box, events, facts, history) {
  const parts = [];
  for (const event of events) {
    const thread = event.thread === undefined ? "" : ` (thread ${event.thread})`;
    const who = event.pid === 0 ? "the lab" : `${event.pid}${thread}`;
    parts.push(html("p", "note", `${event.time.toFixed(6)} s, ${who}`));
    if ((event.raw ?? "") !== "") parts.push(html("pre", "", event.raw));
    const texts = [event.text ?? "", ...(event.messages ?? []).map((it) => it.text ?? "")];
    for (const text of texts) parts.push(...jsonLines(text));
    const table = () => history.at(event.number + 1).process(event.pid).table;
    const changes = changesInWords(event, facts, table);
    if (changes.length > 0) parts.push(html("p", "note changes", changes.join("\n")));
  }
  if (parts.length === 0) parts.push(html("p", "note", "The next level shows more of this."));
  box.replaceChildren(...parts);
}

/** Messages that are JSON, indented. */
function jsonLines(text) {
  return text.split("\n").flatMap((line) => {
    try {
      const value = JSON.parse(line);
      return typeof value === "object" ? [html("pre", "json", JSON.stringify(value, null, 1))] : [];
    } catch {
      return [];
    }
  });
}
