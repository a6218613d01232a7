// The replicas of a job, one square each.
import { el, put } from './dom.js';

export const squares = {
  '-': ['missing', 'without a pod'], w: ['waiting', 'waiting for a node'], b: ['starting', 'starting'], r: ['running', 'running'],
  s: ['succeeded', 'succeeded'], f: ['failed', 'failed'], n: ['restarts', 'restarting'], t: ['stopping', 'stopping'], p: ['problem', 'unable to start'],
};

const sizeOf = (n) => (n <= 64 ? 'xl' : n <= 400 ? 'l' : n <= 2500 ? 'm' : 's');

/** grid shows roles; choose(type, index, open) is called when a replica is chosen. */
export function grid(root, choose) {
  const roles = new Map();
  const legend = el('ul', { class: 'legend', 'aria-label': 'What the squares mean' });

  function make(type) {
    const box = el('div', { class: 'squares', role: 'listbox', tabindex: '0' });
    const title = el('h3', {});
    const role = { type, box, title, section: el('section', { class: 'role' }, title, box), text: '', attempts: '', at: 0 };
    const label = (i) => {
      const [, words] = squares[role.text[i]] || ['', ''];
      return `${type.toLowerCase()}-${i}: ${words}${role.attempts[i] > '0' ? `, attempt ${role.attempts[i] === '9' ? '9 or later' : role.attempts[i]}` : ''}`;
    };
    role.mark = (i, open) => {
      box.querySelector('[aria-selected]')?.removeAttribute('aria-selected');
      const square = box.children[i];
      if (!square) return;
      role.at = i;
      square.setAttribute('aria-selected', 'true');
      square.setAttribute('aria-label', label(i));
      box.setAttribute('aria-activedescendant', square.id);
      square.scrollIntoView({ block: 'nearest' });
      choose(type, i, open);
    };
    box.addEventListener('click', (e) => {
      const i = [...box.children].indexOf(e.target);
      if (i >= 0) role.mark(i, false);
    });
    box.addEventListener('mouseover', (e) => {
      if (e.target !== box) e.target.title = label([...box.children].indexOf(e.target));
    });
    box.addEventListener('focus', () => { if (!box.querySelector('[aria-selected]')) role.mark(role.at, false); });
    box.addEventListener('keydown', (e) => {
      const first = box.children[0];
      const columns = first ? Math.max(1, [...box.children].findIndex((c) => c.offsetTop > first.offsetTop)) : 1;
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -role.at, End: box.children.length - 1 - role.at }[e.key];
      if (e.key === 'Enter') role.mark(role.at, true);
      else if (step !== undefined) role.mark(Math.min(Math.max(role.at + step, 0), box.children.length - 1), false);
      else return;
      e.preventDefault();
      e.stopPropagation();
    });
    return role;
  }

  function update(role, data) {
    const { box } = role;
    const n = data.squares.length;
    box.className = `squares ${sizeOf(n)}`;
    const again = new DocumentFragment();
    while (box.children.length + again.children.length < n) {
      again.append(el('span', { role: 'option', id: `r-${data.type}-${box.children.length + again.children.length}` }));
    }
    box.append(again);
    while (box.children.length > n) box.lastChild.remove();
    for (let i = 0; i < n; i++) {
      if (data.squares[i] === role.text[i] && data.attempts[i] === role.attempts[i]) continue;
      box.children[i].className = `${(squares[data.squares[i]] || squares['-'])[0]}${data.attempts[i] > '0' ? ' again' : ''}`;
    }
    role.text = data.squares;
    role.attempts = data.attempts;
    const count = {};
    for (const c of data.squares) count[c] = (count[c] || 0) + 1;
    const words = Object.entries(count).sort((a, b) => b[1] - a[1]).map(([c, k]) => `${k} ${squares[c][1]}`);
    if (data.more) words.push(`${data.more} more are not shown`);
    put(role.title, data.type, ' ', el('span', { class: 'soft' }, words.join(' · ')));
    box.setAttribute('aria-label', `${data.type}: ${words.join(', ')}`);
    return Object.keys(count);
  }

  return {
    update(list) {
      const used = new Set();
      let again = false;
      for (const data of list) {
        if (!roles.has(data.type)) roles.set(data.type, make(data.type));
        update(roles.get(data.type), data).forEach((c) => used.add(c));
        again = again || /[1-9]/.test(data.attempts);
      }
      for (const type of roles.keys()) if (!list.some((r) => r.type === type)) roles.delete(type);
      const sections = [...roles.values()].map((r) => r.section);
      if (root.children.length !== sections.length + 1 || sections.some((s, i) => root.children[i] !== s)) root.replaceChildren(...sections, legend);
      put(legend, Object.entries(squares).filter(([c]) => used.has(c)).map(([, [kind, words]]) =>
        el('li', {}, el('span', { class: `square ${kind}`, 'aria-hidden': 'true' }), words)),
      again && el('li', {}, el('span', { class: 'square running again', 'aria-hidden': 'true' }), 'a later attempt'));
    },
    focus() { root.querySelector('.squares')?.focus(); },
  };
}
