//! The lesson: chapters, each with a picture, a control, a sentence, and a question with a guess. A chapter is a file in `www/lesson`; this
//! reads it and computes what is true. Nothing here knows of a browser.

mod chapter;
mod facts;
mod recorded;

pub use chapter::{Chapter, Picture, Question, Truth, Words, chapters};
pub use facts::{BUDGET, Facts, TOKENS, growth_curve};
pub use recorded::{RecallRun, Recorded};
