// A crawler: at most four pages at once, each within 300 ms, three attempts each.
//   deno run --allow-net examples/crawler.ts

import { abortSignal, all, type Coroutine, run, sleep, timeout, TimeoutError, until } from "../mod.ts";

/** A site to crawl, on a port of its own: one page never comes, and one fails at first. */
function serveSite(closing: Promise<void>): Deno.HttpServer<Deno.NetAddr> {
  const visits = new Map<string, number>();
  const handler = async ({ url }: Request): Promise<Response> => {
    const { pathname } = new URL(url);
    const visit = (visits.get(pathname) ?? 0) + 1;
    visits.set(pathname, visit);
    if (pathname.endsWith("5")) await closing;
    if (pathname.endsWith("3") && visit < 3) return new Response("busy", { status: 503 });
    const links = pathname === "/" ? Array.from({ length: 12 }, (_, i) => `/page/${i + 1}`) : [];
    return new Response(links.join("\n"));
  };
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, handler) as Deno.HttpServer<
    Deno.NetAddr
  >;
}

/** Fetches a page. When the time is over, or the crawler is killed, the signal ends the request as well. */
function* fetchPage(url: string): Coroutine<string> {
  const response = yield* until(fetch(url, { signal: yield* abortSignal() }));
  const body = yield* until(response.text());
  if (!response.ok) throw new Error(`status ${response.status}`);
  return body;
}

function* withRetries(url: string): Coroutine<string | undefined> {
  for (let attempt = 1; attempt <= 3; attempt++) {
    try {
      return yield* timeout(300, fetchPage(url));
    } catch (error) {
      const why = error instanceof TimeoutError ? "too slow" : (error as Error).message;
      console.log(`${new URL(url).pathname}: attempt ${attempt} failed, ${why}`);
      yield* sleep(10 * attempt);
    }
  }
}

function* crawl(origin: string): Coroutine<void> {
  const links = (yield* fetchPage(origin)).split("\n");
  const pages = yield* all(links.map((link) => withRetries(origin + link)), { concurrency: 4 });
  console.log(`${pages.filter((page) => page !== undefined).length} of ${links.length} pages`);
}

const { promise: closing, resolve: close } = Promise.withResolvers<void>();
const site = serveSite(closing);
try {
  await run(crawl(`http://127.0.0.1:${site.addr.port}`));
} finally {
  close();
  await site.shutdown();
}
