//! The ranks of a job, if `mpirun` or Slurm has started several.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use streambp::error::{Error, Result};
use streambp::gpu::Transport;
#[cfg(feature = "mpi")]
use streambp::gpu::World;
use streambp::model::ModelSpec;
use streambp::step::{BatchShape, Split, borders};

/// Options of commands that run on several ranks.
#[derive(Args)]
pub struct RankOptions {
    /// Work of each rank in proportion, as 1,1,2, where several are started by mpirun [default: equally much]
    #[arg(long, value_name = "SHARES", num_args = 1.., value_delimiter = ',')]
    token_shares: Vec<u32>,
}

/// The ranks of a job: this one, and the way to the others.
pub struct Ranks {
    #[cfg(feature = "mpi")]
    world: Option<World>,
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
        Ranks::join_all(started)
    }

    #[cfg(feature = "mpi")]
    fn join_all(started: u32) -> Result<Ranks> {
        Ok(Ranks { world: (started > 1).then(World::join).transpose()? })
    }

    #[cfg(not(feature = "mpi"))]
    fn join_all(started: u32) -> Result<Ranks> {
        if started > 1 {
            return Err(Error::Setting(format!(
                "{started} processes were started, and this program was built without MPI; build it with `cargo build --release --features mpi`"
            )));
        }
        Ok(Ranks {})
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> u32 {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.rank();
        }
        0
    }

    /// The number of ranks.
    pub fn count(&self) -> u32 {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.ranks();
        }
        1
    }

    /// Is this the first rank, which says and writes everything?
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The number of this rank among those on its machine, each of which takes an adapter of its own if there are as many.
    pub fn local_rank(&self) -> u32 {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return world.local_rank();
        }
        0
    }

    /// The share of a batch that this rank holds.
    ///
    /// # Errors
    /// As [`borders`].
    pub fn split(&self, spec: &ModelSpec, shape: BatchShape, options: &RankOptions) -> Result<BatchShape> {
        if self.count() == 1 && options.token_shares.is_empty() {
            return Ok(shape);
        }
        let borders = borders(spec, &shape, self.count(), &options.token_shares)?;
        Ok(if self.count() == 1 { shape } else { shape.on_ranks(Split::new(self.rank(), borders)) })
    }

    /// The way to the other ranks, if there are any.
    pub fn transport(&self) -> Option<Box<dyn Transport>> {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            return Some(Box::new(world.clone()));
        }
        None
    }

    /// What the first rank has found, on all ranks: what was measured differs from rank to rank.
    ///
    /// # Errors
    /// What the first rank got, or if a rank cannot be reached.
    pub async fn same<T: Serialize + DeserializeOwned>(&self, found: impl Future<Output = Result<T>>) -> Result<T> {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            let words = if self.is_first() { serde_json::to_vec(&found.await?).expect("it is plain data") } else { Vec::new() };
            let said = world.said_by_first(&words)?;
            return serde_json::from_slice(&said).map_err(|_| Error::Setting(different("program")));
        }
        found.await
    }

    /// Checks that something is the same on all ranks.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is not.
    pub fn check_same(&self, what: &str, here: &impl Serialize) -> Result<()> {
        #[cfg(feature = "mpi")]
        if let Some(world) = &self.world {
            let said = world.said_to_first(&serde_json::to_vec(here).expect("it is plain data"))?;
            let differs = said.iter().position(|words| *words != said[0]);
            let verdict: Option<usize> = serde_json::from_slice(&world.said_by_first(&serde_json::to_vec(&differs).expect("a number"))?)
                .map_err(|_| Error::Setting(different("program")))?;
            return verdict.map_or(Ok(()), |rank| Err(Error::Setting(format!("rank {rank}: {}", different(what)))));
        }
        let _ = (what, here);
        Ok(())
    }

    /// Ends the whole job, if there are other ranks, because this one cannot go on.
    pub fn abort(&self) {
        #[cfg(feature = "mpi")]
        if self.world.is_some() {
            World::abort();
        }
    }

    /// From now on a programming mistake on this rank ends the whole job: the others would wait for it forever.
    pub fn abort_on_panic(&self) {
        #[cfg(feature = "mpi")]
        if self.world.is_some() {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                report(panic);
                World::abort();
            }));
        }
    }
}

#[cfg(feature = "mpi")]
fn different(what: &str) -> String {
    format!("its {what} is not that of rank 0; start all ranks with the same program, model, data and options")
}
