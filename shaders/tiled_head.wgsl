// Threads along the columns of a tile of scores; each has four columns, as far apart as there are threads, so that threads that run together
// read different banks of workgroup memory.
const COL_THREADS: u32 = 8u;
