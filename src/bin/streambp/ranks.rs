//! The ranks of a job, if `mpirun` or Slurm has started several.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use streambp::error::{Error, Result};
#[cfg(feature = "mpi")]
use streambp::gpu::World;
use streambp::gpu::{DeviceSpeed, Gpu, Transport};
use streambp::model::ModelSpec;
use streambp::step::{BatchShape, Plan};
use streambp::train::{Network, RankCost, predict_ranks, rounding_checksum, shapes_of_ranks};

/// How much each rank does.
#[derive(Args)]
struct Shares {
    /// Work of each rank in proportion, as 1,1,2, where there are several [default: equally much]
    #[arg(long, value_name = "SHARES", num_args = 1.., value_delimiter = ',')]
    token_shares: Vec<u32>,
}

/// Options of commands that run on several ranks.
#[derive(Args)]
pub struct RankOptions {
    #[command(flatten)]
    shares: Shares,
    /// Run on ranks whose adapters round differently: the results are right, but not the bits of one adapter
    #[arg(long)]
    allow_different_adapters: bool,
}

/// Options of a plan for several ranks.
#[derive(Args)]
pub struct PlannedRanks {
    /// Processes between which the tokens of a batch are split, as mpirun would start them: plans each, and predicts the time of a step
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    ranks: u32,
    #[command(flatten)]
    shares: Shares,
    /// Gbit/s of the network between the processes
    #[arg(long, value_name = "GBIT", default_value_t = 10.0)]
    bandwidth: f64,
    /// Milliseconds that a message takes at least
    #[arg(long, value_name = "MS", default_value_t = 0.05)]
    latency: f64,
    /// Batches whose gradients a step of several processes accumulates: they begin with the next while they wait for each other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    accumulate: u32,
}

impl PlannedRanks {
    /// The costs of all ranks, and the time of a step in seconds; nothing for one rank. `plan` makes the plan of a rank.
    ///
    /// # Errors
    /// As [`shapes_of_ranks`], and those of `plan`; [`Error::Setting`] if the network is none.
    pub fn predict(
        &self,
        spec: &ModelSpec,
        shape: &BatchShape,
        speed: &DeviceSpeed,
        plan: impl Fn(BatchShape) -> Result<Plan>,
    ) -> Result<Option<(Vec<RankCost>, f64)>> {
        let is_network = self.bandwidth > 0.0 && self.latency >= 0.0;
        if !is_network {
            return Err(Error::Setting("a network has a --bandwidth above 0 and a --latency of 0 or more".to_owned()));
        }
        if self.ranks == 1 {
            return Ok(None);
        }
        let shapes = shapes_of_ranks(spec, shape, self.accumulate, self.ranks, &self.shares.token_shares)?;
        let plans: Vec<Plan> = shapes.into_iter().map(plan).collect::<Result<_>>()?;
        let network = Network { latency: self.latency / 1e3, bandwidth: self.bandwidth * 1e9 / 8.0 };
        Ok(Some(predict_ranks(&plans, self.accumulate, speed, network)))
    }
}

/// The ranks of a job: this one, and the way to the others, if there are any.
pub struct Ranks {
    world: Option<World>,
}

/// A program that was built without MPI is in no job.
#[cfg(not(feature = "mpi"))]
#[derive(Clone)]
pub enum World {}

#[cfg(not(feature = "mpi"))]
impl World {
    fn join() -> Result<World> {
        Err(Error::Setting(format!(
            "{} processes were started, and this program was built without MPI; build it with `cargo build --release --features mpi`",
            started()
        )))
    }

    fn rank(&self) -> u32 {
        match *self {}
    }

    fn ranks(&self) -> u32 {
        match *self {}
    }

    fn local_rank(&self) -> u32 {
        match *self {}
    }

    fn broadcast(&self, _: &[u8]) -> Result<Vec<u8>> {
        match *self {}
    }

    fn gather(&self, _: &[u8]) -> Result<Vec<Vec<u8>>> {
        match *self {}
    }

    fn abort() -> ! {
        unreachable!("there is no job to end")
    }
}

#[cfg(not(feature = "mpi"))]
impl Transport for World {
    fn send(&mut self, _: u32, _: u32, _: Vec<u8>) -> Result<()> {
        match *self {}
    }

    fn receive(&mut self, _: u32, _: u32, _: usize) -> Result<Vec<u8>> {
        match *self {}
    }
}

