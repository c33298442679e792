//! What a rank sends, another receives: see `tests/ranks.rs`.
