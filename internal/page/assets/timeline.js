// The timeline, drawn to scale.
import { el, svg, put, duration, when } from './dom.js';

const names = {
  waiting: 'waiting', starting: 'starting', running: 'running', restarting: 'restarting', suspended: 'suspended', stalled: 'stalled',
  stopping: 'stopping', earlier: 'an earlier attempt (only its end is known)', unknown: 'not recorded',
};
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800].map((s) => s * 1000);
const RANGES = [['all', 0], ['last hour', 3600e3], ['last 10 minutes', 600e3], ['last minute', 60e3]];

export function timeline(root) {
  let data = null;
  let range = 0;
  const picture = el('div', { class: 'picture' });
  const legend = el('ul', { class: 'legend', 'aria-label': 'What the colours mean' });
  const ranges = el('div', { class: 'ranges', role: 'group', 'aria-label': 'Time that is shown' }, RANGES.map(([name, ms]) =>
    el('button', { type: 'button', class: 'chip', 'aria-pressed': String(ms === range), onclick: (e) => {
      range = ms;
      for (const b of ranges.children) b.setAttribute('aria-pressed', String(b === e.currentTarget));
      draw();
    } }, name)));
  const words = el('tbody');
  const text = el('details', { class: 'as-text' }, el('summary', {}, 'As a table'),
    el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, ['What', 'From', 'For', 'State'].map((n) => el('th', { scope: 'col' }, n)))), words)));
  put(root, ranges, picture, legend, text);
  new ResizeObserver(() => draw()).observe(picture);

  function draw() {
    if (!data || !picture.isConnected) return;
    const width = Math.max(280, picture.clientWidth);
    const gutter = width < 520 ? 84 : 120;
    const end = data.end || Date.now();
    const start = range ? Math.max(data.start, end - range) : data.start;
    const span = Math.max(end - start, 1000);
    const x = (at) => gutter + (width - gutter - 12) * Math.min(Math.max((at - start) / span, 0), 1);
    const top = 24;
    const row = (i) => top + (i ? 8 : 0) + i * 20;
    const height = row(data.lanes.length) + 2;
    const parts = [];
    const step = STEPS.find((s) => span / s <= (width - gutter) / 78) || STEPS.at(-1);
    const first = start === data.start ? data.start : start - ((start - data.start) % step) + step;
    for (let at = first; at <= end; at += step) {
      parts.push(svg('line', { class: 'rule', x1: x(at), x2: x(at), y1: top - 4, y2: height }));
      if (x(at) < width - 34) parts.push(svg('text', { class: 'axis', x: x(at) + (at === data.start ? 0 : -6), y: 12 }, at === data.start ? '0' : duration(at - data.start)));
    }
    const used = new Set();
    data.lanes.forEach((lane, i) => {
      const tall = i ? 12 : 16;
      const y = row(i) + (20 - tall) / 2 - 2;
      parts.push(svg('text', { class: i ? 'lane' : 'lane first', x: 0, y: y + tall / 2 + 4 }, lane.name.length > gutter / 7 ? `${lane.name.slice(0, gutter / 7 - 1)}…` : lane.name));
      for (const bar of lane.bars) {
        const to = bar.to || end;
        if (to < start) continue;
        used.add(bar.state);
        const left = x(bar.from);
        parts.push(svg('rect', { class: `bar ${bar.state}`, x: left, y, height: tall, width: Math.max(1.5, x(to) - left), rx: Math.min(2, Math.max(0, (x(to) - left) / 2)) },
          svg('title', {}, `${lane.name}: ${names[bar.state]}${bar.label ? `, ${bar.label}` : ''}, ${duration(to - bar.from)} from ${when(bar.from)}`)));
      }
      for (const mark of lane.marks) {
        if (mark.at < start) continue;
        const c = Math.min(x(mark.at), width - 8);
        const shape = mark.kind === 'failed'
          ? svg('path', { class: 'mark failed', d: `M${c - 4} ${y + tall / 2 - 4}l8 8m0 -8l-8 8` })
          : svg('circle', { class: 'mark succeeded', cx: c, cy: y + tall / 2, r: 4.5 });
        parts.push(svg('g', {}, svg('circle', { class: `halo ${mark.kind}`, cx: c, cy: y + tall / 2, r: 6.5 }), shape, svg('title', {}, `${mark.label}, ${when(mark.at)}`)));
      }
    });
    const hatch = (id) => svg('pattern', { id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
      svg('rect', { class: `${id}-back`, width: 6, height: 6 }), svg('rect', { class: `${id}-line`, width: 2, height: 6 }));
    picture.replaceChildren(svg('svg', {
      viewBox: `0 0 ${width} ${height}`, width, height, role: 'img',
      'aria-label': `Timeline of ${duration(end - start)} with ${data.lanes.length - 1} replicas; the table below says the same`,
    }, svg('defs', {}, hatch('hatch-earlier'), hatch('hatch-unknown'), hatch('hatch-stalled')), parts));
    put(legend, Object.keys(names).filter((n) => used.has(n)).map((n) => el('li', {},
      svg('svg', { width: 18, height: 10, 'aria-hidden': 'true' }, svg('rect', { class: `bar ${n}`, width: 18, height: 10, rx: 2 })), names[n])),
    el('li', {}, svg('svg', { width: 10, height: 10, 'aria-hidden': 'true' }, svg('path', { class: 'mark failed', d: 'M1 1l8 8m0 -8l-8 8' })), 'failure'),
    data.more > 0 && el('li', { class: 'soft' }, `${data.more} replicas of which there is less to see are left out`));
  }

  function write() {
    if (!text.open || !data) return;
    put(words, data.lanes.flatMap((lane) => [
      ...lane.bars.map((b) => [b.from, b.to ? duration(b.to - b.from) : 'until now', names[b.state] + (b.label ? `, ${b.label}` : '')]),
      ...lane.marks.map((m) => [m.at, '', m.label])].sort((a, b) => a[0] - b[0]).map(([at, how, what]) =>
      el('tr', {}, el('th', { scope: 'row' }, lane.name), el('td', {}, when(at)), el('td', {}, how), el('td', {}, what)))));
  }
  text.addEventListener('toggle', write);

  return {
    update(next) {
      data = next;
      ranges.hidden = (data.end || Date.now()) - data.start < 120e3;
      draw();
      write();
    },
    tick() { if (data && !data.end) draw(); },
  };
}
