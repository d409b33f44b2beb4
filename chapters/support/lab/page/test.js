// Tests of what the page does without a browser: node --test page/
"use strict";
const { test } = require("node:test");
const assert = require("node:assert");
const { Moment, History, checkEvent } = require("./moment.js");
const { Facts, shortCommand } = require("./facts.js");
const { Rows, rowText } = require("./rows.js");
const { changesInWords, describe } = require("./words.js");

let next;
const event = (pid, kind, more = {}) => ({ number: next++, time: 0, pid, kind, ...more });
const pair = (id, peer) => ({ id, kind: "pair", label: "", peer });
const opened = (pid, fd, object, close_on_exec = true) => ({ pid, fd, object, close_on_exec });

/** A parent makes a pair and a child, and sends a listener over it. */
function run() {
  next = 0;
  return [
    event(7, "exec", { path: "/bin/a", arguments: ["/bin/a", "x"] }),
    event(7, "call", {
      objects: [{ id: 0, kind: "listener", label: "127.0.0.1:80" }],
      changes: [opened(7, 3, 0)],
    }),
    event(7, "call", {
      objects: [pair(1, 2), pair(2, 1)],
      changes: [opened(7, 4, 1), opened(7, 5, 2)],
    }),
    event(7, "fork", { child: 8 }),
    event(7, "call", { changes: [{ pid: 7, fd: 5 }] }),
    event(8, "wait", { call: "recvmsg", fds: [5] }),
    event(7, "send", { fd: 4, to: 2, messages: [1], text: "{}\n", handles: [{ fd: 3, object: 0 }] }),
    event(7, "call", { changes: [{ pid: 7, fd: 3 }] }),
    event(8, "receive", {
      fd: 5,
      messages: [{ message: 1, from: 7, text: "{}" }],
      handles: [{ fd: 6, object: 0 }],
      changes: [opened(8, 6, 0)],
    }),
    event(8, "exit", { signal: "SIGKILL", by: 0 }),
    event(7, "reap", { child: 8, signal: "SIGKILL" }),
    event(7, "fork", { child: 9 }),
  ];
}

function history(events) {
  const history = new History();
  for (const it of events) history.add(it);
  return history;
}

test("a child begins with a copy of its parent's table", () => {
  const moment = history(run()).at(5);
  assert.deepEqual([...moment.processes.get(8).table.keys()], [3, 4, 5]);
  assert.deepEqual([...moment.processes.get(7).table.keys()], [3, 4]);
});

test("a descriptor is on the way until it is received", () => {
  const all = history(run());
  const holders = (count) => all.at(count).holders().get(0);
  assert.deepEqual(holders(7).filter((it) => it.message).length, 1);
  assert.deepEqual(holders(9).filter((it) => it.message), []);
  assert.ok(holders(9).some((it) => it.pid === 8 && it.fd === 6));
});

test("a killed child is a zombie until it is waited for", () => {
  const all = history(run());
  assert.equal(all.at(6).processes.get(8).waits.call, "recvmsg");
  assert.equal(all.at(10).processes.get(8).state, "zombie");
  assert.deepEqual(all.at(10).processes.get(8).end, { signal: "SIGKILL", by: 0 });
  assert.equal(all.at(11).processes.get(8), undefined);
  assert.equal(all.at(11).gone, 1);
});

test("each moment of a long run is the one that was seen live", () => {
  next = 0;
  const events = [event(7, "exec", { path: "a", arguments: ["a"] })];
  for (let i = 0; i < 1700; i += 1) {
    events.push(event(7, "call", { changes: [opened(7, i % 90, i)] }));
  }
  const all = history(events);
  const live = new Moment();
  events.forEach((it, i) => {
    live.apply(it);
    if (i % 97 === 0) assert.deepEqual(all.at(i + 1), live);
  });
  assert.deepEqual(all.at(events.length), live);
});

test("a lane is used again after its process was waited for", () => {
  const facts = new Facts();
  for (const it of run()) facts.add(it);
  assert.deepEqual(facts.lives.map((it) => [it.pid, it.lane]), [[7, 0], [8, 1], [9, 1]]);
  assert.equal(facts.name(1), "channel 7 ⇄ 8");
  assert.equal(facts.name(0), "listener 127.0.0.1:80");
  assert.equal(facts.program(8, 4), "a x (forked)");
});

test("a command is shown without directories", () => {
  assert.equal(shortCommand(["/usr/bin/node", "/home/me/a.js", "x/y"]), "node a.js x/y");
});

/** The run above, as rows of a level. */
function rowsOf(level, { filter = "", ...more } = {}, change = (it) => it) {
  const levels = { call: "calls", wait: "all", send: "story", receive: "story" };
  const events = run().map((it) => change({ level: levels[it.kind] ?? "life", ...it }));
  const facts = new Facts();
  for (const it of events) facts.add(it);
  const rows = new Rows(events, facts, { level, ...more });
  while (rows.count < events.length) rows.add();
  const { list, arrows } = rows.filtered(filter);
  return { rows: list, texts: list.map((it) => rowText(it, events, facts)[0]), arrows };
}

