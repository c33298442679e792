//! What the planner is asked: which model, on which devices, within which budget.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::charts::Part;
use crate::gpu::DeviceSpeed;
use crate::model::ModelSpec;
use crate::step::{BatchShape, Limits, Objective, Plan, Program, Strategy, StrategyKind, TOKEN_TILE};
use crate::train::{ChunkLength, FrontierPoint, Network, RankCost, auto_chunk, frontier, predict_ranks, shapes_of_ranks};

/// The most machines that are planned: the time of planning grows with their number.
pub const MOST_MACHINES: u32 = 16;

/// Lengths between which machines are compared.
const SHOWN_LENGTHS: [u32; 3] = [1 << 11, 1 << 14, 1 << 17];

/// What is planned, and what is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What a step minimises.
    pub objective: Objective,
    /// The model, and what of it learns.
    pub spec: ModelSpec,
    /// Sequences of a batch.
    pub sequences: u32,
    /// C and C' of the strategy `stream`.
    pub chunks: [ChunkLength; 2],
    /// The speed of the adapter, by which `auto` and the shortest step are found.
    pub speed: DeviceSpeed,
    /// Bytes that are allowed.
    pub budget: u64,
    /// Bytes that a buffer and a binding of the device may have.
    pub limits: [u64; 2],
    /// Do only those bytes count that grow with the sequence?
    pub without_model: bool,
    /// Machines between which the tokens of a batch are split, each with that budget and those limits.
    pub machines: u32,
}

impl Question {
    /// The bytes of a step on sequences of that length, and whether the device could hold them: on the machine that needs most.
    pub fn peak(&self, kind: StrategyKind, tokens: u32) -> (u64, bool) {
        self.peak_on(kind, tokens, 0..self.machines)
    }

    /// The same, among some of the machines.
    pub fn peak_on(&self, kind: StrategyKind, tokens: u32, machines: impl IntoIterator<Item = u32>) -> (u64, bool) {
        let shapes = self.shapes(tokens);
        let strategy = self.strategy(kind, &shapes[0]);
        let there = machines.into_iter().filter_map(|machine| shapes.get(machine as usize));
        let peaks = there.map(|shape| self.peak_of(shape, strategy));
        peaks.fold((0, true), |(most, all), (bytes, is_possible)| (most.max(bytes), all && is_possible))
    }

    /// Machines of which one needs most, whatever the length: to plan all for every length would take long. The first holds the most tokens, the
    /// last sees the most keys, and in short sequences one between them may hold the most moments.
    pub fn largest_machines(&self, kind: StrategyKind) -> BTreeSet<u32> {
        let ends = [0, self.machines - 1];
        let most_at = |tokens: u32| (0..self.machines).max_by_key(|&machine| self.peak_on(kind, tokens, [machine]).0).unwrap_or(0);
        let between = SHOWN_LENGTHS.iter().filter(|_| self.machines > 2).map(|&tokens| most_at(tokens));
        ends.into_iter().chain(between).collect()
    }

    fn peak_of(&self, shape: &BatchShape, strategy: Strategy) -> (u64, bool) {
        let program = || Program::train_for(self.objective, &self.spec, shape.clone(), strategy);
        let (plan, is_possible) = match Plan::new(program(), self.limits()) {
            Ok(plan) => (plan, true),
            Err(_) => (without_limits(program()), false),
        };
        let left_out = if self.without_model { model_bytes_of(&plan) } else { 0 };
        (plan.peak_bytes() - left_out, is_possible)
    }

    /// Bytes of weights, gradients and moments: on the machine that has most of them.
    pub fn model_bytes(&self) -> u64 {
        let shapes = self.shapes(TOKEN_TILE * self.machines);
        let of = |shape| model_bytes_of(&without_limits(Program::train(&self.spec, shape, Strategy::STANDARD)));
        shapes.into_iter().map(of).max().expect("there is a machine")
    }

    /// The predicted time of a step on sequences of that length, in seconds; and what it takes of each machine, if there are several.
    pub fn seconds(&self, kind: StrategyKind, tokens: u32, speed: &DeviceSpeed, network: Network) -> (f64, Vec<RankCost>) {
        let shapes = self.shapes(tokens);
        let strategy = self.strategy(kind, &shapes[0]);
        let program = |shape| Program::train_for(self.objective, &self.spec, shape, strategy);
        if shapes.len() == 1 {
            return (shapes.into_iter().map(|shape| speed.step_seconds(&program(shape))).sum(), Vec::new());
        }
        let plans: Vec<Plan> = shapes.into_iter().map(|shape| without_limits(program(shape))).collect();
        let (costs, seconds) = predict_ranks(&plans, 1, speed, network);
        (seconds, costs)
    }

    /// The most machines that this program can split a step between.
    pub fn most_machines(&self) -> u32 {
        match self.objective {
            Objective::CrossEntropy | Objective::Dpo(_) => MOST_MACHINES,
            Objective::Grpo(_) => 1,
        }
    }

