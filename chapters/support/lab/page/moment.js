// The state of all processes at one moment. It follows from the events up to that moment,
// and from nothing else: live and in a recording it is the same.

"use strict";

/** How many events lie between two moments that a History keeps. */
const KEEP_EVERY = 500;

/** What all processes are and have, after a number of events. */
class Moment {
  constructor() {
    /** How many events have been applied. */
    this.count = 0;
    /** By pid: processes that were not waited for. */
    this.processes = new Map();
    /** How many others there were. */
    this.gone = 0;
    /** By id: objects that are not gone. */
    this.objects = new Map();
    /** Messages that were sent and not received, by number. */
    this.onTheWay = new Map();
    /**
     * Requests of the lab that are connected and not accepted, by the port of the client:
     * the kernel keeps them in the listener's backlog.
     */
    this.backlog = new Map();
  }

  copy() {
    const copy = new Moment();
    copy.count = this.count;
    copy.gone = this.gone;
    for (const [pid, process] of this.processes) {
      copy.processes.set(pid, { ...process, table: new Map(process.table) });
    }
    copy.objects = new Map(this.objects);
    copy.onTheWay = new Map(this.onTheWay);
    copy.backlog = new Map(this.backlog);
    return copy;
  }

  /** The process with this pid; a new one if there is none yet. */
  process(pid) {
    let process = this.processes.get(pid);
    if (process === undefined) {
      process = newProcess(pid, null);
      this.processes.set(pid, process);
    }
    return process;
  }

  apply(event) {
    this.count += 1;
    for (const object of event.objects ?? []) this.objects.set(object.id, object);
    // A child begins with its parent's table as it is before anything else changes.
    if (event.kind === "fork") this.forked(event);
    for (const change of event.changes ?? []) this.change(change);
    const process = event.pid === 0 ? null : this.process(event.pid);
    // Whatever a process does, it waits no more.
    const isAct = event.thread === undefined && event.kind !== "stop" && event.kind !== "signal";
    if (process !== null && isAct) process.waits = null;
    const effect = EFFECTS[event.kind];
    if (effect !== undefined) effect(this, event, process);
    for (const id of event.gone ?? []) {
      this.objects.delete(id);
      for (const [number, message] of this.onTheWay) {
        if (message.to === id) this.onTheWay.delete(number);
      }
    }
  }

  forked(event) {
    const parent = this.process(event.pid);
    const child = newProcess(event.child, event.pid);
    child.path = parent.path;
    child.arguments = parent.arguments;
    child.table = new Map(parent.table);
    this.processes.set(event.child, child);
  }

  change({ pid, fd, object, close_on_exec }) {
    const { table } = this.process(pid);
    if (object === undefined) table.delete(fd);
    else table.set(fd, { object, closeOnExec: close_on_exec === true });
  }

  /**
   * Who has which object: by id, `[{ pid, fd, closeOnExec }]`, and `[{ message }]` for what
   * is on the way.
   */
  holders() {
    const holders = new Map();
    const add = (id, holder) => {
      if (!holders.has(id)) holders.set(id, []);
      holders.get(id).push(holder);
    };
    for (const process of this.processes.values()) {
      for (const [fd, { object, closeOnExec }] of process.table) {
        add(object, { pid: process.pid, fd, closeOnExec });
      }
    }
    for (const message of this.onTheWay.values()) {
      for (const object of new Set(message.handles.map((it) => it.object))) add(object, { message });
    }
    return holders;
  }

  /** The children of a process that were not waited for, in the order of their birth. */
  children(pid) {
    return [...this.processes.values()].filter((it) => it.parent === pid);
  }

  /** A process was waited for. */
  reap(pid) {
    if (this.processes.delete(pid)) this.gone += 1;
  }
}

function newProcess(pid, parent) {
  return {
    pid,
    parent,
    path: "",
    arguments: [],
    /** runs, stopped, zombie */
    state: "runs",
    /** The call in which it waits, and for which descriptors. */
    waits: null,
    end: null,
    table: new Map(),
  };
}

