//! The planner: plans a training step within a memory budget, and searches for strategies and sequence lengths that fit.

use std::cell::RefCell;
use std::collections::HashMap;

use super::search::largest_within;
use crate::error::{Error, Result};
use crate::gpu::{DeviceSpeed, Predictor};
use crate::model::{Config, ModelSpec};
use crate::step::{BatchShape, Limits, Objective, Plan, Program, SavedActivation, SavedActivations, Strategy, StrategyKind, TOKEN_TILE};

/// The plan of a training step on batches of that shape, with a peak of at most `budget` bytes, on a device with those limits.
///
/// # Errors
/// [`Error::OverBudget`] with the peak and a suggestion that fits; [`Error::BindingTooLarge`] if a tensor exceeds a binding.
pub fn plan_within(
    objective: Objective,
    spec: &ModelSpec,
    shape: &BatchShape,
    strategy: Strategy,
    budget: u64,
    limits: Limits,
) -> Result<Plan> {
    let plan = Plan::new(Program::train_for(objective, spec, shape.clone(), strategy), limits)?;
    if plan.peak_bytes() <= budget {
        return Ok(plan);
    }
    let suggestion = match suggestion(objective, spec, shape, strategy, budget, limits) {
        Some(Suggestion { chunk, seq_len }) if seq_len == shape.longest() => {
            format!("the strategy stream with chunks of {chunk} tokens fits")
        }
        Some(Suggestion { chunk, seq_len }) => format!("the strategy stream with chunks of {chunk} fits up to {seq_len} tokens a sequence"),
        None => "no sequence of this model fits: take a smaller model".to_owned(),
    };
    Err(Error::OverBudget { needed: plan.peak_bytes(), budget, suggestion })
}

/// A suggestion that fits into the budget, with the strategy `stream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Suggestion {
    /// The chunk length in tokens, in the layers and in the loss head.
    pub chunk: u32,
    /// The sequence length in tokens.
    pub seq_len: u32,
}

/// A suggestion for a step that does not fit: the longest chunks that fit and are shorter than now, without saved activations; or, if none
/// fits, also shorter sequences. Layer groups, offloading and adaptive chunks stay as in `strategy`. `None` if not even one token fits.
pub fn suggestion(
    objective: Objective,
    spec: &ModelSpec,
    shape: &BatchShape,
    strategy: Strategy,
    budget: u64,
    limits: Limits,
) -> Option<Suggestion> {
    let (sequences, seq_len) = (shape.lengths().len() as u32, shape.longest());
    let shape = BatchShape::uniform(sequences, seq_len);
    let group = strategy.layer_group(spec.config.num_hidden_layers);
    let stream = |chunk: u32| {
        let stream = Strategy::stream(chunk, chunk).with_layer_group(group);
        stream.offloading(strategy.offloads()).with_adaptive_chunks(strategy.has_adaptive_chunks())
    };
    let is_bare = strategy.kind == StrategyKind::Stream && strategy.saved_activations() == SavedActivations::NONE;
    let now = if is_bare { strategy.chunk(shape.tokens()) } else { u32::MAX };
    let chunks: Vec<u32> = chunk_lengths(shape.tokens()).filter(|&chunk| chunk < now).collect();
    if let Some(&chunk) = chunks.iter().rev().find(|&&chunk| fits(objective, spec, &shape, stream(chunk), budget, limits)) {
        return Some(Suggestion { chunk, seq_len });
    }
    let longest = longest_sequence(objective, spec, sequences, stream(TOKEN_TILE), budget, limits)?;
    Some(Suggestion { chunk: TOKEN_TILE, seq_len: longest })
}

