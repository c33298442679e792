//! A report on an adapter, as text to paste into an issue: what it is, what it does at most, whether it keeps the bits, and the time of each
//! operation of a small step.

use std::fmt::Write;

use super::dataset::Dataset;
use super::roofline::Profile;
use super::self_check::SelfCheck;
use crate::error::Result;
use crate::gpu::{Ceilings, Executor, Gpu, Kernels};
use crate::model::{ModelSpec, PRESETS, RandomInit};
use crate::step::{Pass, Plan, Program, Strategy};

/// Tokens of the timed step.
const TOKENS: u32 = 512;
const SEED: u64 = 1;

/// Writes the report. `place` is where the program runs: a system, or a browser. Times a step of the smallest preset.
///
/// # Errors
/// If the device was lost, or has no memory for the step.
pub async fn device_report(gpu: &Gpu, place: &str, ceilings: Ceilings, check: &SelfCheck) -> Result<String> {
    let profile = profile(&gpu.used_for("report"), ceilings).await?;
    let adapter = gpu.summary();
    let or_nothing = |items: &[String]| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let bits = if check.same_bits { "the same bits".to_owned() } else { format!("other bits in {}", or_nothing(&check.different)) };
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<12}{value}").expect("a string takes everything");
    line("streambp", format!("{}, {place}", env!("CARGO_PKG_VERSION")));
    line("adapter", format!("{}, {} ({})", adapter.name, adapter.backend, adapter.device_type));
    line("driver", if adapter.driver.is_empty() { "not told".to_owned() } else { adapter.driver.clone() });
    line("limits", format!("a binding of {}, a buffer of {}", mib(adapter.max_storage_buffer_binding_size), mib(adapter.max_buffer_size)));
    line("lacks", or_nothing(&adapter.missing));
    line(
        "ceilings",
        format!(
            "{:.1} GFLOP/s ({:.1} of a workgroup), {:.1} GB/s, {:.1} µs for a dispatch",
            ceilings.gflops,
            ceilings.workgroup_gflops,
            ceilings.gigabytes_per_second,
            ceilings.dispatch_seconds * 1e6
        ),
    );
    line("self-check", format!("{bits}, in {:.1} s", check.seconds));
    line("gradients", format!("{} at {TOKENS} tokens in {:.1} ms", PRESETS[0].name, profile.seconds * 1e3));
    text.push_str("\n| operation | of | pass | times | ms | of its least time |\n|---|---|---|---|---|---|\n");
    for row in &profile.rows {
        let (pass, share) = (row.pass.name(), 1.0 / row.share().max(1e-9));
        let _ = writeln!(text, "| {} | {} | {pass} | {} | {:.2} | {share:.1} × |", row.op, row.of, row.instances, row.seconds * 1e3);
    }
    let _ = writeln!(text, "\nkernels     {:?}", gpu.tuning());
    Ok(text)
}

async fn profile(gpu: &Gpu, ceilings: Ceilings) -> Result<Profile> {
    let spec = ModelSpec::from(&PRESETS[0].config);
    let batch = Dataset::own(TOKENS)?.batch(SEED, 0, 1);
    let plan = Plan::new(Program::train(&spec, batch.shape.clone(), Strategy::default()), gpu.limits())?;
    let mut executor = Executor::new(Kernels::new(gpu, plan)?).await?;
    executor.load(&RandomInit { seed: SEED }).await?;
    executor.load_batch(&batch);
    // The first time compiles and warms up.
    executor.run(Pass::GRADIENTS).await?;
    Profile::of(&mut executor, ceilings).await
}
