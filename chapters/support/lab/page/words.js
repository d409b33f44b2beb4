// What is said of an event, in a few words.

"use strict";

/** More descriptors than this that one call opens or closes are counted only. */
const MOST_CHANGES = 20;

/** A number and its noun: `1 byte`, `3 bytes`. */
function some(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** How a process ended. */
function endInWords({ code, signal, by }) {
  if (code !== undefined) return `exited with ${code}`;
  const from = by === undefined || by === null ? "" : by === 0 ? " from you" : ` from ${by}`;
  return `killed by ${signal}${from}`;
}

/** The first line of what was read from or written to a connection. */
function firstLine(text) {
  const line = text.split(/\r?\n/, 1)[0];
  return /^[\x20-\x7e\u00a0-\uffff]*$/.test(line) ? line : "bytes that are not text";
}

/** A response: its status, and the last line of its body. */
function response(text) {
  const [head, body = ""] = text.split("\r\n\r\n", 2);
  const status = firstLine(head).replace(/^HTTP\/1\.[01] /, "");
  const last = body.trimEnd().split("\n").pop();
  return last === "" || last === undefined ? status : `${status} · ${last}`;
}

/**
 * What an event changes in its process's table, a line each: `fd 3 closed: listener …`.
 * `table` returns the process's table after the event.
 */
function changesInWords({ pid, changes = [] }, facts, table) {
  const own = changes.filter((it) => it.pid === pid);
  const held = own.some((it) => it.object !== undefined) ? [...table()] : [];
  const lines = own.slice(0, MOST_CHANGES).map(({ fd, object, was, close_on_exec: isClosed }) => {
    if (object === undefined) return `fd ${fd} closed${was === undefined ? "" : `: ${facts.name(was)}`}`;
    const copies = held.filter(([other, it]) => other !== fd && it.object === object);
    const same = copies.length === 0 ? "" : `, the same as fd ${copies.map(([other]) => other).join(", ")}`;
    return `fd ${fd}: ${facts.name(object)}${same}, ${isClosed ? "exec closes it" : "stays open at exec"}`;
  });
  if (own.length > MOST_CHANGES) lines.push(`and ${own.length - MOST_CHANGES} more`);
  return lines;
}

/** The text of an event, and the class of its colour. */
function describe(event, facts) {
  const words = WORDS[event.kind];
  return words === undefined ? [event.kind, "dim"] : words(event, facts);
}

const WORDS = {
  fork: ({ child }) => [`fork: ${child} begins as a copy`, "life"],
  exec: (event, facts) => {
    const closed = (event.changes ?? []).filter((it) => it.object === undefined);
    const closes = closed.length === 0 ? "" : ` (closes ${closed.map((it) => it.fd).join(", ")})`;
    return [`exec ${facts.program(event.pid, event.number)}${closes}`, "life"];
  },
  exit: (event) => {
    const isBad = event.code !== 0;
    return [endInWords(event).replace("exited", "exits"), isBad ? "bad" : "life"];
  },
  reap: (event) => [`reaps ${event.child}: ${endInWords(event)}`, "life"],
  stop: ({ signal }) => [`is stopped by ${signal}`, "signal"],
  thread: ({ child }) => [`makes thread ${child}`, "dim"],
  wait: ({ call, fds }) => [`waits in ${call}${fdsInWords(fds)}`, "dim"],
  kill: ({ to, signal, error }) => {
    const result = error === undefined ? "" : `, which fails: ${error}`;
    const target = to > 0 ? `${to}` : to === 0 ? "its group" : to === -1 ? "all" : `group ${-to}`;
    return [`${signal} to ${target}${result}`, "signal"];
  },
  signal: ({ signal, action, from, is_parents_death: isParentsDeath }) => {
    const what = { default: "", ignore: " (ignored)", handler: " (its handler is called)" };
    const why = isParentsDeath ? `, because its parent ${from} has died` : "";
    return [`${signal}${why}${what[action]}`, "signal"];
  },
  "death-signal": ({ signal }) => {
    const text = signal === "0" ? "asks for no signal" : `asks for ${signal}`;
    return [`${text} when its parent dies`, "dim"];
  },
  action: ({ signal, action }) => {
    const what = { default: "has its default action again", ignore: "is ignored from now on" };
    return [`${signal} ${what[action] ?? "has a handler from now on"}`, "dim"];
  },
  send: (event, facts) => {
    const handles = (event.handles ?? []).map((it) => `${facts.name(it.object)}, its fd ${it.fd}`);
    const text = messageText(event.text);
    // To itself: a handler wakes the main loop.
    if (event.level === "all") return [`writes “${text}”`, "dim"];
    if (handles.length > 0) return [`sends ${handles.join("; ")}`, "handle"];
    if (event.bytes === 1) return [`writes one byte, “${text}”`, "dim"];
    return messageInWords(event.text);
  },
  receive: (event, facts) => {
    const handles = (event.handles ?? []).map((it) => `${facts.name(it.object)}, now fd ${it.fd}`);
    const count = event.messages.length;
    if (handles.length > 0) return [`receives ${handles.join("; ")}`, "handle"];
    if (count === 0) return [`reads ${some(event.bytes, "byte")}`, "dim"];
    return count === 1
      ? messageInWords(event.messages[0].text)
      : [`${some(count, "message")}, ${some(event.bytes, "byte")}`, "message"];
  },
  eof: ({ fd }) => [`fd ${fd}: end of the stream, the other end is closed`, "dim"],
  accept: ({ fd, listener, objects = [] }, facts) => {
    const asked = facts.requests.get(objects[0]?.id);
    const what = asked === undefined ? "accepts" : `accepts request ${asked.request}`;
    return [`${what} from ${facts.name(listener)}: fd ${fd}`, "net"];
  },
  request: ({ text }) => [firstLine(text), "net"],
  answer: ({ text }) => [response(text), "net"],
  print: ({ text }) => [`“${firstLine(text)}”`, "dim"],
  call: ({ call, fd, error, changes = [], objects = [] }, facts) => {
    const isListening = call === "listen" && error === undefined && objects.length > 0;
    if (isListening) return [`listens at ${objects[0].label}: fd ${fd}`, "net"];
    const on = fd === undefined ? "" : ` fd ${fd}`;
    const [change] = changes;
    const was = change?.was === undefined || call !== "close" ? "" : `, ${facts.name(change.was)}`;
    return [`${call}${on}${was}${error === undefined ? "" : `: ${error}`}`, "dim"];
  },
  other: ({ raw }) => [raw, "dim"],
  asked: ({ request }) => [`you: request ${request}`, "net"],
  answered: ({ request, text }) => [`request ${request} answered: ${firstLine(text)}`, "net"],
  lost: ({ request, why }) => [`request ${request} lost: ${why}`, "bad"],
  signalled: ({ to, signal }) => [`you: ${signal} to ${to}`, "signal"],
  limit: ({ events, limit }) => {
    const what = limit === "all" ? "no event is kept" : "calls that change nothing are not kept";
    return [`${events} events: from here on, ${what}`, "bad"];
  },
  end: ({ lines, odd }) => {
    const left = odd === 0 ? "" : `, ${odd} of them not understood`;
    return [`the program has ended (${some(lines, "line")} of strace${left})`, "dim"];
  },
};

function fdsInWords(fds) {
  return fds.length === 0 ? "" : ` for fd ${fds.join(", ")}`;
}

/** A message; Node's acknowledgement of a descriptor in words. */
function messageInWords(text) {
  const isAck = /^\{"cmd":"NODE_HANDLE_ACK"\}\n*$/.test(text);
  return isAck ? ["acknowledges the descriptor", "message"] : [messageText(text), "message"];
}

function messageText(text) {
  const lines = text.split("\n").filter((it) => it !== "");
  if (lines.length > 1) return `${firstLine(lines[0])} and ${lines.length - 1} more`;
  return lines.length === 0 ? "bytes" : firstLine(lines[0]);
}

if (typeof module !== "undefined") module.exports = { changesInWords, describe, endInWords, some };
