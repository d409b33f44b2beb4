// What is known of a run from all its events so far: the lane of each process, which
// message was sent when, which processes use a channel. Unlike a Moment, it does not
// depend on the event that is selected.

"use strict";

if (typeof require !== "undefined") {
  var { portOf } = require("./moment.js");
}

class Facts {
  constructor() {
    /** Processes in the order of their birth. A pid that was used twice is there twice. */
    this.lives = [];
    /** The same, by pid and by lane. */
    this.byPid = new Map();
    this.byLane = [];
    /** Those that were not waited for, by pid. */
    this.living = new Map();
    /** Objects that ever were, by id, with the newest of what is known about them. */
    this.objects = new Map();
    /** By number of a message: the event that has sent it. */
    this.sent = new Map();
    /** By the lower id of a pair's two ends: which processes have sent and received. */
    this.users = new Map();
    /** By port of a client: the lab's newest request from there, `{ request, number }`. */
    this.asked = new Map();
    /** The same, by the connection that was accepted. */
    this.requests = new Map();
    /** How many requests of the lab have ended, and how. */
    this.ended = { answered: 0, lost: 0 };
    /** Whether something came from outside, so that outside needs a lane. */
    this.hasOutside = false;
  }

  add(event) {
    for (const object of event.objects ?? []) this.objects.set(object.id, object);
    if (event.pid !== 0 && this.alive(event.pid) === undefined) this.born(event, event.pid);
    this[HANDLERS[event.kind]]?.(event);
  }

  /** The process with this pid that has not been waited for. */
  alive(pid) {
    return this.living.get(pid);
  }

  /** The process that had this pid at an event. */
  life(pid, number) {
    return lifeAt(this.byPid.get(pid) ?? [], number);
  }

  /** The processes that were waited for among the first `count` events, the last one first. */
  past(count) {
    const past = this.lives.filter((it) => it.reaped !== null && it.reaped < count);
    return past.sort((a, b) => b.reaped - a.reaped);
  }

  /** What a process ran at an event: `ch05-restart worker`, `node server.js`. */
  program(pid, number) {
    const life = this.life(pid, number);
    const command = this.command(life, number);
    if (command === undefined) return "";
    const hasExec = life.execs.some((it) => it.number <= number);
    return `${shortCommand(command)}${hasExec ? "" : " (forked)"}`;
  }

  /** Whether no two processes communicate over a pair or a pipe. */
  isInside(id) {
    const peer = this.objects.get(id)?.peer;
    return peer !== undefined && this.usersOf(id).users.size === 0;
  }

  /** What a reader calls an object that these processes hold now. */
  nameNow(id, holders) {
    const peer = this.objects.get(id)?.peer;
    const isHalf = peer !== undefined && holders.has(id) !== holders.has(peer);
    return `${this.name(id)}${isHalf ? " (one end closed)" : ""}`;
  }

  /** Which processes communicate over a pair; `own`: which one only wakes itself. */
  usersOf(id) {
    const { users, own } = this.users.get(this.channelOf(id)) ?? NONE;
    // While a child has not called exec, it holds its parent's self-pipe, too.
    const isOwn = own !== null && [...users].every((it) => it === own);
    return isOwn ? { users: NONE.users, own } : { users, own: null };
  }

  /** What a reader calls an object. */
  name(id) {
    const object = this.objects.get(id);
    if (object === undefined) return "?";
    const { kind, label, peer } = object;
    if (kind === "listener") return `listener ${label}`;
    const asked = this.requests.get(id);
    if (asked !== undefined) return `connection :${portOf(label)} (request ${asked.request})`;
    if (kind === "connection") return `connection ${label}`;
    if (kind !== "pair" && (kind !== "pipe" || peer === undefined)) return label === "" ? kind : label;
    const { users, own } = this.usersOf(id);
    const pids = [...users].sort((a, b) => a - b);
    const name = kind === "pair" ? "channel" : "pipe";
    if (pids.length > 1) return `${name} ${pids.join(" ⇄ ")}`;
    if (pids.length === 1) return `${name} ${pids[0]} ⇄ …`;
    if (own !== null) return `self-pipe of ${own}`;
    return `${kind}, not used`;
  }

  /** What the two ends of a pair have in common: the lower of their ids. */
  channelOf(id) {
    return channel(id, this.objects.get(id)?.peer);
  }

