/**
 * genos: an operating system for coroutines. A kernel that runs plain generator functions as tasks that can be started,
 * listed, waited for, timed out and killed.
 *
 * @example
 * ```ts
 * import { kill, run, sleep, spawn } from "@genos/kernel";
 *
 * await run(function* () {
 *   const clock = yield* spawn(function* () {
 *     for (;;) {
 *       yield* sleep(1);
 *     }
 *   });
 *   yield* sleep(5);
 *   yield* kill(clock);
 * });
 * ```
 *
 * @module
 */

export type { Coroutine, Operation, OperationIterator, Work, Yieldable } from "./_operation.ts";
export type { Clock } from "./_clock.ts";
export type { Wait } from "./_parking.ts";
export { Parked } from "./_parking.ts";
export { type Each, each } from "./_each.ts";
export * from "./errors.ts";
export { type Outcome, Task, type TaskState } from "./task.ts";
export {
  abortable,
  abortSignal,
  call,
  CurrentTask,
  currentTask,
  defer,
  GetTid,
  getTid,
  join,
  kill,
  KillTask,
  NewTask,
  newTask,
  type Pollable,
  ReadWait,
  readWait,
  shield,
  Sleep,
  sleep,
  spawn,
  SystemCall,
  timeout,
  until,
  WaitTask,
  waitTask,
  WriteWait,
  writeWait,
} from "./syscalls.ts";
export { run, Scheduler } from "./scheduler.ts";
export type {
  ErrorSource,
  KillOptions,
  Observer,
  SchedulerOptions,
  TaskInfo,
  TaskOptions,
} from "./_options.ts";
export { type Frame, where, type WhereOptions } from "./where.ts";
export { coroutine, Future } from "./future.ts";
export {
  all,
  type AnyValueOf,
  type AsCompleted,
  asCompleted,
  type Awaitable,
  type Awaitables,
  type ConcurrencyOptions,
  type OutcomesOf,
  race,
  settle,
  type TaskGroup,
  taskGroup,
  type ValueOf,
  type ValuesOf,
} from "./group.ts";
export { hostSignal } from "./process.ts";
export {
  Channel,
  Condition,
  Event,
  Lock,
  Queue,
  type QueueOptions,
  select,
  type SelectCase,
  type SelectCases,
  type Selected,
  Semaphore,
  type SyncOptions,
  TaskLocal,
} from "./sync.ts";
export type {
  Acceptor,
  Attempt,
  ConnectEndpoint,
  Connection,
  DatagramEndpoint,
  DatagramPort,
  Done,
  Endpoint,
  InetEndpoint,
  ListenEndpoint,
  Network,
  TlsClientOptions,
  TlsInfo,
  TlsServerOptions,
  UnixEndpoint,
} from "./_network.ts";
export {
  connect,
  type ConnectOptions,
  type DatagramOptions,
  DatagramSocket,
  type LimitOptions,
  type Lines,
  listen,
  listenDatagram,
  Listener,
  type ListenOptions,
  type SendOptions,
  serve,
  type ServeOptions,
  Socket,
  type StartTlsOptions,
  type TcpConnectOptions,
  type TcpListenOptions,
  type TlsConnectOptions,
  type TlsListenOptions,
  type UnixConnectOptions,
  type UnixListenOptions,
} from "./socket.ts";
