//! A step that was planned, ready to be drawn.

use super::part::{Part, Parts};
use crate::model::ModelSpec;
use crate::step::{BatchShape, Limits, Objective, OpInstance, Plan, Program, ProgramPoint, Strategy};

/// A step with its memory.
pub struct Planned {
    /// The step with its memory.
    pub plan: Plan,
    /// Why the device could not hold it, if it could not.
    pub refusal: Option<String>,
    /// Bytes of every moment, in the order of [`Plan::points`].
    moments: Vec<Parts>,
    /// For every block, the place of its first moment.
    first: Vec<usize>,
}

impl Planned {
    /// Plans a training step.
    pub fn new(objective: Objective, spec: &ModelSpec, shape: &BatchShape, strategy: Strategy, limits: Limits) -> Self {
        let program = || Program::train_for(objective, spec, shape.clone(), strategy);
        let (plan, refusal) = match Plan::new(program(), limits) {
            Ok(plan) => (plan, None),
            Err(error) => {
                let plan = Plan::new(program(), Limits::NONE).expect("without limits every plan can be made");
                (plan, Some(error.to_string()))
            }
        };
        let moments = plan.kinds_over_time().iter().map(Part::sums).collect();
        let starts = plan.program().blocks.iter().scan(0, |next, block| Some(std::mem::replace(next, *next + block.nodes.len())));
        let first = starts.collect();
        Planned { plan, refusal, moments, first }
    }

    /// The step.
    pub fn program(&self) -> &Program {
        self.plan.program()
    }

    /// Bytes of all buffers.
    pub fn peak_bytes(&self) -> u64 {
        self.plan.peak_bytes()
    }

    /// Bytes alive at a moment.
    pub fn parts(&self, moment: ProgramPoint) -> &Parts {
        &self.moments[self.first[moment.block] + moment.node]
    }

    /// Bytes alive at the peak.
    pub fn peak_parts(&self) -> &Parts {
        self.parts(self.plan.peak())
    }

    /// The number of the first turn at the peak.
    pub fn peak_turn(&self) -> u64 {
        let ProgramPoint { block, node } = self.plan.peak();
        let chunk = self.program().blocks[block].chunk_order.chunks(self.program().tokens()).next().expect("a batch has a token");
        self.program().instance_number(OpInstance { block, chunk, node })
    }
}

/// A turn's place in the plan of the memory.
pub(super) fn moment(turn: OpInstance) -> ProgramPoint {
    ProgramPoint { block: turn.block, node: turn.node }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::step::StrategyKind;
    use crate::web::form::{Adapter, Field, Form};

    pub(in crate::web::charts) fn planned(kind: StrategyKind, seq_len: u32) -> Planned {
        let mut form = Form::default();
        form.strategy = kind;
        form.set(Field::SeqLen, seq_len);
        form.set(Field::Chunk, 128);
        let plan = form.plan(&Adapter::default()).unwrap();
        Planned::new(Objective::default(), &plan.spec, &plan.shape, plan.strategy, Limits::NONE)
    }

    /// Chunks of 128 tokens, and a window of 200 in all layers but the first.
    pub(in crate::web::charts) fn with_windows(seq_len: u32) -> Planned {
        let mut spec = Form::default().plan(&Adapter::default()).unwrap().spec;
        spec.config.sliding_window = 200;
        spec.config.sliding_layers = (0..spec.config.num_hidden_layers).map(|layer| layer > 0).collect();
        Planned::new(Objective::default(), &spec, &BatchShape::uniform(1, seq_len), Strategy::stream(128, 128), Limits::NONE)
    }

    /// In groups of two layers.
    pub(in crate::web::charts) fn with_groups(seq_len: u32) -> Planned {
        let plan = Form::default().plan(&Adapter::default()).unwrap();
        let strategy = Strategy::stream(128, 128).with_layer_group(2);
        Planned::new(Objective::default(), &plan.spec, &BatchShape::uniform(1, seq_len), strategy, Limits::NONE)
    }

    /// Of completions that it samples, which fill half of each sequence.
    pub(in crate::web::charts) fn with_roll_out(seq_len: u32) -> Planned {
        let mut form = Form::learn_from_rewards();
        let fields = [(Field::SeqLen, seq_len), (Field::MaxCompletionLength, seq_len / 2), (Field::Batch, 8)];
        fields.into_iter().for_each(|(field, value)| form.set(field, value));
        let plan = form.plan(&Adapter::default()).unwrap();
        Planned::new(plan.objective, &plan.spec, &plan.shape, Strategy::stream(128, 128), Limits::NONE)
    }

    /// Every strategy, one between them, layers with windows, and groups of layers.
    pub(in crate::web::charts) fn each(seq_len: u32) -> Vec<Planned> {
        let plan = Form::default().plan(&Adapter::default()).unwrap();
        let strategy = Strategy::stream(128, 128).saving("attention,gate_up:2".parse().unwrap()).offloading(true);
        let between = Planned::new(Objective::default(), &plan.spec, &BatchShape::uniform(1, seq_len), strategy, Limits::NONE);
        let others = [between, with_windows(seq_len), with_groups(seq_len), with_roll_out(seq_len)];
        StrategyKind::ALL.map(|kind| planned(kind, seq_len)).into_iter().chain(others).collect()
    }

    #[test]
    fn every_moment_has_the_bytes_that_are_alive() {
        for planned in each(1000) {
            for &moment in planned.plan.points() {
                assert_eq!(planned.parts(moment).iter().sum::<u64>(), planned.plan.alive_bytes(moment));
                assert_eq!(*planned.parts(moment), Part::sums(&planned.plan.by_kind(moment)));
            }
            assert_eq!(planned.peak_parts().iter().sum::<u64>() + planned.plan.unused_bytes(), planned.peak_bytes());
            assert_eq!(moment(planned.program().instance(planned.peak_turn())), planned.plan.peak());
        }
    }

    #[test]
    fn what_the_device_cannot_hold_is_shown_with_the_reason() {
        let plan = Form::default().plan(&Adapter::default()).unwrap();
        let limits = Limits { buffer: 1 << 30, binding: 1 << 16 };
        let planned = Planned::new(Objective::default(), &plan.spec, &plan.shape, plan.strategy, limits);
        assert!(planned.refusal.as_ref().is_some_and(|reason| reason.contains("binds at most")));
    }
}