/// The strategy with the shortest step, as [`DeviceSpeed`] predicts it, among those whose peak is at most `budget` bytes. It tries all chunk
/// lengths, saves as many activations as fit, and uses adaptive chunks if they fit. Layers go in groups, as small ones as fit, where nothing
/// fits otherwise with such chunks. It offloads layer inputs to the host only if nothing fits at all. `None` if nothing fits.
pub fn fastest_strategy(
    objective: Objective,
    spec: &ModelSpec,
    shape: &BatchShape,
    budget: u64,
    limits: Limits,
    speed: &DeviceSpeed,
) -> Option<Strategy> {
    let predictor = RefCell::new(Predictor::new(*speed));
    let search = Search { objective, spec, shape, budget, limits, predictor, costs: RefCell::default() };
    let order = search.worth_saving();
    let streams = chunk_lengths(shape.tokens()).map(|chunk| Strategy::stream(chunk, chunk));
    let candidates: Vec<Strategy> = [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(streams).collect();
    let shortest = |offload: bool| {
        let filled = |strategy: &Strategy| {
            // The table of adaptive chunks may be what is too much.
            let [adaptive, fixed] = [true, false].map(|adaptive| strategy.offloading(offload).with_adaptive_chunks(adaptive));
            search.filled(adaptive, &order).or_else(|| search.filled(fixed, &order))
        };
        let mut ranked: Vec<(f64, Filled)> = candidates.iter().filter_map(filled).collect();
        ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        ranked.into_iter().find_map(|(_, filled)| search.fitting(filled, &order))
    };
    shortest(false).or_else(|| shortest(true))
}

/// A search for a strategy. Where all layers are alike it ranks strategies by models of a few of them: a plan of all takes long if it is one
/// of hundreds.
struct Search<'a> {
    objective: Objective,
    spec: &'a ModelSpec,
    shape: &'a BatchShape,
    budget: u64,
    limits: Limits,
    predictor: RefCell<Predictor>,
    /// What has been planned, by the number of layers.
    costs: RefCell<HashMap<(u32, Strategy), Option<Cost>>>,
}

/// What a step costs.
#[derive(Clone, Copy)]
struct Cost {
    /// Its predicted time.
    seconds: f64,
    /// Its peak.
    bytes: u64,
}

impl Cost {
    /// What it is at `share` of the way to `other`.
    fn towards(self, other: Cost, share: f64) -> Cost {
        let bytes = self.bytes as f64 + share * (other.bytes as f64 - self.bytes as f64);
        Cost { seconds: self.seconds + share * (other.seconds - self.seconds), bytes: bytes.max(0.0) as u64 }
    }
}

/// A strategy with as many saved activations as seem to fit.
#[derive(Clone, Copy)]
struct Filled {
    bare: Strategy,
    count: u32,
    /// About the bytes of one more.
    next_bytes: u64,
}

/// Layers that suffice to rank what is worth saving.
const FEW_LAYERS: u32 = 4;

