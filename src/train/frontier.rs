//! The frontier of bytes and time: the strategies of which none is both smaller and faster than another.

use crate::gpu::{DeviceSpeed, Predictor};
use crate::model::ModelSpec;
use crate::step::{BatchShape, Limits, Objective, Plan, Program, SavedActivation, SavedActivations, Strategy, TOKEN_TILE};

use super::planner::smallest_group_of_least_memory;

/// A strategy, with what a step with it costs.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FrontierPoint {
    /// The strategy.
    pub strategy: Strategy,
    /// The peak in bytes.
    pub bytes: u64,
    /// The predicted time of a step.
    pub seconds: f64,
}

/// The frontier for such batches, from the fewest bytes to the shortest time, as far as a device with those limits can hold it. It looks at
/// `standard`, `checkpoint`, and `stream` in chunks of 64 to 2,048 tokens, alone and in groups of layers, with the attention saved or not.
/// Layer inputs are on the host only where that takes less than anything else: no prediction knows how fast the way to the host is.
pub fn frontier(objective: Objective, spec: &ModelSpec, shape: &BatchShape, limits: Limits, speed: &DeviceSpeed) -> Vec<FrontierPoint> {
    let mut predictor = Predictor::new(*speed);
    let mut cost = |strategy: Strategy| {
        let plan = Plan::new(Program::train_for(objective, spec, shape.clone(), strategy), limits).ok()?;
        let seconds = predictor.step_seconds(plan.program());
        Some(FrontierPoint { strategy, bytes: plan.peak_bytes(), seconds })
    };
    let on_device = candidates(spec, shape.tokens());
    let mut points = best(on_device.iter().filter_map(|&strategy| cost(strategy)).collect());
    let least = points.first().map_or(u64::MAX, |point| point.bytes);
    let on_host = on_device.iter().filter_map(|&strategy| cost(strategy.offloading(true)));
    let mut smaller = best(on_host.filter(|point| point.bytes < least).collect());
    smaller.append(&mut points);
    smaller
}

/// The points that no other one beats in both bytes and time, the smallest first.
fn best(mut points: Vec<FrontierPoint>) -> Vec<FrontierPoint> {
    points.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.seconds.total_cmp(&b.seconds)));
    let mut shortest = f64::INFINITY;
    points.retain(|point| {
        let is_faster = point.seconds < shortest;
        shortest = shortest.min(point.seconds);
        is_faster
    });
    points
}

/// The strategies to look at, layer inputs on the device.
fn candidates(spec: &ModelSpec, tokens: u32) -> Vec<Strategy> {
    let largest = smallest_group_of_least_memory(&spec.config);
    let mut groups = vec![1, largest.isqrt(), largest];
    groups.dedup();
    let attention = SavedActivations::NONE.with(SavedActivation::Attention, u32::MAX);
    let chunks = (0..6).map(|doublings| TOKEN_TILE << doublings).take_while(|&chunk| chunk == TOKEN_TILE || chunk < tokens);
    let streams = chunks.map(|chunk| Strategy::stream(chunk, chunk).with_adaptive_chunks(true));
    let streams = streams.flat_map(|stream| groups.iter().map(move |&group| stream.with_layer_group(group)));
    let bare = [Strategy::CHECKPOINT].into_iter().chain(streams);
    [Strategy::STANDARD].into_iter().chain(bare.flat_map(|strategy| [strategy, strategy.saving(attention)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceClass;
    use crate::model::{Config, PRESETS};

    #[test]
    fn whoever_takes_more_memory_is_faster() {
        // A wide hidden state beside few keys and values: there groups pay.
        let config = Config { num_hidden_layers: 8, num_key_value_heads: 1, ..PRESETS[0].config.clone() };
        let shape = BatchShape::uniform(1, 4096);
        let points = frontier(Objective::CrossEntropy, &ModelSpec::from(&config), &shape, Limits::NONE, &DeviceClass::TYPICAL.speed());
        let on_device = points.iter().position(|point| !point.strategy.offloads()).unwrap();
        for part in [&points[..on_device], &points[on_device..]] {
            assert!(part.is_sorted_by(|a, b| a.bytes < b.bytes && a.seconds > b.seconds), "{part:?}");
        }
        assert_eq!(points.last().map(|point| point.strategy), Some(Strategy::STANDARD));
        assert!(points.iter().any(|point| point.strategy.layer_group(8) > 1 && !point.strategy.offloads()), "{points:?}");
        assert!(on_device > 0 && points.is_sorted_by_key(|point| point.bytes), "{points:?}");
        for point in &points {
            let plan = Plan::new(Program::train(&config, shape.clone(), point.strategy), Limits::NONE).unwrap();
            assert_eq!(plan.peak_bytes(), point.bytes);
        }
    }

    #[test]
    fn what_the_device_cannot_bind_is_left_out() {
        let spec = ModelSpec::from(&PRESETS[0].config);
        let shape = BatchShape::uniform(1, 4096);
        let points = |binding| {
            let limits = Limits { buffer: 1 << 30, binding };
            frontier(Objective::CrossEntropy, &spec, &shape, limits, &DeviceClass::TYPICAL.speed())
        };
        // A chunk of 8,192 tokens has 12 MiB of gates, and a matrix 192 KiB.
        assert!(points(1 << 20).len() < points(1 << 30).len());
        assert!(points(1 << 17).is_empty());
    }
}
