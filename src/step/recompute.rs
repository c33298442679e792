//! What is computed a second time: no more than is needed, and no sooner.

use std::collections::HashMap;
use std::ops::Range;

use super::ops::Op;
use super::program::{Node, Program};
use super::tensor::{Rows, TensorId};

/// Keeps track of what was computed before, and of what is written down to be computed again.
#[derive(Default)]
pub(super) struct Recompute {
    /// What was computed before the block at hand and is still there, by name.
    there: HashMap<String, TensorId>,
    /// What the block at hand computes and leaves.
    coming: Vec<(String, TensorId)>,
    /// Tensors that were made for what is computed again.
    made: Vec<TensorId>,
    /// Operations of the block at hand that compute something again.
    nodes: Range<usize>,
    is_on: bool,
}

impl Recompute {
    pub fn begin(&mut self, node: usize) {
        (self.is_on, self.nodes) = (true, node..node);
    }

    pub fn end(&mut self, node: usize) {
        (self.is_on, self.nodes.end) = (false, node);
    }

    /// Is what is written down now computed again?
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// What is there by that name, where something is computed again.
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.there.get(name).copied().filter(|_| self.is_on)
    }

    /// Notes a new tensor, with its name if it outlives the block.
    pub fn note(&mut self, id: TensorId, name: Option<String>) {
        self.made.extend(self.is_on.then_some(id));
        self.coming.extend(name.map(|name| (name, id)));
    }

    /// Is all that the operation yields there already?
    pub fn is_done(&self, op: &Op) -> bool {
        self.is_on && op.written().all(|id| self.is_there(id))
    }

    fn is_there(&self, id: TensorId) -> bool {
        self.there.values().any(|&known| known == id)
    }

    /// Of the block's operations that compute something again, those go whose outcome is read by none behind them; the others
    /// are put just before the first that needs them, so that what they yield lives no longer than it has to.
    pub fn eliminate_dead(&mut self, program: &mut Program) {
        let tensors = &program.tensors;
        let nodes = &mut program.blocks.last_mut().expect("there is a block").nodes;
        for place in std::mem::take(&mut self.nodes).rev() {
            let node = nodes.remove(place);
            let is_read = |id: TensorId| nodes[place..].iter().any(|later| later.op.touches(id));
            let is_left = |id: TensorId| tensors[id.0 as usize].rows != Rows::Chunk;
            if node.op.written().any(|id| !self.is_there(id) && (is_left(id) || is_read(id))) {
                let wait = nodes[place..].iter().position(|later| depend(&node, later)).unwrap_or(0);
                nodes.insert(place + wait, node);
            }
        }
        self.there.extend(self.coming.drain(..));
    }

    /// Takes tensors out of the program that no operation needs.
    pub fn leave_out_unused(&self, program: &mut Program) {
        let mut is_used = vec![true; program.tensors.len()];
        self.made.iter().for_each(|id| is_used[id.0 as usize] = false);
        let nodes = || program.blocks.iter().flat_map(|block| &block.nodes);
        nodes().flat_map(|node| node.op.operands()).for_each(|operand| is_used[operand.tensor.0 as usize] = true);
        let mut next = 0;
        let places: Vec<TensorId> = is_used.iter().map(|&used| (TensorId(next), next += u32::from(used)).0).collect();
        let mut used = is_used.iter();
        program.tensors.retain(|_| *used.next().expect("one for each tensor"));
        let nodes = program.blocks.iter_mut().flat_map(|block| &mut block.nodes);
        nodes.flat_map(|node| node.op.operands_mut()).for_each(|id| *id = places[id.0 as usize]);
    }
}

/// Would it matter which of the two came first?
fn depend(node: &Node, later: &Node) -> bool {
    node.op.written().any(|id| later.op.touches(id)) || later.op.written().any(|id| node.op.touches(id))
}