impl Search<'_> {
    fn layers(&self) -> u32 {
        self.spec.config.num_hidden_layers
    }

    /// The cost of a step of the first layers. `None` if a tensor exceeds a binding.
    fn cost_of(&self, layers: u32, strategy: Strategy) -> Option<Cost> {
        let found = self.costs.borrow().get(&(layers, strategy)).copied();
        found.unwrap_or_else(|| {
            let program = Program::train_for(self.objective, first_layers(self.spec, layers), self.shape.clone(), strategy);
            let plan = Plan::new(program, self.limits).ok();
            let cost = plan.map(|plan| {
                let seconds = self.predictor.borrow_mut().step_seconds(plan.program());
                Cost { seconds, bytes: plan.peak_bytes() }
            });
            self.costs.borrow_mut().insert((layers, strategy), cost);
            cost
        })
    }

    /// The room that the whole step leaves, in bytes. `None` if it does not fit.
    fn room(&self, strategy: Strategy) -> Option<u64> {
        self.budget.checked_sub(peak(self.objective, self.spec, self.shape, strategy, self.limits)?)
    }

    fn fits(&self, strategy: Strategy) -> bool {
        self.room(strategy).is_some()
    }

    /// About the cost. Of layers that are alike, each group costs as much as another, so a model of a few groups and one with a group more
    /// tell what all of them cost; if that is no less work, it is the cost itself.
    fn rough_cost(&self, strategy: Strategy) -> Option<Cost> {
        let (all, group) = (self.layers(), strategy.layer_group(self.layers()));
        let few = all % group + 2 * group;
        if !has_equal_layers(self.spec) || few + group >= all {
            return self.cost_of(all, strategy);
        }
        let [of_few, of_more] = [few, few + group].map(|layers| self.cost_of(layers, strategy));
        Some(of_few?.towards(of_more?, f64::from((all - few) / group)))
    }

    fn seems_to_fit(&self, strategy: Strategy) -> bool {
        self.rough_cost(strategy).is_some_and(|cost| cost.bytes <= self.budget)
    }

    /// The strategy with the smallest groups of layers with which it seems to fit, if there are any. A group keeps fewer inputs and more keys
    /// and values the larger it is.
    fn in_groups(&self, strategy: Strategy) -> Option<Strategy> {
        let group = smallest(self.largest_group(strategy), |group| self.seems_to_fit(strategy.with_layer_group(group)))?;
        Some(strategy.with_layer_group(group))
    }

    fn largest_group(&self, strategy: Strategy) -> u32 {
        if strategy.kind == StrategyKind::Stream { smallest_group_of_least_memory(&self.spec.config) } else { 1 }
    }

    /// The activations whose saving shortens the step, by seconds saved per byte of peak, the best first.
    fn worth_saving(&self) -> Vec<SavedActivation> {
        let layers = if has_equal_layers(self.spec) { self.layers().min(FEW_LAYERS) } else { self.layers() };
        let base = Strategy::stream(TOKEN_TILE, TOKEN_TILE);
        let Some(bare) = self.cost_of(layers, base) else { return Vec::new() };
        let rate = |activation| {
            let saving = self.cost_of(layers, base.saving(SavedActivations::NONE.with(activation, u32::MAX)))?;
            let (saved, bytes) = (bare.seconds - saving.seconds, saving.bytes.saturating_sub(bare.bytes).max(1));
            (saved > 0.0).then_some((activation, saved / bytes as f64))
        };
        let mut rates: Vec<(SavedActivation, f64)> = SavedActivation::ALL.into_iter().filter_map(rate).collect();
        rates.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        rates.into_iter().map(|(activation, _)| activation).collect()
    }

    /// The strategy, in groups of layers if need be, with as many saved activations as seem to fit, and about how long its step takes.
    fn filled(&self, strategy: Strategy, order: &[SavedActivation]) -> Option<(f64, Filled)> {
        let (bare, layers, most) = (self.in_groups(strategy)?, self.layers(), order.len() as u32);
        let cost = |whole: u32| self.rough_cost(self.saving(bare, whole * layers, order));
        let is_too_much = |whole: u32| cost(whole).is_none_or(|cost| cost.bytes > self.budget);
        // So many fit in all layers; of the next one a share.
        let whole = smallest(most, is_too_much).map_or(most, |over| over - 1);
        let of_whole = cost(whole)?;
        let Some(over) = (whole < most).then(|| cost(whole + 1)).flatten() else {
            return Some((of_whole.seconds, Filled { bare, count: whole * layers, next_bytes: u64::MAX }));
        };
        let next_bytes = (over.bytes.saturating_sub(of_whole.bytes) / u64::from(layers)).max(1);
        let more = (self.budget.saturating_sub(of_whole.bytes) / next_bytes).min(layers.into()) as u32;
        let seconds = of_whole.towards(over, f64::from(more) / f64::from(layers)).seconds;
        Some((seconds, Filled { bare, count: whole * layers + more, next_bytes }))
    }

    /// A strategy near that one that does fit: with some more saved activations, or with fewer, or else in larger groups, or without adaptive
    /// chunks, whose table takes room.
    fn fitting(&self, Filled { bare, count, next_bytes }: Filled, order: &[SavedActivation]) -> Option<Strategy> {
        let saving = |count: u32| self.saving(bare, count, order);
        if let Some(room) = self.room(saving(count)) {
            let most = (order.len() as u32 * self.layers()) - count;
            let more = (room / next_bytes).min(most.into()) as u32;
            return (1..=more).rev().map(|more| saving(count + more)).find(|&more| self.fits(more)).or(Some(saving(count)));
        }
        let fewer = (0..count).rev().map(saving);
        let groups = bare.layer_group(self.layers())..=self.largest_group(bare);
        let in_groups = groups.map(|group| bare.with_layer_group(group)).flat_map(|bare| [bare, bare.with_adaptive_chunks(false)]);
        fewer.chain(in_groups).find(|&strategy| self.fits(strategy))
    }

    /// The strategy with the first `count` activations of all layers in the given order saved, each in the last layers first.
    fn saving(&self, bare: Strategy, count: u32, order: &[SavedActivation]) -> Strategy {
        let layers_of = |place: u32| count.saturating_sub(place * self.layers()).min(self.layers());
        let saved = (0..).zip(order).fold(SavedActivations::NONE, |saved, (place, &activation)| saved.with(activation, layers_of(place)));
        bare.saving(saved)
    }
}

