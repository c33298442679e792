//! What the memory picture shows: the step's peak under each strategy, by what the bytes are for.

use super::form::Plan;
use super::grid::Grid;
use super::timeline::Timeline;
use crate::step::{Alive, Kind, Limits, Memory, Moment, Program, Strategy, StrategyKind};

/// What bytes are for, as pictures group it: few enough that each has a colour of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Parameters.
    Weights,
    /// Gradients of parameters.
    Gradients,
    /// AdamW's moments.
    Optimizer,
    /// The batch, and tables that kernels share.
    Tables,
    /// Inputs of layers, kept from the forward pass.
    LayerInputs,
    /// The hidden state and its gradient, in one place.
    Hidden,
    /// Keys, values and their gradients.
    KeysValues,
    /// Everything else inside a layer.
    Activations,
    /// Logits and their gradient, in one place.
    Logits,
}

/// Bytes of each part, in the order of [`Part::ALL`].
pub type Parts = [u64; Part::ALL.len()];

impl Part {
    /// All parts, in the order in which pictures stack them.
    pub const ALL: [Part; 9] = [
        Part::Weights,
        Part::Gradients,
        Part::Optimizer,
        Part::Tables,
        Part::LayerInputs,
        Part::Hidden,
        Part::KeysValues,
        Part::Activations,
        Part::Logits,
    ];

    /// The part that a kind belongs to.
    pub fn of(kind: Kind) -> Part {
        match kind {
            Kind::Weights => Part::Weights,
            Kind::Gradients => Part::Gradients,
            Kind::Optimizer => Part::Optimizer,
            Kind::Batch | Kind::Scratch => Part::Tables,
            Kind::LayerInputs => Part::LayerInputs,
            Kind::HiddenGradient => Part::Hidden,
            Kind::KeysValues | Kind::KeysValuesGradients => Part::KeysValues,
            Kind::Activations => Part::Activations,
            Kind::Logits => Part::Logits,
        }
    }

    /// The name of its colour in the style sheet.
    pub fn name(self) -> &'static str {
        match self {
            Part::Weights => "weights",
            Part::Gradients => "gradients",
            Part::Optimizer => "optimizer",
            Part::Tables => "tables",
            Part::LayerInputs => "layer-inputs",
            Part::Hidden => "hidden",
            Part::KeysValues => "keys-values",
            Part::Activations => "activations",
            Part::Logits => "logits",
        }
    }
}

/// The whole picture of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// A bar for each strategy, in the order of [`StrategyKind::ALL`].
    pub bars: Vec<Bar>,
    /// The strategy that was chosen.
    pub chosen: StrategyKind,
    /// What the chosen strategy holds for each chunk of each layer.
    pub grid: Grid,
    /// What is alive during the chosen strategy's step.
    pub timeline: Timeline,
}

/// The peak of a step under one strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The strategy.
    pub strategy: StrategyKind,
    /// Bytes of all buffers.
    pub peak_bytes: u64,
    /// What they hold at the moment of the peak.
    pub parts: Parts,
    /// Bytes in which nothing lies even then.
    pub unused: u64,
    /// The operation at the peak, and its layer.
    pub at: (&'static str, Option<u32>),
    /// Why the device could not hold it, if it could not.
    pub refusal: Option<String>,
}

impl Picture {
    /// Plans the step under all three strategies.
    pub fn of(plan: &Plan, limits: Limits) -> Self {
        let mut bars = Vec::new();
        let mut chosen = None;
        for kind in StrategyKind::ALL {
            let strategy = Strategy::new(kind, plan.chunks[0], plan.chunks[1]);
            let program = Program::train(&plan.config, plan.shape.clone(), strategy);
            let (memory, refusal) = match Memory::plan(&program, limits) {
                Ok(memory) => (memory, None),
                Err(error) => (plan_without_limits(&program), Some(error.to_string())),
            };
            bars.push(bar(&program, &memory, refusal));
            if kind == plan.strategy.kind {
                chosen = Some((Grid::of(&program, &memory), Timeline::of(&program, &memory)));
            }
        }
        let (grid, timeline) = chosen.expect("the chosen strategy is one of all");
        Picture { bars, chosen: plan.strategy.kind, grid, timeline }
    }

    /// The longest of the three bars.
    pub fn longest_bar(&self) -> u64 {
        self.bars.iter().map(|bar| bar.peak_bytes).max().unwrap_or(0)
    }

    /// The chosen strategy's bar.
    pub fn chosen_bar(&self) -> &Bar {
        self.bars.iter().find(|bar| bar.strategy == self.chosen).expect("there is a bar for each strategy")
    }
}

fn plan_without_limits(program: &Program) -> Memory {
    Memory::plan(program, Limits::NONE).expect("without limits every plan can be made")
}

fn bar(program: &Program, memory: &Memory, refusal: Option<String>) -> Bar {
    let moment = memory.peak();
    let node = &program.blocks[moment.block].nodes[moment.node];
    Bar {
        strategy: program.strategy.kind,
        peak_bytes: memory.peak_bytes(),
        parts: parts_at(program, memory, moment),
        unused: memory.unused_bytes(),
        at: (node.op.kind().stem(), node.layer),
        refusal,
    }
}

/// What is alive at a moment, by part.
pub fn parts_at(program: &Program, memory: &Memory, moment: Moment) -> Parts {
    let mut parts = [0; Part::ALL.len()];
    for (kind, bytes) in Kind::ALL.into_iter().zip(memory.by_kind(program, moment)) {
        parts[Part::of(kind) as usize] += bytes;
    }
    parts
}

/// Adds what a tensor takes to its part.
pub(super) fn add(parts: &mut Parts, program: &Program, alive: Alive) {
    parts[Part::of(program.tensor(alive.tensor).kind) as usize] += alive.bytes;
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::form::Form;

    pub(in crate::web) fn plan(kind: StrategyKind) -> Plan {
        Form { seq_len: "1000".to_owned(), strategy: kind, ..Form::default() }.plan().unwrap()
    }

    #[test]
    fn a_bar_is_the_sum_of_its_parts() {
        let picture = Picture::of(&plan(StrategyKind::Stream), Limits::NONE);
        for bar in &picture.bars {
            assert_eq!(bar.parts.iter().sum::<u64>() + bar.unused, bar.peak_bytes, "{}", bar.strategy);
        }
        assert_eq!(picture.longest_bar(), picture.bars[0].peak_bytes);
        assert_eq!(picture.chosen_bar().strategy, StrategyKind::Stream);
    }

    #[test]
    fn what_the_device_cannot_hold_is_shown_with_the_reason() {
        let limits = Limits { buffer: 1 << 30, binding: 1 << 20 };
        let picture = Picture::of(&plan(StrategyKind::Stream), limits);
        assert!(picture.bars[0].refusal.as_ref().is_some_and(|reason| reason.contains("binds at most")));
        assert_eq!(picture.bars[0].peak_bytes, Picture::of(&plan(StrategyKind::Stream), Limits::NONE).bars[0].peak_bytes);
    }

    #[test]
    fn a_parts_place_in_the_list_is_its_number() {
        assert!(Part::ALL.iter().enumerate().all(|(i, &part)| part as usize == i));
    }
}
