// Which page is shown, the connection, dialogs and keys.
import { byId, el, put, tick } from './dom.js';
import { follow, getJSON, identify, inCluster, Locked } from './api.js';
import { list } from './list.js';
import { job } from './job.js';

const root = byId('main');
let about = { cluster: '', namespace: '', kinds: [], readOnly: true };
let page = null;
let stop = () => {};
let shown = '';

/** go changes the page; quietly means that only its filter changes. */
function go(hash, quietly) {
  if (quietly) history.replaceState(null, '', hash);
  else location.hash = hash;
}

function toast(text, bad) {
  const node = byId('toast');
  node.textContent = text;
  node.className = `toast on ${bad ? 'bad' : ''}`;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { node.className = 'toast'; node.textContent = ''; }, bad ? 12000 : 4000);
}

// The answer is taken from the button itself: a dialog's own close event comes later, when
// another question may be open already.
let settle = () => {};
function confirm(title, text, verb, danger) {
  settle(false);
  const dialog = byId('confirm');
  byId('confirm-title').textContent = title;
  byId('confirm-text').textContent = text;
  byId('confirm-yes').textContent = verb;
  byId('confirm-yes').className = danger ? 'danger solid' : 'primary';
  return new Promise((resolve) => {
    settle = resolve;
    dialog.querySelector('form').onsubmit = (e) => resolve(e.submitter?.value === 'yes');
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
  });
}

/** askWho asks for the token of the user, in a page that runs in a cluster. */
function askWho(why) {
  const token = el('input', { type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false', required: true });
  const namespaces = el('input', { type: 'text', id: 'namespaces', autocomplete: 'off', spellcheck: 'false' });
  const form = el('form', { class: 'who' },
    el('label', {}, 'Token', token), el('label', {}, 'Namespaces, separated by commas (empty: all that you may see)', namespaces),
    el('button', { type: 'submit', class: 'primary' }, 'Show the jobs'));
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    identify(token.value.trim(), namespaces.value.trim());
    begin();
  });
  put(root, el('div', { class: 'empty' }, el('h2', {}, 'Who are you?'),
    el('p', {}, 'The page shows what you may see with kubectl. Make a token, for example with:'),
    el('pre', {}, 'kubectl create token SERVICEACCOUNT -n NAMESPACE'),
    el('p', {}, 'It is kept in this page only, until you close or reload it.'), asked && el('p', { class: 'bad', role: 'alert' }, why), form));
  asked = true;
  token.focus();
}
let asked = false;

function locked(why) {
  stop();
  page = null;
  shown = '';
  live('locked');
  if (inCluster) { askWho(why); return; }
  put(root, el('div', { class: 'empty' }, el('h2', {}, 'This browser is not let in yet'),
    el('p', {}, document.documentElement.dataset.used ? 'That address was used before, and works only once. ' : '',
      'Press Enter in the terminal where ', el('code', {}, 'jobkit ui'), ' runs, and open the address that it prints.')));
}

function live(state) {
  const node = byId('live');
  node.className = `live ${state}`;
  const text = { live: 'live', lost: 'no connection', locked: 'locked' }[state];
  if (node.textContent !== text) node.textContent = text;
}

function troubles(some) {
  const node = byId('troubles');
  node.hidden = !some.length;
  put(node, some.map((text) => el('p', {}, text)));
}

function show(next) {
  stop();
  page?.stop?.();
  page = next;
  connect();
}

function connect() {
  let before = 'live';
  stop = follow(page.path, (event, data) => {
    if (event === 'jobs') troubles(data.troubles);
    page.take(event, data);
  }, (state, why) => {
    if (state === 'locked') { locked(why); return; }
    if (state === 'lost' && before === 'live') page.restart();
    before = state;
    live(state);
  });
}

function route() {
  const hash = location.hash || '#/';
  if (hash === '#main') return;
  const [path, query] = hash.slice(1).split('?');
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  const here = parts[0] === 'job' && parts.length === 4 ? parts.slice(1).join('/') : '';
  if (here !== shown || !page) {
    const from = shown;
    shown = here;
    document.title = 'jobkit';
    show(here ? job(root, here, about, { confirm, toast, go, again }) : list(root, about, go));
    scrollTo(0, 0);
    if (from || here) root.focus({ preventScroll: true });
  }
  if (!here) page.filter(new URLSearchParams(query || ''));
}

/** again shows the same job from the start. */
function again() {
  shown = '';
  route();
}

const KEYS = 'jobkit-keys';
const keysOn = () => localStorage.getItem(KEYS) !== 'off';
function help() {
  byId('keys-on').checked = keysOn();
  byId('help').showModal();
}
byId('help-button').addEventListener('click', help);
byId('keys-on').addEventListener('change', (e) => localStorage.setItem(KEYS, e.target.checked ? 'on' : 'off'));

addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]') || !page) return;
  const writes = e.target.closest('input:not([type=checkbox]), select, textarea, .log');
  if (writes && e.key !== 'Escape') return;
  if (e.key.length === 1 && !keysOn()) return;
  if (e.key === '?') help();
  else if (!page.key(e)) return;
  e.preventDefault();
});

addEventListener('hashchange', route);
// Browsers open few connections to one place: a page that nobody sees holds none.
document.addEventListener('visibilitychange', () => {
  if (!page) return;
  stop();
  if (document.hidden) return;
  page.restart();
  connect();
});
setInterval(() => { tick(document); page?.tick?.(); }, 1000);

async function begin() {
  try {
    about = await getJSON('/api/about');
    byId('readonly').hidden = !about.readOnly;
    byId('where').textContent = about.cluster + (about.namespace ? ` · ${about.namespace}` : '');
    route();
  } catch (error) {
    if (error instanceof Locked) locked(error.message);
    else { live('lost'); put(root, el('div', { class: 'empty' }, el('h2', {}, inCluster ? 'The page does not answer' : 'jobkit ui does not answer'),
      el('p', {}, inCluster ? error.message : 'Is it still running? Then reload the page.'))); }
  }
}
await begin();
