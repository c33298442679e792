//! Times the decoding of completions.

use std::time::Instant;

use serde_json::{Value, json};
use streambp::error::Result;
use streambp::gpu::{Gpu, Kernels};
use streambp::model::{ModelSpec, WeightSource};
use streambp::step::roll_out::RollOutShape;
use streambp::train::{Generator, Sampling};

use crate::output;
use crate::signals::Signals;

/// Tokens of each completion in a timed round.
const TOKENS: u32 = 16;

/// So many completions, decoded together.
struct Contestant {
    completions: u32,
    generator: Generator,
    /// Of a token of all of them.
    millis: Vec<f64>,
}

/// Decodes so many completions together, in turn, each time behind the whole prompt: the median time of a token of all of them.
pub async fn time(
    gpu: &Gpu,
    spec: &ModelSpec,
    values: &impl WeightSource,
    prompt: &[u32],
    completions: &[u32],
    rounds: u32,
    signals: &Signals,
) -> Result<Vec<Value>> {
    let mut contestants = Vec::new();
    for &completions in completions {
        let shape = RollOutShape { prompt: prompt.len() as u32, rows: completions, completion: TOKENS };
        let plan = Generator::plan(spec, shape, gpu.limits())?;
        let mut generator = Generator::new(Kernels::new(gpu, plan)?).await?;
        generator.load(values).await?;
        contestants.push(Contestant { completions, generator, millis: Vec::new() });
    }
    // The first round compiles and warms up, so it does not count.
    for round in 0..=rounds {
        for Contestant { completions, generator, millis } in &mut contestants {
            signals.check()?;
            generator.start(prompt, Sampling::default(), u64::from(round), 0..*completions)?;
            // What reads the prompt has run when its first token is there.
            generator.next(1).await?;
            let started = Instant::now();
            generator.next(TOKENS - 1).await?;
            if round > 0 {
                millis.push(started.elapsed().as_secs_f64() * 1e3 / f64::from(TOKENS - 1));
            }
        }
    }
    Ok(contestants.into_iter().map(row).collect())
}

fn row(contestant: Contestant) -> Value {
    let mut millis = contestant.millis;
    millis.sort_by(f64::total_cmp);
    let median = millis[millis.len() / 2];
    json!({
        "completions": contestant.completions,
        "token_millis": { "median": median, "min": millis[0], "max": millis[millis.len() - 1] },
        "tokens_per_second": f64::from(contestant.completions) / median * 1e3,
    })
}

pub fn print_row(row: &Value) -> Result<()> {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    output::line(format_args!(
        "decoding {} completions together: {:.1} ms (min {:.1}, max {:.1}) for a token of each, {:.1} tokens/s",
        row["completions"],
        number(&row["token_millis"]["median"]),
        number(&row["token_millis"]["min"]),
        number(&row["token_millis"]["max"]),
        number(&row["tokens_per_second"]),
    ))
}
