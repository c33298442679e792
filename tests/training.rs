//! Training that must converge, on real text and across a whole sequence.

use pollster::block_on;
use streambp::error::Error;
use streambp::gpu::Gpu;
use streambp::model::{Config, ModelSpec, PRESETS, Weights};
use streambp::step::{Granularity, Pass, Strategy};
use streambp::train::run_file::{CHECKPOINT, RunFile};
use streambp::train::{CopyTask, Dataset, RecallTask, Settings, SumTask, Task, Trainer, Validation, load_snapshot, save_run};

use crate::support::{device, model};

/// Trains a model until `is_learned`, which is checked every twenty steps, or the end of the run. Returns the last validation and the
/// number of steps.
fn train(config: &Config, settings: &Settings, dataset: Dataset, is_learned: impl Fn(&Validation) -> bool) -> (Validation, u64) {
    block_on(async {
        let weights = Weights::init(config, settings.seed);
        let mut trainer = model::trainer(&device::gpu(), &config.into(), settings.clone(), dataset, &weights).await.unwrap();
        loop {
            for _ in 0..20 {
                trainer.step().await.unwrap();
            }
            let validation = trainer.validate().await.unwrap();
            if is_learned(&validation) || trainer.steps_done() >= settings.steps {
                return (validation, trainer.steps_done());
            }
        }
    })
}

pub fn small(hidden_size: u32, layers: u32) -> Config {
    Config {
        hidden_size,
        intermediate_size: 2 * hidden_size,
        num_hidden_layers: layers,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 32,
        ..PRESETS[0].config.clone()
    }
}

/// The entropy of the bytes of a text, in nats: the lowest loss of a model without context.
fn unigram_entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|&byte| counts[byte as usize] += 1);
    let share = |count: u32| f64::from(count) / text.len() as f64;
    counts.iter().filter(|&&c| c > 0).map(|&c| -share(c) * share(c).ln()).sum()
}

