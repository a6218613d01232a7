// The log of one pod, as it comes.
import { el, put } from './dom.js';
import { jobPath, lines } from './api.js';

const MOST = 5000; // lines that are kept

export function logs(root, key) {
  let reading = null;
  let shown = '';
  let pods = new Map(); // names, and their containers
  let allowed = true;
  const pod = el('select', { 'aria-label': 'Pod' });
  const container = el('select', { 'aria-label': 'Container', hidden: true });
  const previous = el('input', { type: 'checkbox' });
  const wrap = el('input', { type: 'checkbox' });
  const follow = el('input', { type: 'checkbox', checked: true });
  const state = el('span', { class: 'soft', role: 'status' });
  const out = el('pre', { class: 'log', tabindex: '0', 'aria-label': 'Log' });
  const open = el('button', { type: 'button', onclick: () => read() }, 'Show the log');
  put(root, el('div', { class: 'row tools' }, pod, container, open,
    el('label', {}, follow, 'follow'), el('label', {}, wrap, 'wrap'),
    el('label', { title: 'The container before its last restart in place' }, previous, 'previous'), state), out);
  wrap.addEventListener('change', () => out.classList.toggle('wrap', wrap.checked));
  previous.addEventListener('change', () => read());
  container.addEventListener('change', () => read());
  pod.addEventListener('change', () => { choose(pod.value, pods.get(pod.value)); read(); });
  out.hidden = true;

  const options = (names) => names.map((n) => el('option', { value: n }, n));

  /** choose selects a pod, and the container of it that was chosen before, or its first. */
  function choose(name, containers = []) {
    pod.value = name;
    const chosen = container.value;
    put(container, options(containers));
    container.value = containers.includes(chosen) ? chosen : containers[0] || '';
    container.hidden = containers.length < 2;
  }

  function add(some) {
    const atEnd = follow.checked;
    const fragment = new DocumentFragment();
    for (const line of some.slice(-MOST)) fragment.append(el('div', {}, line || '\u00a0'));
    out.append(fragment);
    while (out.childElementCount > MOST) out.firstChild.remove();
    if (atEnd) out.scrollTop = out.scrollHeight;
  }

  async function read() {
    reading?.abort();
    const name = pod.value;
    if (!name || !allowed) return;
    const mine = new AbortController();
    reading = mine;
    out.replaceChildren();
    out.hidden = false;
    shown = name;
    state.textContent = 'reading';
    const query = new URLSearchParams();
    if (container.value) query.set('container', container.value);
    if (previous.checked) query.set('previous', 'true');
    try {
      await lines(`${jobPath(key)}/logs/${encodeURIComponent(name)}?${query}`, mine.signal, (some) => {
        if (mine.signal.aborted) return;
        state.textContent = 'live';
        add(some);
      });
      if (!mine.signal.aborted) state.textContent = out.childElementCount ? 'the log has ended' : 'the log is empty';
    } catch (error) {
      if (!mine.signal.aborted) state.textContent = error.message;
    }
  }

  return {
    /** offer says which pods there are: groups of names with the same containers. */
    offer(groups) {
      pods = new Map(groups.flatMap((g) => g.names.map((n) => [n, g.containers])));
      const names = [...pods.keys()];
      const chosen = pod.value;
      // The log that is shown keeps its name, although its pod is gone, or is not among those that are offered.
      if (chosen && chosen === shown && !pods.has(chosen)) {
        put(pod, options([...names, chosen]));
        pod.value = chosen;
      } else {
        put(pod, options(names));
        const name = pods.has(chosen) ? chosen : names[0] || '';
        choose(name, pods.get(name));
      }
      open.disabled = !names.length;
      if (!shown) state.textContent = names.length ? '' : 'no pod is known now';
    },
    show(name, containers) {
      if (![...pod.options].some((o) => o.value === name)) pod.append(...options([name]));
      choose(name, containers);
      read();
      root.scrollIntoView({ block: 'nearest' });
    },
    focus() { (shown ? out : open).focus(); },
    forbid() {
      allowed = false;
      put(root, el('p', { class: 'soft' }, 'You have no right to read logs here.'));
    },
    stop() { reading?.abort(); },
  };
}
