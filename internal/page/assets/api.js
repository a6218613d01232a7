// The server's side. The secret of the session is in the storage of this origin, and goes
// into a header of every request; it is in no URL, and in no cookie. In a cluster it is the
// user's own token, and kept nowhere but here: other pages may have the same origin there.

const KEY = 'jobkit-session';
const HEADER = 'Jobkit-Session';

const given = document.querySelector('meta[name=session]').content;
/** inCluster: the page asks for a token, and may be below any path. */
export const inCluster = given === 'token';
const base = inCluster ? location.pathname.replace(/[^/]*$/, '') : '/';
let own = {};

/** identify says who the user is: their token, and the namespaces to show (none for all). */
export function identify(token, namespaces) {
  own = token ? { 'Jobkit-Token': token } : {};
  if (namespaces) own['Jobkit-Namespaces'] = namespaces;
}

if (inCluster) {
  // The user is asked when the server does not know them.
} else if (given === 'used') {
  document.documentElement.dataset.used = 'yes';
} else if (given) {
  localStorage.setItem(KEY, given);
}
if (!inCluster && location.pathname !== '/') history.replaceState(null, '', `/${location.hash}`);

/** Locked: the server does not know this browser, or the user may see nothing; the message says why. */
export class Locked extends Error {}

async function request(path, options = {}) {
  const secret = inCluster ? own : { [HEADER]: localStorage.getItem(KEY) || '' };
  const response = await fetch(base + path.slice(1), { ...options, headers: { ...options.headers, ...secret }, cache: 'no-store' });
  if (response.status === 401 || (inCluster && response.status === 403)) throw new Locked((await response.text()).trim());
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
        state(error instanceof Locked ? 'locked' : 'lost', error.message);
        if (error instanceof Locked) return;
      }
      if (!stop.signal.aborted) await pause(wait);
    }
  })();
  return () => stop.abort();
}
