// How elements and texts are made. Text from the cluster becomes a text node, never markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** el makes an element: attributes, listeners ("onclick"), then children: nodes or texts. */
export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** svg is el for SVG. */
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** put replaces what is in a node, unless that would look the same: focus and selection stay. */
export function put(node, ...children) {
  const next = fill(node.cloneNode(false), {}, children);
  if (!next.isEqualNode(node) || node.querySelector('button, a, input, select')) node.replaceChildren(...next.childNodes);
}

export const byId = (id) => document.getElementById(id);

/** duration is a time span with its two largest units: 3d 4h, 5m 10s. */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const pair = (a, unit, b, small) => (b ? `${a}${unit} ${b}${small}` : `${a}${unit}`);
  if (s < 60) return `${s}s`;
  if (s < 3600) return pair(Math.floor(s / 60), 'm', s % 60, 's');
  if (s < 86400) return pair(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'm');
  return pair(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
}

/** short is a duration with one unit, for tables. */
export const short = (ms) => duration(ms).split(' ')[0];

export const ago = (at) => (at ? `${short(Date.now() - at)} ago` : '');

/** when is a time of the day, with its day if that is another one. */
export function when(at) {
  if (!at) return '';
  const date = new Date(at);
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.toLocaleDateString([], { month: 'short', day: 'numeric' })}, ${time}`;
}

/** timed is a text that depends on the time: tick brings it up to date. */
export const timed = (render, attributes) => {
  const node = el('span', attributes, render());
  node.tick = render;
  node.classList.add('timed');
  return node;
};

export function tick(root) {
  for (const node of root.querySelectorAll('.timed')) {
    const text = node.tick ? node.tick() : node.textContent;
    if (text !== node.textContent) node.textContent = text;
  }
}

const tones = {
  Submitted: 'wait', Created: 'wait', Running: 'run', Restarting: 'restart', Suspended: 'suspend', Stalled: 'stall',
  Succeeded: 'good', Failed: 'bad', Deleted: 'wait',
};

/** tone is the colour of a state. */
export const tone = (state) => tones[state] || 'wait';

export const pill = (state) => el('span', { class: `pill ${tone(state)}` }, el('i', { 'aria-hidden': 'true' }), state);
