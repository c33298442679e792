//! Several ranks in one process, each a thread with an executor of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use streambp::error::Result;
use streambp::gpu::Transport;
use streambp::step::{Split, TOKEN_TILE};
use streambp::train::Network;

/// Sender, receiver and tag.
type Address = (u32, u32, u32);

/// Messages, each with the time of its arrival.
type Messages = HashMap<Address, VecDeque<(Instant, Vec<u8>)>>;

/// Messages on their way.
#[derive(Clone)]
pub struct Mail {
    waiting: Arc<(Mutex<Messages>, Condvar)>,
    network: Network,
}

/// A network without delay.
pub const IMMEDIATE: Network = Network { latency: 0.0, bandwidth: f64::INFINITY };

/// A message that does not come within this time never will.
const PATIENCE: Duration = Duration::from_secs(300);

/// The way of a rank to the others.
pub struct Mailbox {
    rank: u32,
    mail: Mail,
    /// When the way to each rank is free again.
    free: HashMap<u32, Instant>,
}

impl Transport for Mailbox {
    fn send(&mut self, to: u32, tag: u32, bytes: Vec<u8>) -> Result<()> {
        let Mail { waiting, network } = &self.mail;
        let begin = self.free.get(&to).copied().unwrap_or_else(Instant::now).max(Instant::now());
        let sent = begin + Duration::from_secs_f64(bytes.len() as f64 / network.bandwidth);
        self.free.insert(to, sent);
        let arrival = sent + Duration::from_secs_f64(network.latency);
        let (messages, arrived) = &**waiting;
        messages.lock().unwrap().entry((self.rank, to, tag)).or_default().push_back((arrival, bytes));
        arrived.notify_all();
        Ok(())
    }

    fn receive(&mut self, from: u32, tag: u32, bytes: usize) -> Result<Vec<u8>> {
        let (messages, arrived) = &*self.mail.waiting;
        let address = (from, self.rank, tag);
        let is_missing = |messages: &mut Messages| messages.get(&address).is_none_or(VecDeque::is_empty);
        let (mut messages, wait) = arrived.wait_timeout_while(messages.lock().unwrap(), PATIENCE, is_missing).unwrap();
        assert!(!wait.timed_out(), "rank {} waits for {tag:#x} of rank {from} in vain", self.rank);
        let (arrival, message) = messages.get_mut(&address).and_then(VecDeque::pop_front).expect("it is on its way");
        drop(messages);
        std::thread::sleep(arrival.saturating_duration_since(Instant::now()));
        assert_eq!(message.len(), bytes, "bytes of the message {tag:#x} from rank {from} to {}", self.rank);
        Ok(message)
    }
}

impl Mail {
    /// Asserts that whatever was sent was received.
    pub fn assert_empty(&self) {
        let messages = self.waiting.0.lock().unwrap();
        let left: Vec<&Address> = messages.iter().filter(|(_, waiting)| !waiting.is_empty()).map(|(address, _)| address).collect();
        assert!(left.is_empty(), "nobody has received {left:x?}");
    }
}

/// Borders between ranks with about equally many token tiles.
pub fn even_borders(tokens: u32, ranks: u32) -> Vec<u32> {
    let tiles = tokens.div_ceil(TOKEN_TILE);
    (0..=ranks).map(|rank| (tiles * rank / ranks * TOKEN_TILE).min(tokens)).collect()
}

/// Runs something on each rank at the same time, and returns what each finds.
pub fn on_ranks<T: Send>(borders: &[u32], network: Network, run: impl Fn(Split, Mailbox) -> T + Sync) -> Vec<T> {
    let mail = Mail { waiting: Arc::default(), network };
    let ranks = borders.len() as u32 - 1;
    let found = std::thread::scope(|scope| {
        let start = |rank| {
            let (split, mailbox) = (Split::new(rank, borders.to_vec()), Mailbox { rank, mail: mail.clone(), free: HashMap::new() });
            scope.spawn(|| run(split, mailbox))
        };
        let threads: Vec<_> = (0..ranks).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    mail.assert_empty();
    found
}