  born(event, pid) {
    // A lane is free as soon as its process has been waited for.
    const taken = new Set([...this.living.values()].map((it) => it.lane));
    let lane = 0;
    while (taken.has(lane)) lane += 1;
    const parent = event.kind === "fork" && event.child === pid ? event.pid : null;
    const number = event.number;
    const ends = { died: null, end: null, reaped: null };
    const maker = parent === null ? undefined : this.alive(parent);
    const life = { pid, parent, maker, lane, born: number, execs: [], stops: [], ...ends };
    this.lives.push(life);
    if (!this.byPid.has(pid)) this.byPid.set(pid, []);
    this.byPid.get(pid).push(life);
    this.byLane[lane] ??= [];
    this.byLane[lane].push(life);
    this.living.set(pid, life);
  }

  forked(event) {
    this.born(event, event.child);
  }

  executed({ pid, number, path, arguments: words }) {
    const life = this.alive(pid);
    // Its own program once more: that has a better name.
    const own = path === "/proc/self/exe" ? this.command(life, number)?.[0] : undefined;
    const command = own === undefined ? words : [own, ...words.slice(1)];
    life.execs.push({ number, arguments: command });
  }

  /** The command line of a process at an event; its parent's, if it has called no exec. */
  command(life, number) {
    if (life === undefined) return undefined;
    const exec = life.execs.findLast((it) => it.number <= number);
    return exec?.arguments ?? (life.maker && this.command(life.maker, life.born));
  }

  exited({ pid, number, code, signal, by }) {
    const life = this.alive(pid);
    life.died = number;
    life.end = { code, signal, by };
    for (const child of this.living.values()) {
      if (child.parent !== pid) continue;
      child.parent = null;
      if (child.died !== null) this.gone(child.pid, number);
    }
    if (life.parent === null) this.gone(pid, number);
  }

  reaped({ child, number }) {
    this.gone(child, number);
  }

  gone(pid, number) {
    const life = this.living.get(pid);
    if (life === undefined) return;
    life.reaped = number;
    this.living.delete(pid);
  }

  sentMessages(event) {
    const { pid, number, to, messages } = event;
    this.use(to, event);
    for (const message of messages) {
      if (!this.sent.has(message)) this.sent.set(message, { number, pid, to });
    }
  }

  receivedMessages(event) {
    for (const { message } of event.messages) {
      const sent = this.sent.get(message);
      if (sent !== undefined) this.use(sent.to, event);
    }
  }

  /** Notes that a process has sent or received over a pair. */
  use(object, { pid, level }) {
    const key = this.channelOf(object);
    if (!this.users.has(key)) this.users.set(key, { users: new Set(), own: null });
    // What a process sends to itself, to wake its main loop, is no message.
    if (level === "all") this.users.get(key).own = pid;
    else this.users.get(key).users.add(pid);
  }

  /** From when to when a process was stopped. */
  stopped({ pid, number }) {
    this.alive(pid).stops.push({ from: number, to: null });
  }

  signalled({ pid, number, signal }) {
    const stop = this.alive(pid).stops.at(-1);
    if (signal === "SIGCONT" && stop?.to === null) stop.to = number;
  }

  outside() {
    this.hasOutside = true;
  }

  requested({ port, request, number }) {
    this.hasOutside = true;
    this.asked.set(port, { request, number });
  }

  accepted({ objects = [] }) {
    this.hasOutside = true;
    for (const { id, label } of objects) {
      const asked = this.asked.get(portOf(label));
      if (asked === undefined) continue;
      this.requests.set(id, asked);
      this.asked.delete(portOf(label));
    }
  }

  requestEnded({ kind }) {
    this.ended[kind] += 1;
  }
}

/** Of lives that follow each other, the one at an event; before the first one, that. */
function lifeAt(lives, number) {
  return lives.findLast((it) => it.born <= number) ?? lives[0];
}

const NONE = { users: new Set(), own: null };

/** Which method takes which kind of event. */
const HANDLERS = {
  fork: "forked",
  exec: "executed",
  exit: "exited",
  stop: "stopped",
  signal: "signalled",
  reap: "reaped",
  send: "sentMessages",
  receive: "receivedMessages",
  accept: "accepted",
  signalled: "outside",
  asked: "requested",
  answered: "requestEnded",
  lost: "requestEnded",
};

function channel(id, peer) {
  return peer === undefined ? id : Math.min(id, peer);
}

/** A command line without directories: of the program, and of an interpreter's script. */
function shortCommand(words) {
  const base = (path) => path.slice(path.lastIndexOf("/") + 1);
  const [program = "", ...rest] = words;
  const isInterpreter = /^(node|python3?|bash|sh)$/.test(base(program));
  if (isInterpreter && rest.length > 0) rest[0] = base(rest[0]);
  return [base(program), ...rest].join(" ");
}

if (typeof module !== "undefined") module.exports = { Facts, lifeAt, shortCommand };