#[test]
fn a_text_is_learned_beyond_the_frequencies_of_its_bytes() {
    let text = include_bytes!("../src/step/plan.rs").to_vec();
    let entropy = unigram_entropy(&text);
    let dataset = Dataset::text(text, 128).unwrap();
    let settings = Settings { seq_len: 128, batch: 4, steps: 200, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let (validation, _) = train(&small(64, 2), &settings, dataset, |validation| validation.loss < 0.8 * entropy);
    assert!(validation.loss < 0.8 * entropy, "{} of {entropy}", validation.loss);
}

#[test]
fn recall_is_learned_across_the_sequence_and_not_without_it() {
    let settings = Settings {
        seq_len: 512,
        batch: 4,
        steps: 80,
        learning_rate: 4e-3,
        weight_decay: 0.0,
        strategy: Strategy::stream(256, 256),
        ..Settings::default()
    };
    let recall = |cut| Dataset::task(Task::Recall(RecallTask { cut, ..RecallTask::default() }), settings.seq_len).unwrap();
    let is_learned = |validation: &Validation| validation.accuracy >= Some(0.95);
    let (across, steps) = train(&small(64, 2), &settings, recall(false), is_learned);
    assert!(is_learned(&across), "{across:?}");
    let (cut, _) = train(&small(64, 2), &Settings { steps, ..settings.clone() }, recall(true), is_learned);
    // Four values are equally likely, so the loss of a guess is log 4.
    assert!(cut.accuracy.unwrap() <= 0.3 && cut.loss > 0.95 * 4f64.ln(), "{cut:?}");
}

#[test]
fn what_came_some_way_back_is_learned() {
    let settings = Settings {
        seq_len: 128,
        batch: 8,
        steps: 150,
        learning_rate: 4e-3,
        weight_decay: 0.0,
        strategy: Strategy::stream(128, 128),
        ..Settings::default()
    };
    for task in [Task::Copy(CopyTask { distance: 16 }), Task::Sum(SumTask { distance: 16 })] {
        // A random guess is right with a probability of at most 1/5.
        let is_learned = |validation: &Validation| validation.accuracy > Some(0.5);
        let (learned, _) = train(&small(64, 2), &settings, Dataset::task(task, settings.seq_len).unwrap(), is_learned);
        assert!(is_learned(&learned), "{task:?}: {learned:?}");
    }
}

#[test]
fn a_lost_device_is_reported_and_a_run_resumes_from_its_snapshot() {
    let settings = Settings { seq_len: 64, batch: 1, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let config = small(32, 1);
    let open = async || {
        let gpu = Gpu::open(None).await.unwrap();
        let weights = Weights::init(&config, settings.seed);
        let trainer = model::trainer(&gpu, &ModelSpec::from(&config), settings.clone(), Dataset::own(settings.seq_len).unwrap(), &weights)
            .await
            .unwrap();
        (gpu, trainer)
    };
    block_on(async {
        let (gpu, mut trainer) = open().await;
        trainer.step().await.unwrap();
        let snapshot = trainer.snapshot().await.unwrap();
        let directory = std::env::temp_dir().join(format!("streambp-saved-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let save = |trainer: &mut Trainer| save_run(&directory, &RunFile::default(), "", trainer);
        save(&mut trainer).unwrap();
        gpu.destroy();
        let error = trainer.step().await.unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
        let error = save(&mut trainer).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
        let saved = load_snapshot(&directory.join(CHECKPOINT)).unwrap();
        assert!(saved == snapshot, "what was saved before stays");
        std::fs::remove_dir_all(&directory).unwrap();

        let (_gpu, mut resumed) = open().await;
        resumed.restore(&snapshot).await.unwrap();
        assert_eq!(resumed.step().await.unwrap().step, 2);
    });
}

#[test]
fn a_step_in_slow_motion_has_the_bits_of_one_at_full_speed() {
    let settings = Settings { seq_len: 150, batch: 1, accumulate: 2, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let config = small(32, 2);
    block_on(async {
        let gpu = device::gpu();
        let weights = Weights::init(&config, settings.seed);
        let dataset = || Dataset::own(settings.seq_len).unwrap();
        let mut fast = model::trainer(&gpu, &ModelSpec::from(&config), settings.clone(), dataset(), &weights).await.unwrap();
        let mut slow = model::trainer(&gpu, &ModelSpec::from(&config), settings.clone(), dataset(), &weights).await.unwrap();
        for granularities in [
            &[Granularity::Operation][..],
            &[Granularity::Chunk],
            &[Granularity::Layer],
            &[Granularity::Pass],
            &[Granularity::Operation, Granularity::Step],
        ] {
            let mut instances = vec![0];
            let mut granularities = granularities.iter().cycle();
            let report = loop {
                if let Some(report) = slow.advance(*granularities.next().unwrap()).await.unwrap() {
                    break report;
                }
                instances.push(slow.next_instance());
            };
            let expected = fast.step().await.unwrap();
            assert_eq!((report.step, report.loss.to_bits()), (expected.step, expected.loss.to_bits()));
            assert_eq!(slow.weights().await.unwrap(), fast.weights().await.unwrap());
            assert_eq!(slow.next_instance(), 0);
        }
    });
}

/// From the gradients of the first and of the second batch, and from within the update, which has changed weights by then.
#[test]
fn a_step_that_goes_back_gives_the_same_bits() {
    let settings = Settings { seq_len: 100, accumulate: 2, steps: 3, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let config = small(32, 2);
    block_on(async {
        let gpu = device::gpu();
        let weights = Weights::init(&config, settings.seed);
        let spec = ModelSpec::from(&config);
        let trainer = || model::trainer(&gpu, &spec, settings.clone(), Dataset::own(settings.seq_len).unwrap(), &weights);
        let (mut straight, mut winding) = (trainer().await.unwrap(), trainer().await.unwrap());
        let program = straight.executor().program();
        let (forward, update, all) =
            (program.span(Pass::Forward..=Pass::Forward).end, program.span(Pass::GRADIENTS).end, program.instance_count());
        let backward = forward.midpoint(update);
        for turns in [&[(backward, forward)][..], &[(forward, 0), (backward, 1)], &[(all - 1, update), (all - 1, backward)]] {
            let start = winding.snapshot().await.unwrap();
            for &(far, back) in turns {
                while winding.next_instance() < far {
                    winding.advance(Granularity::Operation).await.unwrap();
                }
                winding.go_back(back, &start).await.unwrap();
                assert_eq!(winding.next_instance(), back);
            }
            let report = loop {
                if let Some(report) = winding.advance(Granularity::Pass).await.unwrap() {
                    break report;
                }
            };
            assert_eq!(report.loss.to_bits(), straight.step().await.unwrap().loss.to_bits(), "{turns:?}");
            let [after, expected] = [winding.snapshot().await.unwrap(), straight.snapshot().await.unwrap()];
            assert!(after.step == expected.step && after.weights == expected.weights && after.moments == expected.moments, "{turns:?}");
        }
    });
}

#[test]
fn attention_is_a_distribution_over_what_a_token_sees() {
    let settings = Settings { seq_len: 150, batch: 2, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let config = small(32, 2);
    block_on(async {
        let gpu = device::gpu();
        let weights = Weights::init(&config, settings.seed);
        let dataset = Dataset::task(Task::Recall(RecallTask::default()), settings.seq_len).unwrap();
        let mut trainer = model::trainer(&gpu, &ModelSpec::from(&config), settings, dataset, &weights).await.unwrap();
        let pattern = trainer.attention(1, 1).await.unwrap();
        assert_eq!((pattern.keys.clone(), pattern.stride), (150..300, 1));
        assert_eq!(pattern.queries, (150..300).collect::<Vec<u32>>(), "the queries of all chunks of the sequence");
        assert_eq!(pattern.weights.len(), 150);
        for (&query, row) in pattern.queries.iter().zip(&pattern.weights) {
            let (seen, unseen) = row.split_at((query - 150 + 1) as usize);
            assert!((seen.iter().sum::<f32>() - 1.0).abs() < 1e-5 && unseen.iter().all(|&w| w == 0.0));
        }
    });
}

/// With chunks, the keys in the window are in a ring.
#[test]
fn attention_in_a_window_is_the_same_for_all_strategies() {
    let config = Config { sliding_window: 70, sliding_layers: vec![true; 2], ..small(32, 2) };
    let pattern = |strategy| {
        let settings = Settings { seq_len: 300, batch: 1, strategy, ..Settings::default() };
        let dataset = Dataset::task(Task::Recall(RecallTask::default()), settings.seq_len).unwrap();
        block_on(async {
            let gpu = device::gpu();
            let weights = Weights::init(&config, settings.seed);
            model::trainer(&gpu, &ModelSpec::from(&config), settings, dataset, &weights).await.unwrap().attention(1, 1).await.unwrap()
        })
    };
    let (whole, chunked) = (pattern(Strategy::STANDARD), pattern(Strategy::stream(64, 64)));
    assert_eq!(whole, chunked);
    for (query, row) in chunked.queries.iter().zip(&chunked.weights) {
        let seen = query.saturating_sub(69) as usize..=*query as usize;
        assert!(row.iter().enumerate().all(|(key, &weight)| (weight > 0.0) == seen.contains(&key)), "{query}");
    }
}

#[test]
fn a_profiled_run_gives_the_same_bits() {
    let settings = Settings { seq_len: 128, steps: 3, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let config = small(64, 2);
    let run = |is_profiled: bool| {
        block_on(async {
            let gpu = device::gpu();
            let weights = Weights::init(&config, 0);
            let dataset = Dataset::own(settings.seq_len).unwrap();
            let mut trainer = model::trainer(&gpu, &(&config).into(), settings.clone(), dataset, &weights).await.unwrap();
            let ceilings = gpu.ceilings().await.unwrap();
            let mut losses = Vec::new();
            for _ in 0..settings.steps {
                if is_profiled {
                    let profile = trainer.profile(ceilings).await.unwrap();
                    assert!(profile.seconds > 0.0 && profile.rows.iter().all(|row| row.share() > 0.0 && row.instances > 0));
                    assert!(profile.rows.iter().all(|row| row.pass != Pass::Update), "profiling must not update the weights");
                    assert!(profile.rows.is_sorted_by(|a, b| a.seconds >= b.seconds));
                }
                losses.push(trainer.step().await.unwrap().loss.to_bits());
            }
            (losses, trainer.snapshot().await.unwrap().weights)
        })
    };
    let (plain, profiled) = (run(false), run(true));
    assert_eq!(plain.0, profiled.0);
    assert!(plain.1 == profiled.1, "the weights differ");
}
