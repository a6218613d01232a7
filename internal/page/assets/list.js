// The list of all jobs.
import { el, put, pill, timed, short, tone } from './dom.js';

const SHOWN = 300; // rows at first, and more with each click
const STATES = ['Running', 'Restarting', 'Stalled', 'Created', 'Submitted', 'Suspended', 'Succeeded', 'Failed'];

const share = (row) => [['succeeded', 'good'], ['running', 'run'], ['failed', 'bad'], ['pending', 'wait']]
  .map(([field, kind]) => [row[field] || 0, kind, field]).filter(([n]) => n > 0);

function replicas(row) {
  const parts = share(row);
  const total = Math.max(row.wanted, parts.reduce((sum, [n]) => sum + n, 0), 1);
  const words = parts.map(([n, , field]) => `${n} ${field}`).join(', ') || 'none yet';
  const bar = el('span', { class: 'share', 'aria-hidden': 'true' });
  for (const [n, kind] of parts) {
    const part = el('i', { class: kind });
    part.style.flexGrow = n;
    bar.append(part);
  }
  const rest = el('i', { class: 'rest' });
  rest.style.flexGrow = Math.max(0, total - parts.reduce((sum, [n]) => sum + n, 0));
  bar.append(rest);
  const done = (row.succeeded || 0) + (row.running || 0);
  return el('span', { class: 'replicas', title: `${row.wanted} replicas: ${words}` },
    bar, el('span', { class: 'count' }, `${done}/${row.wanted}`), el('span', { class: 'sr' }, `: ${words}`));
}

