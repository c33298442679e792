//! The pictures of the lesson, each with its control.

mod bits;
mod clocks;
mod controls;
mod growth;
mod mountain;
mod reach;
mod recall;
mod steps;

use leptos::prelude::*;

use super::lesson::Lesson;
use crate::web::i18n::T;
use crate::web::lesson::{Chapter, Picture, Words};

pub fn view(lesson: Lesson, t: T, chapter: &'static Chapter, words: &'static Words) -> AnyView {
    match chapter.picture {
        Picture::Mountain => mountain::view(lesson.lesson, t, words).into_any(),
        Picture::Growth => growth::view(lesson.lesson, t, words).into_any(),
        Picture::Strategies => steps::strategies(lesson.lesson, t, words).into_any(),
        Picture::Chunks => steps::chunks(lesson.lesson, t, words).into_any(),
        Picture::Bits => bits::view(lesson, t, words).into_any(),
        Picture::Clocks => clocks::view(lesson, t, words).into_any(),
        Picture::Reach => reach::view(lesson.lesson, t, words).into_any(),
        Picture::Recall => recall::view(lesson.lesson, t, words).into_any(),
    }
}
