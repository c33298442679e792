//! What the workers say, and what the page knows then.

mod models;
mod planner;
mod trainer;
