//! What happens at a turn of the step, in words.

use crate::step::{Program, ProgramPoint};
use crate::web::charts::Doing;
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};
use crate::web::page::state::Plans;

/// The turn in words.
pub fn now(t: T, plans: &Plans, turn: u64) -> String {
    let planned = plans.chosen();
    let at = planned.program().instance(turn);
    let alive = planned.plan.alive_bytes(ProgramPoint { block: at.block, node: at.node });
    let (op, what) = describe(t, plans, turn);
    fill(t.step_grid.now, &[("op", &op), ("what", &what), ("bytes", &bytes(alive))])
}

/// The operation of a turn of the chosen step, and what happens there in words.
pub fn describe(t: T, plans: &Plans, turn: u64) -> (String, String) {
    describe_in(t, plans.chosen().program(), turn)
}

/// The operation of a turn, and what happens there in words.
pub fn describe_in(t: T, program: &Program, turn: u64) -> (String, String) {
    let at = program.instance(turn);
    let texts = &t.step_grid;
    let (text, layer) = match Doing::at(program, at) {
        Doing::Clear => (texts.does_clear, 0),
        Doing::Embed => (texts.does_embed, 0),
        Doing::Forward(layer) => (texts.does_forward, layer),
        Doing::Again(layer) => (texts.does_again, layer),
        Doing::Backward(layer) => (texts.does_backward, layer),
        Doing::Loss => (texts.does_loss, 0),
        Doing::EmbeddingGradient => (texts.does_embedding_gradient, 0),
        Doing::Update => (texts.does_update, 0),
        Doing::RollOut => (texts.does_roll_out, 0),
    };
    let op = program.op(at.block, at.node).kind().stem().replace('_', " ");
    (op, fill(text, &[("layer", &layer), ("chunk", &at.chunk.index)]))
}