/// Are all layers alike: the windows of their attention, and their adapters?
fn has_equal_layers(spec: &ModelSpec) -> bool {
    let windows = &spec.config.sliding_layers;
    windows.iter().all(|window| *window == windows[0]) && spec.adapters().is_none_or(|lora| lora.layers.is_none())
}

/// A model with fewer layers.
fn first_layers(spec: &ModelSpec, layers: u32) -> ModelSpec {
    let mut fewer = spec.clone();
    fewer.config.num_hidden_layers = layers;
    fewer.config.sliding_layers.truncate(layers as usize);
    fewer
}

/// The longest sequence, in tokens, that fits with the strategy `stream`, and the strategy. It takes the smallest groups of layers, and then
/// the longest chunks, that shorten the sequence by at most a fiftieth. `None` if not even one token fits.
pub fn longest(objective: Objective, spec: &ModelSpec, sequences: u32, budget: u64, limits: Limits) -> Option<(Strategy, u32)> {
    let strategy = |group: u32, chunk: u32| Strategy::stream(chunk, chunk).with_layer_group(group);
    let reach = |group: u32, chunk: u32| longest_sequence(objective, spec, sequences, strategy(group, chunk), budget, limits).unwrap_or(0);
    let largest = smallest_group_of_least_memory(&spec.config);
    let furthest = Some(reach(largest, TOKEN_TILE)).filter(|&length| length > 0)?;
    let is_good_enough = |length: u32| u64::from(length) * 50 >= u64::from(furthest) * 49;
    let group = smallest(largest, |group| is_good_enough(reach(group, TOKEN_TILE))).unwrap_or(largest);
    let reaches = chunk_lengths(furthest.saturating_mul(sequences)).map(|chunk| (chunk, reach(group, chunk)));
    let (chunk, length) =
        reaches.take_while(|&(_, length)| is_good_enough(length)).last().unwrap_or((TOKEN_TILE, reach(group, TOKEN_TILE)));
    Some((strategy(group, chunk), length))
}

/// The smallest number from 1 to `most` for which something holds that holds from some number on. `None` if it does not hold for `most`.
fn smallest(most: u32, holds: impl Fn(u32) -> bool) -> Option<u32> {
    if holds(1) {
        return Some(1);
    }
    let (mut too_small, mut number) = (1, Some(most).filter(|&most| most > 1 && holds(most))?);
    while number - too_small > 1 {
        let middle = too_small + (number - too_small) / 2;
        if holds(middle) { number = middle } else { too_small = middle }
    }
    Some(number)
}

/// The smallest groups of layers with which a token takes the least memory: larger ones keep more keys and values than they save inputs.
pub(super) fn smallest_group_of_least_memory(config: &Config) -> u32 {
    let keys_values = 4 * config.num_key_value_heads * config.head_dim;
    let elements = |group: u32| {
        u64::from(config.num_hidden_layers.div_ceil(group)) * u64::from(config.hidden_size) + u64::from(group) * u64::from(keys_values)
    };
    (1..=config.num_hidden_layers).min_by_key(|&group| elements(group)).unwrap_or(1)
}

