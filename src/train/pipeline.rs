//! The step of several ranks, predicted: how long each computes and waits, and what travels between them.

use std::collections::{HashMap, VecDeque};

use crate::error::Result;
use crate::gpu::{DeviceSpeed, Predictor};
use crate::model::ModelSpec;
use crate::step::{BatchOfStep, BatchShape, Block, ChunkOrder, Op, Pass, Plan, Program, Split, borders};

/// The network between ranks.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Network {
    /// How long a message takes that has hardly any bytes, in seconds.
    pub latency: f64,
    /// Bytes per second from one rank to another.
    pub bandwidth: f64,
}

impl Network {
    /// Ethernet of 10 Gbit/s.
    pub const TEN_GIGABIT: Network = Network { latency: 50e-6, bandwidth: 1.25e9 };
}

/// What a step takes of a rank.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RankCost {
    /// The first token that it holds.
    pub first_token: u32,
    /// How many it holds.
    pub tokens: u32,
    /// Its peak in bytes.
    pub peak_bytes: u64,
    /// Bytes that it sends.
    pub sent_bytes: u64,
    /// How long it computes, in seconds.
    pub busy_seconds: f64,
    /// How long it waits for other ranks, in seconds: most of it until the last ranks have begun, and the first have ended.
    pub waiting_seconds: f64,
}

/// What a rank does next.
enum Event {
    Compute(f64),
    Send { to: usize, tag: u32, bytes: u64 },
    Receive { from: usize, tag: u32 },
}

/// What each of several ranks holds of a batch, of so many whose gradients a step accumulates. `shares` are as for [`borders`].
///
/// # Errors
/// As [`borders`].
pub fn shapes_of_ranks(spec: &ModelSpec, shape: &BatchShape, batches: u32, ranks: u32, shares: &[u32]) -> Result<Vec<BatchShape>> {
    let borders = borders(spec, shape, ranks, shares)?;
    Ok((0..ranks).map(|rank| shape.clone().on_ranks(Split::new(rank, borders.clone()).accumulating(batches))).collect())
}

/// Predicts a step that accumulates the gradients of so many batches, of which each rank has a plan. Returns the costs of all ranks, and the
/// time of the step in seconds.
///
/// # Panics
/// If a rank waits for what no other one sends.
pub fn predict_ranks(plans: &[Plan], batches: u32, speed: &DeviceSpeed, network: Network) -> (Vec<RankCost>, f64) {
    let mut predictor = Predictor::new(*speed);
    let mut events: Vec<VecDeque<Event>> = plans.iter().map(|plan| events(plan, batches, &mut predictor)).collect();
    let mut costs: Vec<RankCost> = plans.iter().map(cost_of_nothing).collect();
    let mut clocks = vec![0.0f64; plans.len()];
    let mut links: HashMap<(usize, usize), f64> = HashMap::new();
    let mut arrivals: HashMap<(usize, usize, u32), VecDeque<f64>> = HashMap::new();
    while events.iter().any(|left| !left.is_empty()) {
        let left_before: usize = events.iter().map(VecDeque::len).sum();
        for rank in 0..plans.len() {
            while let Some(event) = events[rank].pop_front() {
                match event {
                    Event::Compute(seconds) => {
                        clocks[rank] += seconds;
                        costs[rank].busy_seconds += seconds;
                    }
                    Event::Send { to, tag, bytes } => {
                        let link = links.entry((rank, to)).or_default();
                        *link = link.max(clocks[rank]) + bytes as f64 / network.bandwidth;
                        arrivals.entry((rank, to, tag)).or_default().push_back(*link + network.latency);
                        costs[rank].sent_bytes += bytes;
                    }
                    Event::Receive { from, tag } => {
                        let Some(arrival) = arrivals.get_mut(&(from, rank, tag)).and_then(VecDeque::pop_front) else {
                            events[rank].push_front(event);
                            break;
                        };
                        costs[rank].waiting_seconds += (arrival - clocks[rank]).max(0.0);
                        clocks[rank] = clocks[rank].max(arrival);
                    }
                }
            }
        }
        let left: usize = events.iter().map(VecDeque::len).sum();
        assert!(left < left_before, "ranks wait for each other with {left} events to go");
    }
    let step = clocks.iter().copied().fold(0.0, f64::max);
    // A rank that is done early waits for the next step.
    costs.iter_mut().zip(clocks).for_each(|(cost, clock)| cost.waiting_seconds += step - clock);
    (costs, step)
}

fn cost_of_nothing(plan: &Plan) -> RankCost {
    let (share, peak_bytes) = (plan.program().share(), plan.peak_bytes());
    RankCost { first_token: share.first, tokens: share.tokens(), peak_bytes, sent_bytes: 0, busy_seconds: 0.0, waiting_seconds: 0.0 }
}

