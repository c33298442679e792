//! Computes the gradients of one batch by two strategies and compares them bit by bit: `cargo run --release --example compare_gradients`.

use pollster::block_on;
use streambp::error::Result;
use streambp::gpu::{Executor, Gpu, Kernels};
use streambp::model::{ModelSpec, PRESETS, RandomInit};
use streambp::step::{Batch, Pass, Plan, Program, Strategy};
use streambp::train::Dataset;

fn main() -> Result<()> {
    block_on(async {
        let gpu = Gpu::open(None).await?;
        let spec = ModelSpec::from(&PRESETS[0].config);
        let batch = Dataset::own(300)?.batch(0, 0, 1);
        let standard = gradients(&gpu, &spec, &batch, Strategy::STANDARD).await?;
        let stream = gradients(&gpu, &spec, &batch, Strategy::stream(64, 64)).await?;

        let bits = |gradients: &[Vec<f32>]| -> Vec<u32> { gradients.iter().flatten().map(|value| value.to_bits()).collect() };
        let (standard, stream) = (bits(&standard), bits(&stream));
        assert_eq!(standard, stream, "chunks change no bit");
        println!("{}: {} gradients, the same bits by both strategies", gpu.name(), standard.len());
        Ok(())
    })
}

/// The gradients of all trainable parameters, each as in a file.
async fn gradients(gpu: &Gpu, spec: &ModelSpec, batch: &Batch, strategy: Strategy) -> Result<Vec<Vec<f32>>> {
    let program = Program::gradients(spec, batch.shape.clone(), strategy);
    let plan = Plan::new(program, gpu.limits())?;
    println!("{strategy:?}\n    peak {:.1} MiB", plan.peak_bytes() as f64 / f64::from(1 << 20));

    let mut executor = Executor::new(Kernels::new(gpu, plan)?).await?;
    executor.load(&RandomInit { seed: 0 }).await?;
    executor.load_batch(batch);
    executor.run(Pass::GRADIENTS).await?;
    executor.gradients().await
}
