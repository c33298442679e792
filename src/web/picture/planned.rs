//! A step that was planned, ready to be drawn.

use super::part::{Part, Parts};
use crate::model::Layout;
use crate::step::{BatchShape, Limits, Memory, Moment, Program, Strategy, Turn};

/// A step with its memory.
pub struct Planned {
    /// The step.
    pub program: Program,
    /// Its memory.
    pub memory: Memory,
    /// Why the device could not hold it, if it could not.
    pub refusal: Option<String>,
    /// Bytes of every moment, in the order of [`Memory::moments`].
    moments: Vec<Parts>,
    /// For every block, the place of its first moment.
    first: Vec<usize>,
}

impl Planned {
    /// Plans a training step.
    pub fn new(layout: &Layout, shape: &BatchShape, strategy: Strategy, limits: Limits) -> Self {
        let program = Program::train(layout, shape.clone(), strategy);
        let (memory, refusal) = match Memory::plan(&program, limits) {
            Ok(memory) => (memory, None),
            Err(error) => {
                let memory = Memory::plan(&program, Limits::NONE).expect("without limits every plan can be made");
                (memory, Some(error.to_string()))
            }
        };
        let moments = memory.kinds_over_time(&program).iter().map(Part::sums).collect();
        let starts = program.blocks.iter().scan(0, |next, block| Some(std::mem::replace(next, *next + block.nodes.len())));
        let first = starts.collect();
        Planned { program, memory, refusal, moments, first }
    }

    /// Bytes of all buffers.
    pub fn peak_bytes(&self) -> u64 {
        self.memory.peak_bytes()
    }

    /// Bytes alive at a moment.
    pub fn parts(&self, moment: Moment) -> &Parts {
        &self.moments[self.first[moment.block] + moment.node]
    }

    /// Bytes alive at the peak.
    pub fn peak_parts(&self) -> &Parts {
        self.parts(self.memory.peak())
    }

    /// The number of the first turn at the peak.
    pub fn peak_turn(&self) -> u64 {
        let Moment { block, node } = self.memory.peak();
        let chunk = self.program.blocks[block].walk.chunks(self.program.tokens()).next().expect("a batch has a token");
        self.program.turn_number(Turn { block, chunk, node })
    }
}

/// A turn's place in the plan of the memory.
pub(super) fn moment(turn: Turn) -> Moment {
    Moment { block: turn.block, node: turn.node }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::step::StrategyKind;
    use crate::web::form::{Field, Form};

    pub(in crate::web::picture) fn planned(kind: StrategyKind, seq_len: u32) -> Planned {
        let mut form = Form::default();
        form.strategy = kind;
        form.set(Field::SeqLen, seq_len);
        let plan = form.plan().unwrap();
        Planned::new(&plan.layout, &plan.shape, plan.strategy, Limits::NONE)
    }

    /// Chunks of 128 tokens, and a window of 200 in all layers but the first.
    pub(in crate::web::picture) fn with_windows(seq_len: u32) -> Planned {
        let mut layout = Form::default().plan().unwrap().layout;
        layout.config.sliding_window = 200;
        layout.config.sliding_layers = (0..layout.config.num_hidden_layers).map(|layer| layer > 0).collect();
        Planned::new(&layout, &BatchShape::uniform(1, seq_len), Strategy::stream(128, 128), Limits::NONE)
    }

    /// Every strategy, one between them, and layers with windows.
    pub(in crate::web::picture) fn each(seq_len: u32) -> Vec<Planned> {
        let plan = Form::default().plan().unwrap();
        let strategy = Strategy::stream(128, 128).keeping("attention,gate_up:2".parse().unwrap()).offloading(true);
        let between = Planned::new(&plan.layout, &BatchShape::uniform(1, seq_len), strategy, Limits::NONE);
        StrategyKind::ALL.map(|kind| planned(kind, seq_len)).into_iter().chain([between, with_windows(seq_len)]).collect()
    }

    #[test]
    fn every_moment_has_the_bytes_that_are_alive() {
        for planned in each(1000) {
            for &moment in planned.memory.moments() {
                assert_eq!(planned.parts(moment).iter().sum::<u64>(), planned.memory.alive_bytes(moment));
                assert_eq!(*planned.parts(moment), Part::sums(&planned.memory.by_kind(&planned.program, moment)));
            }
            assert_eq!(planned.peak_parts().iter().sum::<u64>() + planned.memory.unused_bytes(), planned.peak_bytes());
            assert_eq!(moment(planned.program.turn(planned.peak_turn())), planned.memory.peak());
        }
    }

    #[test]
    fn what_the_device_cannot_hold_is_shown_with_the_reason() {
        let plan = Form::default().plan().unwrap();
        let limits = Limits { buffer: 1 << 30, binding: 1 << 16 };
        let planned = Planned::new(&plan.layout, &plan.shape, plan.strategy, limits);
        assert!(planned.refusal.as_ref().is_some_and(|reason| reason.contains("binds at most")));
    }
}
