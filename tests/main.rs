//! One binary, so that everything links once.
