'use strict';
// The page is complete without this: it sorts tables, and shows the values of a chart beside the pointer.
(() => {
  const number = text => {
    const first = text.split(/\s/)[0];
    return first === '' ? NaN : Number(first);
  };
  // Numbers before texts; what is empty comes last in both orders.
  const compare = (a, b, sign) => {
    if (a === '' || b === '') return (a === '') - (b === '');
    const [x, y] = [number(a), number(b)];
    if (isNaN(x) && isNaN(y)) return sign * a.localeCompare(b, undefined, { numeric: true });
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
    return sign * (x - y);
  };
  for (const table of document.querySelectorAll('table')) {
    if (!table.tHead) continue;
    const [heads, body] = [[...table.tHead.rows[0].cells], table.tBodies[0]];
    heads.forEach((head, i) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.title = 'Sort by this column';
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener('click', () => {
        const sign = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
        heads.forEach(other => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
        const text = row => row.cells[i].textContent.trim();
        body.append(...[...body.rows].sort((a, b) => compare(text(a), text(b), sign)));
      });
    });
  }

  const tip = document.createElement('div');
  tip.id = 'tip';
  tip.hidden = true;
  tip.setAttribute('role', 'status');
  document.body.append(tip);
  let shown = null;
  const hide = () => {
    if (shown) shown.classList.remove('shown');
    shown = null;
    tip.hidden = true;
  };
  const show = (note, x, y) => {
    if (shown !== note) {
      hide();
      shown = note;
      note.classList.add('shown');
      tip.textContent = note.dataset.note;
      tip.hidden = false;
    }
    const [across, down] = [tip.offsetWidth, tip.offsetHeight];
    const left = x + 14 + across > innerWidth ? x - 14 - across : x + 14;
    tip.style.left = Math.max(4, Math.min(left, innerWidth - across - 4)) + 'px';
    tip.style.top = Math.max(4, Math.min(y - down - 10, innerHeight - down - 4)) + 'px';
  };
  for (const group of document.querySelectorAll('.notes')) {
    const [notes, svg] = [[...group.children], group.ownerSVGElement];
    for (const note of notes) {
      // Else the browser shows the title as well.
      const title = note.querySelector('title');
      note.dataset.note = title.textContent;
      title.remove();
    }
    // A finger that moves stays with the element it began on, so the place is asked for.
    const point = event => {
      const at = document.elementFromPoint(event.clientX, event.clientY);
      if (at && at.parentNode === group) show(at, event.clientX, event.clientY);
      else hide();
    };
    svg.addEventListener('pointermove', point);
    svg.addEventListener('pointerdown', point);
    svg.addEventListener('pointerleave', event => { if (event.pointerType === 'mouse') hide(); });
    svg.tabIndex = 0;
    svg.addEventListener('blur', hide);
    svg.addEventListener('keydown', event => {
      const now = notes.indexOf(shown);
      const next = { ArrowRight: now + 1, ArrowLeft: now < 0 ? 0 : now - 1, Home: 0, End: notes.length - 1 }[event.key];
      if (event.key === 'Escape') hide();
      if (next === undefined) return;
      event.preventDefault();
      const note = notes[Math.max(0, Math.min(next, notes.length - 1))];
      const box = note.getBoundingClientRect();
      show(note, box.left + box.width / 2, box.top + Math.min(60, box.height / 2));
    });
  }
  document.addEventListener('pointerdown', event => { if (!event.target.closest('.drawn')) hide(); });
})();
