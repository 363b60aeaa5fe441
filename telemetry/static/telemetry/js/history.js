// Loads readings over HTTP, two requests at a time, in the order they were asked for.

const MOST_AT_ONCE = 2;
const RETRIES_MS = [1_000, 3_000, 10_000, 30_000];

export class History {
  constructor(url, fetcher = (address, options) => fetch(address, options)) {
    this.url = url;
    this.fetcher = fetcher;
    this.waiting = [];
    this.running = 0;
  }

  // Where the readings are in this form: "json", "html", "csv". Of which series: see
  // docs/topics/dashboard.md; widthMs: of the buckets, where it has to be this one.
  address({ fromMs, toMs, widthMs = null, ...rest }, form = "json") {
    const query = new URLSearchParams({ ...rest, from: Math.max(0, Math.floor(fromMs)), to: Math.ceil(toMs) });
    if (widthMs !== null) query.set("width", widthMs);
    return `${this.url.replace(/json$/, form)}?${query}`;
  }

  // → the hub's answer. Rejects when the hub has not answered after all retries, at once
  // when it refuses (4xx): with the hub's reason, a sentence for people, where the range
  // holds too much; and when `signal` says that nobody wants it any more.
  load({ signal, ...asked }) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ address: this.address(asked), signal, resolve, reject, tries: 0 });
      this.next();
    });
  }

  async next() {
    if (this.running >= MOST_AT_ONCE) return;
    const wish = this.waiting.shift();
    if (!wish) return;
    this.running += 1;
    try {
      wish.resolve(await this.fetch(wish));
    } catch (error) {
      const waitMs = error.isFinal || wish.signal?.aborted ? undefined : RETRIES_MS[wish.tries];
      wish.tries += 1;
      if (waitMs === undefined) wish.reject(error);
      else setTimeout(() => { this.waiting.push(wish); this.next(); }, waitMs);
    } finally {
      this.running -= 1;
      this.next();
    }
  }

  async fetch({ address, signal }) {
    signal?.throwIfAborted();
    const response = await this.fetcher(address, { signal });
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    if (response.ok && isJson) return response.json();
    const error = new Error(`expected readings, got status ${response.status}`);
    // A refusal, or the sign-in page: asking again changes nothing.
    error.isFinal = response.status < 500;
    if (response.status === 413 && isJson) error.reason = (await response.json()).error;
    throw error;
  }
}
