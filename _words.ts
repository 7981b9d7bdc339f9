/**
 * Calls and values in a few words, for logs.
 *
 * @module
 */

import { functionNameOf } from "./_function_name.ts";
import { isGenerator } from "./_operation.ts";
import { printable } from "./_table.ts";
import { Future } from "./future.ts";
import { Task } from "./task.ts";

/** The most characters of a text, and the most members of an object, that are shown. */
const CHARACTERS = 48;
const MEMBERS = 4;

/** What kind of call it is: the name of its class, as the functions that make calls are written. */
export function kindOf(call: unknown): string {
  if (call instanceof Task) return "join";
  if (isGenerator(call)) return "call";
  const name = (call as object | null)?.constructor?.name ?? "";
  return name === "" ? "operation" : name.charAt(0).toLowerCase() + name.slice(1);
}

/** What a task has asked for: `recv 127.0.0.1:50312`. */
export function wordsOfCall(call: unknown): string {
  if (call instanceof Task) return `join of ${call}`;
  if (call instanceof Future) return "a future";
  if (isGenerator(call)) return `call ${functionNameOf(call)}`.trimEnd();
  if (typeof (call as PromiseLike<unknown> | null)?.then === "function") return "a promise";
  return ownWords(call) ?? kindOf(call);
}

/** What an object says of itself, if its class lets it say something. */
function ownWords(value: unknown): string | undefined {
  try {
    const { toString } = value as object;
    if (typeof toString !== "function" || toString === Object.prototype.toString) return undefined;
    const words: unknown = toString.call(value);
    return typeof words === "string" ? words : undefined;
  } catch {
    return undefined;
  }
}

/** A value: `64 bytes`, `"hello"`, `{ name: "answer", value: 42 }`. */
export function wordsOfValue(value: unknown): string {
  try {
    return cut(inWords(value, 2));
  } catch {
    return "something that cannot be shown";
  }
}

function cut(text: string): string {
  const line = printable(text);
  return line.length > 2 * CHARACTERS ? `${line.slice(0, 2 * CHARACTERS)}…` : line;
}

function inWords(value: unknown, depth: number): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > CHARACTERS ? `${value.slice(0, CHARACTERS)}…` : value);
  }
  if (typeof value === "function") return `function ${value.name}`.trimEnd();
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) {
    if (depth === 0) return `array of ${value.length}`;
    return `[${some(value.map((member) => inWords(member, depth - 1)), value.length)}]`;
  }
  const own = value instanceof Error ? `${value.name}: ${value.message}` : ownWords(value);
  if (own !== undefined) return own;
  const prototype: unknown = Object.getPrototypeOf(value);
  const title = prototype === Object.prototype || prototype === null ? "" : value.constructor?.name ?? "";
  if (depth === 0 || title !== "") return title === "" ? "{…}" : title;
  const names = Object.keys(value);
  const members = names.slice(0, MEMBERS).map((name) => {
    return `${name}: ${inWords((value as Record<string, unknown>)[name], depth - 1)}`;
  });
  return names.length === 0 ? "{}" : `{ ${some(members, names.length)} }`;
}

function some(members: string[], of: number): string {
  return [...members.slice(0, MEMBERS), ...(of > MEMBERS ? [`${of - MEMBERS} more`] : [])].join(", ");
}

/** A time span: `0.012 ms`, `8.1 s`, `3 min`. */
export function wordsOfSpan(ms: number): string {
  if (ms < 1000) return `${ms < 10 ? Math.round(1000 * ms) / 1000 : Math.round(ms)} ms`;
  if (ms < 60_000) return `${Math.round(ms / 100) / 10} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return `${Math.floor(ms / 3_600_000)} h`;
}
