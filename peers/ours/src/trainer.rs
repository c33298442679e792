//! A run of steps on one batch.

use streambp::error::{Error, Result};
use streambp::gpu::{Executor, Gpu, Kernels};
use streambp::step::update::metrics;
use streambp::step::{Pass, Plan, Program, Strategy};
use streambp::train::fastest_strategy;

use crate::Task;

/// Bytes that a step may take on the device when the planner chooses the strategy.
const BUDGET: u64 = 2 << 30;
/// Tokens of a chunk where the strategy is `stream`.
const CHUNK: u32 = 256;

/// A model on a device, with the batch that it trains on.
pub struct Trainer {
    task: Task,
    executor: Executor,
    step: i32,
}

impl Trainer {
    /// Plans, allocates and compiles. `variant` is `fastest`, which leaves the strategy to the planner, or `stream`.
    ///
    /// # Errors
    /// [`Error::Setting`] for another variant; if nothing fits, or there is no device.
    pub async fn open(length: u32, variant: &str) -> Result<Trainer> {
        let task = Task::new()?;
        let gpu = Gpu::open(None).await?;
        let batch = task.batch(length);
        let strategy = match variant {
            "fastest" => fastest_strategy(task.spec(), &batch.shape, BUDGET, gpu.limits(), &gpu.ceilings().await?.into()),
            "stream" => Some(Strategy::stream(CHUNK, CHUNK)),
            _ => return Err(Error::Setting(format!("there is no variant \"{variant}\"; there are fastest and stream"))),
        };
        let strategy = strategy.ok_or_else(|| Error::Setting(format!("no strategy fits {BUDGET} bytes; take a shorter sequence")))?;
        let plan = Plan::new(Program::train(task.spec(), batch.shape.clone(), strategy), gpu.limits())?;
        let executor = Executor::new(Kernels::new(&gpu, plan)?).await?;
        executor.load(&task.values()).await?;
        executor.load_batch(&batch);
        Ok(Trainer { task, executor, step: 0 })
    }

    /// One step; the mean loss (in nats) that it started from.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::NonFinite`].
    pub async fn step(&mut self) -> Result<f64> {
        self.step += 1;
        let settings = self.task.settings(self.step);
        self.executor.write(self.executor.program().bindings.adamw_params, bytemuck::bytes_of(&settings));
        self.executor.run(Pass::STEP).await?;
        let outcome = self.executor.metrics().await?;
        if outcome[metrics::NOT_FINITE] != 0.0 {
            return Err(Error::NonFinite { step: self.step as u64, what: "gradient" });
        }
        Ok(f64::from(outcome[metrics::LOSS]))
    }

    /// What the planner chose.
    pub fn strategy(&self) -> Strategy {
        self.executor.program().strategy
    }

    /// The adapter's name.
    pub fn adapter(&self) -> &str {
        self.executor.gpu().name()
    }

    /// Bytes of the buffers on the device.
    pub fn bytes(&self) -> u64 {
        self.executor.created_bytes()
    }
}