/** What a kind of event changes, beside objects and descriptors. */
const EFFECTS = {
  exec(moment, event, process) {
    process.path = event.path;
    process.arguments = event.arguments;
  },
  wait(moment, event, process) {
    process.waits = { call: event.call, fds: event.fds };
  },
  stop(moment, event, process) {
    process.state = "stopped";
  },
  signal(moment, event, process) {
    if (event.signal === "SIGCONT") process.state = "runs";
  },
  exit(moment, event, process) {
    process.state = "zombie";
    process.end = endOf(event);
    process.table.clear();
    // init, or a subreaper, is their parent now; what it does is not seen.
    for (const child of moment.children(process.pid)) {
      child.parent = null;
      if (child.state === "zombie") moment.reap(child.pid);
    }
    // The first process, and one whose parent has exited: its parent is not traced.
    if (process.parent === null) moment.reap(process.pid);
  },
  reap(moment, event) {
    moment.reap(event.child);
  },
  send(moment, event) {
    for (const number of event.messages) {
      const handles = event.handles ?? [];
      const known = moment.onTheWay.get(number);
      if (known !== undefined) known.handles = known.handles.concat(handles);
      else {
        const { pid, to, text } = event;
        moment.onTheWay.set(number, { number, from: pid, to, text, handles });
      }
    }
  },
  receive(moment, event) {
    for (const { message } of event.messages) moment.onTheWay.delete(message);
  },
  asked(moment, { port, request }) {
    moment.backlog.set(port, request);
  },
  accept(moment, event) {
    for (const { label } of event.objects ?? []) {
      moment.backlog.delete(portOf(label));
    }
  },
  answered: leaveBacklog,
  lost: leaveBacklog,
};

/** The port in an address. */
function portOf(label) {
  return Number(label.slice(label.lastIndexOf(":") + 1));
}

function leaveBacklog(moment, event) {
  for (const [port, request] of moment.backlog) {
    if (request === event.request) moment.backlog.delete(port);
  }
}

function endOf({ code, signal, by }) {
  return code === undefined ? { signal, by } : { code };
}

/** All events so far, and the moment after any number of them. */
class History {
  constructor() {
    this.events = [];
    /** The moments after 0, 500, 1,000, … events. */
    this.kept = [new Moment()];
    /** The moment after all events. */
    this.last = new Moment();
  }

  add(event) {
    this.events.push(event);
    this.last.apply(event);
    if (this.last.count % KEEP_EVERY === 0) this.kept.push(this.last.copy());
  }

  /** The moment after `count` events. */
  at(count) {
    if (count >= this.events.length) return this.last.copy();
    const moment = this.kept[Math.floor(count / KEEP_EVERY)].copy();
    while (moment.count < count) moment.apply(this.events[moment.count]);
    return moment;
  }
}

/** Fields that must be lists, and what must be in them. */
const LISTS = {
  objects: (it) => Number.isInteger(it.id) && typeof it.label === "string",
  changes: (it) => Number.isInteger(it.pid) && Number.isInteger(it.fd),
  gone: Number.isInteger,
  handles: (it) => Number.isInteger(it.object),
  messages: (it) => Number.isInteger(it) || typeof it.text === "string",
  fds: Number.isInteger,
  arguments: (it) => typeof it === "string",
};

/** What a kind of event must have. */
const NEEDED = {
  exec: ["path", "arguments"], fork: ["child"], reap: ["child"], wait: ["call", "fds"],
  send: ["messages", "text"], receive: ["messages"], print: ["text"], request: ["text"],
  answer: ["text"], call: ["call"], kill: ["signal"], signal: ["signal"], stop: ["signal"],
  action: ["signal"], "death-signal": ["signal"], signalled: ["signal"], answered: ["text"], lost: ["why"],
};

/** Throws if this is no event that the page could show: a recording may come from anywhere. */
function checkEvent(event, number) {
  const fail = (what) => { throw new Error(`event ${number}: ${what}`); };
  if (event === null || typeof event !== "object") fail("it is no object");
  if (event.number !== number) fail("its number is not the next one");
  if (!Number.isFinite(event.time) || !Number.isInteger(event.pid)) fail("no time or no process");
  if (!["life", "story", "calls", "all"].includes(event.level)) fail("its level is unknown");
  if (typeof event.kind !== "string") fail("it has no kind");
  for (const name of NEEDED[event.kind] ?? []) {
    if (event[name] === undefined) fail(`it has no ${name}`);
  }
  for (const [name, isGood] of Object.entries(LISTS)) {
    const list = event[name] ?? [];
    if (!Array.isArray(list) || !list.every((it) => it !== null && isGood(it))) fail(`${name} is wrong`);
  }
  const isReceived = (it) => typeof it === "object";
  if (event.kind === "receive" && !event.messages.every(isReceived)) fail("messages are wrong");
  const texts = ["text", "call", "signal", "path", "raw", "why", "error"];
  const isText = (name) => event[name] === undefined || typeof event[name] === "string";
  const wrong = texts.find((name) => !isText(name));
  if (wrong !== undefined) fail(`${wrong} is no text`);
}

if (typeof module !== "undefined") module.exports = { Moment, History, checkEvent, portOf };
