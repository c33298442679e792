//! burn as a native contestant.
//!
//! `burn DIR LENGTH VARIANT` opens a run of the task in that directory, prints a line of JSON about it, and takes a step for each line
//! that it reads. The variant is `plain` or `checkpointing`.

mod decoder;
mod task;

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use burn::module::ParamGroup;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};
use serde_json::{Value, json};

use decoder::{Decoder, Setting};
use task::{Sizes, Task};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [directory, length, variant] => run(Path::new(directory), length, variant),
        _ => Err("call it as `burn DIR LENGTH VARIANT`".into()),
    };
    outcome.map_or_else(
        |error| {
            say(&json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run(directory: &Path, length: &str, variant: &str) -> Result<(), Box<dyn Error>> {
    let task = Task::read(directory)?;
    let plain = Device::wgpu(DeviceKind::DefaultDevice);
    let device = match variant {
        "plain" => plain.clone().autodiff(),
        "checkpointing" => plain.clone().autodiff().gradient_checkpointing(),
        _ => return Err(format!("there is no variant \"{variant}\"; there are plain and checkpointing").into()),
    };
    let mut trainer = Trainer::new(&task, length.parse()?, &device)?;
    say(&json!({ "detail": variant }));
    for line in std::io::stdin().lock().lines() {
        line?;
        let started = Instant::now();
        let loss = trainer.step()?;
        plain.sync().map_err(|error| format!("{error:?}"))?;
        let seconds = started.elapsed().as_secs_f64();
        say(&json!({ "loss": loss, "seconds": seconds, "bytes": plain.memory_pool_usage().map(|usage| usage.bytes_reserved) }));
    }
    Ok(())
}

struct Trainer {
    decoder: Option<Decoder>,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    setting: Setting,
    ids: Tensor<2, Int>,
    labels: Tensor<1, Int>,
    learning_rate: f64,
}

impl Trainer {
    fn new(task: &Task, length: usize, device: &Device) -> Result<Trainer, Box<dyn Error>> {
        let decoder = Decoder::new(&task.sizes, &task.weights()?, device)?;
        let [ids, labels] = task.batch(length);
        let ids = Tensor::from_data(TensorData::new(ids.to_vec(), [1, length]), device);
        let labels = Tensor::from_data(TensorData::new(labels.to_vec(), [length]), device);
        Ok(Trainer {
            optimizer: optimizer(&task.sizes),
            decoder: Some(decoder),
            loss: CrossEntropyLossConfig::new().init(device),
            setting: Setting::new(&task.sizes, length, device),
            ids,
            labels,
            learning_rate: task.sizes.learning_rate,
        })
    }

    /// One step; its loss.
    fn step(&mut self) -> Result<f32, Box<dyn Error>> {
        let decoder = self.decoder.take().ok_or("a step failed before")?;
        let logits = decoder.forward(self.ids.clone(), &self.setting);
        let loss = self.loss.forward(logits, self.labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &decoder);
        self.decoder = Some(self.optimizer.step(self.learning_rate, decoder, gradients));
        Ok(loss.into_scalar())
    }
}

/// AdamW that decays matrices and leaves norms alone.
fn optimizer(sizes: &Sizes) -> ModuleOptimizer {
    let adamw = AdamWConfig::new().with_beta_1(sizes.beta1).with_beta_2(sizes.beta2).with_epsilon(sizes.epsilon);
    let matrices = adamw.clone().with_weight_decay(sizes.weight_decay).init();
    matrices.with_group(ParamGroup::from_predicate("gamma"), adamw.with_weight_decay(0.0).build(), None)
}

fn say(value: &Value) {
    println!("{value}");
    // Whoever listens may have gone.
    let _ = std::io::stdout().flush();
}
