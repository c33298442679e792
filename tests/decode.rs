//! Roll-outs: completions have the log-probabilities that training finds, and depend on nothing but prompt, seed and number.

use streambp::gpu::{Executor, Tuning};
use streambp::model::{Dtype, ModelSpec, Projection, Weights};
use streambp::step::roll_out::RollOutShape;
use streambp::step::{Batch, IGNORED_LABEL, Pass, Program, Strategy};
use streambp::train::{Decoding, Sampled, Sampling};

use crate::support::{compare, device, level, model};

const KEY: [u8; 32] = [7; 32];

fn executor(spec: &ModelSpec, weights: &Weights, shape: RollOutShape, tuning: Tuning) -> Executor {
    let executor = device::executor(&Program::roll_out(spec.clone(), shape), tuning);
    pollster::block_on(executor.load(weights)).unwrap();
    executor
}

/// The completions with these numbers, in as many calls as there are lengths.
fn complete(executor: &mut Executor, prompt: &[u32], numbers: std::ops::Range<u32>, lengths: &[u32]) -> Vec<Vec<Sampled>> {
    let sampling = Sampling { temperature: 0.9, top_k: 15, top_p: 0.95 };
    let mut decoding = Decoding::start(executor, prompt, sampling, KEY, numbers.clone()).unwrap();
    let mut completions = vec![Vec::new(); numbers.len()];
    for &length in lengths {
        let more = pollster::block_on(decoding.advance(executor, length)).unwrap();
        completions.iter_mut().zip(more).for_each(|(completion, more)| completion.extend(more));
    }
    completions
}

#[test]
fn completions_have_the_log_probabilities_of_training() {
    let specs = [model::odd_config()].into_iter().chain(model::families()).chain(model::windows()).map(|config| ModelSpec::from(&config));
    let lora = model::lora(&model::odd_config(), &Projection::ALL, Dtype::Bf16);
    for spec in specs.chain([lora]) {
        // A prompt that ends within a tile, with more than one chunk of it, and the shortest.
        for (prompt, completion) in [(300, 70), (1, 3)] {
            check(&spec, prompt, completion);
        }
    }
}

fn check(spec: &ModelSpec, prompt: u32, completion: u32) {
    let config = &spec.config;
    let weights = model::weights(spec.clone(), 1);
    let prompt = model::batch(config, &[prompt], 2).input_ids;
    let shape = RollOutShape { prompt: prompt.len() as u32, rows: 3, completion };
    let completions = complete(&mut executor(spec, &weights, shape, device::own_tuning()), &prompt, 4..7, &[1, completion - 1]);
    let sequence = |completion: &Vec<Sampled>| {
        let ids: Vec<u32> = prompt.iter().copied().chain(completion.iter().map(|sampled| sampled.id)).collect();
        let label = |i: usize| ids.get(i).copied().filter(|_| i >= prompt.len()).unwrap_or(IGNORED_LABEL);
        let labels = (1..=ids.len()).map(label).collect();
        (ids, labels)
    };
    let batch = Batch::new(completions.iter().map(sequence).collect());
    let training = Program::gradients(spec.clone(), batch.shape.clone(), Strategy::STANDARD);
    let mut reference = model::reference_executor(&training, &weights, &batch);
    reference.run(Pass::Clear..=Pass::Loss);
    let all = reference.read(training.bindings.log_probs).iter().zip(&batch.labels);
    let wanted: Vec<f64> = all.filter(|(_, label)| **label != IGNORED_LABEL).map(|(log_prob, _)| *log_prob).collect();
    let found: Vec<f64> = completions.iter().flatten().map(|sampled| f64::from(sampled.probability).ln()).collect();
    compare::norm(&format!("log-probabilities of {config:?}"), &found, &wanted, 1e-6).unwrap();
}

#[test]
fn completions_are_the_same_whatever_is_sampled_with_them() {
    for (number, config) in [model::odd_config(), model::families().swap_remove(4)].iter().enumerate() {
        let spec = ModelSpec::from(config);
        let weights = model::weights(spec.clone(), 1);
        for tuning in level::share(device::tunings(), 2, number) {
            let of = |rows: u32, prompt: &[u32]| {
                let shape = RollOutShape { prompt: 130, rows, completion: 40 };
                let mut executor = executor(&spec, &weights, shape, tuning);
                let starts = (0..8).step_by(rows as usize);
                starts.flat_map(|first| complete(&mut executor, prompt, first..(first + rows).min(8), &[17, 3, 99])).collect::<Vec<_>>()
            };
            let prompt = model::batch(&spec.config, &[100], 2).input_ids;
            let together = of(8, &prompt);
            assert!(together.iter().all(|completion| completion.len() == 40) && together[0] != together[1]);
            // More than eight have another kernel.
            for rows in [1, 3, 4, 12] {
                assert_eq!(of(rows, &prompt), together, "{rows} at a time with {tuning:?}");
            }
        }
    }
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_in_words() {
    let spec = ModelSpec::from(&model::odd_config());
    let shape = RollOutShape { prompt: 5, rows: 1, completion: 3 };
    let mut executor = executor(&spec, &model::weights(spec.clone(), 1), shape, device::own_tuning());
    let mut said = |prompt: &[u32]| match Decoding::start(&mut executor, prompt, Sampling::default(), KEY, 0..1) {
        Ok(_) => panic!("{prompt:?} was taken"),
        Err(error) => error.to_string(),
    };
    assert!(said(&[1; 6]).contains("6 tokens; there is room for 1 to 5"));
    assert!(said(&[]).contains("0 tokens"));
    assert!(said(&[1, 99]).contains("the token 99, and the model knows 19"));
}