/// How MPI's starters tell a process how many it has started: Open MPI, MPICH and its relatives.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// The number of processes that an MPI starter has started; 1 without one.
fn started() -> u32 {
    SIZES.iter().filter_map(|name| std::env::var(name).ok()?.parse().ok()).max().unwrap_or(1)
}

impl Ranks {
    /// Joins the job, if there is one.
    ///
    /// # Errors
    /// [`Error::Setting`] if several processes were started, and the command runs in one, or the program was built without MPI.
    pub fn join(command: &str, can_split: bool) -> Result<Ranks> {
        let started = started();
        if started > 1 && !can_split {
            return Err(Error::Setting(format!("{command} runs in one process, and {started} were started; run it without mpirun")));
        }
        Ok(Ranks { world: (started > 1).then(World::join).transpose()? })
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> u32 {
        self.world.as_ref().map_or(0, World::rank)
    }

    /// The number of ranks.
    pub fn count(&self) -> u32 {
        self.world.as_ref().map_or(1, World::ranks)
    }

    /// Is this the first rank, which says and writes everything?
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The number of this rank among those on its machine, each of which takes an adapter of its own if there are as many.
    pub fn local_rank(&self) -> u32 {
        self.world.as_ref().map_or(0, World::local_rank)
    }

    /// The share of a batch that this rank holds, of so many whose gradients a step accumulates.
    ///
    /// # Errors
    /// As [`shapes_of_ranks`].
    pub fn split(&self, spec: &ModelSpec, shape: BatchShape, batches: u32, options: &RankOptions) -> Result<BatchShape> {
        if self.count() == 1 && options.shares.token_shares.is_empty() {
            return Ok(shape);
        }
        let mut shapes = shapes_of_ranks(spec, &shape, batches, self.count(), &options.shares.token_shares)?;
        Ok(shapes.swap_remove(self.rank() as usize))
    }

    /// The way to the other ranks, if there are any.
    pub fn transport(&self) -> Option<Box<dyn Transport>> {
        let world = self.world.clone()?;
        Some(Box::new(world))
    }

    /// What the first rank has found, on all ranks: what was measured differs from rank to rank.
    ///
    /// # Errors
    /// What the first rank got, or if a rank cannot be reached.
    pub async fn same<T: Serialize + DeserializeOwned>(&self, found: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(world) = &self.world else { return found.await };
        let words = if self.is_first() { serde_json::to_vec(&found.await?).expect("it is plain data") } else { Vec::new() };
        serde_json::from_slice(&world.broadcast(&words)?).map_err(|_| Error::Setting(different("the program")))
    }

    /// Checks that the adapters of all ranks round alike, by the gradients of a tiny model, unless they need not.
    ///
    /// # Errors
    /// [`Error::Setting`] if they do not, and those of the device.
    pub async fn check_adapters(&self, gpu: &Gpu, options: &RankOptions) -> Result<()> {
        if self.count() == 1 || options.allow_different_adapters {
            return Ok(());
        }
        let advice = "adapter rounds differently than that of rank 0, so the results would not be the bits of one adapter; choose the same kind \
                      by --adapter, or --allow-different-adapters";
        self.check_same(advice, &rounding_checksum(gpu).await?)
    }

    /// Checks that something is the same on all ranks. `what` says what it means if it is not.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is not.
    pub fn check_same(&self, what: &str, here: &impl Serialize) -> Result<()> {
        let Some(world) = &self.world else { return Ok(()) };
        let said = world.gather(&serde_json::to_vec(here).expect("it is plain data"))?;
        let differs = said.iter().position(|words| *words != said[0]);
        let verdict = world.broadcast(&serde_json::to_vec(&differs).expect("it is a number"))?;
        match serde_json::from_slice(&verdict) {
            Ok(None::<usize>) => Ok(()),
            Ok(Some(rank)) => Err(Error::Setting(format!("rank {rank}: its {what}"))),
            Err(_) => Err(Error::Setting(different("the program"))),
        }
    }

    /// Ends the whole job, if there are other ranks, because this one cannot go on.
    pub fn abort(&self) {
        if self.world.is_some() {
            World::abort();
        }
    }

    /// From now on a programming mistake on this rank ends the whole job: the others would wait for it forever.
    pub fn abort_on_panic(&self) {
        if self.world.is_some() {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                report(panic);
                World::abort();
            }));
        }
    }
}

/// What differs, and what to do.
pub fn different(what: &str) -> String {
    format!("{what} is not that of rank 0; start all ranks with the same program, model, data and options")
}
