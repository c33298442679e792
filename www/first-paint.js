// Runs before anything is painted: the picture in the HTML gets the visitor's theme, and is left out where another view is asked for. Says
// when it was painted.

const root = document.documentElement;
try {
  root.dataset.theme = localStorage.getItem('theme') ?? 'system';
} catch {
  // A browser that remembers nothing shows the system's theme.
}
const embedded = new URLSearchParams(location.search).get('embed');
if (embedded) root.dataset.embed = embedded;
root.toggleAttribute('data-starts-elsewhere', !embedded && !/^(#\/?(\?.*)?)?$/.test(location.hash));

addEventListener('DOMContentLoaded', () => {
  if (!document.querySelector('#first-picture')?.checkVisibility()) return;
  // The second frame begins when the first one was painted.
  requestAnimationFrame(() => requestAnimationFrame(() => performance.mark('mountains-painted')));
});
