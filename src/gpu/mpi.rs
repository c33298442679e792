//! Ranks that MPI connects: processes that `mpirun` or Slurm have started, on one machine or on several.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use mpi::environment::Universe;
use mpi::request::{Request, StaticScope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Equivalence, Source};

use super::exchange::Transport;
use crate::error::{Error, Result};

/// All ranks of a job. Clones are the same.
#[derive(Clone)]
pub struct World(Rc<RefCell<Inner>>);

struct Inner {
    /// Messages that have not left yet. They come before the universe, which ends with MPI.
    sends: VecDeque<Pending>,
    world: SimpleCommunicator,
    local_rank: u32,
    _universe: Universe,
}

/// A message on its way.
struct Pending {
    /// `None` once it has left.
    request: Option<Request<'static, [u8], StaticScope>>,
    bytes: *mut [u8],
}

/// MPI counts bytes in 31 bits.
const MOST_BYTES: usize = 1 << 30;
/// Messages that were sent between programs before a step, by their tags.
const LENGTH: i32 = 0x00ff_0000;
const CONTENT: i32 = 0x00ff_0001;
/// How long to wait before looking for a message again: little while it is about to come, longer where a rank computes, which needs the core.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

impl World {
    /// Joins the job.
    ///
    /// # Errors
    /// [`Error::Setting`] if MPI has been started before, or does not start.
    pub fn join() -> Result<World> {
        let refused =
            || Error::Setting("MPI did not start; run the program by mpirun or srun of the MPI that it was built with".to_owned());
        let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled).ok_or_else(refused)?;
        let world = universe.world();
        let local_rank = world.split_shared(world.rank()).rank() as u32;
        Ok(World(Rc::new(RefCell::new(Inner { sends: VecDeque::new(), world, local_rank, _universe: universe }))))
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> u32 {
        self.0.borrow().world.rank() as u32
    }

    /// The number of ranks.
    pub fn ranks(&self) -> u32 {
        self.0.borrow().world.size() as u32
    }

    /// The number of this rank among those on its machine.
    pub fn local_rank(&self) -> u32 {
        self.0.borrow().local_rank
    }

    /// Ends the whole job, because this rank cannot go on.
    pub fn abort() -> ! {
        SimpleCommunicator::world().abort(1)
    }

    /// Brings bytes of rank 0 to all ranks.
    ///
    /// # Errors
    /// If a rank cannot be reached.
    pub fn broadcast(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut inner = self.0.borrow_mut();
        if inner.world.rank() > 0 {
            return inner.receive_any(0);
        }
        (1..inner.world.size()).for_each(|rank| inner.send_any(rank, bytes));
        Ok(bytes.to_vec())
    }

    /// Brings bytes of each rank to rank 0, in order; nothing to the others.
    ///
    /// # Errors
    /// If a rank cannot be reached.
    pub fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut inner = self.0.borrow_mut();
        if inner.world.rank() > 0 {
            inner.send_any(0, bytes);
            return Ok(Vec::new());
        }
        let others: Result<Vec<Vec<u8>>> = (1..inner.world.size()).map(|rank| inner.receive_any(rank)).collect();
        Ok([bytes.to_vec()].into_iter().chain(others?).collect())
    }
}

impl Transport for World {
    fn send(&mut self, to: u32, tag: u32, bytes: Vec<u8>) -> Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.send(to as i32, tag as i32, bytes);
        inner.progress();
        Ok(())
    }

    fn receive(&mut self, from: u32, tag: u32, bytes: usize) -> Result<Vec<u8>> {
        self.0.borrow_mut().receive(from as i32, tag as i32, bytes)
    }

    fn progress(&mut self) -> Result<()> {
        self.0.borrow_mut().progress();
        Ok(())
    }
}

impl Inner {
    fn send(&mut self, to: i32, tag: i32, mut bytes: Vec<u8>) {
        while bytes.len() > MOST_BYTES {
            let rest = bytes.split_off(MOST_BYTES);
            self.send_at_once(to, tag, bytes);
            bytes = rest;
        }
        self.send_at_once(to, tag, bytes);
    }

    fn send_at_once(&mut self, to: i32, tag: i32, bytes: Vec<u8>) {
        let bytes: &'static mut [u8] = Box::leak(bytes.into_boxed_slice());
        let pointer: *mut [u8] = bytes;
        let request = self.world.process_at_rank(to).immediate_send_with_tag(StaticScope, &*bytes, tag);
        self.sends.push_back(Pending { request: Some(request), bytes: pointer });
    }

    fn receive(&mut self, from: i32, tag: i32, bytes: usize) -> Result<Vec<u8>> {
        let mut received = vec![0; bytes];
        for part in received.chunks_mut(MOST_BYTES) {
            self.wait_for(from, tag);
            let status = self.world.process_at_rank(from).receive_into_with_tag(part, tag);
            let count = status.count(u8::equivalent_datatype()) as usize;
            if count != part.len() {
                return Err(Error::Setting(format!(
                    "rank {from} sent {count} bytes where {} were expected; start all ranks with the same program, model, data and options",
                    part.len()
                )));
            }
        }
        Ok(received)
    }

    /// Waits until a message has arrived, without keeping a core busy.
    fn wait_for(&mut self, from: i32, tag: i32) {
        let mut pause = FIRST_PAUSE;
        while self.world.process_at_rank(from).immediate_probe_with_tag(tag).is_none() {
            self.progress();
            std::thread::sleep(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Sends bytes of whose number the receiver is told first.
    fn send_any(&mut self, to: i32, bytes: &[u8]) {
        self.send(to, LENGTH, (bytes.len() as u64).to_le_bytes().to_vec());
        self.send(to, CONTENT, bytes.to_vec());
    }

    fn receive_any(&mut self, from: i32) -> Result<Vec<u8>> {
        let length: u64 = bytemuck::pod_read_unaligned(&self.receive(from, LENGTH, 8)?);
        self.receive(from, CONTENT, length as usize)
    }

    /// Helps messages on their way, and lets go of those that have left.
    fn progress(&mut self) {
        self.sends.retain_mut(|pending| !pending.has_left());
    }
}

impl Pending {
    fn has_left(&mut self) -> bool {
        self.request = self.request.take().and_then(|request| request.test().err());
        self.request.is_none()
    }
}

impl Drop for Pending {
    #[expect(unsafe_code, reason = "MPI reads the bytes until the message has left, whatever becomes of their owner")]
    fn drop(&mut self) {
        assert!(self.request.is_none(), "a message is dropped only after it has left");
        // SAFETY: the pointer comes from a leaked box, and the only other reference to it ended with the request.
        drop(unsafe { Box::from_raw(self.bytes) });
    }
}

impl Drop for Inner {
    /// MPI ends when all messages have left.
    fn drop(&mut self) {
        while !self.sends.is_empty() {
            self.progress();
            std::thread::sleep(FIRST_PAUSE);
        }
    }
}
