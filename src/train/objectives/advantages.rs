//! Advantages: how much better a completion is than the others of its group. And what a step says of its rewards.
//!
//! Both are those of TRL 1.16 with `sum_then_normalize`: standard deviations have N − 1 below them, and 10⁻⁴ is added to them before they
//! divide. There a function may leave a completion without a reward, which is then left out of means; here each has one. Of a single reward
//! the standard deviation is 0, also where TRL logs that it is no number.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is added to a standard deviation before it divides.
const EPSILON: f64 = 1e-4;
/// The largest standard deviation that counts as none.
const NO_STD: f64 = 1e-8;

/// What advantages are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRewards {
    /// The standard deviation of the rewards of the group. Source: Shao et al. 2024.
    #[default]
    Group,
    /// That of all rewards of the step.
    Batch,
    /// Nothing. Source: Liu et al. 2025.
    None,
}

impl ScaleRewards {
    /// All of them.
    pub const ALL: [ScaleRewards; 3] = [ScaleRewards::Group, ScaleRewards::Batch, ScaleRewards::None];

    /// TRL's name.
    pub fn name(self) -> &'static str {
        match self {
            ScaleRewards::Group => "group",
            ScaleRewards::Batch => "batch",
            ScaleRewards::None => "none",
        }
    }
}

/// The advantage of each completion: its reward less the mean of its group, scaled. Groups of `group` completions follow each other.
pub fn advantages(rewards: &[f64], group: usize, scale: ScaleRewards) -> Vec<f32> {
    let of_batch = standard_deviation(rewards);
    let of_group = |rewards: &[f64]| {
        let mean = mean(rewards);
        let divisor = match scale {
            ScaleRewards::Group => standard_deviation(rewards) + EPSILON,
            ScaleRewards::Batch => of_batch + EPSILON,
            ScaleRewards::None => 1.0,
        };
        rewards.iter().map(|reward| ((reward - mean) / divisor) as f32).collect::<Vec<f32>>()
    };
    groups(rewards, group).flat_map(of_group).collect()
}

/// What a step finds of its rewards, written with TRL's names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RewardMetrics {
    /// `reward`: the mean of the weighted sums.
    pub reward: f64,
    /// `reward_std`: their standard deviation over all completions of the step.
    pub reward_std: f64,
    /// `frac_reward_zero_std`: the share of groups whose completions all have one reward, and teach nothing; if advantages are scaled by the
    /// batch, 1 if that is so of the batch, otherwise 0.
    pub frac_reward_zero_std: f64,
    /// What each function gives, by its name.
    pub functions: BTreeMap<String, FunctionMetrics>,
}

/// What a step finds of one reward function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FunctionMetrics {
    /// `rewards/{name}/mean`: the mean over completions, without the function's weight.
    pub mean: f64,
    /// `rewards/{name}/std`: the standard deviation over completions.
    pub std: f64,
}

impl RewardMetrics {
    /// Of the rewards of each function, in the order of their names, and of their weighted sums, in groups of `group` completions.
    pub fn of<'a>(
        names: impl IntoIterator<Item = &'a str>,
        scores: &[Vec<f64>],
        totals: &[f64],
        group: usize,
        scale: ScaleRewards,
    ) -> RewardMetrics {
        let reward_std = standard_deviation(totals);
        let is_flat = |std: f64| std <= NO_STD;
        let flat_groups = groups(totals, group).filter(|rewards| is_flat(standard_deviation(rewards))).count();
        let of_function =
            |(name, scores): (&str, &Vec<f64>)| (name.to_owned(), FunctionMetrics { mean: mean(scores), std: standard_deviation(scores) });
        RewardMetrics {
            reward: mean(totals),
            reward_std,
            frac_reward_zero_std: match scale {
                ScaleRewards::Group | ScaleRewards::None => flat_groups as f64 / groups(totals, group).len().max(1) as f64,
                ScaleRewards::Batch => f64::from(u8::from(is_flat(reward_std))),
            },
            functions: names.into_iter().zip(scores).map(of_function).collect(),
        }
    }
}

fn groups(rewards: &[f64], group: usize) -> impl ExactSizeIterator<Item = &[f64]> {
    assert!(group > 0 && rewards.len().is_multiple_of(group), "{} rewards are no groups of {group}", rewards.len());
    rewards.chunks(group)
}

fn mean(rewards: &[f64]) -> f64 {
    rewards.iter().sum::<f64>() / rewards.len().max(1) as f64
}

/// With N − 1 below it; 0 of fewer than two.
fn standard_deviation(rewards: &[f64]) -> f64 {
    let mean = mean(rewards);
    let squares: f64 = rewards.iter().map(|reward| (reward - mean).powi(2)).sum();
    (squares / (rewards.len().max(2) - 1) as f64).sqrt()
}

const REWARD: &str = "reward";
const REWARD_STD: &str = "reward_std";
const FRAC_REWARD_ZERO_STD: &str = "frac_reward_zero_std";
/// What stands around the name of a function.
const OF_FUNCTION: &str = "rewards/";
const MEAN: &str = "/mean";
const STD: &str = "/std";