export function list(root, about, go) {
  const rows = new Map();
  const filter = { q: '', ns: '', kind: '', state: '' };
  let most = SHOWN;
  let loaded = false;

  const search = el('input', {
    type: 'search', id: 'search', placeholder: 'Search jobs', 'aria-label': 'Search jobs by name, kind, namespace or note', autocomplete: 'off', spellcheck: 'false',
  });
  const hint = el('kbd', { 'aria-hidden': 'true' }, '/');
  const namespaces = el('select', { 'aria-label': 'Namespace' });
  const kinds = el('select', { 'aria-label': 'Kind' });
  const states = el('div', { class: 'states', role: 'group', 'aria-label': 'State' });
  const body = el('tbody');
  const table = el('table', { class: 'jobs' },
    el('thead', {}, el('tr', {}, ['State', 'Job', 'Namespace', 'Replicas', 'Restarts', 'Age', 'Note']
      .map((name) => el('th', { scope: 'col', class: name.toLowerCase() }, name)))), body);
  const empty = el('div', { class: 'empty', hidden: true });
  const more = el('button', { type: 'button', hidden: true, onclick: () => { most += SHOWN; draw(); } });
  const count = el('p', { class: 'sr', role: 'status' });
  put(root, el('h1', { class: 'sr' }, 'Jobs'),
    el('div', { class: 'filters' }, el('div', { class: 'searchbox' }, search, hint), namespaces, kinds, states),
    count, el('div', { class: 'scroll card flush' }, table), empty, more);

  const changed = () => {
    most = SHOWN;
    const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
    go(query.size ? `#/?${query}` : '#/', true);
    draw();
  };
  search.addEventListener('input', () => { filter.q = search.value; changed(); });
  namespaces.addEventListener('change', () => { filter.ns = namespaces.value; changed(); });
  kinds.addEventListener('change', () => { filter.kind = kinds.value; changed(); });

  const matches = (row, without) => {
    const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
    const text = `${row.name} ${row.kind} ${row.namespace} ${row.state} ${row.note || ''}`.toLowerCase();
    return (!filter.ns || row.namespace === filter.ns) && (!filter.kind || row.kind === filter.kind)
      && (without === 'state' || !filter.state || row.state === filter.state) && words.every((word) => text.includes(word));
  };

  const options = (select, all, values, chosen) => {
    const list = [...new Set([...values, ...(chosen ? [chosen] : [])])].sort();
    put(select, el('option', { value: '' }, all), list.map((v) => el('option', { value: v, selected: v === chosen }, v)));
    select.value = chosen;
  };

  const chips = (all) => {
    const n = new Map();
    for (const row of all) n.set(row.state, (n.get(row.state) || 0) + 1);
    const known = [...STATES, ...[...n.keys()].filter((s) => !STATES.includes(s)).sort()].filter((s) => n.has(s) || s === filter.state);
    // A button that is made anew between press and release loses the click.
    const looks = JSON.stringify([all.length, filter.state, known.map((s) => [s, n.get(s)])]);
    if (looks === chips.looks) return;
    chips.looks = looks;
    const focused = states.contains(document.activeElement) ? document.activeElement.dataset.state : undefined;
    const chip = (state, text, total) => el('button', {
      type: 'button', class: `chip ${state ? tone(state) : ''}`, 'data-state': state, 'aria-pressed': String(filter.state === state),
      onclick: () => { filter.state = filter.state === state ? '' : state; changed(); },
    }, state && el('i', { 'aria-hidden': 'true' }), text, ' ', el('b', {}, total));
    put(states, chip('', 'All', all.length), known.map((s) => chip(s, s, n.get(s) || 0)));
    if (focused !== undefined) states.querySelector(`[data-state="${focused}"]`)?.focus();
  };

  const active = (row) => !['Succeeded', 'Failed'].includes(row.state);
  const line = (row) => {
    const tr = el('tr', { 'data-key': row.key, onclick: (e) => { if (!e.target.closest('a')) go(`#/job/${row.key}`); } },
      el('td', { class: 'state' }, pill(row.state)),
      el('td', { class: 'job' }, el('a', { href: `#/job/${row.key}` }, row.name), el('small', {}, row.kind)),
      el('td', { class: 'namespace' }, row.namespace),
      el('td', { class: 'replicas' }, replicas(row)),
      el('td', { class: 'restarts num' }, row.restarts || el('span', { class: 'none' }, '–')),
      el('td', { class: 'age num' }, timed(() => short((row.completed || Date.now()) - row.created))),
      el('td', { class: 'note' }, (row.note || row.percent !== undefined) && el('div', {}, row.percent !== undefined && active(row)
        && el('span', { class: 'percent' }, `${row.percent} % done${row.note ? ' · ' : ''}`), row.note || '')));
    tr.row = row;
    return tr;
  };

  const lines = new Map();
  function draw() {
    const all = [...rows.values()];
    options(namespaces, 'All namespaces', all.map((r) => r.namespace), filter.ns);
    namespaces.hidden = Boolean(about.namespace);
    options(kinds, 'All kinds', all.map((r) => r.kind), filter.kind);
    chips(all.filter((r) => matches(r, 'state')));
    const shown = all.filter((r) => matches(r));
    // What goes on comes first, then the newest: the order does not jump while a job runs.
    shown.sort((a, b) => active(b) - active(a) || b.created - a.created || (a.key < b.key ? -1 : 1));
    const visible = shown.slice(0, most);
    const wanted = visible.map((row) => {
      const tr = lines.get(row.key);
      if (!tr) lines.set(row.key, line(row));
      else if (tr.row !== row) {
        // Only cells that change are made anew: the link keeps its focus, and a click that has begun.
        [...line(row).cells].forEach((cell, i) => { if (cell.className.startsWith('age') || !cell.isEqualNode(tr.cells[i])) tr.cells[i].replaceWith(cell); });
        tr.row = row;
      }
      return lines.get(row.key);
    });
    for (const [key, tr] of lines) if (!wanted.includes(tr)) { tr.remove(); lines.delete(key); }
    wanted.forEach((tr, i) => { if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] || null); });
    table.parentElement.hidden = visible.length === 0;
    more.hidden = shown.length <= most;
    more.textContent = `Show more (${shown.length - visible.length})`;
    const said = `${shown.length} of ${all.length} jobs`;
    if (count.textContent !== said) count.textContent = said;
    empty.hidden = visible.length > 0 || !loaded;
    if (!empty.hidden) put(empty, ...nothing(all.length));
  }

  function nothing(total) {
    if (total) {
      return [el('h2', {}, 'No job matches'), el('p', {}, 'None of the ', total, ' jobs is like that.'),
        el('button', { type: 'button', onclick: () => { Object.assign(filter, { q: '', ns: '', kind: '', state: '' }); search.value = ''; changed(); } }, 'Show all jobs')];
    }
    if (!about.kinds.length) {
      return [el('h2', {}, 'This cluster has no job kinds yet'), el('p', {}, 'Install them, then start jobkit ui again:'),
        el('pre', {}, 'jobkit install-crds')];
    }
    return [el('h2', {}, 'No jobs yet'), el('p', {}, 'Run one, and it appears here:'), el('pre', {}, 'jobkit run -f examples/jobs/pytorchjob/torch-ddp.yaml'),
      el('p', {}, `Kinds that this cluster knows: ${about.kinds.join(', ')}.`)];
  }

  const move = (by) => {
    const links = [...body.querySelectorAll('a')];
    const at = links.indexOf(document.activeElement);
    links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
  };

  return {
    path: '/api/jobs',
    take(event, update) {
      if (event !== 'jobs') return;
      for (const row of update.rows) rows.set(row.key, row);
      for (const key of update.gone) rows.delete(key);
      loaded = true;
      draw();
    },
    /** restart forgets all rows: a new connection sends all. */
    restart() { rows.clear(); },
    filter(query) {
      for (const name of Object.keys(filter)) filter[name] = query.get(name) || '';
      search.value = filter.q;
      draw();
    },
    key(e) {
      if (e.key === '/') search.focus();
      else if (e.key === 'j' || e.key === 'ArrowDown') move(1);
      else if (e.key === 'k' || e.key === 'ArrowUp') move(-1);
      else if (e.key === 'Escape') { search.value = ''; filter.q = ''; search.blur(); changed(); } else return false;
      return true;
    },
  };
}
