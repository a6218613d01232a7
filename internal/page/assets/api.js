// The server's side. The secret of the session is in the storage of this origin, and goes
// into a header of every request; it is in no URL, and in no cookie.

const KEY = 'jobkit-session';
const HEADER = 'Jobkit-Session';

const given = document.querySelector('meta[name=session]').content;
if (given === 'used') {
  document.documentElement.dataset.used = 'yes';
} else if (given) {
  localStorage.setItem(KEY, given);
}
if (location.pathname !== '/') history.replaceState(null, '', `/${location.hash}`);

/** Locked: the server does not know this browser. */
export class Locked extends Error {}

async function request(path, options = {}) {
  const headers = { ...options.headers, [HEADER]: localStorage.getItem(KEY) || '' };
  const response = await fetch(path, { ...options, headers, cache: 'no-store' });
  if (response.status === 401) throw new Locked();
  if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
  return response;
}

export const jobPath = (key) => `/api/jobs/${key.split('/').map(encodeURIComponent).join('/')}`;

export const getJSON = async (path) => (await request(path)).json();

export const post = async (path, body) =>
  (await request(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).json();

/** lines reads a text as it comes, several lines at once, until the signal aborts. */
export async function lines(path, signal, take) {
  const reader = (await request(path, { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (rest + value).split('\n');
    rest = parts.pop();
    if (parts.length) take(parts);
  }
  if (rest) take([rest]);
}

/**
 * follow calls take(event, data) for each server-sent event, and starts again when the
 * connection breaks, until the returned function is called. state gets 'live', 'lost' or 'locked'.
 * (EventSource cannot send the header.)
 */
export function follow(path, take, state) {
  const stop = new AbortController();
  const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  (async () => {
    for (let wait = 500; !stop.signal.aborted; wait = Math.min(wait * 2, 8000)) {
      try {
        let event = '';
        await lines(path, stop.signal, (some) => {
          if (stop.signal.aborted) return;
          state('live');
          wait = 500;
          for (const line of some) {
            if (line.startsWith('event: ')) event = line.slice(7);
            else if (line.startsWith('data: ')) take(event, JSON.parse(line.slice(6)));
          }
        });
      } catch (error) {
        if (stop.signal.aborted) return;
        state(error instanceof Locked ? 'locked' : 'lost');
        if (error instanceof Locked) return;
      }
      if (!stop.signal.aborted) await pause(wait);
    }
  })();
  return () => stop.abort();
}
