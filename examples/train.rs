//! Trains a small model on a text, byte by byte: `cargo run --release --example train -- [FILE [STEPS]]`.
//!
//! Without a file it takes this crate's own shaders.

use pollster::block_on;
use streambp::error::{Error, Result};
use streambp::gpu::{Gpu, Kernels};
use streambp::model::{ModelSpec, PRESETS, RandomInit};
use streambp::train::{Dataset, Settings, Trainer, plan_within};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let steps = arguments.next().map_or(20, |steps| steps.parse().expect("STEPS is a number"));
    let settings = Settings { seq_len: 256, steps, warmup: 5, ..Settings::default() };
    let dataset = match &file {
        Some(path) => Dataset::text(std::fs::read(path).map_err(|e| Error::io(path, e))?, settings.seq_len)?,
        None => Dataset::own(settings.seq_len)?,
    };
    block_on(train(settings, dataset))
}

async fn train(settings: Settings, dataset: Dataset) -> Result<()> {
    let gpu = Gpu::open(None).await?;
    let spec = ModelSpec::from(&PRESETS[0].config);

    // Every byte is known before one is allocated: here a gigabyte is allowed.
    let plan = plan_within(settings.objective, &spec, &settings.batch_shape(&dataset), settings.strategy, 1 << 30, gpu.limits())?;
    println!("{}: a step takes {:.1} MiB", gpu.name(), plan.peak_bytes() as f64 / f64::from(1 << 20));

    let kernels = Kernels::new(&gpu, plan)?;
    let values = RandomInit { seed: settings.seed };
    let mut trainer = Trainer::new(kernels, settings, dataset, &values).await?;
    while trainer.steps_done() < trainer.settings().steps {
        let report = trainer.step().await?;
        println!("step {:4}  loss {:.4}  {:.0} tokens/s", report.step, report.loss, report.tokens_per_second);
    }
    println!("validation loss {:.4}", trainer.validate().await?.loss);
    Ok(())
}
