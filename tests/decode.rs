//! Generation computes the same logits as training, however the tokens are split into chunks.

use streambp::model::Config;
use streambp::step::{Chunk, Pass, Program, Strategy};

use crate::support::{compare, device, model};

#[test]
fn logits_of_generation_give_the_log_probabilities_of_training() {
    for config in [model::odd_config()].into_iter().chain(model::families()).chain(model::windows()) {
        check(&config);
    }
}

fn check(config: &Config) {
    const CONTEXT: u32 = 200;
    let (weights, batch) = (model::weights(config, 1), model::batch(config, &[CONTEXT], 2));
    let training = Program::gradients(config, batch.shape.clone(), Strategy::STANDARD);
    let mut reference = model::reference_executor(&training, &weights, &batch);
    reference.run(Pass::Clear..=Pass::Loss);
    let expected = reference.read(training.bindings.log_probs);

    let (program, logits) = Program::decode(config, CONTEXT);
    let input_ids = program.bindings.input_ids;
    let mut executor = device::executor(&program, device::own_tuning());
    pollster::block_on(executor.load(&weights)).unwrap();
    executor.write(input_ids, bytemuck::cast_slice(&batch.input_ids));
    let (mut start, mut found, mut wanted) = (0, Vec::new(), Vec::new());
    for count in [1, 1, 62, 64, 5, 59, 1, 7] {
        executor.run_chunk(0, Chunk { index: 0, start, count }).unwrap();
        let logits = device::read_f64(&executor, logits);
        for (token, row) in (start..start + count).zip(logits.chunks_exact(config.vocab_size.next_multiple_of(4) as usize)) {
            // The reference has 0 for ignored labels.
            let Some(logit) = row.get(batch.labels[token as usize] as usize) else { continue };
            let capped = |logit: f64| config.final_logit_softcapping.map_or(logit, |cap| cap * (logit / cap).tanh());
            let sum: f64 = row[..config.vocab_size as usize].iter().map(|&logit| capped(logit).exp()).sum();
            found.push(capped(*logit) - sum.ln());
            wanted.push(expected[token as usize]);
        }
        start += count;
    }
    assert_eq!(start, CONTEXT);
    compare::norm(&format!("log-probabilities of {config:?}"), &found, &wanted, 1e-6).unwrap();
}
