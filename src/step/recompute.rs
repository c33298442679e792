//! Recomputation in the backward pass: dead-code elimination, and scheduling as late as possible.
//!
//! The backward pass appends the whole forward pass of a layer again. This module drops each operation whose outputs are still alive or
//! unread, and moves the others down to just before their first use, which keeps live ranges short.

use std::collections::HashMap;
use std::ops::Range;

use super::ops::Op;
use super::program::{Node, Program};
use super::tensor::{Rows, TensorId};

/// The tensors of earlier blocks that are still alive, and the recomputation in the current block.
#[derive(Default)]
pub(super) struct Recompute {
    /// Tensors of earlier blocks that are still alive, by name.
    there: HashMap<String, TensorId>,
    /// Tensors of the current block that outlive it.
    coming: Vec<(String, TensorId)>,
    /// Tensors that were added for recomputation.
    made: Vec<TensorId>,
    /// The operations of the current block that recompute, by index: one stretch after the other.
    stretches: Vec<Range<usize>>,
    is_on: bool,
}

impl Recompute {
    /// Starts recomputation: the operation with index `node` in the current block will be the first.
    pub fn begin(&mut self, node: usize) {
        self.is_on = true;
        self.stretches.push(node..node);
    }

    /// Ends recomputation before the operation with index `node`.
    pub fn end(&mut self, node: usize) {
        self.is_on = false;
        self.stretches.last_mut().expect("it has begun").end = node;
    }

    /// Is the builder appending recomputation?
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// The live tensor of that name. `None` outside recomputation.
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.there.get(name).copied().filter(|_| self.is_on)
    }

    /// The tensor of that name that an earlier block left.
    pub fn left(&self, name: &str) -> Option<TensorId> {
        self.there.get(name).copied()
    }

    /// From now on an earlier block's tensor of that name is no longer there.
    pub fn forget(&mut self, name: &str) {
        self.there.remove(name);
    }

    /// Registers a new tensor, with its name if it outlives the block.
    pub fn note(&mut self, id: TensorId, name: Option<String>) {
        self.made.extend(self.is_on.then_some(id));
        self.coming.extend(name.map(|name| (name, id)));
    }

    /// Are all outputs of the operation still alive?
    pub fn is_done(&self, op: &Op) -> bool {
        self.is_on && op.written().all(|id| self.is_there(id))
    }

    fn is_there(&self, id: TensorId) -> bool {
        self.there.values().any(|&known| known == id)
    }

    /// Dead-code elimination in the last block: removes recomputation whose outputs no later operation of the block reads, unless they
    /// outlive the block. Moves the rest to just before the first operation that depends on it, so that live ranges are as short as
    /// possible.
    pub fn eliminate_dead(&mut self, program: &mut Program) {
        let tensors = &program.tensors;
        let nodes = &mut program.blocks.last_mut().expect("there is a block").nodes;
        // Whatever moves goes behind its place, so the places of earlier operations stay as they are.
        for place in std::mem::take(&mut self.stretches).into_iter().rev().flat_map(Iterator::rev) {
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

    /// Removes tensors that were added for recomputation and that no operation touches, and renumbers the others.
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

/// Does the order of the two operations matter: does either write a tensor that the other touches?
fn depend(node: &Node, later: &Node) -> bool {
    node.op.written().any(|id| later.op.touches(id)) || later.op.written().any(|id| node.op.touches(id))
}
