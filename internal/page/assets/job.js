// The page of one job.
import { el, put, pill, timed, duration, ago, when, short } from './dom.js';
import { getJSON, jobPath, post } from './api.js';
import { grid, squares } from './grid.js';
import { timeline } from './timeline.js';
import { logs } from './logs.js';

const card = (title, body, extra) => {
  const section = el('section', { class: 'card' }, el('h2', {}, title, extra), body);
  section.body = body;
  return section;
};

export function job(root, key, about, { confirm, toast, go, again }) {
  const [resource, namespace, name] = key.split('/');
  let head = null;
  let chosen = null;
  let over = false;
  const title = el('div', { class: 'title' });
  const actions = el('div', { class: 'actions', role: 'group', 'aria-label': 'Actions' });
  const next = el('ol', { class: 'next' });
  const budgets = el('div', { class: 'budgets' });
  const progress = el('div', { class: 'progress' });
  const facts = el('dl', { class: 'facts' });
  const conditions = el('ul', { class: 'conditions' });
  const failures = el('ul', { class: 'failures' });
  const events = el('ul', { class: 'events' });
  const squaresBox = el('div', {});
  const detail = el('div', { class: 'detail', 'aria-live': 'polite', hidden: true });
  const time = el('div', {});
  const log = el('div', {});
  const cards = {
    next: card('What happens next', el('div', {}, next, budgets)),
    progress: card('Progress', progress),
    facts: card('Where the time went', facts),
    grid: card('Replicas', el('div', {}, squaresBox, detail)),
    time: card('Timeline', time),
    failures: card('Failures', failures),
    conditions: card('Conditions', conditions),
    events: card('Events', events),
    log: card('Log', log),
  };
  for (const part of ['progress', 'facts', 'failures']) cards[part].hidden = true;
  put(root, el('nav', { 'aria-label': 'Breadcrumb' }, el('a', { href: '#/', class: 'back' }, '← All jobs')),
    el('div', { class: 'head' }, title, actions),
    el('div', { class: 'columns' },
      el('div', { class: 'main' }, cards.grid, cards.time, cards.failures, cards.log),
      el('div', { class: 'side' }, cards.next, cards.progress, cards.facts, cards.conditions, cards.events)));
  put(title, el('h1', {}, name));

  const reader = logs(log, key);
  const lines = timeline(time);
  const boxes = grid(squaresBox, async (type, index, open) => {
    chosen = [type, index];
    await showDetail(open);
  });

  async function showDetail(open) {
    if (!chosen) return;
    const [type, index] = chosen;
    let d;
    try {
      d = await getJSON(`${jobPath(key)}/replicas/${encodeURIComponent(type)}/${index}`);
    } catch {
      return;
    }
    if (chosen[0] !== type || chosen[1] !== index) return;
    const pair = (n, v) => v && el('div', {}, el('dt', {}, n), el('dd', {}, v));
    detail.hidden = false;
    put(detail,
      el('div', { class: 'row' }, el('span', { class: `square ${squares[d.square][0]}`, 'aria-hidden': 'true' }), el('b', {}, d.name),
        el('span', {}, squares[d.square][1]), el('span', { class: 'spring' }),
        d.pod && el('button', { type: 'button', onclick: () => reader.show(d.pod, d.containers) }, 'Log')),
      d.noPod && el('p', { class: 'soft' }, d.noPod),
      el('dl', { class: 'facts wide' },
        pair('Pod', d.pod), pair('Node', d.node), pair('Attempt', d.pod && String(d.attempt)),
        pair('Restarts in place', d.restarts ? String(d.restarts) : ''),
        pair('Started', d.started ? `${when(d.started)}` : ''), pair('Ended', d.ended ? when(d.ended) : ''),
        pair('Failed with', d.failure), pair('Next attempt', d.due ? when(d.due) : ''), pair('Problem', d.problem)));
    if (open && d.pod) reader.show(d.pod, d.containers);
  }

  const may = (right) => head && !about.readOnly && head.rights?.[right];
  const words = {
    suspend: ['Suspend', 'Its pods are deleted. The job starts again when it is resumed.'],
    restart: ['Restart', 'Its pods that have not succeeded are deleted and replaced. No limit counts that.'],
    delete: ['Delete', 'The job and its pods are deleted. This cannot be undone.'],
    resume: ['Resume', ''],
  };
  async function act(action) {
    const [verb, text] = words[action];
    const queue = head.queued && action === 'resume' ? 'A queue decides when this job runs: resuming it by hand takes no quota into account.' : '';
    if (text || queue) {
      if (!await confirm(`${verb} ${name}?`, text || queue, verb, action === 'delete')) return;
    }
    try {
      await post(`${jobPath(key)}/${action}`, { uid: head.uid });
      toast(`${verb}: done`);
      if (action === 'delete') go('#/');
    } catch (error) {
      toast(`${verb}: ${error.message}`, true);
    }
  }

  function drawActions() {
    // A button that is made anew between press and release loses the click.
    const looks = JSON.stringify([about.readOnly, head.suspended, head.finished, head.deleting, head.rights]);
    if (looks === drawActions.looks) return;
    drawActions.looks = looks;
    if (about.readOnly) { put(actions); return; }
    const button = (action, right, key, off) => el('button', {
      type: 'button', 'data-action': action, class: action === 'delete' ? 'danger' : '', disabled: !may(right) || off,
      title: may(right) ? '' : 'You have no right to do that', onclick: () => act(action),
    }, words[action][0], el('kbd', { 'aria-hidden': 'true' }, key));
    const was = actions.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    put(actions, button(head.suspended ? 'resume' : 'suspend', 'change', 's', head.finished),
      button('restart', 'restart', 'r', head.finished || head.suspended), button('delete', 'delete', 'd', head.deleting));
    if (was) (actions.querySelector(`[data-action=${was}]`) || actions.firstChild).focus();
  }

  const inTime = (at) => {
    const left = at - Date.now();
    return left > 0 ? `in ${duration(left + 999)}` : 'now';
  };

  function drawNext() {
    put(next, head.next.map((s) => el('li', { class: s.waits ? 'waits' : '' }, s.text,
      s.at ? [' ', timed(() => inTime(s.at), { class: 'countdown', title: when(s.at) })] : '')));
    put(budgets, head.budgets.map((b) => {
      const used = el('i', { class: b.used >= b.limit ? 'full' : '' });
      used.style.width = `${b.limit ? Math.min(100, (100 * b.used) / b.limit) : 100}%`;
      return el('div', { class: 'budget' }, el('span', {}, `${b.used} of ${b.limit} ${b.text} used`), el('span', { class: 'meter', 'aria-hidden': 'true' }, used));
    }));
  }

  function drawProgress() {
    const p = head.progress;
    cards.progress.hidden = !p;
    if (!p) return;
    const bar = el('i', {});
    bar.style.width = `${p.percent ?? 0}%`;
    put(progress,
      p.percent !== undefined && el('div', { class: 'big' }, `${p.percent} %`, p.remaining !== undefined
        && el('span', { class: 'soft' }, ` about ${duration(p.remaining * 1000)} left`)),
      p.percent !== undefined && el('span', { class: 'meter', role: 'img', 'aria-label': `${p.percent} %` }, bar),
      p.metrics.length > 0 && el('dl', { class: 'facts' }, p.metrics.map((m) => el('div', {}, el('dt', {}, m.name), el('dd', {}, m.value)))),
      p.updated > 0 && timed(() => `reported ${ago(p.updated)}`, { class: 'soft' }));
  }

  function drawHead() {
    document.title = `${name} · ${head.state} · jobkit`;
    put(title, el('h1', {}, name), pill(head.state),
      el('p', { class: 'soft' }, `${head.kind} in ${namespace} · created ${when(head.created)} · `,
        timed(() => (head.completed ? `took ${duration(head.completed - head.created)}` : `${duration(Date.now() - head.created)} old`)),
        head.restarts ? ` · ${head.restarts} ${head.restarts === 1 ? 'restart' : 'restarts'}` : '', head.queued ? ' · in a queue' : ''),
      head.note && el('p', { class: `why ${head.state === 'Failed' ? 'bad' : ''}` }, head.note));
    drawActions();
    drawNext();
    drawProgress();
    cards.facts.hidden = !head.facts.length;
    put(facts, head.facts.map((f) => el('div', {}, el('dt', {}, f.name), el('dd', {}, f.value))));
    put(conditions, head.conditions.length ? head.conditions.map((c) => el('li', { class: c.status === 'True' ? 'on' : 'off' },
      el('div', { class: 'row' }, el('b', {}, c.type), c.status !== 'True' && el('span', { class: 'soft' }, c.status === 'False' ? 'no longer' : c.status),
        el('span', { class: 'spring' }), timed(() => ago(c.since), { class: 'soft', title: when(c.since) })),
      el('p', {}, c.message || c.reason))) : el('li', {}, 'None: no operator has taken up the job.'));
    cards.failures.hidden = !head.failures.length;
    put(failures, head.failures.map((f) => el('li', {},
      el('div', { class: 'row' }, el('b', {}, f.replica), el('span', { class: 'soft' }, `attempt ${f.attempt}`), el('span', { class: 'what' }, f.what),
        f.node && el('span', {}, 'on ', el('code', {}, f.node)), el('span', { class: 'spring' }), timed(() => ago(f.at), { class: 'soft', title: when(f.at) })),
      f.message && el('p', { class: 'message' }, f.message))));
    if (head.rights && !head.rights.logs) reader.forbid();
  }

  const take = {
    head(data) { head = data; drawHead(); showDetail(false); },
    roles(data) {
      boxes.update(data);
      showDetail(false);
    },
    pods(data) { reader.offer(data); },
    timeline(data) { lines.update(data); },
    events(data) {
      put(events, data.trouble && el('li', { class: 'warning' }, el('p', {}, data.trouble)),
        data.list.map((e) => el('li', { class: e.warning ? 'warning' : '' },
          el('div', { class: 'row' }, el('b', {}, e.reason), el('span', { class: 'soft' }, e.about), e.count > 1 && el('span', { class: 'soft' }, `× ${e.count}`),
            el('span', { class: 'spring' }), timed(() => (e.at ? `${short(Date.now() - e.at)} ago` : ''), { class: 'soft', title: when(e.at) })),
          el('p', {}, e.message))),
        !data.list.length && !data.trouble && el('li', { class: 'soft' }, 'None. Events are kept for an hour only.'));
    },
    gone() {
      over = true;
      document.title = `${name} · jobkit`;
      put(root, el('div', { class: 'empty' }, el('h2', {}, 'There is no such job'),
        el('p', {}, `${resource.split('.')[0]} ${namespace}/${name} does not exist, or was deleted.`), el('a', { class: 'button', href: '#/' }, 'All jobs')));
      reader.stop();
    },
  };

  return {
    path: jobPath(key),
    take(event, data) {
      // Another job has taken the name: the page of the one that is gone is not there any more.
      if (over && event !== 'gone') again();
      else take[event]?.(data);
    },
    restart() {},
    tick() { lines.tick(); },
    stop() { reader.stop(); },
    key(e) {
      const press = (action) => { const b = actions.querySelector(`[data-action=${action}]`); if (b && !b.disabled) b.click(); };
      if (e.key === 'Escape' || e.key === 'u') go('#/');
      else if (e.key === 'g') boxes.focus();
      else if (e.key === 'l') reader.focus();
      else if (e.key === 's') press(head?.suspended ? 'resume' : 'suspend');
      else if (e.key === 'r') press('restart');
      else if (e.key === 'd') press('delete');
      else return false;
      return true;
    },
  };
}