/// The longest sequence, in tokens, whose training step fits into `budget` bytes. `None` if not even one token does.
pub fn longest_sequence(
    objective: Objective,
    spec: &ModelSpec,
    sequences: u32,
    strategy: Strategy,
    budget: u64,
    limits: Limits,
) -> Option<u32> {
    let peak = |seq_len: u32| peak(objective, spec, &BatchShape::uniform(sequences, seq_len), strategy, limits);
    let most = (1u32 << 30) / sequences.max(1);
    let mut longest = (1, peak(1).filter(|&bytes| bytes <= budget)?);
    let steps = (1..).map(|power| 1u32 << (4 * power).min(30));
    for longer in steps {
        let longer = longer.min(most);
        match peak(longer) {
            Some(bytes) if bytes <= budget && longer == most => return Some(most),
            Some(bytes) if bytes <= budget => longest = (longer, bytes),
            bytes => return Some(largest_within(budget, longest, (longer, bytes), peak)),
        }
    }
    unreachable!("the steps end at the most that there may be")
}

/// Chunk lengths worth trying, in tokens: a token tile, doubled up to 8,192 tokens or the whole batch.
fn chunk_lengths(tokens: u32) -> impl Iterator<Item = u32> {
    (0..8).map(|doublings| TOKEN_TILE << doublings).take_while(move |&chunk| chunk == TOKEN_TILE || chunk < tokens)
}

/// The peak of a step in bytes. `None` if a tensor exceeds a binding.
fn peak(objective: Objective, spec: &ModelSpec, shape: &BatchShape, strategy: Strategy, limits: Limits) -> Option<u64> {
    Plan::new(Program::train_for(objective, spec, shape.clone(), strategy), limits).ok().map(|plan| plan.peak_bytes())
}

