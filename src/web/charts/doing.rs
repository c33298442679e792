//! What an operation does, in the terms of the method: words before kernels.

use crate::step::{OpInstance, Pass, Program};

/// What happens at a turn of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The gradients are set to zero.
    Clear,
    /// Tokens become hidden states.
    Embed,
    /// A layer computes a chunk for the first time.
    Forward(u32),
    /// A layer computes a chunk that it has computed before.
    Again(u32),
    /// The gradient goes back through a chunk of a layer.
    Backward(u32),
    /// The loss, and its gradient.
    Loss,
    /// The gradient arrives at the embedding.
    EmbeddingGradient,
    /// The optimizer.
    Update,
    /// Completions are sampled.
    RollOut,
}

impl Doing {
    /// What happens at a turn. In the backward pass whatever is no gradient is recomputed.
    pub fn at(program: &Program, turn: OpInstance) -> Doing {
        let block = &program.blocks[turn.block];
        let node = &block.nodes[turn.node];
        let is_gradient = node.op.kind().stem().ends_with("_grad");
        match (block.pass, node.layer) {
            (Pass::Clear, _) => Doing::Clear,
            (Pass::Forward, Some(layer)) => Doing::Forward(layer),
            (Pass::Forward, None) => Doing::Embed,
            (Pass::Loss, _) => Doing::Loss,
            (Pass::Backward, Some(layer)) if is_gradient => Doing::Backward(layer),
            (Pass::Backward, Some(layer)) => Doing::Again(layer),
            (Pass::Backward, None) => Doing::EmbeddingGradient,
            (Pass::Update, _) => Doing::Update,
            (Pass::RollOut, _) => Doing::RollOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::planned::tests::planned;
    use super::*;
    use crate::step::StrategyKind;

    #[test]
    fn a_step_computes_each_layer_twice_and_goes_back_once() {
        let planned = planned(StrategyKind::Stream, 256);
        let program = planned.program();
        let mut seen: Vec<Doing> = program.instances(0..program.instance_count()).map(|turn| Doing::at(program, turn)).collect();
        seen.dedup();
        assert_eq!(seen.first(), Some(&Doing::Clear));
        assert_eq!(seen.last(), Some(&Doing::Update));
        for layer in 0..program.config().num_hidden_layers {
            let first = |doing: Doing| seen.iter().position(|&other| other == doing).unwrap();
            assert!(first(Doing::Forward(layer)) < first(Doing::Loss));
            assert!(first(Doing::Loss) < first(Doing::Again(layer)));
            assert!(first(Doing::Again(layer)) < first(Doing::Backward(layer)));
        }
        assert!(seen.contains(&Doing::EmbeddingGradient));
    }
}
