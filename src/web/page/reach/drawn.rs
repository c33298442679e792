//! What the chart draws.

use std::sync::Arc;

use crate::web::axis::Axes;
use crate::web::memory_curve::{Chart, axes};
use crate::web::published::{Mark, Trainable, marks};
use crate::web::question::Question;

/// A chart with its budget, on its axes, and the paper's lengths for the same model and budget.
#[derive(Clone, PartialEq)]
pub struct Drawn {
    pub chart: Arc<Chart>,
    pub axes: Axes,
    pub budget: u64,
    pub without_model: bool,
    pub marks: Vec<Mark>,
}

impl Drawn {
    /// The drawing of an answer. `model` is the name of a published model, or empty.
    pub fn new(chart: Chart, question: &Question, model: &str, trainable: Trainable) -> Drawn {
        let (budget, without_model) = (question.budget, question.without_model);
        let axes = axes(&chart, budget);
        // The paper has one GPU and counts the model's bytes, so its lengths have no place on another chart.
        let marks = if without_model || question.machines > 1 { Vec::new() } else { marks(model, trainable, budget) };
        Drawn { chart: Arc::new(chart), axes, budget, without_model, marks }
    }
}