pub(super) fn fits(objective: Objective, spec: &ModelSpec, shape: &BatchShape, strategy: Strategy, budget: u64, limits: Limits) -> bool {
    peak(objective, spec, shape, strategy, limits).is_some_and(|bytes| bytes <= budget)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceClass;
    use crate::model::PRESETS;

    const BUDGET: u64 = 64 << 20;

    fn peak(shape: &BatchShape, strategy: Strategy) -> u64 {
        Plan::new(Program::train(&PRESETS[0].config, shape.clone(), strategy), Limits::NONE).unwrap().peak_bytes()
    }

    #[test]
    fn one_token_more_than_the_longest_does_not_fit() {
        let spec = &ModelSpec::from(&PRESETS[0].config);
        for strategy in [Strategy::STANDARD, Strategy::stream(128, 128)] {
            let longest = longest_sequence(Objective::CrossEntropy, spec, 2, strategy, BUDGET, Limits::NONE).unwrap();
            assert!(peak(&BatchShape::uniform(2, longest), strategy) <= BUDGET);
            assert!(peak(&BatchShape::uniform(2, longest + 1), strategy) > BUDGET);
        }
        assert_eq!(longest_sequence(Objective::CrossEntropy, spec, 1, Strategy::STANDARD, 1000, Limits::NONE), None);
    }

    #[test]
    fn what_a_device_cannot_bind_does_not_fit() {
        let limits = Limits { buffer: 1 << 30, binding: 1 << 20 };
        let longest =
            longest_sequence(Objective::CrossEntropy, &ModelSpec::from(&PRESETS[0].config), 1, Strategy::stream(64, 64), u64::MAX, limits)
                .unwrap();
        assert_eq!(longest, (1 << 20) / 4, "the ids of the tokens fill a binding");
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let spec = &ModelSpec::from(&PRESETS[0].config);
        let sentence = |seq_len, strategy| {
            let shape = BatchShape::uniform(1, seq_len);
            let error = plan_within(Objective::CrossEntropy, spec, &shape, strategy, BUDGET, Limits::NONE).unwrap_err();
            (error.to_string(), suggestion(Objective::CrossEntropy, spec, &shape, strategy, BUDGET, Limits::NONE))
        };
        let (error, suggestion) = sentence(8192, Strategy::STANDARD);
        let chunk = suggestion.unwrap().chunk;
        assert!(error.contains(&format!("stream with chunks of {chunk} tokens fits")), "{error}");
        assert_eq!(suggestion.unwrap().seq_len, 8192);
        assert!(peak(&BatchShape::uniform(1, 8192), Strategy::stream(chunk, chunk)) <= BUDGET);
        assert!(peak(&BatchShape::uniform(1, 8192), Strategy::stream(2 * chunk, 2 * chunk)) > BUDGET);

        let saved = Strategy::stream(chunk, chunk).saving(SavedActivations::ALL);
        assert_eq!(sentence(8192, saved).1, suggestion, "without saved activations its own chunks would fit");
        let waiting = sentence(1 << 16, Strategy::CHECKPOINT.offloading(true)).1.unwrap();
        assert!(waiting.seq_len > sentence(1 << 16, Strategy::CHECKPOINT).1.unwrap().seq_len);

        let (error, suggestion) = sentence(1 << 20, Strategy::stream(64, 64));
        let Suggestion { chunk, seq_len } = suggestion.unwrap();
        assert!(chunk == 64 && error.contains(&format!("up to {seq_len} tokens")), "{error}");
    }

    #[test]
    fn a_few_layers_tell_what_all_cost() {
        let spec = &ModelSpec::from(&Config { num_hidden_layers: 25, ..PRESETS[0].config.clone() });
        let shape = &BatchShape::uniform(1, 3000);
        let predictor = RefCell::new(Predictor::new(DeviceClass::TYPICAL.speed()));
        let (objective, budget, limits) = (Objective::CrossEntropy, BUDGET, Limits::NONE);
        let search = Search { objective, spec, shape, budget, limits, predictor, costs: RefCell::default() };
        let saving = SavedActivations::NONE.with(SavedActivation::Attention, 25).with(SavedActivation::Mlp, 25);
        let stream = Strategy::stream(128, 128);
        let streams = [1, 2, 3, 6].map(|group| stream.with_layer_group(group));
        let others = [Strategy::STANDARD, Strategy::CHECKPOINT, stream.saving(saving), stream.offloading(true)];
        for strategy in streams.into_iter().chain(others) {
            let [rough, exact] = [search.rough_cost(strategy), search.cost_of(25, strategy)].map(|cost| cost.unwrap().bytes);
            assert!(rough.abs_diff(exact) * 200 <= exact, "{strategy:?}: {rough} and {exact}");
        }
        assert!(search.costs.borrow().keys().filter(|(layers, _)| *layers < 25).count() >= 16, "it looked at few layers");
    }

    #[test]
    fn the_fastest_strategy_saves_what_there_is_room_for() {
        let shape = BatchShape::uniform(1, 1024);
        let spec = &ModelSpec::from(&PRESETS[0].config);
        let shortest =
            |budget| fastest_strategy(Objective::CrossEntropy, spec, &shape, budget, Limits::NONE, &DeviceClass::TYPICAL.speed());
        assert_eq!(shortest(1 << 30), Some(Strategy::STANDARD));
        assert_eq!(shortest(1000), None);
        let offloading = shortest(peak(&shape, Strategy::stream(64, 64)) - 1).unwrap();
        assert_eq!((offloading.kind, offloading.offloads()), (StrategyKind::Stream, true), "the device alone has no room");
        let [most, least] = [Strategy::STANDARD, Strategy::stream(64, 64)].map(|strategy| peak(&shape, strategy));
        assert_eq!(shortest(least), Some(Strategy::stream(64, 64)));
        let mut last = f64::INFINITY;
        let mut saved = Vec::new();
        for step in 0..=12 {
            let budget = least + (most - least) * step / 12;
            let strategy = shortest(budget).unwrap();
            assert!(peak(&shape, strategy) <= budget);
            let plan = Plan::new(Program::train(spec, shape.clone(), strategy), Limits::NONE).unwrap();
            let seconds = DeviceClass::TYPICAL.speed().step_seconds(plan.program());
            assert!(seconds <= last, "more memory makes no step longer");
            last = seconds;
            saved.push(strategy.saved_activations());
        }
        let attention = |saved: &SavedActivations| saved.layers(SavedActivation::Attention).min(4);
        assert!(
            saved.iter().any(|saved| attention(saved) > 0 && *saved != SavedActivations::ALL),
            "something lies between saving nothing and all"
        );
        assert!(saved.iter().map(attention).is_sorted());
    }

    #[test]
    fn layers_go_in_groups_where_nothing_fits_otherwise() {
        // A wide hidden state beside few keys and values.
        let config = Config { num_hidden_layers: 12, num_key_value_heads: 1, ..PRESETS[0].config.clone() };
        let (spec, shape) = (ModelSpec::from(&config), BatchShape::uniform(1, 4096));
        let best = smallest_group_of_least_memory(&config);
        assert!((3..=5).contains(&best), "{best} is near the square root of 12 · 128 / (4 · 32)");
        let peak = |group| {
            let strategy = Strategy::stream(64, 64).with_layer_group(group);
            Plan::new(Program::train(&config, shape.clone(), strategy), Limits::NONE).unwrap().peak_bytes()
        };
        let speed = DeviceClass::TYPICAL.speed();
        let fastest = |budget| fastest_strategy(Objective::CrossEntropy, &spec, &shape, budget, Limits::NONE, &speed).unwrap();
        assert_eq!(fastest(1 << 30).layer_group(12), 1);
        let grouped = fastest(peak(1) - 1);
        assert!(grouped.layer_group(12) > 1 && !grouped.offloads(), "{grouped:?}");
        assert!(fastest(peak(best) - 1).offloads());
        let [(strategy, length), plain] = [longest, |objective, spec: &ModelSpec, sequences, budget, limits| {
            let strategy = Strategy::stream(64, 64);
            longest_sequence(objective, spec, sequences, strategy, budget, limits).map(|length| (strategy, length))
        }]
        .map(|search| search(Objective::CrossEntropy, &spec, 1, BUDGET, Limits::NONE).unwrap());
        assert!(strategy.layer_group(12) > 1 && length > plain.1 * 3 / 2, "{length} tokens with {strategy:?}, {} without", plain.1);
    }

    #[test]
    fn chunks_are_longer_where_dispatches_are_dear() {
        let shape = BatchShape::uniform(1, 4096);
        let spec = &ModelSpec::from(&PRESETS[0].config);
        // Between a chunk of one tile and one of a whole layer.
        let budget = peak(&shape, Strategy::stream(512, 512));
        let chunk = |dispatch_seconds| {
            let speed = DeviceSpeed { dispatch_seconds, ..DeviceClass::TYPICAL.speed() };
            fastest_strategy(Objective::CrossEntropy, spec, &shape, budget, Limits::NONE, &speed).unwrap()
        };
        let instances = |strategy| Program::train(spec, shape.clone(), strategy).instance_count();
        assert!(instances(chunk(1e-3)) < instances(chunk(1e-9)));
    }

    #[test]
    fn the_longest_sequence_has_chunks_that_cost_it_little() {
        let (strategy, length) = longest(Objective::CrossEntropy, &ModelSpec::from(&PRESETS[0].config), 1, BUDGET, Limits::NONE).unwrap();
        let furthest = longest_sequence(
            Objective::CrossEntropy,
            &ModelSpec::from(&PRESETS[0].config),
            1,
            Strategy::stream(64, 64),
            BUDGET,
            Limits::NONE,
        )
        .unwrap();
        assert!(u64::from(length) * 50 >= u64::from(furthest) * 49 && length <= furthest);
        assert!(peak(&BatchShape::uniform(1, length), strategy) <= BUDGET);
        assert_eq!(longest(Objective::CrossEntropy, &ModelSpec::from(&PRESETS[0].config), 1, 1000, Limits::NONE), None);
    }
}