function factsOf(events) {
  const facts = new Facts();
  for (const it of events) facts.add(it);
  return facts;
}

test("what ended is known at each moment, the last one first", () => {
  const facts = factsOf([...run(), event(9, "exit", { code: 3 }), event(7, "reap", { child: 9, code: 3 })]);
  const past = (count) => facts.past(count).map(({ pid, end }) => [pid, end.code ?? end.signal]);
  assert.deepEqual(past(10), []);
  assert.deepEqual(past(11), [[8, "SIGKILL"]]);
  assert.deepEqual(past(14), [[9, 3], [8, "SIGKILL"]]);
});

test("what a call opens and closes has its name", () => {
  const facts = factsOf(run());
  const closed = { pid: 7, kind: "call", call: "close", fd: 3, changes: [{ pid: 7, fd: 3, was: 0 }] };
  assert.equal(describe(closed, facts)[0], "close fd 3, listener 127.0.0.1:80");
  const table = new Map();
  assert.deepEqual(changesInWords(closed, facts, () => table), ["fd 3 closed: listener 127.0.0.1:80"]);
  const both = { pid: 8, changes: [opened(8, 6, 0, false), opened(9, 6, 0, false), opened(8, 7, 0)] };
  assert.deepEqual(changesInWords(both, facts, () => table), [
    "fd 6: listener 127.0.0.1:80, stays open at exec",
    "fd 7: listener 127.0.0.1:80, exec closes it",
  ]);
  const copied = { pid: 8, changes: [opened(8, 7, 0)] };
  table.set(6, { object: 0 }).set(7, { object: 0 }).set(8, { object: 1 });
  assert.deepEqual(changesInWords(copied, facts, () => table), [
    "fd 7: listener 127.0.0.1:80, the same as fd 6, exec closes it",
  ]);
  const many = { pid: 7, changes: Array.from({ length: 30 }, (_, fd) => ({ pid: 7, fd, was: 0 })) };
  assert.equal(changesInWords(many, facts, () => table).at(-1), "and 10 more");
});

test("a signal says that it tells of the parent's death", () => {
  const signal = { kind: "signal", signal: "SIGCONT", from: 7, action: "default" };
  const text = (more) => describe({ ...signal, ...more })[0];
  assert.equal(text({}), "SIGCONT");
  assert.equal(text({ is_parents_death: true }), "SIGCONT, because its parent 7 has died");
  assert.equal(text({ kind: "death-signal" }), "asks for SIGCONT when its parent dies");
});

test("the level of life counts messages", () => {
  assert.deepEqual(rowsOf("life").texts, [
    "exec a x",
    "fork: 8 begins as a copy",
    "1 message",
    "killed by SIGKILL from you",
    "reaps 8: killed by SIGKILL",
    "fork: 9 begins as a copy",
  ]);
});

test("a message that is received at once is one row with one arrow", () => {
  const { rows, texts, arrows } = rowsOf("story", {}, (it) => ({ ...it, handles: undefined }));
  assert.deepEqual(rows[2], { kind: "send", first: 6, last: 8, time: 0, pid: 7 });
  assert.equal(texts[2], "{}");
  const sent = arrows.find((it) => it.color === "message");
  assert.deepEqual(sent, { from: { row: 2, pid: 7 }, to: { row: 2, pid: 8 }, color: "message" });
});

test("while a descriptor is on its way, there is a row", () => {
  const { texts, arrows } = rowsOf("story");
  assert.deepEqual(texts.slice(2, 4), [
    "sends listener 127.0.0.1:80, its fd 3",
    "receives listener 127.0.0.1:80, now fd 6",
  ]);
  const sent = arrows.find((it) => it.color === "handle");
  assert.equal(sent.to.row - sent.from.row, 1);
});

test("a message during which something happens has a slanted arrow", () => {
  const { arrows } = rowsOf("calls");
  const sent = arrows.find((it) => it.color === "handle");
  assert.equal(sent.to.row - sent.from.row, 2);
});

test("a filter has pids, words, and words that must not occur", () => {
  const texts = (filter) => rowsOf("story", { filter }).texts;
  assert.equal(texts("").length, 7);
  assert.deepEqual(texts("9"), ["fork: 9 begins as a copy"]);
  assert.deepEqual(texts("SIGKILL"), ["killed by SIGKILL from you", "reaps 8: killed by SIGKILL"]);
  assert.deepEqual(texts("sigkill -reaps"), ["killed by SIGKILL from you"]);
  // It looks at what is shown.
  assert.deepEqual(texts("receives listener"), ["receives listener 127.0.0.1:80, now fd 6"]);
  assert.deepEqual(texts("no such word"), []);
  const { arrows } = rowsOf("story", { filter: "listener" });
  assert.deepEqual(arrows.map(({ from, to }) => [from.row, to.row]), [[0, 1]]);
});