    /// What each machine holds of a batch of sequences of that length. A batch of fewer tiles than there are machines leaves some without.
    fn shapes(&self, tokens: u32) -> Vec<BatchShape> {
        let shape = BatchShape::uniform(self.sequences, tokens);
        let machines = self.machines.min(shape.tokens().div_ceil(TOKEN_TILE));
        shapes_of_ranks(&self.spec, &shape, 1, machines, &[]).expect("each machine has a tile")
    }

    /// The frontier of bytes and time for sequences of that length.
    pub fn frontier(&self, tokens: u32, speed: &DeviceSpeed) -> Vec<FrontierPoint> {
        frontier(self.objective, &self.spec, &BatchShape::uniform(self.sequences, tokens), self.limits(), speed)
    }

    /// The strategy for such batches.
    fn strategy(&self, kind: StrategyKind, shape: &BatchShape) -> Strategy {
        let [chunk, logits_chunk] = self.chunks;
        let of = |chunk: u32| Strategy::new(kind, chunk, logits_chunk.or(chunk));
        match kind {
            StrategyKind::Stream => {
                of(chunk.resolve(|| auto_chunk(self.objective, &self.spec, shape, of, self.budget, self.limits(), &self.speed)).0)
            }
            _ => of(TOKEN_TILE),
        }
    }

    /// The limits of the device.
    pub fn limits(&self) -> Limits {
        let [buffer, binding] = self.limits;
        Limits { buffer, binding }
    }
}

fn without_limits(program: Program) -> Plan {
    Plan::new(program, Limits::NONE).expect("without limits every plan can be made")
}

/// Bytes of weights, gradients and moments in a plan.
fn model_bytes_of(plan: &Plan) -> u64 {
    plan.program().tensors().filter(|(_, tensor)| Part::of(tensor.kind).is_the_models()).map(|(id, _)| plan.reserved(id)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceClass;
    use crate::model::{PRESETS, PUBLISHED, Preset};
    use crate::web::published::Trainable;

    fn question(model: &Preset) -> Question {
        Trainable::All.question(model, 64 << 20, false)
    }

    #[test]
    fn without_the_model_its_bytes_are_missing() {
        let with = question(&PRESETS[0]);
        let without = Question { without_model: true, ..with.clone() };
        let at = |question: &Question| question.peak(StrategyKind::Stream, 1000).0;
        assert_eq!(at(&with) - at(&without), with.model_bytes());
    }

    #[test]
    fn published_models_have_as_many_parameters_as_their_names_say() {
        for (model, billions) in PUBLISHED.iter().zip([4.0, 8.2, 14.8, 32.8]) {
            let found = question(model).model_bytes() as f64 / 16e9;
            assert!((found - billions).abs() < 0.06, "{}: {found}", model.name);
        }
    }

    /// The machines that are planned for every length are among those that need most, but for the token tile to which they are rounded.
    #[test]
    fn few_machines_say_how_much_the_largest_needs() {
        for (model, machines) in [(0, 6), (2, 4), (3, 16)] {
            let question = Question { machines, ..question(&PRESETS[model]) };
            for kind in StrategyKind::ALL {
                let planned = question.largest_machines(kind);
                for tokens in [500, 3000, 10_000, 50_000, 200_000] {
                    let (most, found) = (question.peak(kind, tokens).0, question.peak_on(kind, tokens, planned.clone()).0);
                    let of_tile = question.peak_on(kind, tokens + TOKEN_TILE * machines, planned.clone()).0 - found;
                    assert!(found <= most && most <= found + of_tile, "{kind}, {tokens} tokens on {machines} machines: {found} of {most}");
                }
            }
        }
    }

    /// What grows with the sequence is divided between machines, and a step gets shorter, but by less than their number.
    #[test]
    fn machines_hold_less_and_take_less_time() {
        let alone = Question { without_model: true, ..question(&PRESETS[2]) };
        let speed = &DeviceClass::ALL[0].speed();
        let at = |question: &Question| {
            let bytes = question.peak(StrategyKind::Stream, 32_768).0 as f64;
            (bytes, question.seconds(StrategyKind::Stream, 32_768, speed, Network::TEN_GIGABIT))
        };
        let (bytes, (seconds, none)) = at(&alone);
        assert!(none.is_empty());
        for machines in [2, 4] {
            let (fewer, (shorter, costs)) = at(&Question { machines, ..alone.clone() });
            assert_eq!((costs.len() as u32, costs.iter().map(|cost| cost.tokens).sum::<u32>()), (machines, 32_768));
            let [bytes, seconds] = [bytes / fewer, seconds / shorter];
            assert!(1.2 < bytes && bytes < f64::from(machines), "{machines} machines: {bytes} times less");
            assert!(1.2 < seconds && seconds < f64::from(machines), "{machines} machines: {seconds} times as fast");
        }
        assert_eq!(Question { machines: 8, ..alone.clone() }.peak(StrategyKind::Stream, 64), alone.peak(StrategyKind::Stream, 64));
    }
}