/// As one map: a name with a slash would otherwise lie a level deeper.
impl Serialize for RewardMetrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3 + 2 * self.functions.len()))?;
        map.serialize_entry(REWARD, &self.reward)?;
        map.serialize_entry(REWARD_STD, &self.reward_std)?;
        map.serialize_entry(FRAC_REWARD_ZERO_STD, &self.frac_reward_zero_std)?;
        for (name, function) in &self.functions {
            map.serialize_entry(&format!("{OF_FUNCTION}{name}{MEAN}"), &function.mean)?;
            map.serialize_entry(&format!("{OF_FUNCTION}{name}{STD}"), &function.std)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RewardMetrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetricsVisitor)
    }
}

struct MetricsVisitor;

impl<'de> Visitor<'de> for MetricsVisitor {
    type Value = RewardMetrics;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("metrics of rewards")
    }

    /// What is there beside them, as in a line with all metrics of a step, is left to others.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RewardMetrics, A::Error> {
        let (mut whole, mut functions) = ([None; 3], BTreeMap::<String, FunctionMetrics>::new());
        let names = [REWARD, REWARD_STD, FRAC_REWARD_ZERO_STD];
        while let Some(key) = map.next_key::<String>()? {
            let of_function = |end: &str| key.strip_prefix(OF_FUNCTION)?.strip_suffix(end).map(str::to_owned);
            if let Some(place) = names.iter().position(|name| *name == key) {
                whole[place] = Some(map.next_value()?);
            } else if let Some(name) = of_function(MEAN) {
                functions.entry(name).or_default().mean = map.next_value()?;
            } else if let Some(name) = of_function(STD) {
                functions.entry(name).or_default().std = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let found = |place: usize| whole[place].ok_or_else(|| A::Error::missing_field(names[place]));
        Ok(RewardMetrics { reward: found(0)?, reward_std: found(1)?, frac_reward_zero_std: found(2)?, functions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups of three; the rewards of the second are all equal.
    const REWARDS: [f64; 6] = [1.0, 0.0, 0.5, 2.0, 2.0, 2.0];

    #[test]
    fn advantages_are_those_of_trl() {
        let near = |scale: ScaleRewards, expected: [f64; 6]| {
            let found = advantages(&REWARDS, 3, scale);
            assert!(found.iter().zip(expected).all(|(&found, expected)| (f64::from(found) - expected).abs() < 1e-6), "{found:?}");
        };
        near(ScaleRewards::None, [0.5, -0.5, 0.0, 0.0, 0.0, 0.0]);
        let of_group = 0.5 / (0.5 + 1e-4);
        near(ScaleRewards::Group, [of_group, -of_group, 0.0, 0.0, 0.0, 0.0]);
        let of_batch = 0.5 / (0.775_f64.sqrt() + 1e-4);
        near(ScaleRewards::Batch, [of_batch, -of_batch, 0.0, 0.0, 0.0, 0.0]);
        assert!(ScaleRewards::ALL.iter().all(|&scale| advantages(&[0.7], 1, scale) == [0.0]));
        assert!(advantages(&[], 4, ScaleRewards::Group).is_empty());
    }

    #[test]
    fn metrics_are_those_of_trl() {
        let scores = [REWARDS.map(|reward| reward / 2.0).to_vec(), vec![1.0; 6]];
        let of = |scale| RewardMetrics::of(["answer", "length"], &scores, &REWARDS, 3, scale);
        let found = of(ScaleRewards::Group);
        let std = 0.775_f64.sqrt();
        assert!((found.reward - 1.25).abs() < 1e-12 && (found.reward_std - std).abs() < 1e-12, "{found:?}");
        assert_eq!(
            [found.frac_reward_zero_std, of(ScaleRewards::None).frac_reward_zero_std, of(ScaleRewards::Batch).frac_reward_zero_std],
            [0.5, 0.5, 0.0]
        );
        assert_eq!(found.functions["length"], FunctionMetrics { mean: 1.0, std: 0.0 });
        assert!((found.functions["answer"].std - std / 2.0).abs() < 1e-12);
        // Equal rewards of which no sum is exact.
        assert_eq!(RewardMetrics::of([], &[], &[0.1; 9], 3, ScaleRewards::Group).frac_reward_zero_std, 1.0);
    }

    #[test]
    fn metrics_lie_beside_others_under_trls_names() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Line {
            step: u64,
            note: String,
            #[serde(flatten)]
            rewards: Option<RewardMetrics>,
        }

        let metrics = RewardMetrics::of(["answer", "regex_2"], &[vec![1.0, 0.0], vec![0.1, 0.2]], &[1.1, 0.2], 2, ScaleRewards::Group);
        let line = Line { step: 3, note: "a".to_owned(), rewards: Some(metrics.clone()) };
        let json = serde_json::to_value(&line).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let of_functions = ["rewards/answer/mean", "rewards/answer/std", "rewards/regex_2/mean", "rewards/regex_2/std"];
        assert_eq!(keys, [&["frac_reward_zero_std", "note", "reward", "reward_std"][..], &of_functions, &["step"]].concat());
        assert_eq!(serde_json::from_value::<Line>(json.clone()).unwrap(), line);
        assert_eq!(serde_json::from_value::<RewardMetrics>(json).unwrap(), metrics);
        let others = serde_json::json!({ "rewards/chosen": 1.0, "step": 2 });
        assert!(serde_json::from_value::<RewardMetrics>(others).unwrap_err().to_string().contains("reward"));
        let bytes = postcard::to_allocvec(&metrics).unwrap();
        assert_eq!(postcard::from_bytes::<RewardMetrics>(&bytes).unwrap(), metrics);
    }
}
