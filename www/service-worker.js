// Keeps the page usable without a network: what it needs is kept on its first visit. The network is asked first all the same,
// so that a new release is seen at once. Another language than English, which is part of the program, and what opens and saves
// models are kept once they are asked for.

const STORE = 'streambp';
const FILES = [
  './', 'first-paint.js', 'icon-maskable.svg', 'icon.svg', 'manifest.webmanifest', 'page.js', 'page_bg.wasm', 'start-worker.js', 'start.js',
  'style.css',
];

addEventListener('install', (event) => event.waitUntil(keepAll()));
// The page that is open already has to work without a network too, when it is loaded again or starts another worker.
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  const { headers, method, url } = event.request;
  // Parts of files are no files: what fetches them keeps them itself.
  if (headers.has('range')) return;
  if (method === 'GET' && new URL(url).origin === location.origin) event.respondWith(answer(event));
});

async function keepAll() {
  const store = await caches.open(STORE);
  // Files of two releases do not fit together, so a browser's own store is asked whether what it has is the newest.
  await store.addAll(FILES.map((file) => new Request(file, { cache: 'no-cache' })));
}

async function answer(event) {
  // A link may carry settings behind the page's address.
  const address = event.request.url.split(/[?#]/)[0];
  const store = await caches.open(STORE);
  try {
    const response = await fetch(event.request, { cache: 'no-cache' });
    if (response.ok) event.waitUntil(keep(store, address, response.clone()));
    return response;
  } catch (error) {
    const kept = await store.match(address, { ignoreVary: true });
    if (kept) return kept;
    throw error;
  }
}

// Keeps a response once all of it is there: one that breaks off must not take the place of what is kept.
async function keep(store, address, response) {
  const headers = new Headers(response.headers);
  // The body is decoded.
  ['content-encoding', 'content-length'].forEach((name) => headers.delete(name));
  await store.put(address, new Response(await response.blob(), { headers }));
}