/// What a rank does in a step of so many batches.
fn events(plan: &Plan, batches: u32, predictor: &mut Predictor) -> VecDeque<Event> {
    (0..batches).flat_map(|number| events_of_batch(plan.program(), BatchOfStep::of(number, batches), predictor)).collect()
}

/// Messages stand in blocks of their own.
fn events_of_batch(program: &Program, batch: BatchOfStep, predictor: &mut Predictor) -> Vec<Event> {
    let mut events = Vec::new();
    let is_due = |block: &&Block| match block.pass {
        Pass::Clear => batch.is_first,
        Pass::Update => batch.is_last,
        _ => block.batches.include(batch),
    };
    for block in program.blocks.iter().filter(is_due) {
        let messages = block.nodes.iter().filter_map(|node| match node.op {
            Op::Send(op) if op.message.batches.include(batch) => {
                let bytes = u64::from(op.message.rows) * program.tensor(op.x).row_bytes();
                Some(Event::Send { to: op.message.rank as usize, tag: op.message.tag, bytes })
            }
            Op::Receive(op) if op.message.batches.include(batch) => {
                Some(Event::Receive { from: op.message.rank as usize, tag: op.message.tag })
            }
            _ => None,
        });
        if block.nodes.iter().any(|node| matches!(node.op, Op::Send(_) | Op::Receive(_))) {
            assert_eq!(block.chunk_order, ChunkOrder::Whole, "messages have blocks of their own");
            events.extend(messages);
        } else {
            events.push(Event::Compute(predictor.block_seconds(program, block)));
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceClass;
    use crate::model::PRESETS;
    use crate::step::{Limits, Strategy};

    const IMMEDIATE: Network = Network { latency: 0.0, bandwidth: f64::INFINITY };

    fn predict(ranks: u32, batches: u32, network: Network) -> (Vec<RankCost>, f64) {
        let spec = ModelSpec::from(&PRESETS[2].config);
        let shape = BatchShape::uniform(1, 8192);
        let plan = |shape| Plan::new(Program::train(&spec, shape, Strategy::stream(256, 256)), Limits::NONE).unwrap();
        let plans: Vec<Plan> = shapes_of_ranks(&spec, &shape, batches, ranks, &[]).unwrap().into_iter().map(plan).collect();
        predict_ranks(&plans, batches, &DeviceClass::TYPICAL.speed(), network)
    }

    #[test]
    fn ranks_share_the_work() {
        let (alone, step) = predict(1, 1, IMMEDIATE);
        assert_eq!((alone[0].sent_bytes, alone[0].waiting_seconds), (0, 0.0));
        let mut last = step;
        for ranks in [2, 4] {
            let (costs, seconds) = predict(ranks, 1, IMMEDIATE);
            let busy: Vec<f64> = costs.iter().map(|cost| cost.busy_seconds).collect();
            let [shortest, longest] = [f64::min, f64::max].map(|of| busy.iter().copied().reduce(of).unwrap());
            assert!(longest < 1.3 * shortest, "{busy:?}");
            assert!(longest <= seconds && seconds < last, "{seconds} s on {ranks} ranks, {last} s on half of them");
            assert!(costs.iter().all(|cost| cost.sent_bytes > 0 && cost.peak_bytes < alone[0].peak_bytes));
            last = seconds;
        }
    }

    /// Only the first batch of a step waits for the ranks that hold later tokens, and only the last for those that hold earlier ones.
    #[test]
    fn batches_fill_the_pipeline() {
        for ranks in [2, 4] {
            let waiting = |batches| {
                let (costs, step) = predict(ranks, batches, IMMEDIATE);
                step - costs.iter().map(|cost| cost.busy_seconds).fold(0.0, f64::max)
            };
            let (of_one, of_four) = (waiting(1), waiting(4));
            assert!(of_four < 2.5 * of_one, "{ranks} ranks wait {of_one} s in a batch, and {of_four} s in four");
        }
    }

    #[test]
    fn a_slow_network_takes_time() {
        let [fast, slow] = [Network::TEN_GIGABIT, Network { latency: 10e-3, bandwidth: 12.5e6 }].map(|network| predict(2, 1, network));
        assert_eq!(fast.0[1].busy_seconds, slow.0[1].busy_seconds);
        let sent: u64 = slow.0.iter().map(|cost| cost.sent_bytes).max().unwrap();
        assert!(slow.1 - fast.1 > 0.0 && slow.1 < fast.1 + 2.0 * (sent as f64 / 12.5e6 + 1.0), "{} and {} s", fast.1, slow.1);
    }
}
