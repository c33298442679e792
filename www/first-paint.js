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
root.toggleAttribute('data-starts-elsewhere', /[?&]length=/.test(location.hash) || !embedded && !/^(#\/?(\?.*)?)?$/.test(location.hash));

requestAnimationFrame(look);

/** Before a frame is made: is the whole picture in it? Then the next one begins when it is made, and perhaps not yet on the screen. */
function look() {
  const isWhole = document.querySelector('#first-picture .mountains')?.checkVisibility() && document.querySelector('.see-passes');
  if (isWhole) requestAnimationFrame(markWhenPainted);
  else if (document.readyState === 'loading') requestAnimationFrame(look);
}

function markWhenPainted() {
  const observer = new PerformanceObserver((entries) => {
    if (entries.getEntriesByName('first-contentful-paint').length === 0) return;
    observer.disconnect();
    performance.mark('mountains-painted');
  });
  observer.observe({ type: 'paint', buffered: true });
}
