// A worker is started from a script, and the program is a module of its own: this loads the one into the other.
importScripts("worker.js");
wasm_bindgen({ module_or_path: "worker_bg.wasm" });