/** Rows of calls, one every `pause` seconds. */
function callsOf(kinds, pause = 0) {
  const events = kinds.map((kind, number) => ({ number, time: number * pause, pid: 7, kind, level: "all", fds: [] }));
  const facts = new Facts();
  for (const it of events) facts.add(it);
  const rows = new Rows(events, facts, { level: "all" });
  while (rows.count < events.length) rows.add();
  return rows.list.map((it) => rowText(it, events, facts)[0]);
}

test("calls that say little are one row from the fourth on", () => {
  assert.deepEqual(callsOf(["wait", "other", "thread"]).length, 3);
  assert.deepEqual(callsOf(["other", "wait", "wait", "wait", "wait"]), ["5 calls: wait ×4, other"]);
  const around = callsOf(["eof", "other", "other", "other", "other", "eof"]);
  assert.deepEqual(around.slice(1, 2), ["4 calls: other ×4"]);
  assert.equal(around.length, 3);
});

test("a pause is a row", () => {
  assert.deepEqual(callsOf(["eof", "eof"], 0.7)[1], "0.7 s later");
  assert.deepEqual(callsOf(["other", "other", "other", "other"], 0.7).length, 1);
});

test("a request that is not accepted is in the backlog", () => {
  next = 0;
  const connection = { id: 5, kind: "connection", label: "127.0.0.1:4444" };
  const all = history([
    event(7, "exec", { path: "a", arguments: ["a"] }),
    event(0, "asked", { request: 1, port: 4444 }),
    event(0, "asked", { request: 2, port: 5555 }),
    event(7, "accept", { listener: 0, fd: 4, objects: [connection], changes: [opened(7, 4, 5)] }),
    event(0, "lost", { request: 2, why: "reset" }),
  ]);
  assert.deepEqual([...all.at(3).backlog], [[4444, 1], [5555, 2]]);
  assert.deepEqual([...all.at(4).backlog], [[5555, 2]]);
  assert.equal(all.at(5).backlog.size, 0);
});

test("a request is followed from its beginning to the process that accepts it", () => {
  next = 0;
  const connection = { id: 5, kind: "connection", label: "127.0.0.1:4444" };
  const all = [
    event(7, "exec", { path: "a", arguments: ["a"] }),
    event(0, "asked", { request: 1, port: 4444 }),
    event(7, "stop", { signal: "SIGSTOP" }),
    event(7, "accept", { listener: 0, fd: 4, objects: [connection], changes: [opened(7, 4, 5)] }),
  ].map((it) => ({ level: "life", ...it }));
  const facts = factsOf(all);
  assert.equal(facts.name(5), "connection :4444 (request 1)");
  assert.equal(describe(all[3], facts)[0], "accepts request 1 from ?: fd 4");
  const rows = new Rows(all, facts, { level: "life" });
  while (rows.count < all.length) rows.add();
  assert.deepEqual(rows.arrows, [{
    from: { row: 1, pid: "outside" }, to: { row: 3, pid: 7 }, color: "net",
  }]);
});

test("a pair has the name of what it is used for", () => {
  next = 0;
  const first = event(7, "call", { objects: [pair(1, 2), pair(2, 1)], changes: [opened(7, 4, 1), opened(7, 5, 2)] });
  const wake = event(7, "send", { level: "all", to: 2, messages: [1], text: "!" });
  // While a child has not called exec, it holds its parent's self-pipe, too.
  const shared = event(7, "send", { level: "story", to: 2, messages: [2], text: "!" });
  const holders = (events) => history(events).last.holders();
  assert.equal(factsOf([first]).nameNow(1, holders([first])), "pair, not used");
  assert.equal(factsOf([first, wake, shared]).name(1), "self-pipe of 7");
  assert.equal(factsOf([first, shared]).name(1), "channel 7 ⇄ …");
  const events = run();
  const { objects } = events[2];
  assert.equal(objects.length, 2);
  const facts = factsOf(events);
  assert.equal(facts.nameNow(1, holders(events.slice(0, 9))), "channel 7 ⇄ 8");
  assert.equal(facts.nameNow(1, holders(events)), "channel 7 ⇄ 8 (one end closed)");
});

test("what is no event is refused", () => {
  const good = { number: 0, time: 0, pid: 7, level: "life", kind: "fork", child: 8 };
  checkEvent(good, 0);
  const bad = [
    null, 7, { ...good, number: 1 }, { ...good, time: "0" }, { ...good, pid: null },
    { ...good, level: "toString" }, { ...good, kind: 5 }, { ...good, changes: 5 },
    { ...good, changes: [null] }, { ...good, gone: ["x"] }, { ...good, raw: {} },
    { ...good, kind: "send" }, { ...good, kind: "receive", messages: [{}] },
    { ...good, kind: "receive", messages: [1] }, { ...good, kind: "print" },
    { ...good, kind: "exec" }, { ...good, kind: "wait", fds: "all" },
  ];
  for (const it of bad) assert.throws(() => checkEvent(it, 0), undefined, JSON.stringify(it));
});
