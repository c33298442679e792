//! Training that must learn, on real text and across a whole sequence.

use pollster::block_on;
use streambp::error::Error;
use streambp::gpu::Gpu;
use streambp::model::{Config, PRESETS, Weights};
use streambp::step::Strategy;
use streambp::train::{RecallTask, Settings, Source, Trainer, Validation};

/// Trains a model and validates it.
fn train(config: &Config, settings: &Settings, source: Source) -> Validation {
    block_on(async {
        let gpu = Gpu::open(None).await.unwrap();
        let weights = Weights::init(config, settings.seed);
        let mut trainer = Trainer::new(&gpu, config, settings.clone(), source, &weights).await.unwrap();
        for _ in 0..settings.steps {
            trainer.step().await.unwrap();
        }
        trainer.validate().await.unwrap()
    })
}

fn small(hidden_size: u32, layers: u32) -> Config {
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

/// The entropy of single bytes of a text, in nats: what a model that sees no context can reach.
fn unigram_entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|&byte| counts[byte as usize] += 1);
    let share = |count: u32| f64::from(count) / text.len() as f64;
    counts.iter().filter(|&&c| c > 0).map(|&c| -share(c) * share(c).ln()).sum()
}

#[test]
fn a_text_is_learned_beyond_the_frequencies_of_its_bytes() {
    let text = include_bytes!("../src/step/memory.rs").to_vec();
    let entropy = unigram_entropy(&text);
    let source = Source::text(text, 128).unwrap();
    let settings = Settings { seq_len: 128, batch: 4, steps: 200, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let validation = train(&small(64, 2), &settings, source);
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
    let recall = |cut| Source::recall(RecallTask { cut, ..RecallTask::default() }, settings.seq_len).unwrap();
    let across = train(&small(64, 2), &settings, recall(false));
    assert!(across.accuracy.unwrap() >= 0.95, "{across:?}");
    let cut = train(&small(64, 2), &settings, recall(true));
    // Four values are equally likely: the loss of a guess is log 4.
    assert!(cut.accuracy.unwrap() <= 0.3 && cut.loss > 0.95 * 4f64.ln(), "{cut:?}");
}

#[test]
fn a_lost_device_is_said_and_a_run_goes_on_from_its_snapshot() {
    let settings = Settings { seq_len: 64, batch: 1, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let config = small(32, 1);
    let open = async || {
        let gpu = Gpu::open(None).await.unwrap();
        let weights = Weights::init(&config, settings.seed);
        let trainer = Trainer::new(&gpu, &config, settings.clone(), Source::own(settings.seq_len).unwrap(), &weights).await.unwrap();
        (gpu, trainer)
    };
    block_on(async {
        let (gpu, mut trainer) = open().await;
        trainer.step().await.unwrap();
        let snapshot = trainer.snapshot().await.unwrap();
        gpu.destroy();
        let error = trainer.step().await.unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");

        let (_gpu, mut resumed) = open().await;
        resumed.restore(&snapshot);
        assert_eq!(resumed.step().await.unwrap().step, 2);
    });
}
