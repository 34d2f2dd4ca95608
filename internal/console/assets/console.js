// What the pages do better with a script. All of it works without one too.
'use strict';

// ---- Lists and deliveries that keep themselves up to date ----

const period = 2000; // milliseconds between two questions
let paused = false;
let etag = '';

const region = () => document.querySelector('[data-live]');

async function poll() {
  const old = region();
  if (!old) {
    for (const button of document.querySelectorAll('[data-pause]')) button.hidden = true;
    return;
  }
  if (!paused && !document.hidden && !selectsIn(old)) {
    try {
      const answer = await fetch(old.dataset.live, { headers: etag ? { 'If-None-Match': etag } : {} });
      if (answer.status === 401) {
        location.reload(); // the session has ended
        return;
      }
      if (answer.status === 200) {
        etag = answer.headers.get('ETag') || '';
        replace(old, await answer.text());
      }
      say(answer.ok || answer.status === 304 ? '' : 'Not up to date: the server can’t answer now.');
    } catch {
      say('Not up to date: the server can’t be reached.');
    }
  }
  setTimeout(poll, period);
}

// Somebody who is about to copy something is not disturbed.
function selectsIn(element) {
  const selection = getSelection();
  return selection && !selection.isCollapsed && element.contains(selection.anchorNode);
}

// replace puts the new state in place of the old one, and keeps what is opened
// and what has the focus.
function replace(old, html) {
  const fresh = new DOMParser().parseFromString(html, 'text/html').getElementById(old.id);
  if (!fresh || paused || selectsIn(old)) return;
  for (const details of old.querySelectorAll('details[id]')) {
    const same = fresh.querySelector('#' + CSS.escape(details.id));
    if (same) same.open = details.open;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement.id : '';
  old.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  showPause();
}

function showPause() {
  for (const button of document.querySelectorAll('[data-pause]')) {
    button.hidden = !region();
    button.id = 'pause';
    button.setAttribute('aria-pressed', String(paused));
    button.textContent = paused ? 'Continue updates' : 'Pause updates';
  }
}

function say(text) {
  for (const note of document.querySelectorAll('[data-live-note]')) {
    if (note.textContent !== text) note.textContent = text;
  }
}

document.addEventListener('click', (event) => {
  if (!event.target.closest('[data-pause]')) return;
  paused = !paused;
  showPause();
});

if (region()) {
  showPause();
  setTimeout(poll, period);
}

// ---- The dialog: buttons that show more of it do so in place ----

document.addEventListener('submit', async (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!form.hasAttribute('data-in-place') || !button?.hasAttribute('data-in-place')) return;
  event.preventDefault();
  if (form.getAttribute('aria-busy') === 'true') return;
  form.setAttribute('aria-busy', 'true');
  if (button.dataset.busy) button.textContent = button.dataset.busy;
  try {
    const body = new URLSearchParams(new FormData(form, button));
    const answer = await fetch(form.getAttribute('action'), { method: 'POST', body });
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById(form.id);
    if (!fresh) {
      location.assign(answer.url); // the session or the application has ended
      return;
    }
    exchange(form, fresh);
  } catch {
    form.removeAttribute('aria-busy');
    if (button.dataset.busy) button.textContent = 'The server can’t be reached: try again';
  }
});

// exchange puts the new form in place of the old one. The password is not sent
// back, but it has not left this page either.
function exchange(form, fresh) {
  const password = form.querySelector('#password')?.value;
  form.replaceWith(document.adoptNode(fresh));
  const field = fresh.querySelector('#password');
  if (password && field) {
    field.value = password;
    for (const note of fresh.querySelectorAll('[data-retype]')) {
      field.setAttribute('aria-describedby', field.getAttribute('aria-describedby').replace(note.id, '').trim());
      note.remove();
    }
  }
  const first = fresh.querySelector('[autofocus]');
  first?.focus();
  first?.scrollIntoView({ block: 'nearest' });
}

// Another dialect has other events.
document.addEventListener('change', (event) => {
  if (event.target.id !== 'dialect') return;
  event.target.form.querySelector('button[value="events"]').click();
});
